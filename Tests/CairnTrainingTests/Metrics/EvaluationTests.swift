// SPDX-License-Identifier: Apache-2.0
/// From logits and targets to figures, documents and tables.

import CairnFormats
import CairnTraining
import Testing

@Suite struct EvaluationTests {
    private let classes = Evaluation(
        logits: [[2, 0], [0, 1], [3, 0]], loss: 0.5, targets: .classes([0, 1, 1]),
        task: .singleLabel(labels: ["no", "yes"]))
    private let sets = Evaluation(
        logits: [[1, -1], [1, 1]], loss: 0.5, targets: .values([1, 0, 0, 1], columns: 2),
        task: .multiLabel(labels: ["x", "y"]))
    private let numbers = Evaluation(
        logits: [[1], [2]], loss: 0.5, targets: .values([1, 3], columns: 1),
        task: .regression(names: ["grade"]))

    @Test func `each task has its own figures`() {
        #expect(classes.metrics?.confusion == [[1, 0], [1, 1]])
        #expect(classes.probabilities != nil && classes.accuracy == 2 / 3.0)
        #expect(sets.multiLabel?.subsetAccuracy == 0.5 && sets.accuracy == 0.75)
        #expect(sets.metrics == nil && sets.macroF1 != nil)
        #expect(numbers.regression?.meanSquaredError == 0.5)
        #expect(numbers.accuracy == nil && numbers.macroF1 == nil)
    }

    @Test func `rows without targets have logits alone`() {
        let bare = Evaluation(
            logits: [[1, 2]], loss: nil, targets: .none, task: .singleLabel(labels: ["a", "b"]))

        #expect(bare.metrics == nil && bare.probabilities == nil && bare.accuracy == nil)
        #expect(bare.document()["accuracy"] == .null)
    }

    @Test func `the document begins with the keys of the contract, for every task`() {
        let contract = ["rows", "accuracy", "loss", "macro_f1", "confusion_matrix", "per_class"]

        for evaluation in [classes, sets, numbers] {
            #expect(Array(evaluation.document().keys.prefix(6)) == contract)
        }
    }

    @Test func `the document of classes carries every figure`() throws {
        let document = classes.document(intervals: classes.metrics?.intervals(resamples: 10))

        #expect(document["confusion_matrix"] == [[1, 0], [1, 1]])
        #expect(document["per_class"]?.array?[1]["label"] == "yes")
        #expect(document["top_confusions"] == [["truth": "yes", "prediction": "no", "count": 1]])
        #expect(document["confidence_intervals_95"]?["accuracy"]?.array?.count == 2)
        #expect(document["calibration"]?["bins"]?.array?.count == 10)
        for key in [
            "num_classes", "macro", "weighted", "mcc", "cohens_kappa", "baselines",
            "top2_accuracy", "log_loss", "brier_score", "confidence",
        ] {
            #expect(document[key] != nil, "\(key)")
        }
        _ = try JSONValue.object(document).serialized()
    }

    @Test func `the documents of the other tasks carry theirs`() {
        #expect(sets.document()["subset_accuracy"] == 0.5)
        #expect(sets.document()["per_class"]?.array?.count == 2)
        #expect(numbers.document()["mse"] == 0.5 && numbers.document()["r2"] == 0.5)
        #expect(numbers.document()["per_class"] == .null)
    }

    @Test func `the table of classes has a line per class, aligned`() {
        let lines = classes.table().split(separator: "\n", omittingEmptySubsequences: false)

        #expect(lines[0] == "               precision  recall      F1  support")
        #expect(lines[1] == "no                0.5000  1.0000  0.6667        1")
        #expect(lines[2] == "yes               1.0000  0.5000  0.6667        2")
        #expect(lines[5] == "weighted mean     0.8333  0.6667  0.6667        3")
        #expect(lines.contains("most often confused: yes as no (1)"))
        #expect(lines.last == "3 rows, accuracy 0.6667, loss 0.50000")
    }

    @Test func `intervals stand in brackets with how they came about`() throws {
        let table = classes.table(intervals: classes.metrics?.intervals(resamples: 10, seed: 7))

        #expect(table.contains("accuracy 0.6667 ["))
        #expect(table.contains("brackets: 95 % of 10 resamples of the rows, seed 7"))
    }

    @Test func `the tables of the other tasks`() {
        #expect(sets.table().contains("micro mean"))
        #expect(sets.table().hasSuffix("2 rows, accuracy 0.7500, loss 0.50000"))
        #expect(numbers.table().hasPrefix("       MSE  MAE   R2  Pearson\ngrade  0.5  0.5  0.5"))
    }
}
