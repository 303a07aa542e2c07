// SPDX-License-Identifier: Apache-2.0
/// What a classifier got right, class by class.

/// Counts of predictions, and the figures that follow from them.
public struct ClassificationMetrics: Sendable, Equatable {
    /// Precision, recall and F1 of one class; a figure without a denominator is 0.
    public struct PerClass: Sendable, Equatable {
        public let label: String
        public let precision: Double
        public let recall: Double
        public let f1: Double
        public let support: Int
    }

    public let labels: [String]
    /// counts[truth][prediction].
    public let confusion: [[Int]]

    public init(labels: [String], truths: [Int], predictions: [Int]) {
        precondition(
            truths.count == predictions.count,
            "\(truths.count) truths for \(predictions.count) predictions")
        self.labels = labels
        var counts = [[Int]](
            repeating: [Int](repeating: 0, count: labels.count), count: labels.count)
        for (truth, prediction) in zip(truths, predictions) { counts[truth][prediction] += 1 }
        confusion = counts
    }

    public var count: Int { confusion.reduce(0) { $0 + $1.reduce(0, +) } }

    /// The share of rows whose prediction is the truth; 0 without rows.
    public var accuracy: Double {
        let right = labels.indices.reduce(0) { $0 + confusion[$1][$1] }
        return count == 0 ? 0 : Double(right) / Double(count)
    }

    public var perClass: [PerClass] {
        labels.indices.map { id in
            let right = Double(confusion[id][id])
            let truths = confusion[id].reduce(0, +)
            let predictions = confusion.reduce(0) { $0 + $1[id] }
            return PerClass(
                label: labels[id], precision: predictions == 0 ? 0 : right / Double(predictions),
                recall: truths == 0 ? 0 : right / Double(truths),
                f1: truths + predictions == 0 ? 0 : 2 * right / Double(truths + predictions),
                support: truths)
        }
    }

    /// The mean of the classes' F1, each counting the same.
    public var macroF1: Double {
        labels.isEmpty ? 0 : perClass.reduce(0) { $0 + $1.f1 } / Double(labels.count)
    }
}
