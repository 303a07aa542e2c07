// SPDX-License-Identifier: Apache-2.0
/// How far a model's numbers are from the true ones.

/// Figures of one output, y the truths and f the predictions.
public struct RegressionScore: Sendable, Equatable {
    /// The output.
    public let name: String
    /// Σ (f - y)² / n; 0 without rows.
    public let meanSquaredError: Double
    /// Σ |f - y| / n; 0 without rows.
    public let meanAbsoluteError: Double
    /// 1 - Σ (f - y)² / Σ (y - ȳ)²; nil where all truths are equal, or there is one row or none.
    public let r2: Double?
    /// The correlation of f and y, in [-1, 1]; nil where one of them does not vary.
    ///
    ///     Σ (f - f̄)(y - ȳ) / sqrt(Σ (f - f̄)² Σ (y - ȳ)²)
    public let pearson: Double?

    /// - Precondition: as many truths as predictions.
    public init(name: String, truths: [Double], predictions: [Double]) {
        precondition(
            truths.count == predictions.count,
            "\(truths.count) truths for \(predictions.count) predictions")
        self.name = name
        let errors = zip(predictions, truths).map { $0 - $1 }
        let squares = errors.reduce(0) { $0 + $1 * $1 }
        meanSquaredError = squares / Double(max(errors.count, 1))
        meanAbsoluteError = mean(errors.map(abs)) ?? 0

        let (y, f) = (Self.centred(truths), Self.centred(predictions))
        let (varianceY, varianceF) = (Self.dot(y, y), Self.dot(f, f))
        r2 = varianceY == 0 ? nil : 1 - squares / varianceY
        pearson =
            varianceY == 0 || varianceF == 0
            ? nil
            : min(max(Self.dot(f, y) / (varianceF.squareRoot() * varianceY.squareRoot()), -1), 1)
    }

    /// The distances from the mean; zeros where all are equal, which rounding would not leave.
    private static func centred(_ numbers: [Double]) -> [Double] {
        let middle = mean(numbers) ?? 0
        let isConstant = numbers.allSatisfy { $0 == numbers[0] }
        return numbers.map { isConstant ? 0 : $0 - middle }
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
}

/// Figures of every output of a model of numbers, and their means over the outputs.
public struct RegressionMetrics: Sendable, Equatable {
    /// The figures of each output.
    public let perOutput: [RegressionScore]
    /// How many rows there are.
    public let count: Int

    /// - Precondition: `truths` and `predictions` are [rows][names].
    public init(names: [String], truths: [[Double]], predictions: [[Double]]) {
        count = truths.count
        perOutput = names.indices.map { id in
            RegressionScore(
                name: names[id], truths: truths.map { $0[id] },
                predictions: predictions.map { $0[id] })
        }
    }

    /// The mean over the outputs.
    public var meanSquaredError: Double { mean(perOutput.map(\.meanSquaredError)) ?? 0 }
    /// The mean over the outputs.
    public var meanAbsoluteError: Double { mean(perOutput.map(\.meanAbsoluteError)) ?? 0 }
    /// Nil where it is for any output.
    public var r2: Double? { meanOfAll(\.r2) }
    /// Nil where it is for any output.
    public var pearson: Double? { meanOfAll(\.pearson) }

    private func meanOfAll(_ figure: KeyPath<RegressionScore, Double?>) -> Double? {
        let figures = perOutput.compactMap { $0[keyPath: figure] }
        return figures.count == perOutput.count ? mean(figures) : nil
    }
}
