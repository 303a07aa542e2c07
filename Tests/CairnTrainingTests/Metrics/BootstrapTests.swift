// SPDX-License-Identifier: Apache-2.0
/// Intervals by resampling: quantiles, reproducibility, and what they enclose.

import CairnTraining
import Testing

@Suite struct BootstrapTests {
    private let metrics = ClassificationMetrics(
        labels: ["a", "b"], confusion: [[40, 10], [5, 45]])

    @Test func `quantiles lie between the neighbours`() {
        let hundred = ConfidenceInterval(samples: (0...100).reversed().map(Double.init))
        let two = ConfidenceInterval(samples: [1, 3])

        #expect(hundred.lower == 2.5 && hundred.upper == 97.5)
        #expect(abs(two.lower - 1.05) <= 1e-15 && abs(two.upper - 2.95) <= 1e-15)
        #expect(ConfidenceInterval(samples: [7]).upper == 7)
    }

    @Test func `the same counts and seed give the same bits, in whatever order rows came`() {
        let truths = [0, 1, 1, 0, 1, 0]
        let predictions = [0, 1, 0, 0, 1, 1]
        func intervals(_ order: [Int], seed: UInt64 = 42) -> BootstrapIntervals? {
            ClassificationMetrics(
                labels: ["a", "b"], truths: order.map { truths[$0] },
                predictions: order.map { predictions[$0] }
            ).intervals(resamples: 50, seed: seed)
        }

        #expect(intervals([0, 1, 2, 3, 4, 5]) == intervals([5, 3, 1, 0, 2, 4]))
        #expect(intervals([0, 1, 2, 3, 4, 5]) != intervals([0, 1, 2, 3, 4, 5], seed: 43))
    }

    /// By the normal approximation 0.85 ± 1.96 · sqrt(0.85 · 0.15 / 100), which is ± 0.07.
    @Test func `the interval of an accuracy is as wide as the binomial says`() throws {
        let intervals = try #require(metrics.intervals(resamples: 400))

        #expect(intervals.resamples == 400 && intervals.seed == 42)
        #expect(abs(intervals.accuracy.lower - 0.78) <= 0.02)
        #expect(abs(intervals.accuracy.upper - 0.92) <= 0.02)
        #expect(intervals.macroF1.lower < metrics.macroF1)
        #expect(metrics.macroF1 < intervals.macroF1.upper)
        #expect(intervals.matthews.lower < metrics.matthews)
        #expect(metrics.matthews < intervals.matthews.upper)
    }

    /// The accuracies of the five sets are 0.9, 0.7, 0.7, 0.8 and 0.6, by another Philox.
    @Test func `the draws are those of the stream`() throws {
        let few = ClassificationMetrics(labels: ["a", "b"], confusion: [[4, 1], [2, 3]])

        let accuracy = try #require(few.intervals(resamples: 5)).accuracy

        #expect(abs(accuracy.lower - 0.61) <= 1e-15 && abs(accuracy.upper - 0.89) <= 1e-15)
    }

    @Test func `a perfect classifier leaves no doubt about its accuracy`() throws {
        let perfect = ClassificationMetrics(labels: ["a", "b"], confusion: [[9, 0], [0, 9]])

        let accuracy = try #require(perfect.intervals(resamples: 20)).accuracy

        #expect(accuracy.lower == 1 && accuracy.upper == 1)
    }

    @Test func `without rows there is no interval`() {
        let none = ClassificationMetrics(labels: ["a"], truths: [], predictions: [])

        #expect(none.intervals() == nil)
    }
}
