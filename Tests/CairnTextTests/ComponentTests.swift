// SPDX-License-Identifier: Apache-2.0
/// Every component, alone and together, against the reference library (Fixtures/make_fixtures.py).

import CairnText
import Foundation
import Testing

@Suite struct ComponentTests {
    /// What the reference library gave for one text.
    struct Case {
        var fields: [String: Any]

        func text(_ key: String) throws -> String { try #require(fields[key] as? String) }
        func numbers(_ key: String) throws -> [Int] { try #require(fields[key] as? [Int]) }
        func texts(_ key: String) throws -> [String] { try #require(fields[key] as? [String]) }
    }

    struct Component: CustomStringConvertible, Sendable {
        var name: String
        /// The entry of the fixture, as JSON, because Any is not Sendable.
        var json: Data
        var description: String { name }

        func load() throws -> (Tokenizer, [Case]) {
            let entry = try #require(JSONSerialization.jsonObject(with: json) as? [String: Any])
            let file = try JSONSerialization.data(withJSONObject: try #require(entry["tokenizer"]))
            let cases = try #require(entry["cases"] as? [[String: Any]])
            return (try Tokenizer(data: file, file: name), cases.map(Case.init))
        }
    }

    static let components: [Component] = {
        guard let data = try? Fixtures.data("components.json"),
            let list = try? JSONSerialization.jsonObject(with: data) as? [[String: Any]]
        else { return [] }
        return list.compactMap { entry in
            guard let name = entry["name"] as? String,
                let json = try? JSONSerialization.data(withJSONObject: entry)
            else { return nil }
            return Component(name: name, json: json)
        }
    }()

    @Test func `the fixture has every component`() {
        #expect(Self.components.count >= 85)
    }

    @Test(arguments: components)
    func `a component does what the reference library does`(component: Component) throws {
        let (tokenizer, cases) = try component.load()

        #expect(cases.count >= 15)
        for expected in cases {
            let text = try expected.text("text")
            let encoding = try tokenizer.encode(text)
            #expect(encoding.ids.map(Int.init) == (try expected.numbers("ids")), "\(text)")
            #expect(flat(encoding.offsets) == (try expected.numbers("offsets")), "\(text)")
            #expect(encoding.typeIDs.map(Int.init) == (try expected.numbers("type_ids")))
            #expect(bytes(encoding.tokens) == bytes(try expected.texts("tokens")), "\(text)")

            let plain = try tokenizer.encode(text, addSpecialTokens: false)
            #expect(plain.ids.map(Int.init) == (try expected.numbers("ids_no_special")))
            #expect(
                plain.typeIDs.map(Int.init) == (try expected.numbers("type_ids_no_special")))
        }
    }

    @Test(arguments: components)
    func `decoding gives the reference library's text`(component: Component) throws {
        let (tokenizer, cases) = try component.load()

        for expected in cases {
            let ids = try expected.numbers("ids").map(Int32.init)
            let decoded = tokenizer.decode(ids, skipSpecialTokens: false)
            #expect(bytes([decoded]) == bytes([try expected.text("decoded")]))
            let skipped = tokenizer.decode(ids)
            #expect(bytes([skipped]) == bytes([try expected.text("decoded_skip_special")]))
        }
    }

    @Test(arguments: components)
    func `truncation keeps the special tokens`(component: Component) throws {
        let (tokenizer, cases) = try component.load()

        for expected in cases {
            let encoding = try tokenizer.encode(try expected.text("text"), maxLength: 5)
            #expect(encoding.ids.map(Int.init) == (try expected.numbers("ids_max5")))
            #expect(flat(encoding.offsets) == (try expected.numbers("offsets_max5")))
            #expect(encoding.typeIDs.map(Int.init) == (try expected.numbers("type_ids_max5")))
            #expect(encoding.isTruncated == (try expected.numbers("ids").count > 5))
            #expect(
                try tokenizer.ids(try expected.text("text"), maxLength: 5) == encoding.ids)
        }
    }

    private func flat(_ ranges: [Range<Int>]) -> [Int] {
        ranges.flatMap { [$0.lowerBound, $0.upperBound] }
    }

    /// Swift's strings compare by canonical equivalence; tokens must agree to the byte.
    private func bytes(_ texts: [String]) -> [[UInt8]] { texts.map { Array($0.utf8) } }
}
