// SPDX-License-Identifier: Apache-2.0
/// Which rows each step of an epoch takes, and how they are packed.

import CairnTensor

/// The rows of one optimizer step, in the order in which gradients accumulate.
public struct StepPlan: Sendable, Equatable {
    public var rows: [Int]

    public init(rows: [Int]) { self.rows = rows }

    /// The rows cut into micro-batches of at most `tokenBudget` tokens.
    ///
    /// Rows are never reordered: a micro-batch is the longest run of consecutive rows that fits,
    /// so the packing cannot change the result of the step.
    ///
    /// - Throws: every row of the step that alone is longer than the budget.
    public func microBatches(
        of corpus: EncodedCorpus, tokenBudget: Int
    ) throws(CorpusError) -> [[Int]] {
        let tooLong = rows.filter { corpus.rows[$0].ids.count > tokenBudget }
        guard tooLong.isEmpty else {
            let faults = tooLong.sorted().map { row in
                LineFault(
                    line: corpus.lines[row],
                    reason: "\(corpus.rows[row].ids.count) tokens, more than a micro-batch of "
                        + "\(tokenBudget) holds")
            }
            throw .badRows(file: corpus.file, faults: faults)
        }
        var batches: [[Int]] = []
        var room = 0
        for row in rows {
            let length = corpus.rows[row].ids.count
            if batches.isEmpty || length > room {
                batches.append([])
                room = tokenBudget
            }
            batches[batches.count - 1].append(row)
            room -= length
        }
        return batches
    }
}

/// The steps of one epoch over `rowCount` rows: a function of the seed and the epoch.
///
/// The order is the permutation that the stream "shuffle/epoch-N" draws; step k takes the rows
/// from k · batchSize on, and the last step takes what is left.
public struct EpochPlan: Sendable, Equatable {
    /// Row indices in the order of the epoch.
    public let order: [Int]
    public let batchSize: Int

    /// - Precondition: `batchSize` is positive.
    public init(rowCount: Int, batchSize: Int, seed: UInt64, epoch: Int) {
        var stream = RandomStream(seed: seed, name: "shuffle/epoch-\(epoch)")
        self.init(order: stream.permutation(rowCount), batchSize: batchSize)
    }

    /// The rows in the given order, as for validation.
    ///
    /// - Precondition: `batchSize` is positive.
    public init(order: [Int], batchSize: Int) {
        precondition(batchSize > 0, "a step needs at least 1 row, got \(batchSize)")
        self.order = order
        self.batchSize = batchSize
    }

    public var stepCount: Int { (order.count + batchSize - 1) / batchSize }

    /// - Precondition: `step` is in 0..<stepCount.
    public subscript(step: Int) -> StepPlan {
        precondition(
            (0..<stepCount).contains(step), "the epoch has \(stepCount) steps, asked for \(step)")
        let start = step * batchSize
        return StepPlan(rows: Array(order[start..<min(start + batchSize, order.count)]))
    }
}
