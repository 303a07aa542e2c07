// SPDX-License-Identifier: Apache-2.0
/// `cairn evaluate`: how good a checkpoint is on labelled rows.

import Cairn
import Foundation

struct Evaluate: Command {
    static let name = "evaluate"
    static let summary = "Judges a checkpoint on labelled rows."
    static let positionals = ["CHECKPOINT"]
    static let example = "cairn evaluate checkpoints/best --data test.jsonl --json"
    static let flags = [
        Flag("--data", "FILE", "labelled rows: JSONL, CSV or TSV; of a split column, test"),
        Flag("--base", "DIR", "the base model, where adapter_config.json does not lead to it"),
        Flag("--precision", "KIND", "bf16 or fp32; as in training"),
        Flag("--token-budget", "TOKENS", standard: "2048", "tokens per batch"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2 or avx512; the widest there is"),
        Flag(switch: "--json", "print one JSON document"),
    ]

    private let arguments: Arguments
    private let file: URL

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        file = URL(fileURLWithPath: try arguments.required("--data"))
    }

    func run() throws {
        let predictor = try Predictor(arguments)
        let data = try predictor.inference.labelledRows(file)
        let evaluation = try predictor.evaluate(data)
        Terminal.error(
            "\(data.count) rows"
                + (evaluation.accuracy.map { String(format: ", accuracy %.4f", $0) } ?? "")
                + (evaluation.loss.map { String(format: ", loss %.5f", $0) } ?? ""))
        if arguments.has("--json") { try document(evaluation, rows: data.count).printed() }
    }

    private func document(_ evaluation: Evaluation, rows: Int) -> JSONValue {
        let metrics = evaluation.metrics
        return .object([
            "rows": .integer(rows), "accuracy": .optional(evaluation.accuracy),
            "loss": .optional(evaluation.loss), "macro_f1": .optional(metrics?.macroF1),
            "confusion_matrix": metrics.map {
                .array($0.confusion.map { .array($0.map { .integer($0) }) })
            } ?? .null,
            "per_class": metrics.map {
                .array(
                    $0.perClass.map {
                        .object([
                            "label": .string($0.label), "precision": .number($0.precision),
                            "recall": .number($0.recall), "f1": .number($0.f1),
                            "support": .integer($0.support),
                        ])
                    })
            } ?? .null,
        ])
    }
}

/// A checkpoint ready to run, as the flags say.
struct Predictor {
    let inference: Inference
    private let precision: Precision
    private let tokenBudget: Int

    init(_ arguments: Arguments) throws {
        let (threads, isa) = try arguments.machine()
        let precision = try arguments.choice("--precision", Precision.self)
        tokenBudget = try arguments.integer("--token-budget", atLeast: 1) ?? 2048
        let checkpoint = try HubAccess.model(arguments.positionals[0])
        inference = try Inference(
            checkpoint, base: try arguments.url("--base") ?? HubAccess.base(of: checkpoint),
            context: try Context(isa: isa, threads: threads))
        self.precision = precision ?? inference.checkpoint.precision
    }

    func evaluate(_ data: DataSet) throws -> Evaluation {
        try inference.evaluate(data, precision: precision, tokenBudget: tokenBudget)
    }
}
