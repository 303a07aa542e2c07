// SPDX-License-Identifier: Apache-2.0
/// The loop of a fine-tuning run: epochs, steps, validation, checkpoints.

import CairnEngine
import CairnGraph
import CairnModels
import CairnText

/// The settings that a run's trajectory depends on.
public struct FineTuneSettings: Sendable {
    public var epochs = 3
    public var batchSize = 16
    public var tokenBudget = 2048
    public var learningRate = 2e-4
    public var schedule = Schedule.Shape.cosine
    public var scheduleOptions = Schedule.Options()
    public var warmup = 0.1
    public var weightDecay = 0.01
    /// Largest norm of the gradient; nil never clips.
    public var clip: Double? = 1.0
    public var classWeights = ClassWeights.none
    public var precision = Precision.bf16
    public var seed: UInt64 = 42
    /// Rows of a step fall into so many gradient groups.
    public var groups = 8
    /// Every so many epochs `epoch-N` is saved.
    public var saveEvery = 5

    public init() {}
}

/// What a run did in one epoch.
public struct EpochReport: Sendable {
    public let epoch: Int
    public let trainLoss: Double
    public let trainAccuracy: Double?
    public let validationLoss: Double
    public let validationAccuracy: Double?
    public let learningRate: Double
    /// Seconds of training steps, without validation and saving.
    public let seconds: Double
    public let rows: Int
    public let tokens: Int
}

/// How a run ended.
public enum RunStatus: String, Sendable {
    case completed
    case interrupted
}

/// What a run reports while it goes.
public enum FineTuneEvent: Sendable {
    case step(
        number: Int, total: Int, rows: Int, loss: Double, learningRate: Double, norm: Double,
        tokensPerSecond: Double)
    case epoch(EpochReport)
    case saved(name: String, reason: String)
}

/// A run's result.
public struct FineTuneReport: Sendable {
    public let status: RunStatus
    public let epochs: [EpochReport]
    public let steps: Int
    public let bestEpoch: Int?
    public let bestValidationLoss: Double?
    /// Real tokens over the time of training steps alone.
    public let tokensPerSecond: Double
    /// SHA-256 over every trainable parameter, optimizer slot and counter.
    public let stateDigest: String
}

/// Trains a task's model on rows and validates it after every epoch.
public final class FineTuner {
    public let model: TaskModel
    public let task: Task
    public let settings: FineTuneSettings
    private let pooling: Pooling
    private let train: DataSet
    private let validation: DataSet
    private let classWeights: [Float]?
    private let program: Program
    private let evaluator: Evaluator
    public let optimizer: Optimizer
    public let schedule: Schedule
    private var trainedTokens = 0
    private var trainedSeconds = 0.0

    public init(
        _ model: TaskModel, task: Task, pooling: Pooling, train: DataSet, validation: DataSet,
        settings: FineTuneSettings
    ) throws {
        self.model = model
        self.task = task
        self.pooling = pooling
        self.train = train
        self.validation = validation
        self.settings = settings
        classWeights = settings.classWeights.weights(
            counts: train.classCounts(task.labels.count))
        let (graph, logits) = model.recorded(isTraining: true)
        program = try Program(
            graph, outputs: [logits], loss: (task.loss(classWeights: classWeights), logits),
            differentiates: true, parameters: model.parameters, precision: settings.precision)
        evaluator = try Evaluator(
            model, task: task, pooling: pooling, classWeights: classWeights,
            precision: settings.precision, tokenBudget: settings.tokenBudget)
        optimizer = try Optimizer(
            .adamW(weightDecay: settings.weightDecay), parameters: model.parameters)
        schedule = Schedule(
            settings.schedule, peak: settings.learningRate, warmup: settings.warmup,
            totalSteps: settings.epochs * Self.stepsPerEpoch(train.count, settings.batchSize),
            options: settings.scheduleOptions)
    }

    private static func stepsPerEpoch(_ rows: Int, _ batchSize: Int) -> Int {
        (rows + batchSize - 1) / batchSize
    }

