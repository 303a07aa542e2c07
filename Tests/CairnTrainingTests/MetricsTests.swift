// SPDX-License-Identifier: Apache-2.0
/// Figures of a classifier, against the same by hand.

import CairnTraining
import Testing

@Suite struct MetricsTests {
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

    @Test func `no rows give zeros`() {
        let none = ClassificationMetrics(labels: ["a"], truths: [], predictions: [])

        #expect(none.accuracy == 0 && none.macroF1 == 0 && none.count == 0)
    }

    @Test func `a perfect classifier`() {
        let all = ClassificationMetrics(
            labels: ["a", "b"], truths: [0, 1, 1], predictions: [0, 1, 1])

        #expect(all.accuracy == 1 && all.macroF1 == 1)
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
