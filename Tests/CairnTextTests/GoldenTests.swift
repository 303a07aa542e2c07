// SPDX-License-Identifier: Apache-2.0
/// Tokenizers against what the reference library made of the same texts.

import CairnText
import Foundation
import Testing

/// One text of a fixture, with every result that the reference library gave for it.
struct GoldenCase: Decodable {
    var text: String
    var ids: [Int32]
    var ids_no_special: [Int32]
    var tokens: [String]
    var decoded: String
    var decoded_skip_special: String
}

enum Fixtures {
    static func data(_ path: String) throws -> Data {
        let root = try #require(Bundle.module.resourceURL)
        return try Data(contentsOf: root.appendingPathComponent("Fixtures/\(path)"))
    }

    /// The references of `Tests/Fixtures/make_golden.py`; `CAIRN_GOLDEN` names another run of it.
    static let golden: URL = {
        if let path = ProcessInfo.processInfo.environment["CAIRN_GOLDEN"] {
            return URL(fileURLWithPath: path)
        }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/golden")
    }()

    static func tokenizer(_ name: String) throws -> Tokenizer {
        try Tokenizer(contentsOf: golden.appendingPathComponent("models/\(name)/tokenizer.json"))
    }

    static func expected(_ name: String) throws -> Data {
        try Data(contentsOf: golden.appendingPathComponent("tokenizer/\(name).json"))
    }
}

@Suite struct GoldenTests {
    struct Golden: Decodable {
        struct Case: Decodable {
            var text: String
            var offsets: [[Int]]
        }
        var cases: [Case]
    }
    struct GoldenValues: Decodable {
        var cases: [GoldenCase]
        var vocab_size: Int
    }

    @Test(arguments: ["qwen2", "llama", "bert"])
    func `ids, tokens and texts equal those of Python`(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let golden = try JSONDecoder().decode(
            GoldenValues.self, from: try Fixtures.expected(name))

        #expect(golden.cases.count == 56)
        #expect(tokenizer.vocabularySize == golden.vocab_size)
        for expected in golden.cases {
            let encoding = try tokenizer.encode(expected.text)
            let plain = try tokenizer.ids(expected.text, addSpecialTokens: false)
            #expect(encoding.ids == expected.ids, "\(expected.text)")
            #expect(try tokenizer.ids(expected.text) == expected.ids, "\(expected.text)")
            #expect(plain == expected.ids_no_special, "\(expected.text)")
            #expect(encoding.tokens == expected.tokens, "\(expected.text)")
            let decoded = tokenizer.decode(expected.ids, skipSpecialTokens: false)
            #expect(Array(decoded.utf8) == Array(expected.decoded.utf8))
            let skipped = tokenizer.decode(expected.ids)
            #expect(Array(skipped.utf8) == Array(expected.decoded_skip_special.utf8))
        }
    }

    @Test(arguments: ["qwen2", "llama", "bert"])
    func `offsets equal those of Python`(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let golden = try JSONDecoder().decode(
            Golden.self, from: try Fixtures.expected(name))

        for expected in golden.cases {
            let offsets = try tokenizer.encode(expected.text).offsets
            #expect(
                offsets.map { [$0.lowerBound, $0.upperBound] } == expected.offsets,
                "\(expected.text)")
        }
    }
}
