// SPDX-License-Identifier: Apache-2.0
/// The loop of a fine-tuning run: epochs, steps, validation, and when to save.

import CairnEngine
import CairnGraph
import CairnModels
import CairnText

/// Trains a task's model on rows and validates it after every epoch.
public final class FineTuner {
    /// What is trained.
    public let model: TaskModel
    /// What it is trained for.
    public let task: Task
    /// What the trajectory depends on.
    public let settings: FineTuneSettings
    /// When checkpoints are made, and which stay.
    public let policy: SavePolicy
    /// The moments and the update rule.
    public let optimizer: Optimizer
    /// The learning rate's course.
    public let schedule: Schedule
    /// Where the run stands.
    public private(set) var state: RunState
    let train: DataSet
    let pooling: Pooling
    let validation: DataSet
    /// The validation rows that a receipt is about.
    let receiptRows: [Int]
    /// What these gave in the present state; nil when that is not known.
    private var receipt: [[Float]]?
    private let classWeights: [Float]?
    /// The processes that train this model together.
    public let ranks: Ranks
    /// How their gradients become one sum; nil where there is one process.
    private var sum: (any GroupSum)?
    /// A save that another rank was asked for.
    private var wantsSave = false
    let program: Program
    /// What of the model does not train, where its results are to be used again.
    package let prefix: PrefixReuse?
    private(set) var evaluator: Evaluator
    /// Tokens per micro-batch: the settings' own, or fewer where memory is short.
    public private(set) var tokenBudget: Int
    private let clock = ContinuousClock()
    /// Seconds of this start that went into the ledger.
    private var recordingSeconds = 0.0
    /// Those of the step that was taken last, before clipping; until the next one begins.
    private var gradients: [String: Floats] = [:]
    /// The last step that a journal can give.
    private var recallable = 0
    private var lastSave: (step: Int, time: ContinuousClock.Instant)?

    /// Prepares a run; nothing is trained yet. With `reusesPrefix` the part of the model that does
    /// not train is a program of its own, so that its results can be kept.
    ///
    /// - Throws: `RanksError.tooMany` when there are more ranks than groups;
    ///   `TrainingError.promptsNotShared` where the settings ask for it and the model does not allow
    ///   it; `KernelError`.
    public init(
        _ model: TaskModel, task: Task, pooling: Pooling, train: DataSet, validation: DataSet,
        settings: FineTuneSettings, policy: SavePolicy = SavePolicy(), runID: String = "run",
        reusesPrefix: Bool = false, ranks: Ranks = .one
    ) throws {
        guard ranks.size <= settings.groups else {
            throw RanksError.tooMany(ranks: ranks.size, groups: settings.groups)
        }
        self.ranks = ranks
        self.model = model
        self.task = task
        self.pooling = pooling
        self.train = train
        self.validation = validation
        receiptRows = ReceiptRows.chosen(among: validation.count, seed: settings.seed)
        self.settings = settings
        self.policy = policy
        state = RunState(runID: runID)
        classWeights = settings.classWeights.weights(
            counts: train.classCounts(task.labels.count))
        var (graph, logits) = model.recorded(isTraining: true)
        prefix =
            reusesPrefix
            ? try PrefixReuse(
                splitting: &graph, &logits, pooling: pooling, parameters: model.parameters,
                precision: settings.precision) : nil
        if settings.sharesPrompts {
            guard let shared = graph.promptsShared() else {
                throw TrainingError.promptsNotShared(
                    model.base.configuration.family.isEncoder
                        ? .readsBothWays(file: model.base.configuration.file) : .drops)
            }
            graph = shared
        }
        program = try Program(
            graph, outputs: task == .causal ? [] : [logits],
            loss: (task.loss(classWeights: classWeights), logits),
            differentiates: true, parameters: model.parameters, precision: settings.precision)
        if let transport = ranks.transport {
            try program.separateGroups((settings.groups + ranks.size - 1) / ranks.size)
            sum = try GradientChain(
                transport, program.groupGradients!, context: model.parameters.context)
        }
        evaluator = try Evaluator(
            model, task: task, pooling: pooling, classWeights: classWeights,
            precision: settings.precision, tokenBudget: settings.tokenBudget, prefix: prefix,
            sharesPrompts: settings.sharesPrompts)
        // Training and validation take turns.
        prefix?.shareMemory(of: program)
        evaluator.program.shareMemory(of: program)
        tokenBudget = settings.tokenBudget
        optimizer = try settings.decayScope.optimizer(
            .adamW(weightDecay: settings.weightDecay), of: model)
        schedule = Schedule(
            settings.schedule, peak: settings.learningRate, warmup: settings.warmup,
            totalSteps: settings.epochs * Self.stepsPerEpoch(train.count, settings.batchSize),
            options: settings.scheduleOptions)
    }

