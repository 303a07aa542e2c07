// SPDX-License-Identifier: Apache-2.0
/// Corpora in every format, and every fault a line can have.

import CairnText
import Foundation
import Testing

func corpus(
    _ text: String, _ format: Corpus.Format = .jsonLines, _ task: Corpus.Task = .classification
) throws -> Corpus {
    try Corpus(data: Data(text.utf8), file: "c", format: format, task: task)
}

@Suite struct CorpusTests {
    @Test func `JSON Lines rows give texts, labels, lines and splits`() throws {
        let rows = """
            \u{FEFF}{"text":"one","label":"a","split":"dev"}\r
            \r
            {"input":"t\\u00e9","label":"b","id":7,"split":"test"}
            """

        let examples = try corpus(rows).examples

        #expect(
            examples == [
                Example(text: "one", target: .label("a"), line: 1, split: .validation),
                Example(text: "té", target: .label("b"), line: 3, split: .test),
            ])
    }

    @Test func `a label is a name or an id`() throws {
        let rows = #"{"text":"x","label":3}"#

        #expect(try corpus(rows).examples[0].target == .classID(3))
        #expect(
            try corpus(#"{"text":"x","labels":["b","a"]}"#, .jsonLines, .multiLabel)
                .examples[0].target == .labels(["b", "a"]))
        #expect(
            try corpus(#"{"text":"x","labels":[2,0]}"#, .jsonLines, .multiLabel)
                .examples[0].target == .classIDs([2, 0]))
        #expect(
            try corpus(#"{"text":"x","label":1}"#, .jsonLines, .regression)
                .examples[0].target == .values([1]))
        #expect(
            try corpus(#"{"text":"x","labels":[1.5,-2]}"#, .jsonLines, .regression)
                .examples[0].target == .values([1.5, -2]))
        #expect(try corpus(#"{"text":"x"}"#, .jsonLines, .prediction).examples[0].target == .none)
    }

    @Test func `CSV quotes hold commas, quotes and line ends`() throws {
        let table = "id,sentence,label\r\n1,\"a, \"\"b\"\"\r\nc\",pos\r\n2,plain,neg\n"

        let examples = try corpus(table, .csv).examples

        #expect(
            examples == [
                Example(text: "a, \"b\"\r\nc", target: .label("pos"), line: 2),
                Example(text: "plain", target: .label("neg"), line: 4),
            ])
    }

    @Test func `TSV is taken literally`() throws {
        let table = "text\tlabel\tsplit\n\"quoted\" 'x'\t1\ttrain\n\"\t0\tval\n"

        let rows = try corpus(table, .tsv)

        #expect(
            rows.examples == [
                Example(text: "\"quoted\" 'x'", target: .classID(1), line: 2, split: .train),
                Example(text: "\"", target: .classID(0), line: 3, split: .validation),
            ])
        #expect(rows.hasSplits)
        #expect(rows.examples(in: .train).examples.map(\.line) == [2])
        #expect(rows.examples(in: .test).examples.isEmpty)
    }

    @Test func `several labels of a table are separated by bars`() throws {
        let table = "text\tlabels\nx\ta|b\ny\t\n"

        let targets = try corpus(table, .tsv, .multiLabel).examples.map(\.target)

        #expect(targets == [.labels(["a", "b"]), .labels([])])
    }

    @Test func `one name among numbers makes every label a name`() throws {
        let targets = try corpus("text,label\nx,1\ny,none\n", .csv).examples.map(\.target)

        #expect(targets == [.label("1"), .label("none")])
    }

    @Test func `all bad lines are told at once`() throws {
        let rows = """
            {"text":"fine","label":0}
            nonsense
            {"label":0}
            {"text":"x"}
            {"text":"x","label":1.5}
            {"text":"x","input":"y","label":1}
            {"text":"x","label":0,"split":"spring"}
            """

        let error = #expect(throws: CorpusError.self) { try corpus(rows) }

        #expect(
            error?.description == """
                c: 6 bad lines: line 2: not JSON: expected a value at column 1; \
                line 3: no string under 'text' (or 'input', 'sentence'); \
                line 4: no label; \
                line 5: the label must be a name or a class id from 0 on, found 1.5; \
                line 6: 'text' and 'input' mean the same; keep one; \
                line 7: 'split' must be train, validation or test, found the string 'spring'
                """)
    }

    @Test func `a long list of bad lines is cut`() throws {
        let error = #expect(throws: CorpusError.self) {
            try corpus(String(repeating: "x\n", count: 25))
        }

        let faults = try #require(error?.description.split(separator: "; "))
        #expect(faults.count == 21)
        #expect(faults.last == "and 5 more")
    }

    static let tables: [(table: String, format: Corpus.Format, sentence: String)] = [
        ("", .csv, "c: holds no row"),
        ("", .jsonLines, "c: holds no row"),
        ("text,label\n", .csv, "c: holds no row"),
        ("\n\n", .tsv, "c: holds no row"),
        (
            "body,label\nx,1\n", .csv,
            "c: the header has no column 'text' (or 'input', 'sentence'); found body, label"
        ),
        ("text,id\nx,1\n", .csv, "c: the header has no column 'label' or 'labels'; found text, id"),
        (
            "text,label,Label\nx,1,2\n", .csv,
            "c: the columns 'label' and 'Label' mean the same; keep one"
        ),
        (
            "text,label\nx,1,2\n", .csv,
            "c, line 2: 3 fields where the header has 2"
        ),
        (
            "text,label\n\"x,1\ny,2\n", .csv,
            "c, line 2: a quote that opens here is never closed"
        ),
        (
            "text,label\n\"x\"z,1\n", .csv,
            "c, line 2: text after a closing quote"
        ),
        (
            "text,label\nx\"z,1\n", .csv,
            "c, line 2: a quote inside a field that is not quoted"
        ),
        ("text\tlabel\nx\t\n", .tsv, "c, line 2: no label"),
    ]

    @Test(arguments: tables.indices)
    func `a table that cannot be used is refused`(index: Int) {
        let (table, format, sentence) = Self.tables[index]

        let error = #expect(throws: CorpusError.self) { try corpus(table, format) }

        #expect(error?.description == sentence)
    }

    @Test(arguments: [Corpus.Format.csv, .tsv, .jsonLines])
    func `text that is not UTF-8 is told by its line`(format: Corpus.Format) {
        let separator: UInt8 = format == .csv ? 0x2C : 0x09
        var bytes = Array("text".utf8) + [separator] + Array("label\nx".utf8) + [separator]
        if format == .jsonLines { bytes = Array("{\"text\":\"a\",\"label\":1}\n\"".utf8) }
        bytes += [0x31, 0xFF, 0x0A]

        let error = #expect(throws: CorpusError.self) {
            try Corpus(data: Data(bytes), file: "c", format: format)
        }

        guard case .badLines(_, let faults)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(faults.map(\.line) == [2])
        #expect(faults[0].reason.contains("UTF-8"))
    }

    @Test func `lines of text are rows without labels`() throws {
        let data = Data("one line\r\n\n \t\n  another, with blanks \n".utf8)

        let corpus = try Corpus(data: data, file: "a.txt", format: .text, task: .prediction)

        #expect(corpus.examples.map(\.text) == ["one line", "  another, with blanks "])
        #expect(corpus.examples.map(\.line) == [1, 4])
        #expect(corpus.examples.allSatisfy { $0.target == .none })
        #expect(throws: CorpusError.noLabels(file: "a.txt")) {
            try Corpus(data: data, file: "a.txt", format: .text, task: .classification)
        }
        #expect(throws: CorpusError.self) {
            try Corpus(
                data: Data([0x61, 0x0A, 0xFF]), file: "a.txt", format: .text, task: .prediction)
        }
    }

    @Test func `the format is that of the extension`() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-\(UUID().uuidString).tsv")
        defer { try? FileManager.default.removeItem(at: url) }
        try Data("text\tlabel\nx\ta\n".utf8).write(to: url)

        #expect(try Corpus(contentsOf: url).examples.count == 1)
        #expect(throws: CorpusError.self) { try Corpus(contentsOf: url, format: .jsonLines) }
        let unknown = #expect(throws: CorpusError.self) {
            try Corpus(contentsOf: url.deletingPathExtension())
        }
        #expect(unknown?.description.contains("unknown format") == true)
    }

    @Test func `duplicates and conflicts are found`() throws {
        let rows = try corpus("text\tlabel\na\tx\nb\tx\na\tx\na\ty\nb\tx\nc\ty\n", .tsv)

        let report = CorpusReport(rows)

        #expect(report.rows == 6)
        #expect(report.classCounts.map(\.name) == ["x", "y"])
        #expect(report.classCounts.map(\.rows) == [4, 2])
        #expect(report.duplicates.map(\.lines) == [[2, 4], [3, 6]])
        #expect(report.conflicts.map(\.lines) == [[2, 4, 5]])
        #expect(report.conflicts.map(\.labels) == [["x", "x", "y"]])
        #expect(report.superfluousRows == 2)
    }
}
