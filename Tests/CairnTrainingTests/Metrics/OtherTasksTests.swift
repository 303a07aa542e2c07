// SPDX-License-Identifier: Apache-2.0
/// Figures of many labels per row, and of numbers, against the same by hand.

import CairnTraining
import Testing

@Suite struct MultiLabelMetricsTests {
    /// Label a: TP 1, FP 1, FN 0. Label b: TP 1, FP 0, FN 1. Label c: nothing at all.
    private let metrics = MultiLabelMetrics(
        labels: ["a", "b", "c"],
        truths: [[true, true, false], [false, true, false], [false, false, false]],
        predictions: [[true, true, false], [true, false, false], [false, false, false]])

    @Test func `every label is a question of its own`() {
        #expect(metrics.perLabel.map(\.precision) == [0.5, 1, 0])
        #expect(metrics.perLabel.map(\.recall) == [1, 0.5, 0])
        #expect(metrics.perLabel.map(\.f1) == [2 / 3.0, 2 / 3.0, 0])
        #expect(metrics.perLabel.map(\.support) == [1, 2, 0])
    }

    @Test func `micro counts pairs, macro labels, weighted rows`() {
        #expect(metrics.micro.f1 == 2 / 3.0)
        #expect(abs(metrics.macro.f1 - 4 / 9.0) <= 1e-15)
        #expect(abs(metrics.weighted.precision - 2.5 / 3) <= 1e-15)
    }

    @Test func `a set counts when all of it is right, a pair alone`() {
        #expect(metrics.subsetAccuracy == 2 / 3.0)
        #expect(metrics.pairAccuracy == 7 / 9.0)
    }

    @Test func `no rows give zeros`() {
        let none = MultiLabelMetrics(labels: ["a"], truths: [], predictions: [])

        #expect(none.micro.f1 == 0 && none.subsetAccuracy == 0 && none.pairAccuracy == 0)
    }
}

@Suite struct RegressionMetricsTests {
    @Test func `errors, R2 and correlation`() throws {
        let score = RegressionScore(name: "y", truths: [1, 2, 3], predictions: [1, 3, 3.5])

        #expect(abs(score.meanSquaredError - 1.25 / 3) <= 1e-15)
        #expect(score.meanAbsoluteError == 0.5)
        #expect(abs(try #require(score.r2) - (1 - 1.25 / 2)) <= 1e-15)
        // f - f̄ = (-1.5, 0.5, 1): 2.5 / sqrt(3.5 · 2)
        #expect(abs(try #require(score.pearson) - 2.5 / 7.0.squareRoot()) <= 1e-15)
    }

    @Test(arguments: [[], [5], [0.1, 0.1, 0.1]] as [[Double]])
    func `truths that do not vary have neither R2 nor correlation`(truths: [Double]) {
        let score = RegressionScore(
            name: "y", truths: truths, predictions: truths.indices.map(Double.init))

        #expect(score.r2 == nil && score.pearson == nil)
        #expect(score.meanSquaredError.isFinite)
    }

    @Test func `predictions that do not vary have an R2 but no correlation`() {
        let score = RegressionScore(name: "y", truths: [0, 2], predictions: [1, 1])

        #expect(score.r2 == 0 && score.pearson == nil)
    }

    @Test func `means over the outputs, where every output has the figure`() {
        let metrics = RegressionMetrics(
            names: ["a", "b"], truths: [[0, 1], [2, 1]], predictions: [[0, 1], [2, 3]])

        #expect(metrics.meanSquaredError == 1 && metrics.meanAbsoluteError == 0.5)
        #expect(metrics.perOutput[0].r2 == 1)
        #expect(metrics.r2 == nil && metrics.pearson == nil)
    }
}
