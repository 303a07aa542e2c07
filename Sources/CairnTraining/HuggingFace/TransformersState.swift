// SPDX-License-Identifier: Apache-2.0
/// `trainer_state.json` of transformers' Trainer: where a run stands, and what it logged.

import CairnFormats
import Foundation

/// The schema of transformers 4.57 and 5.23, whose keys are the same.
///
/// Reading: every key may be missing; keys that are not known are listed. Writing: exactly the
/// known keys, since the Trainer fails on any other.
///
/// Source: transformers/trainer_callback.py, `TrainerState`.
public struct TransformersState: Sendable {
    /// The file's name in a checkpoint.
    public static let fileName = "trainer_state.json"

    /// Epochs done, with a fraction.
    public var epoch = 0.0
    /// Optimizer steps done.
    public var globalStep = 0
    /// Steps of the whole run.
    public var maxSteps = 0
    /// Epochs of the whole run.
    public var epochs = 0
    /// Rows per step and device.
    public var batchSize: Int?
    /// Every so many steps, or as a share of the run.
    public var loggingSteps = 500.0
    /// Every so many steps, or as a share of the run.
    public var evaluationSteps = 500.0
    /// Every so many steps, or as a share of the run.
    public var savingSteps = 500.0
    /// Tokens trained on, where the Trainer counted.
    public var tokensSeen = 0
    /// What the Trainer estimates.
    public var floatingPointOperations = 0.0
    /// The best value of the monitored metric.
    public var bestMetric: Double?
    /// The step that had it.
    public var bestStep: Int?
    /// The checkpoint that has it.
    public var bestCheckpoint: String?
    /// Rows of `log_history`, as they are.
    public var history: [JSONObject] = []
    /// What callbacks keep, by the name of their class.
    public var callbacks: JSONObject = [:]
    /// Keys of the file that are not of the schema.
    public private(set) var unknownKeys: [String] = []

    /// Everything as at the start of a run.
    public init() {}

    /// Steps per epoch, which the file says by its epoch and its step; nil before the first step.
    public var stepsPerEpoch: Int? {
        guard globalStep > 0, epoch > 0 else { return nil }
        let steps = (Double(globalStep) / epoch).rounded()
        return steps >= 1 && steps <= 1e15 ? Int(steps) : nil
    }
}

// MARK: Reading

extension TransformersState {
    /// Reads the file; its numbers may be NaN, as Python writes them.
    public init(contentsOf url: URL) throws {
        let json = try JSONValue.parse(contentsOf: url, allowNonFinite: true)
        guard let members = json.object else {
            throw TrainingError.badMetadata(
                file: url.path, key: "the document", expected: "an object", found: json.kind)
        }
        let reader = TransformersStateReader(members: members, file: url.path)
        epoch = try reader.number("epoch", 0...1e9) ?? epoch
        globalStep = try reader.count("global_step") ?? globalStep
        maxSteps = try reader.count("max_steps") ?? maxSteps
        epochs = try reader.count("num_train_epochs") ?? epochs
        batchSize = try reader.count("train_batch_size")
        loggingSteps = try reader.number("logging_steps", 0...1e15) ?? loggingSteps
        evaluationSteps = try reader.number("eval_steps", 0...1e15) ?? evaluationSteps
        savingSteps = try reader.number("save_steps", 0...1e15) ?? savingSteps
        tokensSeen = try reader.count("num_input_tokens_seen") ?? tokensSeen
        floatingPointOperations =
            try reader.number("total_flos", 0...Double.greatestFiniteMagnitude)
            ?? floatingPointOperations
        bestMetric = try reader.value("best_metric", "a number") { $0.number }
        bestStep = try reader.count("best_global_step")
        bestCheckpoint = try reader.value("best_model_checkpoint", "a string") { $0.string }
        let rows = try reader.value("log_history", "an array of objects") { value in
            value.array.flatMap { rows in
                rows.allSatisfy { $0.object != nil } ? rows.compactMap(\.object) : nil
            }
        }
        history = rows ?? []
        callbacks = try reader.value("stateful_callbacks", "an object") { $0.object } ?? [:]
        let known = Set(TransformersState().json().keys)
        unknownKeys = members.keys.filter { !known.contains($0) }
    }
}

/// Members of the file with their checks.
private struct TransformersStateReader {
    let members: JSONObject
    let file: String

