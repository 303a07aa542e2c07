// SPDX-License-Identifier: Apache-2.0
/// An evaluation as text for a terminal.

import Foundation

extension Evaluation {
    /// A table with a line per class, label or output, then the figures of all rows together.
    ///
    /// - Parameter intervals: the bootstrap of `metrics`, where it was asked for.
    public func table(intervals: BootstrapIntervals? = nil) -> String {
        var lines: [String] = []
        if let metrics { lines += metrics.lines(intervals, probabilities) }
        if let multiLabel { lines += multiLabel.lines }
        if let regression { lines += regression.lines }
        var summary = "\(logits.count) rows"
        if let accuracy { summary += ", accuracy \(four(accuracy))" }
        if let loss { summary += String(format: ", loss %.5f", loss) }
        if let tokenLosses, let perplexity {
            let tokens = tokenLosses.reduce(0) { $0 + $1.count }
            summary += String(format: ", perplexity %.4f over %d tokens", perplexity, tokens)
        }
        return (lines + [summary]).joined(separator: "\n")
    }
}

extension ClassificationMetrics {
    fileprivate func lines(
        _ intervals: BootstrapIntervals?, _ probabilities: ProbabilityMetrics?
    ) -> [String] {
        func range(_ figure: KeyPath<BootstrapIntervals, ConfidenceInterval>) -> String {
            guard let interval = intervals?[keyPath: figure] else { return "" }
            return " [\(four(interval.lower)), \(four(interval.upper))]"
        }
        var lines = scoreTable(
            perClass, [("macro mean", macro, count), ("weighted mean", weighted, count)])
        lines += [
            "",
            "accuracy \(four(accuracy))\(range(\.accuracy)), majority class "
                + "\(four(majorityBaseline)), lift \(String(format: "%.2f", liftOverMajority))",
            "macro F1 \(four(macroF1))\(range(\.macroF1)), MCC \(four(matthews))"
                + "\(range(\.matthews)), kappa \(four(kappa))",
        ]
        if let probabilities { lines += probabilities.lines }
        let wrong = topConfusions(5)
        if !wrong.isEmpty {
            lines.append(
                "most often confused: "
                    + wrong.map {
                        "\(labels[$0.pair.truth]) as \(labels[$0.pair.prediction]) (\($0.count))"
                    }.joined(separator: ", "))
        }
        if let intervals {
            lines.append(
                "brackets: 95 % of \(intervals.resamples) resamples of the rows, seed "
                    + "\(intervals.seed)")
        }
        return lines
    }
}

extension ProbabilityMetrics {
    fileprivate var lines: [String] {
        func shown(_ value: Double?) -> String { value.map(four) ?? "–" }
        return [
            "top-2 accuracy \(four(top2Accuracy)), log loss \(four(logLoss)), Brier \(four(brier)), "
                + "calibration error \(four(calibrationError))",
            "confidence \(shown(confidence.all)): \(shown(confidence.right)) where right, "
                + "\(shown(confidence.wrong)) where wrong",
        ]
    }
}

extension MultiLabelMetrics {
    fileprivate var lines: [String] {
        let support = perLabel.reduce(0) { $0 + $1.support }
        return scoreTable(
            perLabel,
            [
                ("micro mean", micro, support), ("macro mean", macro, support),
                ("weighted mean", weighted, support),
            ])
            + ["", "all labels of a row right \(four(subsetAccuracy))"]
    }
}

extension RegressionMetrics {
    fileprivate var lines: [String] {
        let scores = perOutput.map {
            ($0.name, $0.meanSquaredError, $0.meanAbsoluteError, $0.r2, $0.pearson)
        }
        let all = ("mean", meanSquaredError, meanAbsoluteError, r2, pearson)
        let rows = scores.count == 1 ? scores : scores + [all]
        func number(_ value: Double?) -> String { value.map { String(format: "%.6g", $0) } ?? "–" }
        return columns(
            [["", "MSE", "MAE", "R2", "Pearson"]]
                + rows.map { [$0.0, number($0.1), number($0.2), number($0.3), number($0.4)] })
            + [""]
    }
}

// MARK: Layout

private func four(_ value: Double) -> String { String(format: "%.4f", value) }

private func scoreTable(
    _ scores: [ClassScore], _ averages: [(name: String, score: AverageScore, support: Int)]
) -> [String] {
    let head = ["", "precision", "recall", "F1", "support"]
    func row(_ name: String, _ figures: [Double], _ support: Int) -> [String] {
        [name] + figures.map(four) + ["\(support)"]
    }
    let classes = scores.map { row($0.label, [$0.precision, $0.recall, $0.f1], $0.support) }
    let means = averages.map {
        row($0.name, [$0.score.precision, $0.score.recall, $0.score.f1], $0.support)
    }
    var lines = columns([head] + classes + means)
    lines.insert("", at: 1 + classes.count)
    return lines
}

/// Cells as lines: the first column to the left, the others to the right, two blanks between.
private func columns(_ rows: [[String]]) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        row.indices.map { column in
            let blanks = String(repeating: " ", count: widths[column] - row[column].count)
            return column == 0 ? row[column] + blanks : blanks + row[column]
        }.joined(separator: "  ")
    }
}
