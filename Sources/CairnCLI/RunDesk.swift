// SPDX-License-Identifier: Apache-2.0
/// Runs a fine-tuning job at the terminal: the flags, the progress, the signals, the report.

import Cairn
import Foundation

/// Flags that every command shares which trains.
enum RunFlags {
    static let saving = [
        Flag("--save-every", "N", standard: "5", "epochs between epoch-N checkpoints"),
        Flag("--save-steps", "N", "save step-N every N optimizer steps"),
        Flag("--save-minutes", "M", "save step-N when M minutes have passed without a save"),
        Flag("--keep-last", "N", "keep the newest N epoch-N and step-N; without it all"),
        Flag(
            switch: "--journal",
            "keep the gradients of every step until a checkpoint holds them: a kill loses no step"),
        Flag("--keep-best", "K", "keep the K best epoch-N besides; without it none for that"),
    ]

    static let running = [
        Flag("--max-minutes", "M", "after M minutes save and stop, as a signal does"),
        Flag(
            "--memory", "BYTES",
            "as 950M or 1.2G: stay within it, for time and never for another result; of a GPU's "
                + "memory where --device names one"),
        Flag(
            "--reuse-prefix", "KIND", standard: "auto",
            "auto, off or keep: what of the model does not train is computed once for each row; "
                + "keep leaves its file behind the run"),
        Flag(
            "--threads", "N",
            "worker threads; as many as there are cores, shared with the other ranks"),
        Flag("--isa", "NAME", "scalar, neon, avx2, avx512 or avx512bf16; the widest"),
        Machine.deviceFlag,
        Flag(switch: "--json", "print the run's report as one JSON document"),
    ]
}

extension Arguments {
    /// The saving flags over what holds without them.
    func policy(_ standard: SavePolicy) throws -> SavePolicy {
        var policy = standard
        policy.epochs = try integer("--save-every", atLeast: 1) ?? policy.epochs
        policy.steps = try integer("--save-steps", atLeast: 1) ?? policy.steps
        policy.minutes =
            try number("--save-minutes", "a positive number", { $0 > 0 }) ?? policy.minutes
        policy.keepLast = try integer("--keep-last", atLeast: 1) ?? policy.keepLast
        policy.keepBest = try integer("--keep-best", atLeast: 0) ?? policy.keepBest
        policy.journal = policy.journal || has("--journal")
        return policy
    }
}

/// A job in front of a person or a script.
struct RunDesk {
    private let printsJSON: Bool
    private let minutes: Double?

    init(_ arguments: Arguments) throws {
        printsJSON = arguments.has("--json")
        minutes = try arguments.number("--max-minutes", "a positive number") { $0 > 0 }
    }

    /// Makes the job and runs it to its end or to a stop, on all ranks; the first prints the report.
    func run(_ make: (Ranks) throws -> FineTuneJob) throws {
        try Launch.run { ranks in
            let job = try ranks.together { try make(ranks) }
            try run(job, ranks)
        }
    }

    private func run(_ job: FineTuneJob, _ ranks: Ranks) throws {
        Terminal.error(Self.description(of: job))
        for note in job.notes { Terminal.error("note: \(note)") }
        let signals = StopSignal()
        let deadline = minutes.map { ContinuousClock.now + .seconds(60 * $0) }
        let progress = Progress(
            from: job.tuner.state.step, showsPerplexity: job.task == .causal)
        let report = try job.run(
            stop: {
                if signals.isSet { return .signal }
                return deadline.map { ContinuousClock.now >= $0 } == true ? .deadline : nil
            }, wantsSave: { signals.takeSaveRequest() }, report: progress.report)
        let test = report.status.isFinal ? try job.evaluateTest() : nil
        if let accuracy = test?.accuracy {
            Terminal.error(String(format: "test accuracy %.4f", accuracy))
        } else if let loss = test?.loss, let perplexity = test?.perplexity {
            Terminal.error(String(format: "test loss %.4f, perplexity %.2f", loss, perplexity))
        }
        guard ranks.isFirst else { return }
        Terminal.error("\(Self.ending(report)); checkpoints are in \(job.options.output.path)")
        if printsJSON {
            try Self.document(report, test, job).printed()
        }
        guard report.failedSaves.isEmpty else {
            throw UnsavedError(saves: report.failedSaves)
        }
    }

