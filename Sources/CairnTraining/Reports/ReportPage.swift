// SPDX-License-Identifier: Apache-2.0
/// The report of a run as one page: report.html.

import CairnFormats
import Foundation

extension RunHistory {
    /// The report as one HTML file that loads nothing and runs nothing: its policy forbids both.
    ///
    /// Curves are thinned to what the eye can see, tables cut with a note, so that the file stays
    /// below a megabyte whatever the run's length.
    public var html: Data {
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta http-equiv="Content-Security-Policy" \
            content="default-src 'none'; style-src 'unsafe-inline'">
            <title>\(title)</title>
            <style>
            \(ReportStyle.sheet)</style>
            </head>
            <body>
            <main>
            <header>
            <h1>\(title)</h1>
            <p>\(subtitle)</p>
            </header>
            \(HTML.list(headline, kind: "tiles"))\
            \(HTML.section("Curves", [curves]))\
            \(HTML.section("Test", testParts))\
            \(HTML.section("Epochs", [epochTable]))\
            \(HTML.section("Time and memory", [timeParts]))\
            \(HTML.section("Settings", [HTML.list(settings, kind: "facts")]))\
            \(HTML.section("Digests", [HTML.list(digests, kind: "facts digests")]))\
            <footer>Written by Cairn \(CairnVersion.string).</footer>
            </main>
            </body>
            </html>

            """
        return Data(page.source.utf8)
    }

    /// Writes `history.csv` and `report.html` into a directory, each in one step.
    public func write(to directory: URL) throws(FormatError) {
        try DurableFile.write(csv, to: directory.appendingPathComponent("history.csv"))
        try DurableFile.write(html, to: directory.appendingPathComponent("report.html"))
    }

    // MARK: Head

    private var subtitle: String {
        var parts = [status]
        func add(_ count: Int, _ unit: String) {
            parts.append("\(Readable.count(count)) \(unit)\(count == 1 ? "" : "s")")
        }
        add(epochs.count, "epoch")
        add(max(steps.last?.number ?? 0, epochs.last?.step ?? 0), "step")
        if let bestEpoch { parts.append("best after epoch \(bestEpoch)") }
        return parts.joined(separator: " · ")
    }

    /// The best epoch, where it is among the epochs.
    private var best: Epoch? { epochs.first { $0.number == bestEpoch } }

    private var headline: [Fact] {
        var facts: [Fact] = []
        func add(_ name: String, _ value: String?) {
            if let value { facts.append(Fact(name, value)) }
        }
        let share: (Double?) -> String? = { $0.map { Readable.number($0) } }
        add("validation loss, best epoch", share(best?.validationLoss))
        if let test {
            add("test accuracy", share(test.accuracy))
            add("test macro F1", share(test.macroF1))
            add("test MCC", share(test.metrics?.matthews))
            add("test R²", share(test.regression?.r2))
        } else {
            add("validation accuracy, best epoch", share(best?.validationAccuracy))
        }
        add("tokens per second", throughput.tokensPerSecond.map { Readable.rate($0) })
        add("time", timing.total > 0 ? Readable.seconds(timing.total) : nil)
        add("peak memory", peakByteCount.map(Readable.bytes))
        return facts
    }

    // MARK: Curves

    private var curves: HTML {
        let numbers = steps.map(\.number) + epochs.map(\.step)
        let figures = [lossChart, accuracyChart, rateChart, normChart].map { chart -> HTML in
            var chart = chart
            if let first = numbers.min(), let last = numbers.max() {
                chart.span = Double(first)...Double(last)
            }
            return chart.figure
        }
        return figures.allSatisfy { $0.source.isEmpty }
            ? .empty : "<div class=\"charts\">\n\(figures)</div>\n"
    }

    private func ofSteps(_ value: (Step) -> Double?) -> Curve {
        Curve(steps.map { (x: $0.number, y: value($0)) })
    }

    private func ofEpochs(_ value: (Epoch) -> Double?) -> Curve {
        Curve(epochs.map { (x: $0.step, y: value($0)) })
    }

    /// The values of steps, pale, under their running mean.
    private func withMean(_ curve: Curve, _ name: String) -> [Chart.Series] {
        let mean = Chart.Series(
            name: "mean over about \(Readable.count(curve.smoothingSpan)) steps", kind: .train,
            curve: curve.smoothed)
        return [Chart.Series(name: name, kind: .raw, curve: curve)]
            + (curve.smoothingSpan > 1 ? [mean] : [])
    }

    private var lossChart: Chart {
        let validation = Chart.Series(
            name: "validation", kind: .validation, curve: ofEpochs(\.validationLoss))
        let training =
            steps.isEmpty
            ? [Chart.Series(name: "train", kind: .train, curve: ofEpochs { $0.trainLoss })]
            : withMean(ofSteps { $0.loss }, "train")
        return Chart(
            title: "Loss", series: training + [validation],
            ring: best.map {
                (Curve.Point(x: Double($0.step), y: $0.validationLoss ?? .nan), "best")
            })
    }

    private var accuracyChart: Chart {
        Chart(
            title: "Accuracy",
            series: [
                Chart.Series(name: "train", kind: .train, curve: ofEpochs(\.trainAccuracy)),
                Chart.Series(
                    name: "validation", kind: .validation, curve: ofEpochs(\.validationAccuracy)),
            ], limits: 0...1)
    }

    private var rateChart: Chart {
        Chart(
            title: "Learning rate",
            series: [
                Chart.Series(name: "rate", kind: .train, curve: ofSteps { $0.learningRate })
            ], holds: [0])
    }

    private var normChart: Chart {
        Chart(title: "Gradient norm", series: withMean(ofSteps(\.gradientNorm), "norm"), holds: [0])
    }

    // MARK: Epochs and time

    /// Of more epochs than a table can hold the first and the last are shown.
    private static let shownEpochs = 200

    private var epochTable: HTML {
        let half = Self.shownEpochs / 2
        let isCut = epochs.count > Self.shownEpochs
        let shown = isCut ? Array(epochs.prefix(half) + epochs.suffix(half)) : epochs
        if shown.isEmpty { return .empty }
        let columns = Self.epochColumns.filter { column in
            shown.contains { column.text($0) != Readable.number(nil) }
        }
        return .table(
            caption: isCut
                ? "The first and last \(half) of \(Readable.count(epochs.count)) epochs"
                : "Every epoch",
            head: ["epoch"] + columns.map(\.name),
            rows: shown.map { epoch in
                ["\(epoch.number)\(epoch.number == bestEpoch ? " (best)" : "")"]
                    + columns.map { "\($0.text(epoch))" }
            })
    }

    /// What the table tells of an epoch; a column that no epoch fills is left out.
    private static let epochColumns: [(name: String, text: @Sendable (Epoch) -> String)] = [
        ("step", { Readable.count($0.step) }),
        ("train loss", { Readable.number($0.trainLoss) }),
        ("validation loss", { Readable.number($0.validationLoss) }),
        ("train accuracy", { Readable.number($0.trainAccuracy) }),
        ("validation accuracy", { Readable.number($0.validationAccuracy) }),
        ("validation macro F1", { Readable.number($0.validationMacroF1) }),
        ("learning rate", { Readable.number($0.learningRate) }),
        ("tokens/s", { Readable.rate($0.throughput.tokensPerSecond) }),
        ("training", { Readable.seconds($0.throughput.seconds) }),
        ("validation", { $0.validationSeconds.map(Readable.seconds) ?? Readable.number(nil) }),
    ]

    private var timeParts: HTML {
        let total = timing.total
        guard total > 0 else { return .empty }
        let parts = RunTiming.Phase.allCases.map {
            (name: $0.rawValue, seconds: timing[$0], share: timing[$0] / total)
        }
        let pieces = parts.map {
            "<span class=\"\($0.name)\" style=\"width:\(Chart.text($0.share * 100))%\"></span>"
                as HTML
        }
        let keys = parts.map { part -> HTML in
            let amount = "\(Readable.seconds(part.seconds)), \(Readable.percent(part.share))"
            return """
                <span><span class="key \(part.name)"></span>\(part.name) <b>\(amount)</b></span>

                """
        }
        var facts = [
            Fact("rows trained on", Readable.count(rows)),
            Fact("real tokens trained on", Readable.count(tokens)),
            Fact("rows per second of training", Readable.rate(throughput.rowsPerSecond)),
            Fact("tokens per second of training", Readable.rate(throughput.tokensPerSecond)),
        ]
        if let peakByteCount { facts.append(Fact("peak memory", Readable.bytes(peakByteCount))) }
        return """
            <div class="bar" aria-hidden="true">\(pieces)</div>
            <p class="legend wide">\(keys)</p>
            \(HTML.list(facts, kind: "facts"))
            """
    }
}
