// SPDX-License-Identifier: Apache-2.0
/// The part of a run's report that tells how good the model is.

import Foundation

extension RunHistory {
    /// Larger tables are cut, with a note that says so.
    private static let shownClasses = 200
    private static let matrixClasses = 30

    var testParts: [HTML] {
        guard let test else { return [] }
        var parts: [HTML] = []
        if let metrics = test.metrics {
            parts += [confusion(metrics), scores(metrics.perClass, "classes")]
        }
        if let probabilities = test.probabilities { parts.append(calibration(probabilities)) }
        if let multiLabel = test.multiLabel {
            parts.append(scores(multiLabel.perLabel, "labels"))
        }
        if let regression = test.regression { parts.append(errors(regression)) }
        return [.list(figures(test), kind: "facts"), "<div class=\"parts\">\n\(parts)</div>\n"]
    }

    private func figures(_ test: Evaluation) -> [Fact] {
        var facts = [Fact(testName, Readable.count(test.logits.count))]
        func add(_ name: String, _ value: Double?, _ interval: ConfidenceInterval? = nil) {
            guard let value else { return }
            let range = interval.map {
                " (\(Readable.number($0.lower)) to \(Readable.number($0.upper)))"
            }
            facts.append(Fact(name, Readable.number(value) + (range ?? "")))
        }
        add("loss", test.loss)
        add("perplexity", test.perplexity)
        add("accuracy", test.accuracy, intervals?.accuracy)
        add("macro F1", test.macroF1, intervals?.macroF1)
        add("weighted F1", test.metrics?.weighted.f1 ?? test.multiLabel?.weighted.f1)
        add("micro F1", test.multiLabel?.micro.f1)
        add("all labels of a row right", test.multiLabel?.subsetAccuracy)
        add("Matthews' correlation", test.metrics?.matthews, intervals?.matthews)
        add("Cohen's kappa", test.metrics?.kappa)
        add("accuracy of always the largest class", test.metrics?.majorityBaseline)
        if let probabilities = test.probabilities {
            add("top-2 accuracy", probabilities.top2Accuracy)
            add("log loss", probabilities.logLoss)
            add("Brier score", probabilities.brier)
            add("calibration error", probabilities.calibrationError)
            add("confidence", probabilities.confidence.all)
            add("confidence where right", probabilities.confidence.right)
            add("confidence where wrong", probabilities.confidence.wrong)
        }
        if let intervals {
            facts.append(
                Fact(
                    "ranges",
                    "95 % of \(Readable.count(intervals.resamples)) resamples, seed "
                        + "\(intervals.seed)"))
        }
        return facts
    }

    // MARK: Classes

    private func confusion(_ metrics: ClassificationMetrics) -> HTML {
        let labels = metrics.labels
        if labels.count > Self.matrixClasses {
            let worst = metrics.topConfusions(20)
            return .table(
                caption: "Most often confused, of \(labels.count) classes",
                head: ["truth", "prediction", "rows"],
                rows: worst.map {
                    ["\(labels[$0.pair.truth])", "\(labels[$0.pair.prediction])", "\($0.count)"]
                })
        }
        let heads = labels.map { "<th scope=\"col\"><span>\($0)</span></th>" as HTML }
        let rows = labels.indices.map { truth -> HTML in
            let total = metrics.confusion[truth].reduce(0, +)
            let cells = labels.indices.map { prediction -> HTML in
                let count = metrics.confusion[truth][prediction]
                let share = ratio(count, total)
                let isStrong = share > 0.5 ? " strong" : ""
                let kind = truth == prediction ? "right" : "wrong"
                return """
                    <td class="\(kind + isStrong)" style="--share:\(String(format: "%.3f", share))">\
                    \(Readable.count(count))</td>
                    """
            }
            return "<tr><th scope=\"row\">\(labels[truth])</th>\(cells)<td>\(total)</td></tr>\n"
        }
        return """
            <div class="scroll"><table class="matrix"><caption>Confusion matrix: truth by row, \
            prediction by column, shade by share of the row</caption>
            <thead><tr><td></td>\(heads)<th scope="col"><span>rows</span></th></tr></thead>
            <tbody>
            \(rows)</tbody></table></div>

            """
    }

