// SPDX-License-Identifier: Apache-2.0
/// Which rows each step of an epoch takes.

import CairnTensor

/// The rows of one optimizer step, in the order in which gradients accumulate.
public struct StepPlan: Sendable, Equatable {
    /// Row indices.
    public var rows: [Int]

    /// A step of these rows.
    public init(rows: [Int]) { self.rows = rows }
}

/// The steps of one epoch over `rowCount` rows: a function of the seed and the epoch.
///
/// The order is the permutation that the stream "shuffle/epoch-N" draws; step k takes the rows
/// from k · batchSize on, and the last step takes what is left.
public struct EpochPlan: Sendable, Equatable {
    /// Row indices in the order of the epoch.
    public let order: [Int]
    /// Rows per step; the last step may have fewer.
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

    /// How many steps the epoch has.
    public var stepCount: Int { (order.count + batchSize - 1) / batchSize }

    /// - Precondition: `step` is in 0..<stepCount.
    public subscript(step: Int) -> StepPlan {
        precondition(
            (0..<stepCount).contains(step), "the epoch has \(stepCount) steps, asked for \(step)")
        let start = step * batchSize
        return StepPlan(rows: Array(order[start..<min(start + batchSize, order.count)]))
    }
}