    /// Runs every epoch.
    ///
    /// - Parameter save: writes a checkpoint under a name: `best` whenever the validation loss
    ///   improves, `epoch-N` every `saveEvery` epochs and at the end, `interrupted` when stopped.
    /// - Parameter shouldStop: asked between micro-batches; true ends the run cleanly after the
    ///   last whole step.
    public func run(
        save: (_ name: String, _ epoch: EpochReport?) throws -> Void,
        shouldStop: () -> Bool = { false }, report: (FineTuneEvent) -> Void = { _ in }
    ) throws -> FineTuneReport {
        var epochs: [EpochReport] = []
        var best: EpochReport?
        for epoch in 1...settings.epochs {
            guard let done = try runEpoch(epoch, shouldStop, report) else {
                try save("interrupted", epochs.last)
                report(.saved(name: "interrupted", reason: "stopped on request"))
                return finished(.interrupted, epochs, best)
            }
            epochs.append(done)
            report(.epoch(done))
            if best == nil || done.validationLoss < best!.validationLoss {
                best = done
                try save("best", done)
                report(.saved(name: "best", reason: "validation loss improved"))
            }
            if epoch % settings.saveEvery == 0 || epoch == settings.epochs {
                try save("epoch-\(epoch)", done)
                report(.saved(name: "epoch-\(epoch)", reason: "\(epoch) epochs completed"))
            }
        }
        return finished(.completed, epochs, best)
    }

    private func finished(
        _ status: RunStatus, _ epochs: [EpochReport], _ best: EpochReport?
    ) -> FineTuneReport {
        FineTuneReport(
            status: status, epochs: epochs, steps: Int(optimizer.step), bestEpoch: best?.epoch,
            bestValidationLoss: best?.validationLoss,
            tokensPerSecond: trainedSeconds > 0 ? Double(trainedTokens) / trainedSeconds : 0,
            stateDigest: StateDigest.of(optimizer, model.parameters))
    }

    /// One pass over the rows in the epoch's order; nil when stopped.
    private func runEpoch(
        _ epoch: Int, _ shouldStop: () -> Bool, _ report: (FineTuneEvent) -> Void
    ) throws -> EpochReport? {
        let lengths = train.ids.map(\.count)
        let plan = EpochPlan(
            rowCount: train.count, batchSize: settings.batchSize, seed: settings.seed, epoch: epoch)
        var totals = EpochTotals()
        var learningRate = 0.0
        for index in 0..<plan.stepCount {
            let rows = plan[index].rows
            let step = StepRows(
                rows: rows, lengths: lengths, tokenBudget: settings.tokenBudget,
                groups: settings.groups)
            let number = Int(optimizer.step)
            learningRate = schedule.learningRate(at: number)
            guard let done = try runStep(step, number, epoch, learningRate, shouldStop) else {
                return nil
            }
            totals.add(done)
            trainedTokens += done.tokens
            trainedSeconds += done.seconds
            report(
                .step(
                    number: number + 1, total: schedule.totalSteps, rows: rows.count,
                    loss: done.loss, learningRate: learningRate, norm: done.norm,
                    tokensPerSecond: Double(trainedTokens) / trainedSeconds))
        }
        guard let evaluation = try evaluator.evaluate(validation, shouldStop: shouldStop),
            let loss = evaluation.loss
        else { return nil }
        guard loss.isFinite else {
            throw TrainingError.nonFinite(
                what: "validation loss", step: Int(optimizer.step), epoch: epoch)
        }
        return EpochReport(
            epoch: epoch, trainLoss: totals.meanLoss,
            trainAccuracy: evaluation.accuracy == nil ? nil : totals.accuracy,
            validationLoss: loss, validationAccuracy: evaluation.accuracy,
            learningRate: learningRate, seconds: totals.seconds, rows: train.count,
            tokens: totals.tokens)
    }

    /// Gradients of every micro-batch, then one update; nil when stopped before the update.
    private func runStep(
        _ step: StepRows, _ number: Int, _ epoch: Int, _ learningRate: Double,
        _ shouldStop: () -> Bool
    ) throws -> StepTotals? {
        let clock = ContinuousClock()
        let start = clock.now
        let scale = train.lossScale(rows: step.rows, classWeights: classWeights)
        var totals = StepTotals(weight: 1 / Double(scale))
        program.zeroGradients()
        for range in step.microBatches {
            if shouldStop() { return nil }
            let batch = train.batch(
                step, range, pooling: pooling, number: number, lossScale: scale)
            let result = try program.run(batch)
            totals.add(result, batch, labels: task.labels.count)
        }
        totals.loss *= Double(scale)
        guard totals.loss.isFinite else {
            throw TrainingError.nonFinite(what: "training loss", step: number + 1, epoch: epoch)
        }
        totals.norm = try optimizer.update(
            gradientsOf: program, learningRate: learningRate, clip: settings.clip)
        guard totals.norm.isFinite else {
            throw TrainingError.nonFinite(what: "gradient norm", step: number + 1, epoch: epoch)
        }
        totals.seconds = (clock.now - start).inSeconds
        return totals
    }
}

extension Duration {
    /// The length in seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