    /// Lets the gradients of several ranks go from GPU to GPU where they can; all ranks call it.
    ///
    /// - Returns: what a user should know of how they go; nil where there was no choice.
    func joinDevices() throws -> String? {
        guard let chain = sum as? GradientChain else { return nil }
        let choice = try SumChoice(
            ranks, groups: settings.groups, program.groupGradients!,
            context: model.parameters.context, over: chain)
        sum = choice.sum
        return choice.note
    }

    private static func stepsPerEpoch(_ rows: Int, _ batchSize: Int) -> Int {
        (rows + batchSize - 1) / batchSize
    }

    /// Takes over a place in a run; parameters and optimizer are restored by the caller.
    func restore(_ state: RunState) {
        self.state = state
        receipt = nil
        lastSave = (state.step, clock.now)
        recordingSeconds = 0
    }

    /// Takes less memory from the next micro-batch on; no result changes.
    package func setMemory(tokenBudget: Int, _ recompute: Recompute) {
        self.tokenBudget = tokenBudget
        evaluator.tokenBudget = tokenBudget
        program.setRecompute(recompute)
    }

    /// Lets a run that is over go through its steps again, as a replay does.
    func reopen() { if state.status.isFinal { state.status = .interrupted } }

    // MARK: Epochs

    /// Runs from where the state stands to the last epoch.
    ///
    /// It asks `controls` to save `best` whenever the monitored figure improves, `epoch-N` and
    /// `step-N` as the policy says, a first `step-N` where a journal is to begin, and
    /// `interrupted` when stopped. A run that is over does nothing.
    public func run(_ controls: RunControls = RunControls()) throws -> FineTuneReport {
        try saveWhatIsDue(controls)
        recallable = try agreedRecall(controls.journal)
        if state.status.isFinal { return report }
        state.status = .running
        if let journal = controls.journal, journal.needsCheckpoint {
            try save("step-\(state.step)", "what the journal begins with", controls)
        }
        lastSave = lastSave ?? (state.step, clock.now)
        while !isOver {
            guard let done = try runEpoch(controls) else {
                state.status = .interrupted
                try save("interrupted", "stopped on request", controls)
                return report
            }
            finish(done)
            controls.report(.epoch(done))
            // What a checkpoint of the last epoch says of the run must already be true.
            _ = isOver
            try saveWhatIsDue(controls)
        }
        return report
    }

    private var isOver: Bool {
        if let patience = settings.patience, state.staleEpochs > patience {
            state.status = .stoppedEarly
        } else if state.epoch > settings.epochs {
            state.status = .completed
        }
        return state.status.isFinal
    }

    /// Moves the state behind an epoch.
    private func finish(_ epoch: EpochReport) {
        state.epochs.append(epoch)
        state.epoch += 1
        state.stepInEpoch = 0
        state.totals = EpochTotals()
        let value = settings.monitor.value(epoch)
        if settings.monitor.isBetter(value, than: state.best?.value, by: settings.minimumDelta) {
            state.best = BestEpoch(epoch: epoch.epoch, step: state.step, value: value)
            state.staleEpochs = 0
        } else {
            state.staleEpochs += 1
        }
    }