    private static func ending(_ report: FineTuneReport) -> String {
        switch report.status {
        case .stoppedEarly:
            "stopped early after \(report.epochs.count) epochs, the best was "
                + "\(report.bestEpoch.map(String.init) ?? "none")"
        case .interrupted: "interrupted after \(report.steps) steps ('cairn resume' goes on)"
        default: "\(report.status.rawValue)"
        }
    }

    private static func description(of job: FineTuneJob) -> String {
        let trained = job.tuner.model.parameters.trainableNames.reduce(0) {
            $0 + job.tuner.model.parameters.dimensions(of: $1).reduce(1, *)
        }
        let state = job.tuner.state
        let place =
            state.step == 0
            ? "" : "; goes on after step \(state.step) of \(job.tuner.schedule.totalSteps)"
        return
            "\(job.base.configuration.family.rawValue), \(job.base.parameterCount) parameters; trains "
            + "\(trained)\(job.task == .causal ? "" : ", the head included"); "
            + "\(job.description.trainRows) rows to "
            + "train on, \(job.description.validationRows) to validate on"
            + "\(job.task == .causal ? "" : ", \(job.task.labels.count) labels"); "
            + "\(Machine(job.options)), \(job.options.settings.precision.rawValue)"
            + (job.options.storage.isQuantized ? ", base in \(job.options.storage.rawValue)" : "")
            + (job.options.policy.journal ? ", every step kept" : "")
            + (job.tuner.ranks.size > 1 ? ", on each of \(job.tuner.ranks.size) ranks" : "") + place
    }

    static func document(
        _ report: FineTuneReport, _ test: Evaluation?, _ job: FineTuneJob
    ) -> JSONValue {
        var document: JSONObject = [
            "status": .string(report.status.rawValue),
            "epochs_completed": .integer(report.epochs.count), "steps": .integer(report.steps),
            "best_epoch": report.bestEpoch.map { .integer($0) } ?? .null,
            "best_val_loss": .optional(report.bestValidationLoss),
            "epochs": .array(report.epochs.map(epoch)),
        ]
        if let test {
            document["test"] = .object([
                "accuracy": .optional(test.accuracy), "loss": .optional(test.loss),
                "macro_f1": .optional(test.macroF1),
            ])
            if let perplexity = test.perplexity {
                document["test"] = .object([
                    "loss": .optional(test.loss), "perplexity": .number(perplexity),
                ])
            }
        }
        document["tokens_per_second"] = .number(report.tokensPerSecond)
        document["rows_per_second"] = .number(report.rowsPerSecond)
        document["seconds"] = .object([
            "training": .number(report.timing.training),
            "validation": .number(report.timing.validation),
            "saving": .number(report.timing.saving),
            "recording": .number(report.recordingSeconds),
        ])
        document["peak_rss_bytes"] = .integer(ResidentMemory.peakByteCount)
        if let memory = job.memory { document["memory"] = memory.json }
        if let memory = job.tuner.model.parameters.context.deviceMemory {
            document["device_memory"] = [
                "budget_bytes": JSONValue(memory.budget), "peak_bytes": JSONValue(memory.peak),
            ]
        }
        document["checkpoint_dir"] = .string(job.options.output.path)
        document["state_digest"] = .string(report.stateDigest)
        document["failed_saves"] = .array(
            report.failedSaves.map {
                .object(["name": .string($0.name), "reason": .string($0.reason)])
            })
        return .object(document)
    }

    private static func epoch(_ epoch: EpochReport) -> JSONValue {
        .object([
            "epoch": .integer(epoch.epoch), "train_loss": .number(epoch.trainLoss),
            "val_loss": .number(epoch.validationLoss),
            "train_accuracy": .optional(epoch.trainAccuracy),
            "val_accuracy": .optional(epoch.validationAccuracy),
            "val_macro_f1": .optional(epoch.validationMacroF1),
            "learning_rate": .number(epoch.learningRate), "seconds": .number(epoch.seconds),
        ])
    }
}

/// The run ended, and something of it is not on the disk.
struct UnsavedError: Error, CustomStringConvertible {
    let saves: [FailedSave]

    var description: String {
        "\(saves.count) checkpoints could not be saved: "
            + saves.map { "\($0.name) (\($0.reason))" }.joined(separator: "; ")
    }
}
