// SPDX-License-Identifier: Apache-2.0
/// How much of a figure is the luck of the rows: intervals by resampling.

import CairnTensor

/// A range that holds 95 % of a figure's values under resampling.
public struct ConfidenceInterval: Sendable, Equatable {
    /// The 2.5 % quantile.
    public let lower: Double
    /// The 97.5 % quantile.
    public let upper: Double

    /// The 2.5 % and 97.5 % quantiles, linear between the neighbours at h = q (count - 1).
    ///
    /// Source: Hyndman and Fan 1996, "Sample quantiles in statistical packages", definition 7.
    package init(samples: [Double]) {
        let sorted = samples.sorted()
        func quantile(_ q: Double) -> Double {
            let place = q * Double(sorted.count - 1)
            let below = Int(place)
            let above = min(below + 1, sorted.count - 1)
            return sorted[below] + (place - Double(below)) * (sorted[above] - sorted[below])
        }
        (lower, upper) = (quantile(0.025), quantile(0.975))
    }
}

/// Bootstrap intervals of a classifier's main figures.
public struct BootstrapIntervals: Sendable, Equatable {
    /// How often rows were drawn anew.
    public let resamples: Int
    /// What they were drawn from.
    public let seed: UInt64
    /// Of the share that was right.
    public let accuracy: ConfidenceInterval
    /// Of the mean of the classes' F1.
    public let macroF1: ConfidenceInterval
    /// Of Matthews' correlation.
    public let matthews: ConfidenceInterval
}

extension ClassificationMetrics {
    /// 95 % percentile intervals: the figures of `resamples` sets of n rows drawn with replacement.
    ///
    /// The n rows are taken in the order of the confusion matrix, so that the intervals depend on
    /// its counts and the seed alone, not on the order of the data; the draws are the indices
    /// below n of the stream "bootstrap", n per set. A class that a set lacks counts as in
    /// `macroF1`, with 0.
    ///
    /// Nil without rows. Costs resamples · n draws.
    ///
    /// Source: Efron 1979, "Bootstrap methods: another look at the jackknife".
    public func intervals(resamples: Int = 1000, seed: UInt64 = 42) -> BootstrapIntervals? {
        precondition(resamples > 0, "\(resamples) resamples")
        let width = labels.count
        let cells = confusion.joined().enumerated().flatMap {
            [Int](repeating: $0.offset, count: $0.element)
        }
        if cells.isEmpty { return nil }
        var stream = RandomStream(seed: seed, name: "bootstrap")
        let sets = (0..<resamples).map { _ in
            var counts = [[Int]](repeating: [Int](repeating: 0, count: width), count: width)
            for _ in cells.indices {
                let cell = cells[stream.index(below: cells.count)]
                counts[cell / width][cell % width] += 1
            }
            return ClassificationMetrics(labels: labels, confusion: counts)
        }
        return BootstrapIntervals(
            resamples: resamples, seed: seed,
            accuracy: ConfidenceInterval(samples: sets.map(\.accuracy)),
            macroF1: ConfidenceInterval(samples: sets.map(\.macroF1)),
            matthews: ConfidenceInterval(samples: sets.map(\.matthews)))
    }
}