    /// At the end of an epoch, the checkpoints that belong there and are not there yet: all of
    /// them, or after a resume those that the stop came before.
    private func saveWhatIsDue(_ controls: RunControls) throws {
        guard ranks.isFirst, state.stepInEpoch == 0, let epoch = state.epochs.last?.epoch else {
            return
        }
        if state.best?.epoch == epoch, !controls.hasSaved("best", state.step) {
            try completeReceipt()
            try save("best", "\(settings.monitor.rawValue) improved", controls)
        }
        let name = "epoch-\(epoch)"
        if epoch % policy.epochs == 0 || state.status.isFinal,
            !controls.hasSaved(name, state.step)
        {
            try completeReceipt()
            try save(name, "\(epoch) epochs completed", controls)
        }
    }

    /// After a resume the epoch's evaluation is past: its few rows are run again.
    private func completeReceipt() throws {
        guard receipt == nil, !receiptRows.isEmpty else { return }
        receipt = try evaluator.evaluate(validation.rows(receiptRows)).map(Receipt.values)
    }

    private func save(_ name: String, _ reason: String, _ controls: RunControls) throws {
        guard ranks.isFirst else { return }
        let start = clock.now
        try controls.save(name, reason) {
            RunSnapshot(model, optimizer: optimizer, state: state, receipt: receipt)
        }
        lastSave = (state.step, clock.now)
        state.timing.saving += (clock.now - start).inSeconds
    }

    /// What the run did so far.
    public var report: FineTuneReport {
        FineTuneReport(
            status: state.status, epochs: state.epochs, steps: state.step, best: state.best,
            timing: state.timing, recordingSeconds: recordingSeconds, rows: state.trainedRows,
            tokens: state.trainedTokens,
            stateDigest: StateDigest.of(optimizer))
    }

    // MARK: Steps

    /// The rest of the epoch, then its validation; nil when stopped.
    private func runEpoch(_ controls: RunControls) throws -> EpochReport? {
        let plan = EpochPlan(
            rowCount: train.count, batchSize: settings.batchSize, seed: settings.seed,
            epoch: state.epoch)
        while state.stepInEpoch < plan.stepCount {
            let step = step(
                plan[state.stepInEpoch].rows, tokenBudget: tokenBudget, rank: ranks.rank,
                ranks: ranks.size)
            let known = try recalledStep(controls)
            guard let done = try known?.totals ?? runStep(step, controls) else { return nil }
            try record(done, known?.record, step, controls)
            try saveAfterStep(controls)
        }
        let start = clock.now
        try ranks.requireSame(
            StateFingerprint.of(optimizer), what: "state after step \(state.step)")
        guard
            let evaluation = try evaluator.evaluate(
                validation, ranks: ranks, shouldStop: { controls.stop() != nil }),
            let loss = evaluation.loss
        else { return nil }
        let values = Receipt.values(evaluation)
        receipt = receiptRows.map { values[$0] }
        guard loss.isFinite else {
            throw TrainingError.nonFinite(
                what: "validation loss", step: state.step, epoch: state.epoch)
        }
        let seconds = (clock.now - start).inSeconds
        state.timing.validation += seconds
        return EpochReport(
            epoch: state.epoch, step: state.step, trainLoss: state.totals.meanLoss,
            trainAccuracy: evaluation.accuracy == nil ? nil : state.totals.accuracy,
            validationLoss: loss, validationAccuracy: evaluation.accuracy,
            validationMacroF1: evaluation.metrics?.macroF1,
            learningRate: schedule.learningRate(at: max(state.step - 1, 0)),
            seconds: state.totals.seconds, validationSeconds: seconds, rows: train.count,
            tokens: state.totals.tokens)
    }

    /// The step as the journal has it, taken again; nil when it must be computed, or when stopped.
    private func recalledStep(_ controls: RunControls) throws -> (
        totals: StepTotals, record: StepRecord
    )? {
        guard state.step < recallable, ranks.size > 1 || controls.stop() == nil else { return nil }
        guard let known = try recalled(controls.journal) else { return nil }
        var totals = known.totals
        wantsSave = false
        gradients = try load(known)
        try update(&totals)
        return (totals, known)
    }

