// SPDX-License-Identifier: Apache-2.0
/// `cairn convert`: tensors from file to file, and nothing half done.

import Cairn
import Foundation
import TestSupport
import Testing

@Suite struct ConvertTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try write(.apr, "in.apr", metadata: ["epoch": 3, "name": "n"])
    }

    private let tensors = [
        "a.weight": Tensor([1, -2, 0.5, 4] as [Float], shape: [2, 2]),
        "b": Tensor([7, -7] as [Int64], shape: [2]),
    ]

    private func write(_ format: TensorFormat, _ name: String, metadata: JSONValue) throws {
        try DurableFile.write(to: directory.file(name)) { sink throws(FormatError) in
            _ = try TensorFile.write(tensors, metadata: metadata, format: format, to: &sink)
        }
    }

    private func convert(_ arguments: String...) throws -> ProcessResult {
        try CairnProcess.run(["convert"] + arguments, in: directory.url)
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() }
    }

    @Test(arguments: TensorFormat.allCases)
    func `tensors arrive in every format`(format: TensorFormat) throws {
        let result = try convert("in.apr", "out.\(format.extensions[0])")

        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(result.output == "")
        let file = try TensorFile(contentsOf: directory.file("out.\(format.extensions[0])"))
        #expect(file.format == format)
        #expect(file.names == ["a.weight", "b"])
        #expect(try file.tensor(named: "a.weight")?.floats() == [1, -2, 0.5, 4])
        #expect(try file.tensor(named: "b")?.integers() == [7, -7])
        #expect(file.metadata["epoch"] == (format == .npz ? nil : 3))
    }

    @Test func `what could not be carried is said, on the terminal and in the document`() throws {
        let result = try convert("in.apr", "out.npz", "--json")

        let document = try JSONValue.parse(Data(result.output.utf8), file: "output")
        let remarks = [
            "metadata 'name' is left out: npz has no place for it",
            "metadata 'epoch' is left out: npz has no place for it",
        ]
        #expect(result.errorLines == remarks + ["2 tensors from apr to npz"])
        #expect(document["from"] == "apr")
        #expect(document["to"] == "npz")
        #expect(document["tensors"] == 2)
        #expect(document["remarks"] == .array(remarks.map { .string($0) }))
    }

    @Test func `a file that exists is replaced only by force`() throws {
        let old = Data("old".utf8)
        try old.write(to: directory.file("out.safetensors"))

        let refused = try convert("in.apr", "out.safetensors")
        let kept = try Data(contentsOf: directory.file("out.safetensors"))
        let forced = try convert("in.apr", "out.safetensors", "--force")

        #expect(refused.exitCode == 1)
        #expect(refused.errorLines.count == 1)
        #expect(refused.errors.contains("out.safetensors: it exists, and only --force replaces it"))
        #expect(kept == old)
        #expect(forced.exitCode == 0, "\(forced.errors)")
        #expect(try TensorFile(contentsOf: directory.file("out.safetensors")).names.count == 2)
    }

    @Test func `a file can be replaced by itself`() throws {
        let before = try Data(contentsOf: directory.file("in.apr"))

        let result = try convert("in.apr", "in.apr", "--force")

        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(try Data(contentsOf: directory.file("in.apr")) == before)
    }

    @Test func `what a format cannot hold leaves no file behind`() throws {
        try DurableFile.write(to: directory.file("bool.safetensors")) { sink throws(FormatError) in
            try SafetensorsWriter.write(
                ["mask": Tensor(zeros: [2], dtype: .bool)], to: &sink)
        }
        let before = try names

        let result = try convert("bool.safetensors", "bool.apr")

        #expect(result.exitCode == 1)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains("'mask'") && result.errors.contains("BOOL"))
        #expect(try names == before)
    }

    @Test func `a damaged file and a lying name are refused with one sentence`() throws {
        var bytes = try Data(contentsOf: directory.file("in.apr"))
        try bytes.write(to: directory.file("lies.npz"))
        bytes[bytes.count - 70] ^= 1
        try bytes.write(to: directory.file("damaged.apr"))
        let before = try names

        let damaged = try convert("damaged.apr", "out.npz")
        let lying = try convert("lies.npz", "out.npz")

        #expect(damaged.exitCode == 1 && lying.exitCode == 1)
        #expect(damaged.errorLines.count == 1 && lying.errorLines.count == 1)
        #expect(damaged.errors.contains("damaged.apr: "), "\(damaged.errors)")
        #expect(
            lying.errors.contains("expected npz by its extension '.npz', found apr"),
            "\(lying.errors)")
        #expect(try names == before)
    }
}
