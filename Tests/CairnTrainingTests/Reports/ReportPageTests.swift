// SPDX-License-Identifier: Apache-2.0
/// report.html of runs of every shape: whole, escaped, bounded, the same every time.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ReportPageTests {
    private func page(_ history: RunHistory) -> String {
        String(decoding: history.html, as: UTF8.self)
    }

    /// Every element is closed in the order in which it was opened.
    private func unbalanced(_ page: String) -> String? {
        let void: Set<Substring> = ["meta", "!DOCTYPE", "br"]
        var open: [Substring] = []
        let body = page.replacingOccurrences(of: "\n", with: " ")
        for piece in body.split(separator: "<").dropFirst(body.hasPrefix("<") ? 0 : 1) {
            guard let end = piece.firstIndex(of: ">") else { return "unclosed tag in '\(piece)'" }
            let tag = piece[..<end]
            let name = tag.drop { $0 == "/" }.prefix { $0 != " " && $0 != "/" }
            if tag.hasPrefix("/") {
                guard open.popLast() == name else { return "</\(name)> closes \(open)" }
            } else if !tag.hasSuffix("/") && !void.contains(name) {
                open.append(name)
            }
        }
        return open.isEmpty ? nil : "\(open) is left open"
    }

    @Test(arguments: ExampleHistories.all.map(\.name))
    func `every element is closed, and nothing is loaded or run`(name: String) throws {
        let history = try #require(ExampleHistories.all.first { $0.name == name }).history

        let page = page(history)

        #expect(unbalanced(page) == nil)
        for word in ["<script", "src=", "href=", "url(", "http:", "https:", "@import", "NaN,"] {
            #expect(!page.contains(word), "\(word)")
        }
        #expect(!page.contains("nan ") && !page.contains("inf "))
    }

    @Test func `the check of elements itself sees what is wrong`() {
        #expect(unbalanced("<p><b>x</p></b>") != nil)
        #expect(unbalanced("<p>x") != nil)
        #expect(unbalanced("<p a=\"<b>\">x</p>") != nil)
        #expect(unbalanced("<p><path d=\"\"/></p>") == nil)
    }

    @Test func `names are text, whatever they hold`() {
        let page = page(ExampleHistories.broken)

        #expect(
            page.contains(
                "<h1>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;friends&#39;</h1>"
            ))
        #expect(page.contains("<dd>\u{FFFD}&lt;script&gt;"))
        #expect(page.contains("été"))
    }

    @Test func `numbers that are none are counted, not drawn`() {
        let page = page(ExampleHistories.broken)

        #expect(page.contains("2 values of train not finite; 1 value of validation not finite"))
        #expect(page.contains("<td>NaN</td>"))
    }

    @Test func `a run of one step is a dot`() throws {
        let page = page(ExampleHistories.oneStep)

        #expect(page.contains("<circle class=\"raw\""))
        #expect(page.contains("interrupted · 0 epochs · 1 step<"))
        #expect(!page.contains("Gradient norm"))
    }

    @Test func `a run of nothing is a heading`() {
        let page = page(ExampleHistories.empty)

        #expect(page.contains("starting · 0 epochs · 0 steps"))
        #expect(!page.contains("<svg") && !page.contains("<h2>"))
    }

    @Test func `a report of 100 000 steps is no larger than a picture`() {
        let history = ExampleHistories.long

        #expect(history.steps.count == 100_000)
        #expect(history.html.count < 250_000)
        #expect(page(history).contains("The first and last 100 of 250 epochs"))
    }

    @Test func `the best epoch is the one with the lowest validation loss`() {
        let page = page(ExampleHistories.usual())

        #expect(page.contains("completed · 4 epochs · 720 steps · best after epoch 3"))
        #expect(page.contains(">3 (best)</th>"))
        #expect(page.contains("class=\"ring\""))
    }

    @Test func `a test of classes shows matrix, classes, calibration and intervals`() throws {
        let history = ExampleHistories.usual()
        let page = page(history)
        let metrics = try #require(history.test?.metrics)
        let accuracy = try #require(history.intervals?.accuracy)

        #expect(page.contains("class=\"matrix\""))
        #expect(page.components(separatedBy: "<td class=\"right").count == 6 + 1)
        #expect(page.contains("\(Readable.number(metrics.perClass[5].f1))</td>"))
        #expect(page.contains("Calibration"))
        #expect(
            page.contains(
                "\(Readable.number(metrics.accuracy)) (\(Readable.number(accuracy.lower)) to "))
    }

    @Test func `many classes are cut to the worst, and the page says so`() {
        let page = page(ExampleHistories.classes)

        #expect(page.contains("Most often confused, of 240 classes"))
        #expect(page.contains("The 200 of 240 classes with the lowest F1"))
        #expect(!page.contains("class=\"matrix\""))
    }

    @Test func `time is told apart by what it went into`() {
        let page = page(ExampleHistories.usual())

        #expect(page.contains("training <b>36.4 s, 85.8 %</b>"))
        #expect(page.contains("validation <b>4.8 s, 11.3 %</b>"))
        #expect(page.contains("saving <b>1.2 s, 2.9 %</b>"))
        #expect(page.contains("<dt>peak memory</dt><dd>412 MB</dd>"))
    }

    @Test func `the same history gives the same bytes`() {
        #expect(ExampleHistories.usual().html == ExampleHistories.usual().html)
    }

    @Test func `both files are written into the directory`() throws {
        let directory = try TemporaryDirectory()
        let history = ExampleHistories.oneStep

        try history.write(to: directory.url)

        #expect(try Data(contentsOf: directory.file("report.html")) == history.html)
        #expect(try Data(contentsOf: directory.file("history.csv")) == history.csv)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        #expect(names.sorted() == ["history.csv", "report.html"])
    }
}
