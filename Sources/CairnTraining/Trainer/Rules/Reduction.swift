// SPDX-License-Identifier: Apache-2.0
/// How the losses of an epoch's batches become one.

/// One number from the losses of batches; nil where there was none.
public enum Reduction {
    /// The mean of the batches' losses, each batch counting the same.
    case mean
    /// The mean over rows: each batch counts by its weight.
    case weightedMean
    /// The sum of the batches' losses.
    case sum
    /// The loss of the last batch.
    case last
    /// A function of the batches' losses; nil gives the epoch none.
    case custom(([Double]) throws -> Double?)

    func callAsFunction(_ losses: [Double], weights: [Double]) throws -> Double? {
        guard let last = losses.last else { return nil }
        switch self {
        case .mean: return losses.reduce(0, +) / Double(losses.count)
        case .weightedMean:
            let total = weights.reduce(0, +)
            return zip(losses, weights).reduce(0) { $0 + $1.0 * $1.1 } / total
        case .sum: return losses.reduce(0, +)
        case .last: return last
        case .custom(let reduce): return try reduce(losses)
        }
    }
}