    /// Nil where the key is missing or null.
    func value<Value>(
        _ key: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws(TrainingError) -> Value? {
        guard let json = members[key], !json.isNull else { return nil }
        guard let value = convert(json) else {
            throw .badMetadata(
                file: file, key: key, expected: expected,
                found: json.number.map { "\($0)" } ?? json.kind)
        }
        return value
    }

    func count(_ key: String) throws(TrainingError) -> Int? {
        try value(key, "a whole number of at least 0") { json in
            json.integer.flatMap { (0...(1 << 53)).contains($0) ? $0 : nil }
        }
    }

    func number(_ key: String, _ range: ClosedRange<Double>) throws(TrainingError) -> Double? {
        try value(key, "a number of at least \(range.lowerBound)") { json in
            json.number.flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

// MARK: Writing

extension TransformersState {
    /// The file, with sorted keys, indented by 2.
    ///
    /// Fails on a number in the history that is not finite.
    public func serialized() throws(FormatError) -> Data {
        try JSONValue.object(json()).serialized(sortedKeys: true) + Data("\n".utf8)
    }

    /// Exactly the keys of the schema.
    func json() -> JSONObject {
        func whole(_ value: Double) -> JSONValue {
            Int64(exactly: value).map { .integer($0) } ?? .number(value)
        }
        return [
            "best_global_step": bestStep.map { JSONValue($0) } ?? .null,
            "best_metric": bestMetric.map { .number($0) } ?? .null,
            "best_model_checkpoint": bestCheckpoint.map { .string($0) } ?? .null,
            "epoch": .number(epoch), "eval_steps": whole(evaluationSteps),
            "global_step": JSONValue(globalStep), "is_hyper_param_search": false,
            "is_local_process_zero": true, "is_world_process_zero": true,
            "log_history": .array(history.map { .object($0) }),
            "logging_steps": whole(loggingSteps), "max_steps": JSONValue(maxSteps),
            "num_input_tokens_seen": JSONValue(tokensSeen), "num_train_epochs": JSONValue(epochs),
            "save_steps": whole(savingSteps), "stateful_callbacks": .object(writtenCallbacks),
            "total_flos": .number(floatingPointOperations),
            "train_batch_size": batchSize.map { JSONValue($0) } ?? .null, "trial_name": .null,
            "trial_params": .null,
        ]
    }

    /// The Trainer looks its own control up here when it saves next, and fails where it is not.
    private var writtenCallbacks: JSONObject {
        var callbacks = callbacks
        if callbacks["TrainerControl"] == nil {
            let flags = ["epoch_stop", "evaluate", "log", "save", "training_stop"]
            callbacks["TrainerControl"] = [
                "args": .object(JSONObject(flags.map { ("should_" + $0, .bool(false)) })),
                "attributes": [:],
            ]
        }
        return callbacks
    }
}

// MARK: History

extension TransformersState {
    /// Rows as the Trainer logs them: one per step, and behind the last step of an epoch one of its
    /// evaluation, where it was evaluated.
    public static func history(
        steps: [RunHistory.Step], epochs: [RunHistory.Epoch], stepsPerEpoch: Int
    ) -> [JSONObject] {
        var rows: [(step: Int, isEvaluation: Bool, row: JSONObject)] = []
        for step in steps {
            var row: JSONObject = [
                "epoch": .number(Double(step.number) / Double(stepsPerEpoch)),
                "learning_rate": .number(step.learningRate), "loss": .number(step.loss),
                "step": JSONValue(step.number),
            ]
            row["grad_norm"] = step.gradientNorm.map { .number($0) }
            rows.append((step.number, false, row))
        }
        for epoch in epochs {
            guard let loss = epoch.validationLoss else { continue }
            var row: JSONObject = [
                "epoch": .number(Double(epoch.step) / Double(stepsPerEpoch)),
                "eval_loss": .number(loss), "step": JSONValue(epoch.step),
            ]
            row["eval_accuracy"] = epoch.validationAccuracy.map { .number($0) }
            row["eval_macro_f1"] = epoch.validationMacroF1.map { .number($0) }
            row["eval_runtime"] = epoch.validationSeconds.map { .number($0) }
            rows.append((epoch.step, true, row))
        }
        return rows.enumerated().sorted { a, b in
            (a.element.step, a.element.isEvaluation ? 1 : 0, a.offset)
                < (b.element.step, b.element.isEvaluation ? 1 : 0, b.offset)
        }.map(\.element.row)
    }

    /// The steps of the history that have a loss and a learning rate.
    public var steps: [RunHistory.Step] {
        history.compactMap { row in
            guard let number = row["step"]?.integer, let loss = row["loss"]?.number,
                let rate = row["learning_rate"]?.number
            else { return nil }
            let perEpoch = stepsPerEpoch ?? max(number, 1)
            return RunHistory.Step(
                number: number, epoch: (max(number, 1) - 1) / perEpoch + 1, loss: loss,
                learningRate: rate, gradientNorm: row["grad_norm"]?.number,
                throughput: nil)
        }
    }
}
