// SPDX-License-Identifier: Apache-2.0
/// Everything that changes while a run goes, apart from the numbers on the device.

import CairnFormats
import Foundation

/// Why a run ended, or that it has not.
public enum RunStatus: String, Sendable, CaseIterable {
    /// It has not ended.
    case running
    /// All epochs are over.
    case completed
    /// The monitored figure did not improve for longer than the patience.
    case stoppedEarly = "stopped_early"
    /// A signal or a deadline: the run can go on.
    case interrupted
    /// An error ended it.
    case failed

    /// Whether there is nothing left to do.
    public var isFinal: Bool { self == .completed || self == .stoppedEarly }
}

/// The place of a run, what it has seen and how good it was: with the parameters, the optimizer's
/// slots and the settings, all that the rest of the run depends on.
///
/// Random numbers need no entry: every stream is keyed by (seed, purpose), and counted by the step
/// and the row. The order of an epoch is a function of (seed, epoch), so its place is a number.
public struct RunState: Sendable, Equatable {
    /// Which run this is, through all of its resumes.
    public var runID: String
    /// How the run stands.
    public var status = RunStatus.running
    /// Optimizer steps taken.
    public var step = 0
    /// The epoch that is being run, from 1; after the last one, `epochs + 1`.
    public var epoch = 1
    /// Steps of that epoch that have been taken.
    public var stepInEpoch = 0
    /// Sums over the steps of that epoch.
    var totals = EpochTotals()
    /// The epochs that are complete.
    public var epochs: [EpochReport] = []
    /// The step whose state `best` holds, and the figure that made it the best.
    public var best: BestEpoch?
    /// Epochs since the best one.
    public var staleEpochs = 0
    /// Seconds by what they were spent on.
    public var timing = RunTiming()
    /// Rows trained on.
    public var trainedRows = 0
    /// Real tokens trained on.
    public var trainedTokens = 0
    /// Where the ledger ended when this was written.
    public var ledger = LedgerPosition()
    /// What the run came from, when it did not start from its base.
    public var parent: RunParent?
    /// Refusals that were overridden, by key, in the order in which that was said.
    public var allowed: [String] = []
    /// The settings of earlier stretches, when a resume changed them: each held up to its step.
    public var amendments: [Amendment] = []

    /// A run that has taken no step.
    public init(runID: String) { self.runID = runID }

    /// The same, of a run that an error ended.
    var failed: RunState {
        var state = self
        state.status = .failed
        return state
    }
}

/// The epoch that the monitor holds for the best.
public struct BestEpoch: Sendable, Equatable {
    /// From 1.
    public var epoch: Int
    /// The step after which it was measured.
    public var step: Int
    /// The monitored figure.
    public var value: Double
}

/// The settings of a run up to a step at which a resume changed them.
public struct Amendment: Sendable, Equatable {
    /// The last step under these settings.
    public var step: Int
    /// The settings that held up to it.
    public var settings: FineTuneSettings
}

/// Seconds of a run by what they were spent on, over all its starts.
public struct RunTiming: Sendable, Equatable {
    /// Seconds of training steps.
    public var training = 0.0
    /// Seconds of validations.
    public var validation = 0.0
    /// Seconds for which training waited for a save: for the copy, and for an earlier save.
    public var saving = 0.0

    /// No time yet.
    public init() {}
}

/// The run and checkpoint that another one began with.
public struct RunParent: Sendable, Equatable {
    /// What a run took from its parent.
    public enum Relation: String, Sendable, CaseIterable {
        /// The same weights with new data or another schedule.
        case continued
        /// The same state with other settings.
        case branched
    }

    /// What was taken.
    public var relation: Relation
    /// The parent's run.
    public var runID: String
    /// The parent's step.
    public var step: Int
    /// Of the state that was taken over.
    public var stateDigest: String
    /// Where it lay.
    public var path: String
}

// MARK: JSON

extension RunState {
    func json() -> JSONObject {
        [
            "run_id": .string(runID), "status": .string(status.rawValue), "step": JSONValue(step),
            "epoch": JSONValue(epoch), "step_in_epoch": JSONValue(stepInEpoch),
            "epoch_totals": totals.json,
            "epochs": .array(epochs.map(\.json)),
            "best": best.map {
                [
                    "epoch": JSONValue($0.epoch), "step": JSONValue($0.step),
                    "value": .number($0.value),
                ]
            } ?? .null,
            "stale_epochs": JSONValue(staleEpochs),
            "seconds": [
                "training": .number(timing.training), "validation": .number(timing.validation),
                "saving": .number(timing.saving),
            ],
            "trained_rows": JSONValue(trainedRows), "trained_tokens": JSONValue(trainedTokens),
            "ledger": [
                "lines": JSONValue(ledger.lines), "bytes": JSONValue(ledger.bytes),
                "head": .string(ledger.head),
            ],
            "parent": parent.map {
                [
                    "relation": .string($0.relation.rawValue), "run_id": .string($0.runID),
                    "step": JSONValue($0.step), "state_digest": .string($0.stateDigest),
                    "path": .string($0.path),
                ]
            } ?? .null,
            "allowed": .array(allowed.map { .string($0) }),
            "amendments": .array(
                amendments.map {
                    ["step": JSONValue($0.step), "settings": .object($0.settings.json())]
                }),
        ]
    }

