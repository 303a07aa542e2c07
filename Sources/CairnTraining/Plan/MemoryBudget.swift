// SPDX-License-Identifier: Apache-2.0
/// The cheapest way for a run to stay within a number of bytes.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnText

/// What a run gives up to fit into the memory it was allowed: time, and no bit of its result.
public struct MemoryBudget: Sendable, Equatable {
    /// Whose memory it is.
    public let device: Device
    /// The largest resident size allowed, or the largest part of a GPU's memory, in bytes.
    public let limit: Int
    /// Tokens per micro-batch.
    public let tokenBudget: Int
    /// What of the forward pass is done twice.
    public let recompute: Recompute
    /// How many segments the forward pass has.
    public let segmentCount: Int
    /// Multiply-adds done a second time, as a share of those done once.
    public let repeatedShare: Double
    /// The largest size foreseen, in bytes.
    public let peak: Int

    package init(
        device: Device = .cpu, limit: Int, tokenBudget: Int, recompute: Recompute,
        segmentCount: Int, repeatedShare: Double, peak: Int
    ) {
        (self.device, self.limit) = (device, limit)
        self.tokenBudget = tokenBudget
        self.recompute = recompute
        self.segmentCount = segmentCount
        self.repeatedShare = repeatedShare
        self.peak = peak
    }

    /// The choice as a document.
    public var json: JSONValue {
        [
            "device": .string("\(device)"), "limit_bytes": JSONValue(limit),
            "predicted_bytes": JSONValue(peak),
            "token_budget": JSONValue(tokenBudget),
            "segments": JSONValue(segmentCount),
            "repeated_segments": JSONValue(recompute.segments),
            "repeats_elementwise": .bool(recompute.elementwise),
            "repeated_share": .number(repeatedShare),
        ]
    }
}

extension MemoryBudget: CustomStringConvertible {
    public var description: String {
        let tenths = Int((1000 * repeatedShare).rounded())
        let twice =
            recompute == Recompute()
            ? "nothing is computed twice"
            : recompute.segments == 0
                ? "norms and activations are computed twice, no matrix product"
                : "\(recompute.segments) of \(segmentCount) segments are computed twice, "
                    + "\(tenths / 10).\(tenths % 10) % more arithmetic"
        let place = device == .cpu ? "memory" : "\(device)"
        return
            "\(ByteSize(limit)) of \(place): micro-batches of \(tokenBudget) tokens, \(twice); "
            + "\(ByteSize(peak)) are foreseen"
    }
}