    /// Gradients of every micro-batch, then one update; nil when stopped before the update.
    private func runStep(_ step: StepRows, _ controls: RunControls) throws -> StepTotals? {
        let start = clock.now
        let scale = train.lossScale(rows: step.rows, classWeights: classWeights)
        var totals = StepTotals(weight: 1 / Double(scale))
        program.zeroGradients()
        var isStopped = false
        for range in step.microBatches {
            if controls.stop() != nil {
                isStopped = true
                break
            }
            var batch = train.batch(
                step, range, pooling: pooling, number: state.step, lossScale: scale)
            try prefix?.fill(&batch, with: step.rows[range], of: train)
            let result = try program.run(batch)
            totals.add(result, batch, labels: task.labels.count)
        }
        wantsSave = ranks.size > 1 && controls.wantsSave()
        guard
            var totals = try totals.joined(ranks, isStopped: isStopped, wantsSave: &wantsSave)
        else { return nil }
        totals.loss = totals.lossSum * Double(scale)
        guard totals.loss.isFinite else {
            throw TrainingError.nonFinite(
                what: "training loss", step: state.step + 1, epoch: state.epoch)
        }
        try sum?.add(groupsOf: step.groupCounts(ranks: ranks.size))
        gradients = try program.finishedGradients()
        try update(&totals)
        totals.seconds = (clock.now - start).inSeconds
        return totals
    }

    /// Moves the parameters against the step's gradients.
    private func update(_ totals: inout StepTotals) throws {
        totals.learningRate = schedule.learningRate(at: state.step)
        totals.norm = try optimizer.update(
            gradients, learningRate: totals.learningRate, clip: settings.clip)
        guard totals.norm.isFinite else {
            throw TrainingError.nonFinite(
                what: "gradient norm", step: state.step + 1, epoch: state.epoch)
        }
    }

    /// Moves the state behind a step, and says what it did.
    private func record(
        _ done: StepTotals, _ known: StepRecord?, _ step: StepRows, _ controls: RunControls
    ) throws {
        receipt = nil
        state.step += 1
        state.stepInEpoch += 1
        state.totals.add(done)
        state.trainedRows += step.rows.count
        state.trainedTokens += done.tokens
        state.timing.training += done.seconds
        if let record = controls.record {
            let start = clock.now
            let entry = LedgerEntry(
                step: state.step, epoch: state.epoch, batch: train.digest(of: step.rows),
                loss: done.loss, learningRate: done.learningRate, norm: done.norm,
                state: StateFingerprint.of(optimizer))
            if let known { try known.require(entry) }
            state.ledger = try record(entry)
            controls.journal?.keep(
                entry, done, gradients, dimensions: model.parameters.dimensions,
                context: model.parameters.context)
            recordingSeconds += (clock.now - start).inSeconds
        }
        controls.report(
            .step(
                StepReport(
                    step: state.step, totalSteps: schedule.totalSteps, epoch: state.epoch,
                    rows: step.rows.count, tokens: done.tokens, loss: done.loss,
                    learningRate: done.learningRate, norm: done.norm, seconds: done.seconds,
                    tokensPerSecond: Double(state.trainedTokens) / state.timing.training)))
    }

    private func saveAfterStep(_ controls: RunControls) throws {
        guard ranks.isFirst else { return }
        let name = "step-\(state.step)"
        if ranks.size > 1 ? wantsSave : controls.wantsSave() {
            try save(name, "asked for", controls)
        } else if let steps = policy.steps, state.step % steps == 0 {
            try save(name, "\(state.step) steps taken", controls)
        } else if let minutes = policy.minutes, let last = lastSave,
            (clock.now - last.time).inSeconds >= 60 * minutes
        {
            try save(name, "\(minutes) minutes since the last save", controls)
        }
    }
}
