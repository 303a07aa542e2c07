// SPDX-License-Identifier: Apache-2.0
/// The rows behind the confusions: what a classifier took for what, with how much confidence.

import CairnFormats
import CairnText

/// Rows of one class that were taken for another.
public struct ErrorGroup: Sendable, Equatable {
    /// A row that was taken for another class.
    public struct Row: Sendable, Equatable {
        /// Where the row starts in its file; from 1.
        public let line: Int
        /// The text.
        public let text: String
        /// The probability of the wrong class.
        public let confidence: Double
    }

    /// The class that they are of.
    public let truth: String
    /// The class that they were taken for.
    public let prediction: String
    /// All such rows, shown or not.
    public let count: Int
    /// Those with the most confidence, the surest first.
    public let rows: [Row]
}

extension Evaluation {
    /// The five most frequent confusions, each with its `limit` surest rows; empty for other tasks.
    ///
    /// - Precondition: `targets` and `examples` are those that were evaluated.
    public func errorGroups(
        _ targets: Targets, examples: [Example], limit: Int
    ) -> [ErrorGroup] {
        guard let metrics, case .classes(let truths) = targets else { return [] }
        precondition(
            truths.count == logits.count && examples.count == logits.count,
            "\(truths.count) targets and \(examples.count) examples for \(logits.count) rows")
        var wrong: [ClassificationMetrics.Pair: [ErrorGroup.Row]] = [:]
        for (row, truth) in truths.enumerated() {
            let prediction = argmax(logits[row])
            if prediction == Int(truth) { continue }
            let pair = ClassificationMetrics.Pair(truth: Int(truth), prediction: prediction)
            wrong[pair, default: []].append(
                ErrorGroup.Row(
                    line: examples[row].line, text: examples[row].text,
                    confidence: softmax(logits[row])[prediction]))
        }
        return metrics.topConfusions(5).map { confusion in
            // Swift's sort is stable: of equals the first of the file comes first.
            let rows = (wrong[confusion.pair] ?? []).sorted { $0.confidence > $1.confidence }
            return ErrorGroup(
                truth: metrics.labels[confusion.pair.truth],
                prediction: metrics.labels[confusion.pair.prediction], count: confusion.count,
                rows: Array(rows.prefix(limit)))
        }
    }
}

extension ErrorGroup {
    /// The group as lines for a terminal; texts are cut to `width` characters.
    public func lines(width: Int = 100) -> String {
        let head = "\(truth) taken for \(prediction), \(count) row\(count == 1 ? "" : "s")"
        let body = rows.map { row in
            let text = row.text.split(whereSeparator: \.isNewline).joined(separator: " ")
            let cut = text.count > width ? text.prefix(width - 1) + "…" : text[...]
            return "  line \(row.line)  \(Readable.number(row.confidence))  \(cut)"
        }
        return ([head] + body).joined(separator: "\n")
    }

    /// The group as it stands in a report.
    public var document: JSONValue {
        [
            "truth": .string(truth), "prediction": .string(prediction), "count": JSONValue(count),
            "rows": .array(
                rows.map {
                    [
                        "line": JSONValue($0.line), "text": .string($0.text),
                        "confidence": .number($0.confidence),
                    ]
                }),
        ]
    }
}