/// Looks for the cheapest choice that fits.
///
/// The smallest choice is tried on the longest row, so that everything a process holds besides its
/// activations is measured and not guessed; of the activations every byte is known beforehand. On a
/// GPU it is tried on the largest micro-batches, whose size stays: there it may move bits.
package struct MemoryPlanner {
    private let job: FineTuneJob
    private let tuner: FineTuner
    private let steps: [[Int]]
    private let longest: Int
    private let device: Device
    /// Bytes of everything but the activations.
    private var rest: Int
    /// The largest resident size so far.
    private let earlierPeak: Int

    /// What a run holds beyond what was measured on one row: packed rows of a large matrix product
    /// (6 MiB), memory in whole huge pages (2 MiB), batches, results, files being written. On runs
    /// of 22 million to 0.5 billion parameters all of it was 10 to 15 MB.
    private static let margin = 20_000_000
    /// By so much, and a hundredth, the next process may be larger than this one: how many pages of
    /// mapped files count depends on what the system has of them. Among 190 starts of two models
    /// it was 1 MB at most.
    private static let difference = 4_000_000
    /// Packing the weights anew and starting the operations costs a micro-batch as much as so many
    /// tokens: from 128 to 576 tokens on a model of 0.5 billion parameters.
    private static let tokensPerMicroBatch = 25.0
    /// The element-wise work done twice takes such a share of a step.
    private static let elementwiseShare = 0.03

    /// Measures this process; it should have done nothing else before.
    init(_ job: FineTuneJob) throws {
        let tuner = job.tuner
        job.touchTables()
        tuner.setMemory(tokenBudget: Self.longestRow(job), Self.most(tuner))
        try Self.touch(tuner)
        let model = tuner.model
        let copied = model.parameters.trainableNames.reduce(0) { sum, name in
            let bytes = model.parameters.dimensions(of: name).reduce(4, *)
            return sum + bytes * ((tuner.optimizer.group(of: name)?.rule.slotNames.count ?? 0) + 1)
        }
        self.init(
            job,
            rest: ResidentMemory.byteCount - tuner.program.arenaByteCount + copied + Self.margin,
            earlierPeak: ResidentMemory.peakByteCount)
    }

    package init(_ job: FineTuneJob, rest: Int, earlierPeak: Int) {
        (self.job, tuner) = (job, job.tuner)
        device = job.options.device
        steps = tuner.plannedSteps
        longest = Self.longestRow(job)
        (self.rest, self.earlierPeak) = (rest, earlierPeak)
    }

    private static func longestRow(_ job: FineTuneJob) -> Int {
        [job.tuner.train, job.tuner.validation, job.test].compactMap { $0?.longestRow }.max() ?? 1
    }

    private static func most(_ tuner: FineTuner) -> Recompute {
        Recompute(segments: tuner.program.segmentCount, elementwise: true)
    }

    /// Runs the longest row forward, backward and in validation; nothing of it stays but memory.
    private static func touch(_ tuner: FineTuner) throws {
        for (data, program) in [
            (tuner.train, tuner.program), (tuner.validation, tuner.evaluator.program),
        ] {
            guard let row = data.ids.indices.max(by: { data.ids[$0].count < data.ids[$1].count })
            else { continue }
            let step = StepRows(
                rows: [row], lengths: data.ids.map(\.count), tokenBudget: .max,
                groups: tuner.settings.groups)
            var batch = data.batch(
                step, 0..<1, pooling: tuner.pooling, number: 0, lossScale: 1)
            try tuner.prefix?.fill(&batch, with: step.rows, of: data)
            try program.run(batch)
        }
        tuner.program.zeroGradients()
    }

    /// The cheapest choice within `limit` bytes.
    ///
    /// - Throws: `TrainingError.memoryTooSmall` with the smallest limit that would do,
    ///   `deviceMemoryTooSmall` for a GPU.
    package func choice(within limit: Int) throws -> MemoryBudget {
        var best: (budget: MemoryBudget, cost: Double)?
        var smallest = Int.max
        for tokens in tokenBudgets {
            let least = peak(tokens, Self.most(tuner))
            smallest = min(smallest, least)
            guard least <= limit else { continue }
            let recompute = cheapest(tokens, within: limit)
            let batch = sample(tokens)
            let once = tuner.program.multiplyAdds(batch, Recompute())
            let share =
                Double(tuner.program.multiplyAdds(batch, recompute) - once) / Double(max(once, 1))
            let cost =
                (1 + share + (recompute.elementwise ? Self.elementwiseShare : 0))
                * (1 + Self.tokensPerMicroBatch * microBatchesPerToken(tokens))
            if let best, best.cost <= cost { continue }
            best = (
                MemoryBudget(
                    device: device, limit: limit, tokenBudget: tokens, recompute: recompute,
                    segmentCount: tuner.program.segmentCount, repeatedShare: share,
                    peak: peak(tokens, recompute)), cost
            )
        }
        guard let best else {
            guard device == .cpu else { throw tooSmall(limit) }
            throw TrainingError.memoryTooSmall(
                limit: limit, needed: smallest + smallest / 100 + Self.difference)
        }
        return best.budget
    }

    /// What was asked for, and halves of it down to the longest row, which is never cut.
    private var tokenBudgets: [Int] {
        guard device == .cpu else { return [tuner.settings.tokenBudget] }
        var budgets: [Int] = []
        var tokens = tuner.settings.tokenBudget
        while tokens > longest {
            budgets.append(tokens)
            tokens /= 2
        }
        return budgets + [min(longest, tuner.settings.tokenBudget)]
    }

    /// The least repetition that fits; all of it fits.
    private func cheapest(_ tokens: Int, within limit: Int) -> Recompute {
        for choice in [Recompute(), Recompute(elementwise: true)]
        where peak(tokens, choice) <= limit { return choice }
        var (low, high) = (0, tuner.program.segmentCount)
        while high - low > 1 {
            let middle = (low + high) / 2
            if peak(tokens, Recompute(segments: middle, elementwise: true)) <= limit {
                high = middle
            } else {
                low = middle
            }
        }
        return Recompute(segments: high, elementwise: true)
    }

    private func peak(_ tokens: Int, _ recompute: Recompute) -> Int {
        let capacity = tuner.capacity(steps, tokenBudget: tokens)
        var training = tuner.program.bytes(for: capacity, recompute)
        if let prefix = tuner.prefix {
            // Rows on their way from the file into a batch, and from the program into the file.
            training =
                max(training, prefix.bytes(for: capacity))
                + 4 * 4 * prefix.count(tokens: capacity.repeated)
        }
        let evaluated = [tuner.validation, job.test].compactMap { $0 }.map {
            tuner.evaluationCapacity($0, tokenBudget: tokens)
        }
        let evaluations = evaluated.map { tuner.evaluator.program.bytes(for: $0) }
        // The larger memory of activations stays while a micro-batch of the other kind runs.
        let largest = evaluated.reduce(capacity.tokens) { max($0, $1.tokens) }
        return max(
            rest + max(training, evaluations.max()!) + job.tableBytes(tokens: largest), earlierPeak)
    }

    private func microBatches(_ rows: [Int], _ tokens: Int) -> StepRows {
        tuner.step(rows, tokenBudget: tokens)
    }

    private func microBatchesPerToken(_ tokens: Int) -> Double {
        // An epoch is like every other.
        let epoch = steps.prefix(steps.count / tuner.settings.epochs)
        let count = epoch.reduce(0) { $0 + microBatches($1, tokens).microBatches.count }
        return Double(count) / Double(max(tuner.train.tokenCount, 1))
    }

    /// A micro-batch of the run.
    private func sample(_ tokens: Int) -> Batch {
        let step = microBatches(steps[0], tokens)
        return tuner.train.batch(
            step, step.microBatches[0], pooling: tuner.pooling, number: 0, lossScale: 1)
    }
}

