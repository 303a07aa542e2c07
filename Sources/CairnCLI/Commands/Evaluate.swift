// SPDX-License-Identifier: Apache-2.0
/// `cairn evaluate`: how good a checkpoint is on labelled rows.

import Cairn
import Foundation

struct Evaluate: Command {
    static let name = "evaluate"
    static let summary = "Judges a checkpoint on labelled rows, or a language model on texts."
    static let positionals = ["CHECKPOINT"]
    static let example = "cairn evaluate checkpoints/best --data test.jsonl --json"
    static let rules: [FlagRule] = [.required("--data")]
    static let flags = [
        Flag("--data", "FILE", "labelled rows: JSONL, CSV or TSV; of a split column, test"),
        Flag("--errors", "N", "shows N rows of each of the most frequent confusions"),
        Flag("--base", "DIR", "the base model, where adapter_config.json does not lead to it"),
        Predictor.storageFlag,
        Flag("--precision", "KIND", "bf16 or fp32; as in training"),
        Flag("--token-budget", "TOKENS", standard: "2048", "tokens per batch"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2, avx512 or avx512bf16; the widest"),
        Machine.deviceFlag,
        Flag(switch: "--json", "print one JSON document"),
    ]

    private let arguments: Arguments
    private let file: URL
    private let shownErrors: Int?

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        file = URL(fileURLWithPath: try arguments.required("--data"))
        shownErrors = try arguments.integer("--errors", atLeast: 1)
    }

    func run() throws {
        let predictor = try Predictor(arguments)
        if shownErrors != nil, predictor.inference.checkpoint.task == .causal {
            throw arguments.usage("--errors is for checkpoints with labels, this one has none")
        }
        let corpus = try predictor.inference.labelledCorpus(file)
        let data = try predictor.inference.labelledRows(corpus)
        let evaluation = try predictor.evaluate(data)
        let intervals = evaluation.metrics?.intervals()
        let groups = shownErrors.map {
            evaluation.errorGroups(data.targets, examples: corpus.examples, limit: $0)
        }
        for group in groups ?? [] { Terminal.error(group.lines() + "\n") }
        Terminal.error(evaluation.table(intervals: intervals))
        guard arguments.has("--json") else { return }
        var document = evaluation.document(intervals: intervals)
        document["base_storage"] = .string(predictor.storage.rawValue)
        if let groups { document["errors"] = .array(groups.map(\.document)) }
        try JSONValue.object(document).printed()
    }
}

/// A checkpoint ready to run, as the flags say.
struct Predictor {
    let inference: Inference
    private let precision: Precision
    private let tokenBudget: Int

    static let storageFlag = Flag(
        "--base-storage", "STORAGE",
        "how the base's linear layers are kept: stored, int8 or nf4; as in training. Another one is "
            + "another function")

    init(_ arguments: Arguments) throws {
        let machine = try arguments.machine()
        let precision = try arguments.choice("--precision", Precision.self)
        tokenBudget = try arguments.integer("--token-budget", atLeast: 1) ?? 2048
        let checkpoint = try HubAccess.model(arguments.positionals[0])
        inference = try Inference(
            checkpoint, base: try arguments.url("--base") ?? HubAccess.base(of: checkpoint),
            context: try machine.context(),
            storage: try arguments.choice("--base-storage", BaseStorage.self))
        self.precision = precision ?? inference.checkpoint.precision
        if arguments.has("--base-storage") || storage.isQuantized {
            Terminal.error("the base's linear layers are kept as \(storage.rawValue)")
        }
    }

    var storage: BaseStorage { inference.checkpoint.storage }

    func evaluate(_ data: DataSet) throws -> Evaluation {
        try inference.evaluate(data, precision: precision, tokenBudget: tokenBudget)
    }
}
