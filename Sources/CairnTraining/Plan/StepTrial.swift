// SPDX-License-Identifier: Apache-2.0
/// A few real steps of a run that does not happen, for their time and their memory.

import CairnGraph
import CairnText

/// What a few steps and a little validation cost.
///
/// The first step is slower than the others: it brings the weights into memory and allocates. So
/// one step goes ahead of those that are timed, and what it took beyond them is paid once. Of quick
/// steps more are timed than of slow ones: rows differ, and so does the machine's mood.
struct StepTrial {
    /// Steps that are timed, at least and at most, and the seconds that are enough between.
    static let (leastSteps, mostSteps, enoughSeconds) = (3, 48, 6.0)

    /// Seconds per real token of a training step.
    private(set) var secondsPerToken = 0.0
    /// Of these, the ones of a frozen prefix that a run would compute in its first epoch only.
    private(set) var prefixSecondsPerToken = 0.0
    /// What the first step takes beyond that.
    private(set) var startSeconds = 0.0
    /// Seconds per step that go into the ledger.
    private(set) var recordingSeconds = 0.0
    /// Seconds per token of validation.
    private(set) var validationSecondsPerToken = 0.0
    /// Of these, the ones of the frozen prefix.
    private(set) var validationPrefixSecondsPerToken = 0.0
    /// Seconds of copying the state for a save.
    private(set) var copySeconds = 0.0
    /// Bytes of this process with the copy of a save in it, and what its arena had of that.
    private(set) var residentBytes = 0
    private(set) var arenaBytes = 0

    /// Takes the steps and puts everything back as it was.
    init(_ tuner: FineTuner) throws {
        let start = ContinuousClock.now
        let before = RunSnapshot(
            tuner.model.parameters, optimizer: tuner.optimizer, state: tuner.state)
        copySeconds = (ContinuousClock.now - start).inSeconds
        defer {
            for (name, tensor) in before.parameters {
                tuner.model.parameters.set(name, to: tensor)
            }
            tuner.optimizer.restore(before.optimizer)
            tuner.restore(before.state)
        }
        try train(tuner)
        try validate(tuner)
        residentBytes = ResidentMemory.byteCount
        arenaBytes = tuner.program.arenaByteCount
    }

    private mutating func train(_ tuner: FineTuner) throws {
        var steps: [StepReport] = []
        /// Seconds in the prefix when each step was over.
        var prefix: [Double] = []
        var seconds = 0.0
        // Not into a second epoch, where a kept prefix is read and no longer computed.
        let most = max(
            Self.leastSteps,
            min(Self.mostSteps, tuner.schedule.totalSteps / tuner.settings.epochs - 1))
        let report = try tuner.run(
            RunControls(
                stop: {
                    let timed = steps.count - 1
                    let isEnough = timed >= Self.leastSteps && seconds >= Self.enoughSeconds
                    return isEnough || timed >= most ? .deadline : nil
                },
                record: { LedgerPosition(lines: $0.step, bytes: 0, head: "") },
                report: {
                    guard case .step(let step) = $0 else { return }
                    if !steps.isEmpty { seconds += step.seconds }
                    steps.append(step)
                    prefix.append(tuner.prefix?.seconds ?? 0)
                }))
        recordingSeconds = report.recordingSeconds / Double(max(steps.count, 1))
        // A run of a single step is its own start.
        let timed = steps.count > 1 ? steps.dropFirst() : steps[...]
        secondsPerToken =
            timed.reduce(0) { $0 + $1.seconds } / Double(max(timed.reduce(0) { $0 + $1.tokens }, 1))
        let tokens = timed.reduce(0) { $0 + $1.tokens }
        if let last = prefix.last {
            let begin = prefix.count > 1 ? prefix[0] : 0
            prefixSecondsPerToken = (last - begin) / Double(max(tokens, 1))
        }
        if let first = steps.first {
            startSeconds = max(first.seconds - secondsPerToken * Double(first.tokens), 0)
        }
    }

    /// Micro-batches of validation that are timed.
    private static let timedBatches = 4

    private mutating func validate(_ tuner: FineTuner) throws {
        let rows = tuner.validation.prefix(tokens: Self.timedBatches * tuner.tokenBudget)
        _ = try tuner.evaluator.evaluate(rows.prefix(tokens: tuner.tokenBudget))
        let (start, before) = (ContinuousClock.now, tuner.prefix?.seconds ?? 0)
        _ = try tuner.evaluator.evaluate(rows)
        validationPrefixSecondsPerToken =
            ((tuner.prefix?.seconds ?? 0) - before) / Double(max(rows.tokenCount, 1))
        validationSecondsPerToken =
            (ContinuousClock.now - start).inSeconds / Double(max(rows.tokenCount, 1))
    }
}

extension DataSet {
    /// The first rows up to so many tokens, and at least one.
    func prefix(tokens limit: Int) -> DataSet {
        var (rows, sum) = (0, 0)
        while rows < count, rows == 0 || sum + ids[rows].count <= limit {
            sum += ids[rows].count
            rows += 1
        }
        return self.rows(Array(0..<rows))
    }

    /// The largest micro-batch of every kind that steps over these rows make.
    func capacity(_ steps: some Sequence<StepRows>) -> Capacity {
        steps.reduce(Capacity(tokens: 1, sequences: 1)) { largest, step in
            step.microBatches.reduce(largest) { largest, range in
                let rows = step.rows[range]
                let shared = step.prompts(range).reduce(0, +)
                let tokens = rows.reduce(0) { $0 + ids[$1].count }
                return largest.union(
                    Capacity(
                        tokens: tokens - shared, sequences: rows.count,
                        targets: targets == .nextTokens ? predictedCount(rows) - shared : 0,
                        repeated: tokens))
            }
        }
    }
}

extension FineTuner {
    /// The rows of every step of the run: their order is known beforehand.
    var plannedSteps: [[Int]] {
        (1...settings.epochs).flatMap { epoch in
            let plan = EpochPlan(
                rowCount: train.count, batchSize: settings.batchSize, seed: settings.seed,
                epoch: epoch)
            return (0..<plan.stepCount).map { plan[$0].rows }
        }
    }

    /// The largest micro-batch of training, over all epochs.
    var trainingCapacity: Capacity { capacity(plannedSteps, tokenBudget: tokenBudget) }

    /// The largest micro-batch that steps over these rows make.
    func capacity(_ steps: [[Int]], tokenBudget: Int) -> Capacity {
        train.capacity(steps.lazy.map { self.step($0, tokenBudget: tokenBudget) })
    }

    /// The largest micro-batch that evaluating `data` makes.
    func evaluationCapacity(_ data: DataSet, tokenBudget: Int? = nil) -> Capacity {
        data.capacity([evaluator.step(data, tokenBudget: tokenBudget ?? self.tokenBudget)])
    }
}
