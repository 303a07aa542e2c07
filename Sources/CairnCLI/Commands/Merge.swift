// SPDX-License-Identifier: Apache-2.0
/// `cairn merge`: a checkpoint's adapter and its base become one model directory.

import Cairn
import Foundation

struct Merge: Command {
    static let name = "merge"
    static let summary = "Merges a checkpoint into a full model directory that transformers opens."
    static let positionals = ["CHECKPOINT"]
    static let example = "cairn merge checkpoints/best -o topic-classifier"
    static let rules: [FlagRule] = [.required("--output")]
    static let flags = [
        Flag("--output", "DIR", short: "-o", "the directory to make; it must not exist yet"),
        Flag(
            "--dtype", "KIND", standard: MergeType.keep.rawValue,
            "keep, fp32, bf16 or fp16: how the weights are stored"),
        Flag("--base", "DIR", "the base model, where adapter_config.json does not lead to it"),
        Flag(
            "--base-storage", "STORAGE",
            "of a checkpoint trained over a base in int8 or nf4, which needs it: that word merges into "
                + "the numbers of the codes, stored into the files'"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2 or avx512; the widest there is"),
        Flag(switch: "--json", "print one JSON document"),
    ]

    private let arguments: Arguments
    private let output: URL
    private let type: MergeType

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        output = URL(fileURLWithPath: try arguments.required("--output"))
        type = try arguments.choice("--dtype", MergeType.self) ?? .keep
    }

    func run() throws {
        let machine = try arguments.machine()
        let checkpoint = try HubAccess.model(arguments.positionals[0])
        let merge = try ModelMerge(
            checkpoint, base: try arguments.url("--base") ?? HubAccess.base(of: checkpoint),
            to: output, type: type, context: try machine.context(),
            storage: try arguments.choice("--base-storage", BaseStorage.self))
        Terminal.error("base: \(merge.base.path)")
        let report = try merge.run()
        let types = report.dtypes.sorted { $0.key < $1.key }.map { "\($1) in \($0)" }
        Terminal.error(
            "\(output.path): \(report.method), \(report.mergedLayers) layers merged, "
                + "\(report.tensors) tensors (\(types.joined(separator: ", "))), "
                + "\(merge.byteCount) bytes of weights")
        if arguments.has("--json") { try document(report, checkpoint, merge).printed() }
    }

    private func document(
        _ report: MergeReport, _ checkpoint: URL, _ merge: ModelMerge
    ) -> JSONValue {
        [
            "checkpoint": .string(checkpoint.path), "base": .string(merge.base.path),
            "output": .string(report.output.path), "method": .string(report.method),
            "base_storage": .string(merge.storage.rawValue),
            "merged_layers": .integer(report.mergedLayers), "tensors": .integer(report.tensors),
            "bytes": .integer(merge.byteCount),
            "dtypes": .object(
                JSONObject(
                    report.dtypes.sorted { $0.key < $1.key }.map { ($0, .integer($1)) })),
            "files": .array(
                report.files.map {
                    [
                        "name": .string($0.name), "bytes": .integer($0.size),
                        "sha256": .string($0.sha256),
                    ]
                }),
        ]
    }
}