    private func scores(_ all: [ClassScore], _ kind: String) -> HTML {
        let isCut = all.count > Self.shownClasses
        let shown =
            isCut ? Array(all.sorted { $0.f1 < $1.f1 }.prefix(Self.shownClasses)) : all
        let rows = shown.map { score -> [HTML] in
            [
                "\(score.label)", "\(Readable.number(score.precision))",
                "\(Readable.number(score.recall))",
                """
                <span class="gauge" aria-hidden="true"><i \
                style="width:\(Chart.text(score.f1 * 100))%"></i></span>\
                \(Readable.number(score.f1))
                """,
                "\(Readable.count(score.support))",
            ]
        }
        return .table(
            caption: isCut
                ? "The \(shown.count) of \(all.count) \(kind) with the lowest F1"
                : "All \(kind)",
            head: ["", "precision", "recall", "F1", "rows"], rows: rows)
    }

    private func errors(_ regression: RegressionMetrics) -> HTML {
        .table(
            caption: "Every output", head: ["", "MSE", "MAE", "R²", "Pearson"],
            rows: regression.perOutput.map {
                [
                    "\($0.name)", "\(Readable.number($0.meanSquaredError))",
                    "\(Readable.number($0.meanAbsoluteError))", "\(Readable.number($0.r2))",
                    "\(Readable.number($0.pearson))",
                ]
            })
    }

    // MARK: Calibration

    /// The share of right rows by confidence: bars against the diagonal, the rows' number below.
    private func calibration(_ probabilities: ProbabilityMetrics) -> HTML {
        let total = probabilities.bins.reduce(0) { $0 + $1.count }
        let most = probabilities.bins.map(\.count).max() ?? 0
        guard total > 0 else { return .empty }
        let bars = probabilities.bins.enumerated().compactMap { place, bin -> HTML? in
            guard let accuracy = bin.accuracy, let confidence = bin.confidence,
                confidence.isFinite
            else { return nil }
            let left = Chart.text(40 + Double(place) * 26 + 1)
            let top = Chart.text(180 - accuracy * 170)
            let height = Chart.text(accuracy * 170)
            let share = ratio(bin.count, most)
            return """
                <rect class="share" x="\(left)" y="\(top)" width="24" height="\(height)"/>\
                <rect class="rows" x="\(left)" y="\(Chart.text(250 - share * 40))" width="24" \
                height="\(Chart.text(share * 40))"/>\
                <circle class="believed" cx="\(Chart.text(40 + confidence * 260))" \
                cy="\(Chart.text(180 - accuracy * 170))" r="3"/>

                """
        }
        let marks = (0...5).map { mark -> HTML in
            let share = Double(mark) / 5
            let place = Chart.text(180 - share * 170)
            let column = Chart.text(40 + share * 260)
            let name = Readable.tick(share, step: 0.2)
            return """
                <path class="grid" d="M40 \(place)H300"/>\
                <text class="tick" x="34" y="\(place)" dy=".32em" text-anchor="end">\(name)</text>\
                <text class="tick" x="\(column)" y="196" text-anchor="middle">\(name)</text>

                """
        }
        return """
            <figure class="calibration">
            <figcaption><b>Calibration</b><span class="legend">\
            <span><span class="key share"></span>share right</span>\
            <span><span class="key ideal"></span>ideal</span>\
            <span><span class="key rows"></span>rows</span></span></figcaption>
            <svg viewBox="0 0 310 286" role="img" aria-label="Share of right rows by confidence">
            \(marks)\(bars)<path class="ideal" d="M40 180L300 10"/>
            <path class="mark" d="M40 180H300M40 250H300"/>
            <text class="tick" x="34" y="214" dy=".32em" text-anchor="end">\
            \(Readable.count(most))</text>\
            <text class="tick" x="34" y="250" dy=".32em" text-anchor="end">0</text>\
            <text class="tick" x="170" y="272" text-anchor="middle">confidence</text>
            </svg>
            <p class="note">Expected calibration error \
            \(Readable.number(probabilities.calibrationError)); dots at the mean confidence of \
            their rows.</p>
            </figure>

            """
    }
}
