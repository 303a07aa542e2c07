// SPDX-License-Identifier: Apache-2.0
/// What holds for every tokenizer: spelling of keys, threads, long words, scanners.

import CairnTensor
import CairnText
import Foundation
import Testing

@Suite struct TokenizerTests {
    @Test func `tokens that are canonically equivalent stay two tokens`() throws {
        let model = """
            {"type":"BPE","unk_token":null,"vocab":{"\\u00e9":0,"e":1,"\\u0301":2,"e\\u0301":3},
            "merges":["e \\u0301"]}
            """
        let subject = try tokenizer(tokenizerFile(model: model))

        #expect(try subject.ids("\u{E9}") == [0])
        #expect(try subject.ids("e\u{301}") == [3])
        #expect(subject.id(of: "\u{E9}") == 0)
        #expect(subject.id(of: "e\u{301}") == 3)
        #expect(subject.token(of: 1) == "e")
        #expect(subject.token(of: 4) == nil)
        #expect(subject.vocabularySize == 4)
    }

    @Test func `a long word merges by rank and from the left`() throws {
        let model = #"{"type":"BPE","vocab":{"a":0,"aa":1,"aaaa":2},"merges":["a a","aa aa"]}"#
        let subject = try tokenizer(tokenizerFile(model: model))

        let ids = try subject.ids(String(repeating: "a", count: 100_003))

        #expect(ids.count == 25_002)
        #expect(ids.prefix(25_000).allSatisfy { $0 == 2 })
        #expect(ids.suffix(2) == [1, 0])
    }

    @Test func `many threads get what one gets`() throws {
        let subject = try Fixtures.tokenizer("llama")
        let texts = RandomTexts.make(400, seed: 3)
        let expected = try texts.map { try subject.ids($0) }

        let corpus = Corpus(
            file: "c", task: .prediction,
            examples: texts.enumerated().map { Example(text: $1, target: .none, line: $0 + 1) })
        let encoded = try subject.encode(corpus)

        #expect(encoded.rows.map(\.ids) == expected)
        #expect(encoded.rows.map(\.index) == Array(0..<400))
        #expect(encoded.tokenCount == expected.reduce(0) { $0 + $1.count })
    }

    /// The expressions that are scanned by hand; in a group they are not recognised, so the
    /// regular expression engine cuts.
    static let expressions = [
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
        modern(#"\p{N}{1,3}"#), modern(#"\p{N}"#),
    ]

    static func modern(_ number: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    @Test(arguments: expressions)
    func `a scanner cuts where its expression does`(expression: String) throws {
        func cutter(_ expression: String) throws -> Tokenizer {
            let quoted = String(
                decoding: try JSONEncoder().encode(expression), as: UTF8.self)
            return try tokenizer(
                tokenizerFile(
                    preTokenizer: """
                        {"type":"Split","pattern":{"Regex":\(quoted)},"behavior":"Isolated",
                        "invert":false}
                        """))
        }
        let scanner = try cutter(expression)
        let engine = try cutter("(?:\(expression))")

        for text in RandomTexts.make(1500, seed: 5) {
            let (scanned, matched) = (try scanner.encode(text), try engine.encode(text))
            #expect(scanned.offsets == matched.offsets, "\(text.unicodeScalars.map(\.value))")
        }
    }
}

/// Random texts over what split expressions tell apart.
enum RandomTexts {
    static let alphabet: [Unicode.Scalar] = Array(
        ("abzAZ  \t\r\n\u{85}\u{A0}\u{2003}'''sStTrReEvVlLmMdDſ0129½²٣.,!-_("
            + "éßд漢字\u{301}😀👩\u{200D}\u{0}\u{FFFD}").unicodeScalars)

    static func make(_ count: Int, seed: UInt64) -> [String] {
        var stream = RandomStream(seed: seed, name: "texts")
        return (0..<count).map { _ in
            var text = String.UnicodeScalarView()
            for _ in 0..<1 + stream.index(below: 24) {
                text.append(alphabet[stream.index(below: alphabet.count)])
            }
            return String(text)
        }
    }
}
