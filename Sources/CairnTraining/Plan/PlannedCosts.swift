// SPDX-License-Identifier: Apache-2.0
/// The time and the disk space that a run will take.

import CairnFormats

/// Seconds of a run, by what they are spent on.
public struct RunSeconds: Sendable, Equatable {
    /// Reading and checking model and rows.
    public internal(set) var preparing = 0.0
    /// Training steps.
    public internal(set) var training = 0.0
    /// Evaluations of the validation rows.
    public internal(set) var validation = 0.0
    /// Waiting for copies and for earlier saves. A plan counts the copies: the files are written
    /// beside the training.
    public internal(set) var saving = 0.0
    /// The ledger.
    public internal(set) var recording = 0.0
    /// The best checkpoint on the test rows.
    public internal(set) var testing = 0.0
    /// All of it.
    public internal(set) var total = 0.0

    var json: JSONValue {
        [
            "preparing": .number(preparing), "training": .number(training),
            "validation": .number(validation), "saving": .number(saving),
            "recording": .number(recording), "testing": .number(testing),
            "total": .number(total),
        ]
    }

    init(_ reader: DocumentReader) throws {
        preparing = try reader.number("preparing")
        training = try reader.number("training")
        validation = try reader.number("validation")
        saving = try reader.number("saving")
        recording = try reader.number("recording")
        testing = try reader.number("testing")
        total = try reader.number("total")
    }

    init() {}

    /// What the costs of a few steps make of a whole run.
    init(_ job: FineTuneJob, _ trial: StepTrial, saves: Int) {
        let tuner = job.tuner
        let epochs = Double(tuner.settings.epochs)
        preparing = job.preparingSeconds
        training =
            trial.startSeconds
            + trial.secondsPerToken * epochs * Double(tuner.train.tokenCount)
        validation =
            trial.validationSecondsPerToken * epochs * Double(tuner.validation.tokenCount)
        saving = trial.copySeconds * Double(saves)
        recording = trial.recordingSeconds * Double(tuner.schedule.totalSteps)
        if job.keepsPrefix {
            let later = Double(tuner.settings.epochs - 1)
            training -= trial.prefixSecondsPerToken * later * Double(tuner.train.tokenCount)
            validation -=
                trial.validationPrefixSecondsPerToken * later
                * Double(tuner.validation.tokenCount)
        }
        testing = trial.validationSecondsPerToken * Double(job.test?.tokenCount ?? 0)
        total = preparing + training + validation + saving + recording + testing
    }
}

/// Bytes of a run's directory.
public struct PlannedDisk: Sendable, Equatable {
    /// Bytes of one checkpoint.
    public let checkpoint: Int
    /// Checkpoints that stay when the run is over, at most: the best, and what the policy keeps.
    public let kept: Int
    /// When the run is over.
    public let final: Int
    /// At the worst moment, with a checkpoint in the making.
    public let peak: Int
    /// Bytes that are free there.
    public let free: Int

    /// Bytes per step of the ledger, the table of the history and the event file, and of the report
    /// and the bundle besides: measured on runs of 36 and 1000 steps.
    private static let (bytesPerStep, bytesPerRun) = (730, 25_000)

    init(_ job: FineTuneJob, seconds: Double) throws {
        let (policy, epochs) = (job.options.policy, job.options.settings.epochs)
        let steps = job.tuner.schedule.totalSteps
        checkpoint = job.checkpointBytes
        kept = 1 + policy.keptCheckpoints(epochs: epochs, steps: steps, seconds: seconds)
        let rest = steps * Self.bytesPerStep + Self.bytesPerRun
        let prefix = job.prefixBytes
        final = kept * checkpoint + rest + (job.options.prefix == .keep ? prefix : 0)
        peak = max(
            policy.mostCheckpoints(epochs: epochs, steps: steps) * checkpoint + rest + prefix
                + job.journalBytes,
            final)
        free = try Volume.freeBytes(at: job.options.output)
    }

    var json: JSONValue {
        [
            "checkpoint_bytes": JSONValue(checkpoint), "kept_checkpoints": JSONValue(kept),
            "final_bytes": JSONValue(final), "peak_bytes": JSONValue(peak),
            "free_bytes": JSONValue(free),
        ]
    }
}

extension SavePolicy {
    /// The periodic saves of a whole run.
    func periodicSaves(epochs total: Int, steps totalSteps: Int, seconds: Double) -> Int {
        let byTime = minutes.map { Int(seconds / (60 * $0)) } ?? 0
        return (total + epochs - 1) / epochs + (steps.map { totalSteps / $0 } ?? 0) + byTime
            + (journal ? 1 : 0)
    }

    /// How many of them stay, at most.
    func keptCheckpoints(epochs: Int, steps: Int, seconds: Double) -> Int {
        let made = periodicSaves(epochs: epochs, steps: steps, seconds: seconds)
        guard keepLast != nil || keepBest != nil else { return made }
        return min(made, max(keepLast ?? 1, 1) + (keepBest ?? 0))
    }
}
