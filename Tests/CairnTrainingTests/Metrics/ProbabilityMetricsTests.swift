// SPDX-License-Identifier: Apache-2.0
/// Figures of probabilities, against the same by hand.

import CairnTraining
import Foundation
import Testing

@Suite struct ProbabilityMetricsTests {
    /// Sure and right, sure and wrong, surer and right, and a tie that the first class wins.
    private let metrics = ProbabilityMetrics(
        truths: [0, 1, 1, 0], predictions: [0, 0, 1, 0],
        probabilities: [[0.7, 0.3], [0.6, 0.4], [0.2, 0.8], [0.5, 0.5]])

    @Test func `log loss and Brier score`() {
        let logs = [0.7, 0.4, 0.8, 0.5].map { log($0) }

        #expect(abs(metrics.logLoss + logs.reduce(0, +) / 4) <= 1e-15)
        #expect(abs(metrics.brier - (0.18 + 0.72 + 0.08 + 0.5) / 4) <= 1e-15)
    }

    @Test func `a probability of zero for the truth costs a finite loss`() {
        let sure = ProbabilityMetrics(truths: [1], predictions: [0], probabilities: [[1, 0]])

        #expect(abs(sure.logLoss - 52 * log(2)) <= 1e-12)
        #expect(sure.brier == 2)
    }

    @Test func `a row on the edge of a bin belongs to the bin below`() {
        #expect(metrics.bins.map(\.count) == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0])
        #expect(metrics.bins[6].confidence == 0.7 && metrics.bins[6].accuracy == 1)
        #expect(metrics.bins[5].accuracy == 0)
        #expect(metrics.bins[0].confidence == nil && metrics.bins[0].accuracy == nil)
        #expect(metrics.bins.map(\.upper).last == 1)
    }

    @Test func `calibration error is the mean distance of confidence and accuracy`() {
        #expect(abs(metrics.calibrationError - (0.3 + 0.6 + 0.2 + 0.5) / 4) <= 1e-15)
    }

    @Test func `confidence of all rows, of the right and of the wrong`() throws {
        let gap = try #require(metrics.confidence.gap)

        #expect(abs(try #require(metrics.confidence.all) - 0.65) <= 1e-15)
        #expect(abs(try #require(metrics.confidence.right) - 2 / 3.0) <= 1e-15)
        #expect(metrics.confidence.wrong == 0.6)
        #expect(abs(gap - (2 / 3.0 - 0.6)) <= 1e-15)
    }

    @Test func `of equal probabilities the first two classes are the top two`() {
        let tied = ProbabilityMetrics(
            truths: [0, 1, 2, 2], predictions: [0, 0, 0, 2],
            probabilities: [
                [0.25, 0.25, 0.5], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.2, 0.2, 0.6],
            ])

        #expect(tied.top2Accuracy == 0.75)
    }

    @Test func `a single class is always among the top two`() {
        let single = ProbabilityMetrics(
            truths: [0, 0], predictions: [0, 0], probabilities: [[1], [1]])

        #expect(single.top2Accuracy == 1 && single.brier == 0 && single.calibrationError == 0)
    }

    @Test func `no rows give zeros and no confidence`() {
        let none = ProbabilityMetrics(truths: [], predictions: [], probabilities: [])

        #expect(none.logLoss == 0 && none.brier == 0 && none.top2Accuracy == 0)
        #expect(none.calibrationError == 0 && none.bins.count == 10)
        #expect(none.confidence.all == nil && none.confidence.gap == nil)
    }

    @Test func `a NaN shows in the figures instead of hiding in a bin`() {
        let broken = ProbabilityMetrics(
            truths: [0], predictions: [0], probabilities: [[.nan, .nan]])

        #expect(broken.logLoss.isNaN && broken.brier.isNaN && broken.calibrationError.isNaN)
    }

    @Test func `softmax survives large logits`() {
        #expect(softmax([1000, 1000]) == [0.5, 0.5])
        #expect(softmax([-1e30, 1e30]) == [0, 1])
        #expect(softmax([]).isEmpty)
        #expect(sigmoid(0) == 0.5 && sigmoid(-1e30) == 0 && sigmoid(1e30) == 1)
    }
}
