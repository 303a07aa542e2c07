// SPDX-License-Identifier: Apache-2.0
/// What a fit can be told, all of it checked before anything runs.

import CairnFormats
import CairnGraph
import Foundation

/// The learning rate of each step.
public enum LearningRate: Sendable, Equatable {
    /// The same at every step.
    case constant(Double)
    /// By the step.
    case schedule(Schedule)

    func callAsFunction(at step: Int) -> Double {
        switch self {
        case .constant(let rate): rate
        case .schedule(let schedule): schedule.learningRate(at: step)
        }
    }
}

/// The options of a fit. How items become batches is told to `Feed`, with its collation and its
/// transforms.
public struct FitOptions {
    /// The total to reach, those of an earlier run included.
    public var epochs = 1
    /// Batches per optimizer step.
    public var accumulation = 1
    /// Limits in place of the data's own; nil keeps those.
    public var limit: BatchLimit?
    /// The same for the validation's batches.
    public var validationLimit: BatchLimit?
    /// How an epoch's batch losses become one.
    public var reduce = Reduction.mean
    /// Nil reduces as in training.
    public var validationReduce: Reduction?
    /// What an epoch is judged by.
    public var monitor = MonitorSource.epochLoss
    /// What reports and files call the monitored value; nil takes its source's name.
    public var monitorName: String?
    /// Whether less or more is better.
    public var monitorMode = Monitor.Mode.min
    /// By how much a value must be better to count.
    public var minDelta = 0.0
    /// How many epochs without a better one are borne; nil never stops.
    public var patience: Int?
    /// Whether a run that had stopped early goes on when it is resumed.
    public var continuesAfterEarlyStop = false
    /// Whether a loss or a norm that is no finite number ends the run.
    public var stopsOnNonFinite = true
    /// Nil never saves.
    public var checkpointPath: CheckpointPath?
    /// A directory that all checkpoints must lie in.
    public var checkpointDirectory: URL?
    /// Saves at the end of an epoch only when the monitor improved.
    public var saveBest = false
    /// Also saves within epochs, whenever so many steps have been taken.
    public var saveEverySteps: Int?
    /// Whether the report lists every loss.
    public var keepLosses = true
    /// Whether an epoch that finds one-shot data used up is an error.
    public var strictDataReuse = true
    /// What the fit takes up from; nil starts afresh.
    public var resumeFrom: ResumeSource?
    /// Settings in which a resumed run may differ from the saved one.
    public var allowedDifferences: Set<RunSetting> = []
    /// Entries of one's own for the metadata of checkpoints.
    public var metadata: JSONObject = [:]
    /// Asked between batches; true ends the run cleanly after the last whole step.
    public var shouldStop: () -> Bool = { false }

    /// Everything at its default.
    public init() {}

    var monitorRule: Monitor.Rule {
        Monitor.Rule(
            name: monitorName ?? monitor.name, mode: monitorMode, minDelta: minDelta,
            patience: patience)
    }

    /// - Throws: `TrainerError.option` or `.unknownName` for the first option that cannot be used.
    func validate(hasValidation: Bool, metrics: [TrainerMetric]) throws(TrainerError) {
        guard epochs >= 0 else {
            throw .option("epochs", expected: "not negative", found: "\(epochs)")
        }
        guard accumulation > 0 else {
            throw .option("accumulation", expected: "positive", found: "\(accumulation)")
        }
        if let steps = saveEverySteps, steps <= 0 {
            throw .option("save_every_steps", expected: "positive", found: "\(steps)")
        }
        if saveEverySteps != nil, saveBest {
            throw .option(
                "save_every_steps", expected: "unset where only the best is saved",
                found: "both")
        }
        if saveBest || saveEverySteps != nil, checkpointPath == nil {
            throw .option(
                "checkpoint_path", expected: "given where saves are asked for", found: "none")
        }
        try limit?.validate(.train)
        try validationLimit?.validate(.validation)
        try monitorRule.validate()
        switch monitor {
        case .epochLoss: break
        case .validationLoss where !hasValidation:
            throw .option(
                "monitor", expected: "a value of this fit",
                found: "val_loss, but there is no validation data")
        case .validationLoss: break
        case .metric(let name):
            let known = metrics.map(\.name)
            guard known.contains(name) else {
                throw .unknownName(what: "metric", name: name, known: known)
            }
        }
    }
}

/// Options under a name: a change of `FitOptions`.
///
/// What is said later wins: the trainer's defaults, then a preset, then the call's own.
///
///     let careful = FitPreset("careful") { $0.patience = 2; $0.minDelta = 1e-3 }
///     try trainer.fitReport(data, careful) { $0.epochs = 20 }
public struct FitPreset {
    /// What the preset is called.
    public let name: String
    /// What it changes.
    public let change: (inout FitOptions) -> Void
    /// What the preset's monitor needs.
    public let metrics: [TrainerMetric]

    /// A preset of a name and a change.
    public init(
        _ name: String, metrics: [TrainerMetric] = [],
        _ change: @escaping (inout FitOptions) -> Void
    ) {
        self.name = name
        self.metrics = metrics
        self.change = change
    }

    /// Watches the training loss.
    public static var classification: FitPreset {
        FitPreset("classification") { ($0.monitor, $0.monitorMode) = (.epochLoss, .min) }
    }

    /// Watches the training loss.
    public static var regression: FitPreset {
        FitPreset("regression") { ($0.monitor, $0.monitorMode) = (.epochLoss, .min) }
    }

    /// Watches perplexity: e to the training loss.
    public static var languageModeling: FitPreset {
        FitPreset("language_modeling", metrics: [.perplexity]) {
            ($0.monitor, $0.monitorMode) = (.metric("perplexity"), .min)
        }
    }

    /// The preset of a name, of those given and of the three tasks.
    public static func named(
        _ name: String, among presets: [FitPreset] = []
    ) throws(TrainerError) -> FitPreset {
        let known = presets + [.classification, .regression, .languageModeling]
        guard let preset = known.first(where: { $0.name == name }) else {
            throw .unknownName(what: "preset", name: name, known: known.map(\.name))
        }
        return preset
    }
}
