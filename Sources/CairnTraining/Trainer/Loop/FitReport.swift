// SPDX-License-Identifier: Apache-2.0
/// What a fit did: the typed report and its JSON form.

import CairnFormats
import Foundation

/// What a run did in one epoch.
public struct EpochRow: Sendable, Equatable {
    /// From 0.
    public var epoch: Int
    /// Training batches used.
    public var batches: Int
    /// Nil where the epoch had no batch, as the next ones.
    public var epochLoss: Double?
    /// The reduced loss of the validation's batches; nil without any.
    public var validationLoss: Double?
    /// Validation batches used.
    public var validationBatches: Int
    /// What the monitor saw.
    public var monitorValue: Double?
    /// Epochs since the best one.
    public var stale: Int
    /// Whether it is the best one so far.
    public var improved: Bool
    /// The trainer's metrics, by name; those that gave no value are left out.
    public var metrics: [String: Double]
    /// Of the epoch's last step.
    public var learningRate: Double?
    /// Optimizer steps taken since the run began.
    public var steps: Int
    /// Seconds of training.
    public var trainSeconds: Double
    /// Seconds of validation.
    public var validationSeconds: Double
}

/// How a fit ended.
public enum FitStatus: String, Sendable {
    /// All epochs are over.
    case completed
    /// The monitor's patience ran out.
    case stoppedEarly = "stopped_early"
    /// It was asked to stop.
    case interrupted
    /// An error ended it.
    case failed
}

/// A fit's result.
public struct FitReport: Sendable {
    /// How it ended.
    public var status: FitStatus
    /// What went wrong, of a fit that failed.
    public var failure: String?
    /// The losses of this call's batches; empty when not kept.
    public var losses: [Double]
    /// Whether `losses` lists them.
    public var lossesKept: Bool
    /// The epochs of this call.
    public var epochs: [EpochRow]
    /// Every epoch of the run, those before a resume included.
    public var history: [EpochRow]
    /// What the monitored value is called.
    public var monitorName: String
    /// The total that was aimed at.
    public var epochsTarget: Int
    /// Of the whole run.
    public var epochsCompleted: Int
    /// The best monitored value.
    public var bestMetric: Double?
    /// The path that was resumed from.
    public var resumeFrom: String?
    /// The last epoch that the source had finished.
    public var resumedFromEpoch: Int?
    /// The first epoch of this call, from 0.
    public var startEpoch: Int
    /// The defaults for files that held.
    public var artifactPolicy: JSONValue
    /// Where the run's bundle went.
    public var runBundlePath: String?
    /// Optimizer steps of the run, and those of this call.
    public var steps: Int
    /// Steps of this call.
    public var stepsRan: Int
    /// Of the last step.
    public var learningRate: Double?
    /// The loss on the plan's test data, when there is any and the run was not interrupted.
    public var testLoss: Double?
    /// The checkpoints that are there.
    public var checkpoints: [CheckpointRecord]
    /// Seconds of this call: all of it, and its parts.
    public var seconds: Double
    /// Seconds of training.
    public var trainSeconds: Double
    /// Seconds of validation.
    public var validationSeconds: Double
    /// Seconds of saving.
    public var saveSeconds: Double
    /// Seconds of the whole run.
    public var runSeconds: Double
    /// What the trajectory depended on.
    public var settings: [RunSetting: JSONValue]
    /// Equal for two runs that go on alike.
    public var stateDigest: String
    /// What a user should know and no error said.
    public var notes: [String]

    /// Epochs of this call.
    public var epochsRan: Int { epochs.count }
    /// Whether the monitor's patience ran out.
    public var isStoppedEarly: Bool { status == .stoppedEarly }
}

// MARK: JSON

extension JSONValue {
    /// A number as JSON holds it; one that is not finite as the text `nan`, `inf` or `-inf`.
    static func real(_ value: Double) -> JSONValue {
        value.isFinite ? .number(value) : .string(value.isNaN ? "nan" : "\(value)")
    }

    static func real(_ value: Double?) -> JSONValue { value.map { .real($0) } ?? .null }

    static func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    static func whole(_ value: Int?) -> JSONValue {
        value.map { .integer(Int64($0)) } ?? .null
    }

    /// A number, also one written by `real`, or as Python and Ruby name what is not finite.
    var real: Double? {
        if let number { return number }
        switch string {
        case "nan", "NaN": return .nan
        case "inf", "Infinity": return .infinity
        case "-inf", "-Infinity": return -.infinity
        default: return nil
        }
    }
}

extension [RunSetting: JSONValue] {
    var json: JSONValue {
        .object(
            JSONObject(
                sorted { $0.key.rawValue < $1.key.rawValue }.map { ($0.key.rawValue, $0.value) }))
    }
}

extension EpochRow {
    var json: JSONValue {
        .object([
            "epoch": .whole(epoch), "batches": .whole(batches), "epoch_loss": .real(epochLoss),
            "val_loss": .real(validationLoss), "validation_batches": .whole(validationBatches),
            "monitor_value": .real(monitorValue), "stale_epochs": .whole(stale),
            "improved": .bool(improved),
            "metrics": .object(
                JSONObject(metrics.sorted { $0.key < $1.key }.map { ($0.key, .real($0.value)) })),
            "learning_rate": .real(learningRate), "steps": .whole(steps),
            "train_seconds": .real(trainSeconds), "validation_seconds": .real(validationSeconds),
        ])
    }
}

extension FitReport {
    /// Keys of mlx-ruby's report, then ours: status, steps, times, checkpoints, notes.
    public var json: JSONValue {
        var object: JSONObject = [
            "losses": .array(losses.map { .real($0) }), "losses_kept": .bool(lossesKept),
            "epochs": .array(epochs.map(\.json)), "monitor_name": .string(monitorName),
            "epochs_target": .whole(epochsTarget), "epochs_completed": .whole(epochsCompleted),
            "epochs_ran": .whole(epochsRan), "stopped_early": .bool(isStoppedEarly),
            "best_metric": .real(bestMetric), "resume_from": .text(resumeFrom),
            "resumed_from_epoch": .whole(resumedFromEpoch), "start_epoch": .whole(startEpoch),
            "artifact_policy": artifactPolicy, "status": .string(status.rawValue),
            "failure": .text(failure), "history": .array(history.map(\.json)),
            "steps": .whole(steps), "steps_ran": .whole(stepsRan),
            "learning_rate": .real(learningRate), "test_loss": .real(testLoss),
            "checkpoints": .array(checkpoints.map { .string($0.path.path) }),
            "seconds": .real(seconds), "train_seconds": .real(trainSeconds),
            "validation_seconds": .real(validationSeconds), "save_seconds": .real(saveSeconds),
            "run_seconds": .real(runSeconds), "settings": settings.json,
            "state_digest": .string(stateDigest),
            "cairn_version": .string(CairnVersion.string),
            "notes": .array(notes.map { .string($0) }),
        ]
        if let runBundlePath { object["run_bundle_path"] = .string(runBundlePath) }
        return .object(object)
    }
}
