// SPDX-License-Identifier: Apache-2.0
/// `cairn predict`: labels and probabilities for texts; of a language model their likelihood.

import Cairn
import Foundation

struct Predict: Command {
    static let name = "predict"
    static let summary =
        "Labels texts with a checkpoint, or says how likely a language model finds them."
    static let positionals = ["CHECKPOINT"]
    static let example = "cairn predict checkpoints/best --text \"A fine film.\""
    static let rules: [FlagRule] = [.oneOf(["--text", "--data"])]
    static let flags = [
        Flag("--text", "TEXT", "one text"),
        Flag("--data", "FILE", "texts: JSONL, CSV or TSV; labels are not needed, splits ignored"),
        Flag("--base", "DIR", "the base model, where adapter_config.json does not lead to it"),
        Predictor.storageFlag,
        Flag("--precision", "KIND", "bf16 or fp32; as in training"),
        Flag("--token-budget", "TOKENS", standard: "2048", "tokens per batch"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2, avx512 or avx512bf16; the widest"),
        Machine.deviceFlag,
        Flag(switch: "--json", "print one JSON document with logits and probabilities"),
    ]

    private let arguments: Arguments

    init(_ arguments: Arguments) throws { self.arguments = arguments }

    func run() throws {
        let predictor = try Predictor(arguments)
        let inference = predictor.inference
        let data: DataSet
        if let text = arguments.string("--text") {
            data = try inference.rows(texts: [text], file: "--text")
        } else {
            data = try inference.rows(URL(fileURLWithPath: try arguments.required("--data")))
        }
        let evaluation = try predictor.evaluate(data)
        if let losses = evaluation.tokenLosses {
            return try show(data, losses, predictor.storage)
        }
        let logits = evaluation.logits
        let predictions = logits.map { Prediction(logits: $0, task: inference.checkpoint.task) }
        if arguments.has("--json") {
            var document = document(predictions, inference.checkpoint.task)
            document["base_storage"] = .string(predictor.storage.rawValue)
            try JSONValue.object(document).printed()
        } else {
            for prediction in predictions { print(line(prediction, inference.checkpoint.task)) }
        }
    }

    /// Per row: how many tokens were predicted, their log-likelihood, the perplexity.
    private func show(
        _ data: DataSet, _ losses: [[Float]], _ storage: BaseStorage
    ) throws {
        let rows = losses.map { losses in (losses.count, losses.reduce(0.0) { $0 + Double($1) }) }
        guard arguments.has("--json") else {
            for (count, sum) in rows {
                print(
                    "\(count) tokens\t"
                        + (count == 0
                            ? "nothing to predict"
                            : String(
                                format: "log-likelihood %.4f\tperplexity %.4f", -sum,
                                exp(sum / Double(count)))))
            }
            return
        }
        let documents = zip(zip(data.ids, losses), rows).map { row, total -> JSONValue in
            .object([
                "token_ids": .array(row.0.map { .integer(Int64($0)) }),
                "token_log_likelihoods": .array(row.1.map { .number(-Double($0)) }),
                "log_likelihood": .number(-total.1),
                "perplexity": total.0 == 0 ? .null : .number(exp(total.1 / Double(total.0))),
            ])
        }
        try JSONValue.object([
            "rows": .array(documents), "base_storage": .string(storage.rawValue),
        ]).printed()
    }

    private func line(_ prediction: Prediction, _ task: Task) -> String {
        switch task {
        case .singleLabel(let labels):
            let best = prediction.labelIDs[0]
            return "\(labels[best])\t" + String(format: "%.4f", prediction.probabilities[best])
        case .multiLabel(let labels):
            return prediction.labelIDs.map {
                labels[$0] + String(format: " %.4f", prediction.probabilities[$0])
            }.joined(separator: "\t")
        case .regression, .causal:
            return prediction.logits.map { "\($0)" }.joined(separator: "\t")
        }
    }

    private func document(_ predictions: [Prediction], _ task: Task) -> JSONObject {
        func numbers(_ values: [Float]) -> JSONValue {
            .array(values.map { .number(Double($0)) })
        }
        let rows = predictions.map { prediction -> JSONValue in
            let names = prediction.labelIDs.map { JSONValue.string(task.labels[$0]) }
            let ids = prediction.labelIDs.map { JSONValue.integer($0) }
            var row: JSONObject = [
                "logits": numbers(prediction.logits),
                "probabilities": task.isRegression ? .null : numbers(prediction.probabilities),
            ]
            switch task {
            case .singleLabel: (row["label"], row["label_id"]) = (names[0], ids[0])
            case .multiLabel: (row["label"], row["label_id"]) = (.array(names), .array(ids))
            case .regression, .causal: (row["label"], row["label_id"]) = (.null, .null)
            }
            return .object(row)
        }
        return ["labels": .array(task.labels.map { .string($0) }), "rows": .array(rows)]
    }
}

extension Task {
    var isRegression: Bool { if case .regression = self { true } else { false } }
}