// MARK: A GPU's memory

extension MemoryPlanner {
    /// What batches and operations take beyond what the largest micro-batches took: a few numbers
    /// by row, where a micro-batch of fewer tokens has more rows.
    private var deviceMargin: Int { 16384 + 16 * tuner.settings.tokenBudget }
    /// Without a choice to make there is nothing to try: so much of the activations is more than what
    /// operations take for themselves.
    private static let ampleShare = 4

    /// Whether a run fits into a GPU's memory, so well that nothing needs to be tried.
    static func isAmple(_ job: FineTuneJob, _ memory: DeviceMemory) -> Bool {
        let planner = MemoryPlanner(
            job, rest: memory.used - job.tuner.program.arenaByteCount, earlierPeak: 0)
        let peak = planner.peak(job.tuner.settings.tokenBudget, Recompute())
        return peak + (peak - planner.rest) / ampleShare + planner.deviceMargin <= memory.budget
    }

    /// Runs the largest micro-batches with as little memory as can be, and sees what they take
    /// besides their activations.
    ///
    /// - Throws: `TrainingError.deviceMemoryTooSmall` where these alone do not fit.
    init(_ job: FineTuneJob, on context: Context) throws {
        let tuner = job.tuner
        let (tokens, most) = (tuner.settings.tokenBudget, Self.most(tuner))
        func others() -> Int { context.deviceMemory!.used - tuner.program.arenaByteCount }
        self.init(job, rest: others(), earlierPeak: 0)
        rest += deviceMargin
        let budget = context.deviceMemory!.budget
        guard peak(tokens, most) <= budget else { throw tooSmall(budget) }
        tuner.setMemory(tokenBudget: tokens, most)
        try touchLargest(tokens)
        rest = others() + deviceMargin + inboxBytes
    }

    /// Runs the largest micro-batch forward, backward, and in every evaluation.
    private func touchLargest(_ tokens: Int) throws {
        let evaluated = [tuner.validation, job.test].compactMap { $0 }.map {
            ($0, tuner.evaluator.program, [tuner.evaluator.step($0, tokenBudget: tokens)])
        }
        let trained = (
            tuner.train, tuner.program, steps.map { tuner.step($0, tokenBudget: tokens) }
        )
        for (data, program, steps) in [trained] + evaluated {
            let parts = steps.flatMap { step in step.microBatches.map { (step, $0) } }
            func size(_ part: (StepRows, Range<Int>)) -> Int {
                part.0.rows[part.1].reduce(0) { $0 + data.ids[$1].count }
            }
            guard let (step, range) = parts.max(by: { size($0) < size($1) }) else { continue }
            var batch = data.batch(step, range, pooling: tuner.pooling, number: 0, lossScale: 1)
            try tuner.prefix?.fill(&batch, with: step.rows[range], of: data)
            try program.run(batch)
        }
        tuner.program.zeroGradients()
    }

    /// What gradients of other ranks take, where they come from GPU to GPU.
    private var inboxBytes: Int {
        guard tuner.ranks.size > 1 else { return 0 }
        let parameters = tuner.model.parameters
        let bytes = parameters.trainableNames.reduce(0) {
            $0 + parameters.dimensions(of: $1).reduce(4, *)
        }
        return min(DeviceSum.mostInboxBytes, tuner.settings.groups * bytes)
    }

    private func tooSmall(_ limit: Int) -> TrainingError {
        let tokens = tuner.settings.tokenBudget
        return .deviceMemoryTooSmall(
            device: device, limit: limit, needed: peak(tokens, Self.most(tuner)), tokens: tokens)
    }
}