    init(_ reader: DocumentReader) throws {
        runID = try reader.string("run_id")
        status = try reader.choice("status", RunStatus.self)
        step = try reader.count("step")
        epoch = try reader.count("epoch", atLeast: 1)
        stepInEpoch = try reader.count("step_in_epoch")
        totals = try EpochTotals(try reader.reader("epoch_totals"))
        epochs = try reader.array("epochs").enumerated().map {
            try EpochReport(try DocumentReader($1, file: reader.file, place: "epochs[\($0)]."))
        }
        best = try reader.optional("best") { reader, key in
            let best = try reader.reader(key)
            return BestEpoch(
                epoch: try best.count("epoch", atLeast: 1), step: try best.count("step"),
                value: try best.number("value"))
        }
        staleEpochs = try reader.count("stale_epochs")
        let seconds = try reader.reader("seconds")
        timing.training = try seconds.number("training")
        timing.validation = try seconds.number("validation")
        timing.saving = try seconds.number("saving")
        trainedRows = try reader.count("trained_rows")
        trainedTokens = try reader.count("trained_tokens")
        let ledger = try reader.reader("ledger")
        self.ledger = LedgerPosition(
            lines: try ledger.count("lines"), bytes: try ledger.count("bytes"),
            head: try ledger.string("head"))
        parent = try reader.optional("parent") { reader, key in
            let parent = try reader.reader(key)
            return RunParent(
                relation: try parent.choice("relation", RunParent.Relation.self),
                runID: try parent.string("run_id"), step: try parent.count("step"),
                stateDigest: try parent.string("state_digest"), path: try parent.string("path"))
        }
        allowed = try reader.strings("allowed")
        amendments = try reader.array("amendments").enumerated().map { index, json in
            let reader = try DocumentReader(json, file: reader.file, place: "amendments[\(index)].")
            return Amendment(
                step: try reader.count("step"),
                settings: try FineTuneSettings(try reader.reader("settings")))
        }
    }
}

extension EpochReport {
    var json: JSONValue {
        [
            "epoch": JSONValue(epoch), "train_loss": .number(trainLoss),
            "train_accuracy": .optional(trainAccuracy), "val_loss": .number(validationLoss),
            "val_accuracy": .optional(validationAccuracy),
            "val_macro_f1": .optional(validationMacroF1), "learning_rate": .number(learningRate),
            "seconds": .number(seconds), "validation_seconds": .number(validationSeconds),
            "rows": JSONValue(rows), "tokens": JSONValue(tokens), "step": JSONValue(step),
        ]
    }

    init(_ reader: DocumentReader) throws {
        self.init(
            epoch: try reader.count("epoch", atLeast: 1), step: try reader.count("step"),
            trainLoss: try reader.number("train_loss"),
            trainAccuracy: try reader.optional("train_accuracy") { try $0.number($1) },
            validationLoss: try reader.number("val_loss"),
            validationAccuracy: try reader.optional("val_accuracy") { try $0.number($1) },
            validationMacroF1: try reader.optional("val_macro_f1") { try $0.number($1) },
            learningRate: try reader.number("learning_rate"),
            seconds: try reader.number("seconds"),
            validationSeconds: try reader.number("validation_seconds"),
            rows: try reader.count("rows"), tokens: try reader.count("tokens"))
    }
}

extension EpochTotals {
    var json: JSONValue {
        [
            "weighted_loss": .number(weightedLoss), "weight": .number(weight),
            "right": JSONValue(right), "judged": JSONValue(judged), "tokens": JSONValue(tokens),
            "seconds": .number(seconds),
        ]
    }

    init(_ reader: DocumentReader) throws(TrainingError) {
        weightedLoss = try reader.number("weighted_loss")
        weight = try reader.number("weight")
        right = try reader.count("right")
        judged = try reader.count("judged")
        tokens = try reader.count("tokens")
        seconds = try reader.number("seconds")
    }
}
