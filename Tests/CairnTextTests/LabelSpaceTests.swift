// SPDX-License-Identifier: Apache-2.0
/// Names and ids of classes, and what a row may say about them.

import CairnText
import Testing

@Suite struct LabelSpaceTests {
    private func rows(_ labels: [String]) throws -> Corpus {
        try corpus(labels.map { #"{"text":"x","label":\#($0)}"# }.joined(separator: "\n"))
    }

    private func multi(_ labels: [String]) throws -> Corpus {
        try corpus(
            labels.map { #"{"text":"x","labels":\#($0)}"# }.joined(separator: "\n"), .jsonLines,
            .multiLabel)
    }

    @Test func `names are sorted by code point`() throws {
        let corpus = try rows([#""b""#, #""é""#, #""B""#, #""b""#])
        let space = try LabelSpace(corpus)

        #expect(space.names == ["B", "b", "é"])
        #expect(try space.classIDs(for: corpus) == [1, 2, 0, 1])
        #expect(space.id(of: "b") == 1)
        #expect(space.id(of: "c") == nil)
    }

    @Test func `ids must have no gap`() throws {
        let space = try LabelSpace(try rows(["2", "0", "1"]))
        #expect(space.names == ["0", "1", "2"])

        let error = #expect(throws: CorpusError.self) {
            try LabelSpace(try rows(["0", "3", "1"]))
        }
        #expect(
            error?.description
                == "c: class ids must be 0 to 3 without gaps, but 2 has no row")
    }

    @Test func `one class is an error`() throws {
        let error = #expect(throws: CorpusError.self) { try LabelSpace(try rows([#""a""#])) }

        #expect(error?.description == "c: a classifier needs 2 classes or more, found 1 ('a')")
    }

    @Test func `names and ids do not mix`() throws {
        let error = #expect(throws: CorpusError.self) {
            try LabelSpace(try rows([#""a""#, "1", #""b""#]))
        }

        #expect(
            error?.description == "c, line 2: a class id after rows with names")
    }

    @Test func `a label that the space lacks is told by its line`() throws {
        let space = LabelSpace(names: ["neg", "pos"])

        let names = #expect(throws: CorpusError.self) {
            try space.classIDs(for: try rows([#""pos""#, #""meh""#]))
        }
        let ids = #expect(throws: CorpusError.self) {
            try space.classIDs(for: try rows(["1", "2"]))
        }

        #expect(
            names?.description
                == "c, line 2: the label 'meh' is not among neg, pos")
        #expect(ids?.description == "c, line 2: the class id 2 is not in 0..<2")
    }

    @Test func `lists of names, of ids and of flags give the same flags`() throws {
        let named = try multi([#"["a","c"]"#, "[]", #"["b"]"#])
        let ids = try multi(["[0,2]", "[]", "[1]"])
        let flagged = try multi(["[1,0,1]", "[0,0,0]", "[0,1,0]"])
        let expected = [[true, false, true], [false, false, false], [false, true, false]]

        #expect(try LabelSpace(named).flags(for: named) == expected)
        #expect(try LabelSpace(ids).flags(for: ids) == expected)
        #expect(try LabelSpace(flagged).flags(for: flagged) == expected)
        #expect(try LabelSpace(flagged).usesFlags)
        #expect(!(try LabelSpace(ids).usesFlags))
    }

    @Test func `flags of another length are an error`() throws {
        let space = LabelSpace(names: ["a", "b", "c"], usesFlags: true)

        let error = #expect(throws: CorpusError.self) {
            try space.flags(for: try multi(["[1,0,1]", "[1,0]"]))
        }

        #expect(
            error?.description
                == "c, line 2: expected 3 flags of 0 or 1, found [1, 0]")
    }

    @Test func `rows of numbers must have one length`() throws {
        let good = try corpus("{\"text\":\"x\",\"label\":2}\n", .jsonLines, .regression)
        let bad = try corpus(
            "{\"text\":\"x\",\"label\":2}\n{\"text\":\"y\",\"labels\":[1,2]}", .jsonLines,
            .regression)

        #expect(try good.values() == [[2]])
        let error = #expect(throws: CorpusError.self) { try bad.values() }
        #expect(
            error?.description
                == "c, line 2: 2 numbers where the rows before have 1")
    }
}
