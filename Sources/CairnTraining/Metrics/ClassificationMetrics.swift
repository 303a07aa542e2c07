// SPDX-License-Identifier: Apache-2.0
/// What a classifier got right, class by class.

/// Precision, recall and F1 of one class or label.
///
///     precision = TP / (TP + FP)    recall = TP / (TP + FN)    f1 = 2 TP / (2 TP + FP + FN)
///
/// A figure without a denominator is 0.
public struct ClassScore: Sendable, Equatable {
    /// The class.
    public let label: String
    /// The share of those predicted as the class that are of it.
    public let precision: Double
    /// The share of those of the class that were predicted as it.
    public let recall: Double
    /// The harmonic mean of precision and recall.
    public let f1: Double
    /// TP + FN: the rows whose truth is this class.
    public let support: Int

    init(label: String, right: Int, truths: Int, predictions: Int) {
        self.label = label
        precision = ratio(right, predictions)
        recall = ratio(right, truths)
        f1 = ratio(2 * right, truths + predictions)
        support = truths
    }
}

/// Means of the classes' scores.
public struct AverageScore: Sendable, Equatable {
    /// The mean of the precisions.
    public let precision: Double
    /// The mean of the recalls.
    public let recall: Double
    /// The mean of the F1.
    public let f1: Double

    /// The sum of weight · score over the sum of the weights; zeros where that is 0.
    init(_ scores: [ClassScore], weights: [Double]) {
        let total = weights.reduce(0, +)
        func mean(_ figure: KeyPath<ClassScore, Double>) -> Double {
            total == 0
                ? 0 : zip(scores, weights).reduce(0) { $0 + $1.0[keyPath: figure] * $1.1 } / total
        }
        (precision, recall, f1) = (mean(\.precision), mean(\.recall), mean(\.f1))
    }

    /// Every class counts the same, those without a row too.
    static func macro(_ scores: [ClassScore]) -> AverageScore {
        AverageScore(scores, weights: scores.map { _ in 1 })
    }

    /// Every class counts by its support.
    static func weighted(_ scores: [ClassScore]) -> AverageScore {
        AverageScore(scores, weights: scores.map { Double($0.support) })
    }
}

/// Counts of predictions, and the figures that follow from them.
///
/// A figure whose denominator is zero is 0: all of them without rows, the coefficients of
/// Matthews and Cohen where every truth, or every prediction, is one class.
public struct ClassificationMetrics: Sendable, Equatable {
    /// The classes by id.
    public let labels: [String]
    /// counts[truth][prediction].
    public let confusion: [[Int]]

    /// - Precondition: as many truths as predictions, each the index of a label.
    public init(labels: [String], truths: [Int], predictions: [Int]) {
        precondition(
            truths.count == predictions.count,
            "\(truths.count) truths for \(predictions.count) predictions")
        var counts = [[Int]](
            repeating: [Int](repeating: 0, count: labels.count), count: labels.count)
        for (truth, prediction) in zip(truths, predictions) { counts[truth][prediction] += 1 }
        self.init(labels: labels, confusion: counts)
    }

    /// - Precondition: `confusion` is square, with a row for every label.
    public init(labels: [String], confusion: [[Int]]) {
        precondition(
            confusion.count == labels.count && confusion.allSatisfy { $0.count == labels.count },
            "\(labels.count) labels for rows of \(confusion.map(\.count)) counts")
        self.labels = labels
        self.confusion = confusion
    }

    /// How many rows there are.
    public var count: Int { confusion.reduce(0) { $0 + $1.reduce(0, +) } }

    /// Rows by true class, and by predicted class.
    private var margins: (truths: [Int], predictions: [Int]) {
        (
            confusion.map { $0.reduce(0, +) },
            labels.indices.map { id in confusion.reduce(0) { $0 + $1[id] } }
        )
    }

    private var right: Int { labels.indices.reduce(0) { $0 + confusion[$1][$1] } }

    /// The share of rows whose prediction is the truth.
    public var accuracy: Double { ratio(right, count) }

    /// The figures of each class, by id.
    public var perClass: [ClassScore] {
        let (truths, predictions) = margins
        return labels.indices.map {
            ClassScore(
                label: labels[$0], right: confusion[$0][$0], truths: truths[$0],
                predictions: predictions[$0])
        }
    }

    /// Every class counts the same.
    public var macro: AverageScore { .macro(perClass) }
    /// A class counts by its rows.
    public var weighted: AverageScore { .weighted(perClass) }

    /// The mean of the classes' F1, each counting the same.
    public var macroF1: Double { macro.f1 }

    /// The share of the most frequent true class: the accuracy of always saying that one.
    public var majorityBaseline: Double { ratio(margins.truths.max() ?? 0, count) }

    /// accuracy / majority baseline: above 1 where the model beats the constant answer.
    public var liftOverMajority: Double { count == 0 ? 0 : accuracy / majorityBaseline }

    /// 1 / classes: the expected accuracy of drawing a class.
    public var randomBaseline: Double { ratio(1, labels.count) }
}

// MARK: Agreement

extension ClassificationMetrics {
    /// Matthews' correlation coefficient for any number of classes, in [-1, 1].
    ///
    ///     (c n - Σ t_k p_k) / sqrt((n² - Σ p_k²) (n² - Σ t_k²))
    ///
    /// c is the number of right rows, t_k and p_k the rows by truth and by prediction.
    ///
    /// Source: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation
    /// coefficient".
    public var matthews: Double {
        let (truths, predictions) = margins
        let n = Double(count)
        func overlap(_ a: [Int], _ b: [Int]) -> Double {
            zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        let spread =
            ((n * n - overlap(predictions, predictions)) * (n * n - overlap(truths, truths)))
            .squareRoot()
        return spread == 0 ? 0 : (Double(right) * n - overlap(truths, predictions)) / spread
    }

    /// Cohen's kappa: agreement beyond what the margins give by chance, in [-1, 1].
    ///
    ///     (p_o - p_e) / (1 - p_e),   p_o = c / n,   p_e = Σ t_k p_k / n²
    ///
    /// Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    public var kappa: Double {
        let (truths, predictions) = margins
        let n = Double(count)
        let chance = zip(truths, predictions).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        // Both sides times n², so that the counts stay exact.
        return n * n == chance ? 0 : (Double(right) * n - chance) / (n * n - chance)
    }

    /// A class and the one that it was taken for.
    public struct Pair: Sendable, Hashable {
        /// The class that it is of.
        public let truth: Int
        /// The class that it was taken for.
        public let prediction: Int
    }

    /// The most frequent wrong pairs, at most `limit`; equal counts in order of truth, prediction.
    public func topConfusions(_ limit: Int) -> [(pair: Pair, count: Int)] {
        let wrong = labels.indices.flatMap { truth in
            labels.indices.filter { $0 != truth && confusion[truth][$0] > 0 }.map {
                (pair: Pair(truth: truth, prediction: $0), count: confusion[truth][$0])
            }
        }
        // Swift's sort is stable: what was in order stays so.
        return Array(wrong.sorted { $0.count > $1.count }.prefix(limit))
    }
}

/// a / b, or 0 where there is nothing to divide by.
func ratio(_ a: Int, _ b: Int) -> Double { b == 0 ? 0 : Double(a) / Double(b) }
