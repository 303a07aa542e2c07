// SPDX-License-Identifier: Apache-2.0
/// How far a classifier's probabilities can be believed.

import Foundation

/// softmax(z)_k = exp(z_k - max z) / Σ_j exp(z_j - max z), in double.
public func softmax(_ logits: [Float]) -> [Double] {
    let top = Double(logits.max() ?? 0)
    let powers = logits.map { exp(Double($0) - top) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
}

/// 1 / (1 + exp(-z)), in double.
public func sigmoid(_ logit: Float) -> Double { 1 / (1 + exp(-Double(logit))) }

/// Figures of class probabilities against the true classes.
///
/// Rows are [rows][classes] and each sums to 1. Without rows every figure is 0; a NaN among the
/// probabilities is a NaN in the figures that it takes part in.
public struct ProbabilityMetrics: Sendable, Equatable {
    /// Rows whose confidence fell into (lower, upper].
    public struct Bin: Sendable, Equatable {
        /// The lower edge, which is outside.
        public let lower: Double
        /// The upper edge, which is inside.
        public let upper: Double
        /// How many rows fell in.
        public let count: Int
        /// The mean confidence of the rows; nil without one.
        public let confidence: Double?
        /// The share of the rows that are right; nil without one.
        public let accuracy: Double?
    }

    /// Mean probabilities of the predicted class; nil where there is no such row.
    public struct Confidence: Sendable, Equatable {
        /// Over all rows.
        public let all: Double?
        /// Over those that are right.
        public let right: Double?
        /// Over those that are wrong.
        public let wrong: Double?
        /// right - wrong: how much surer the model is where it is right.
        public var gap: Double? { right.flatMap { right in wrong.map { right - $0 } } }
    }

    /// How many bins there are.
    public static let binCount = 10

    /// -Σ ln(clamp(p_truth, ε, 1 - ε)) / n with ε = 2⁻⁵².
    public let logLoss: Double
    /// Σ_rows Σ_k (p_k - [k is the truth])² / n, from 0 to 2.
    ///
    /// Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    public let brier: Double
    /// The share of rows whose truth is among the two most likely classes; of equals the first.
    public let top2Accuracy: Double
    /// How sure the model is of what it says.
    public let confidence: Confidence
    /// Ten bins of equal width over (0, 1].
    public let bins: [Bin]
    /// Expected calibration error: Σ_bins |accuracy - confidence| · count / n.
    ///
    /// Source: Guo et al. 2017 (arXiv:1706.04599), section 2.
    public let calibrationError: Double

    /// - Precondition: as many truths and predictions as rows of probabilities, each an index into
    ///   its row.
    public init(truths: [Int], predictions: [Int], probabilities: [[Double]]) {
        precondition(
            truths.count == probabilities.count && predictions.count == probabilities.count,
            "\(truths.count) truths and \(predictions.count) predictions for "
                + "\(probabilities.count) rows of probabilities")
        let rows = zip(truths, probabilities)
        let n = Double(max(truths.count, 1))
        logLoss =
            rows.reduce(0) { sum, row in
                sum - log(min(max(row.1[row.0], .ulpOfOne), 1 - .ulpOfOne))
            } / n
        brier =
            rows.reduce(0) { sum, row in
                row.1.indices.reduce(sum) {
                    let error = row.1[$1] - ($1 == row.0 ? 1 : 0)
                    return $0 + error * error
                }
            } / n
        top2Accuracy = Double(rows.count { Self.rank(of: $0, in: $1) < 2 }) / n

        let judged = predictions.indices.map {
            (confidence: probabilities[$0][predictions[$0]], isRight: predictions[$0] == truths[$0])
        }
        confidence = Confidence(
            all: mean(judged.map(\.confidence)),
            right: mean(judged.filter(\.isRight).map(\.confidence)),
            wrong: mean(judged.filter { !$0.isRight }.map(\.confidence)))
        bins = Self.bins(judged)
        calibrationError = bins.reduce(0) { sum, bin in
            guard let confidence = bin.confidence, let accuracy = bin.accuracy else { return sum }
            return sum + abs(accuracy - confidence) * Double(bin.count) / n
        }
    }

    /// How many classes come before `id`: the more likely ones, and of equals the earlier ones.
    private static func rank(of id: Int, in row: [Double]) -> Int {
        row.indices.count { row[$0] > row[id] || (row[$0] == row[id] && $0 < id) }
    }

    private static func bins(_ rows: [(confidence: Double, isRight: Bool)]) -> [Bin] {
        let edges = (0...binCount).map { Double($0) / Double(binCount) }
        var members = [[(confidence: Double, isRight: Bool)]](repeating: [], count: binCount)
        for row in rows {
            members[edges[1..<binCount].count { $0 < row.confidence }].append(row)
        }
        return members.indices.map { place in
            Bin(
                lower: edges[place], upper: edges[place + 1], count: members[place].count,
                confidence: mean(members[place].map(\.confidence)),
                accuracy: mean(members[place].map { $0.isRight ? 1 : 0 }))
        }
    }
}

/// The mean of some numbers; nil of none.
func mean(_ numbers: [Double]) -> Double? {
    numbers.isEmpty ? nil : numbers.reduce(0, +) / Double(numbers.count)
}

/// The index of the largest number, the first of equals; 0 when none compares.
func argmax<Number: Comparable>(_ numbers: [Number]) -> Int {
    var best = 0
    for index in numbers.indices where numbers[index] > numbers[best] { best = index }
    return best
}
