// SPDX-License-Identifier: Apache-2.0
/// `cairn convert`: the tensors of one file as a file in another format.

import Cairn
import Foundation

struct Convert: Command {
    static let name = "convert"
    static let summary = "Writes the tensors and metadata of a file in another format."
    static let positionals = ["IN", "OUT"]
    static let example = "cairn convert model.apr model.safetensors"
    static let flags = [
        Flag(
            "--format", "KIND", "safetensors, npz, marshal or apr; what OUT's extension says"),
        Flag(switch: "--force", "replace OUT when it exists"),
        Flag(switch: "--json", "print one JSON document"),
    ]

    private let arguments: Arguments
    private let input: URL
    private let output: URL
    private let format: TensorFormat

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        input = URL(fileURLWithPath: arguments.positionals[0])
        output = URL(fileURLWithPath: arguments.positionals[1])
        let asked = try arguments.choice("--format", TensorFormat.self)
        let named = TensorFormat(nameOf: output)
        if let asked, let named, asked != named {
            throw arguments.usage(
                "--format \(asked.rawValue) does not go with the extension of \(output.path), "
                    + "which says \(named.rawValue)")
        }
        guard let format = asked ?? named else {
            throw arguments.usage(
                "the extension of \(output.path) names no format; give --format")
        }
        self.format = format
    }

    func run() throws {
        if !arguments.has("--force"), FileManager.default.fileExists(atPath: output.path) {
            throw FormatError.system(
                operation: "write", path: output.path,
                reason: "it exists, and only --force replaces it")
        }
        let source = try TensorFile(contentsOf: input)
        let tensors = try source.tensors()
        let remarks =
            try source.remarks
            + DurableFile.write(to: output) { sink throws(FormatError) in
                try TensorFile.write(
                    tensors, metadata: source.metadata, format: format, to: &sink)
            }
        for remark in remarks { Terminal.error(remark) }
        Terminal.error(
            "\(tensors.count) tensors from \(source.format.rawValue) to \(format.rawValue)")
        if arguments.has("--json") { try document(source, remarks).printed() }
    }

    private func document(_ source: TensorFile, _ remarks: [String]) -> JSONValue {
        [
            "input": .string(input.path), "output": .string(output.path),
            "from": .string(source.format.rawValue), "to": .string(format.rawValue),
            "tensors": .integer(source.entries.count),
            "remarks": .array(remarks.map { .string($0) }),
        ]
    }
}
