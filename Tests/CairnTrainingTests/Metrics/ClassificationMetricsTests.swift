// SPDX-License-Identifier: Apache-2.0
/// Figures of a classifier, against the same by hand.

import CairnTraining
import Testing

@Suite struct ClassificationMetricsTests {
    /// Truth 0: two right, one taken for 1. Truth 1: one right, one taken for 0. Truth 2: one taken
    /// for 0. Class 3 never comes.
    private let metrics = ClassificationMetrics(
        labels: ["a", "b", "c", "d"], truths: [0, 0, 0, 1, 1, 2], predictions: [0, 0, 1, 1, 0, 0])

    @Test func `counts by truth and prediction`() {
        #expect(
            metrics.confusion == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
        #expect(metrics.count == 6)
        #expect(metrics.accuracy == 0.5)
    }

    @Test func `precision, recall and F1 of each class`() {
        let (a, b, c, d) = (
            metrics.perClass[0], metrics.perClass[1], metrics.perClass[2], metrics.perClass[3]
        )

        #expect(a.precision == 0.5 && a.recall == 2 / 3.0 && a.f1 == 4 / 7.0)
        #expect(b.precision == 0.5 && b.recall == 0.5 && b.f1 == 0.5)
        #expect(c.precision == 0 && c.recall == 0 && c.f1 == 0)
        #expect(d.precision == 0 && d.recall == 0 && d.f1 == 0 && d.support == 0)
        #expect(metrics.perClass.map(\.support) == [3, 2, 1, 0])
        #expect(metrics.perClass.map(\.label) == ["a", "b", "c", "d"])
    }

    @Test func `macro F1 is the mean over all classes`() {
        #expect(abs(metrics.macroF1 - (4 / 7.0 + 0.5) / 4) <= 1e-15)
    }

    @Test func `means over the classes count each the same, or by its rows`() {
        #expect(metrics.macro.precision == 0.25)
        #expect(abs(metrics.macro.recall - (2 / 3.0 + 0.5) / 4) <= 1e-15)
        #expect(abs(metrics.weighted.precision - 2.5 / 6) <= 1e-15)
        #expect(abs(metrics.weighted.recall - 0.5) <= 1e-15)
        #expect(abs(metrics.weighted.f1 - (3 * 4 / 7.0 + 2 * 0.5) / 6) <= 1e-15)
    }

    /// n = 6, c = 3, t = (3, 2, 1, 0), p = (4, 2, 0, 0): Σ t p = 16, Σ p² = 20, Σ t² = 14.
    @Test func `the coefficients of Matthews and Cohen`() {
        #expect(abs(metrics.matthews - 2 / (16.0 * 22).squareRoot()) <= 1e-15)
        #expect(abs(metrics.kappa - 2 / 20.0) <= 1e-15)
    }

    @Test func `a classifier that is always wrong about two classes has coefficients of -1`() {
        let wrong = ClassificationMetrics(
            labels: ["a", "b"], truths: [0, 0, 1, 1], predictions: [1, 1, 0, 0])

        #expect(wrong.matthews == -1 && wrong.kappa == -1 && wrong.accuracy == 0)
    }

    @Test func `baselines are the most frequent truth and one class of four`() {
        #expect(metrics.majorityBaseline == 0.5)
        #expect(metrics.randomBaseline == 0.25)
        #expect(metrics.liftOverMajority == 1)
    }

    @Test func `confusions come by count, then in the order of classes`() {
        let metrics = ClassificationMetrics(
            labels: ["a", "b", "c"], confusion: [[5, 1, 0], [0, 9, 3], [1, 0, 2]])

        let top = metrics.topConfusions(2)

        #expect(
            top.map { [$0.pair.truth, $0.pair.prediction, $0.count] } == [[1, 2, 3], [0, 1, 1]])
        #expect(metrics.topConfusions(9).count == 3)
    }

    @Test func `no rows give zeros`() {
        let none = ClassificationMetrics(labels: ["a"], truths: [], predictions: [])

        #expect(none.accuracy == 0 && none.macroF1 == 0 && none.count == 0)
        #expect(none.weighted.f1 == 0 && none.matthews == 0 && none.kappa == 0)
        #expect(none.majorityBaseline == 0 && none.liftOverMajority == 0)
    }

    @Test func `one class alone leaves the coefficients at zero`() {
        let one = ClassificationMetrics(
            labels: ["a", "b"], truths: [1, 1, 1], predictions: [1, 1, 1])

        #expect(one.accuracy == 1 && one.matthews == 0 && one.kappa == 0)
        #expect(one.macroF1 == 0.5 && one.weighted.f1 == 1)
    }

    @Test func `a perfect classifier`() {
        let all = ClassificationMetrics(
            labels: ["a", "b"], truths: [0, 1, 1], predictions: [0, 1, 1])

        #expect(all.accuracy == 1 && all.macroF1 == 1 && all.kappa == 1 && all.matthews == 1)
    }

    @Test func `class weights count every class the same`() {
        let counts = [6, 2, 1, 0]

        #expect(ClassWeights.none.weights(counts: counts) == nil)
        // 9 / (4 n_c); a class without rows takes part in no loss.
        #expect(ClassWeights.balanced.weights(counts: counts) == [0.375, 1.125, 2.25, 1])
        #expect(
            ClassWeights.sqrt.weights(counts: counts)
                == [0.375, 1.125, 2.25, 1].map { Float(Double($0).squareRoot()) })
    }
}
