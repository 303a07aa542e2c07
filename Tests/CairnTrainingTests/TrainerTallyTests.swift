// SPDX-License-Identifier: Apache-2.0
/// Every line of the trainer's conformance list and every weakness is accounted for.

import Foundation
import Testing

/// The codes of the list, by what they are about: checkpoint files, trainer, resume, bundles,
/// presets, hooks, synchronization, data, pipelines, plans, experiments, steps, models.
///
/// A code or a weakness is accounted for by a test whose name begins with it, or by a reason here
/// why it needs none. Both at once is a mistake, and so is neither.
@Suite struct TrainerTallyTests {
    static let codes: [(letter: String, count: Int)] = [
        ("C", 9), ("T", 12), ("R", 8), ("B", 5), ("P", 7), ("H", 5), ("S", 3), ("D", 39), ("L", 8),
        ("Q", 3), ("E", 2), ("K", 8), ("M", 16),
    ]
    static let weaknesses = 1...39

    /// What the language or the engine makes impossible to get wrong.
    static let typedAway: [String: String] = [
        "S1": "a program is compiled once, when its learner is made; there is nothing to forward",
        "S2": "every run of a program returns when its results are on the host",
        "S3": "a learner conforms to one protocol; another signature does not compile",
        "D19": "a collation is a function; one that does not exist does not compile",
        "D20": "a feed's collation has a type; there is no automatic choice",
        "D21": "each feed brings its own collation",
        "D22": "a feed has one collation",
        "D28": "a batch is a typed value, not keywords",
        "D29": "as D28",
        "D30": "as D28",
        "D31": "as D20: no names are guessed",
        "D32": "a key path is an expression in a collation",
        "D34": "as D21",
        "D35": "as D19",
        "K3": "as S1",
        "K4": "as S2",
        "K5": "as S2",
        "K6": "as S1",
        "K7": "as S1",
        "M4": "a model is made by an initializer with typed arguments",
        "M7": "a block is one expression of a result builder",
        "M11": "an initializer without a required argument does not compile",
        "M12": "an initializer with an unknown argument does not compile",
        "M13": "what a builder lists conforms to SequentialBlock",
        "M15": "a model has one name",
    ]

    /// Cures that are tested in other rooms: the file of the test, and words of its name.
    static let elsewhere: [Int: (file: String, name: String)] = [
        12: (
            "CairnFormatsTests/DirectoryCommitTests.swift",
            "whichever operation fails, the target stays as it was"
        ),
        18: ("CairnFormatsTests/MarshalRefusalTests.swift", "what Ruby would run code for"),
        22: ("CairnFormatsTests/NPZTests.swift", "arrays read back as they were written"),
        26: ("CairnFormatsTests/NPYTests.swift", "arrays without elements keep their shapes"),
    ]

    private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().resolvingSymlinksInPath()

    /// The names of all tests, by file relative to the folder of tests.
    private static func names() throws -> [(file: String, name: String)] {
        let files = FileManager.default.enumerator(atPath: tests.path)!.compactMap { $0 as? String }
        return try files.filter { $0.hasSuffix(".swift") }.flatMap { file in
            let text = try String(contentsOf: tests.appendingPathComponent(file), encoding: .utf8)
            return text.components(separatedBy: "func `").dropFirst().map {
                (file, String($0.prefix { $0 != "`" }))
            }
        }
    }

    /// The codes and weaknesses that a test's name begins with.
    static func claims(_ name: String) -> (codes: [String], weaknesses: [Int]) {
        let words = name.split { $0 == " " || $0 == "," }.map(String.init)
        let codes = words.prefix { word in
            Self.codes.contains { $0.letter == word.prefix(1) } && Int(word.dropFirst()) != nil
        }
        let rest = words.dropFirst(codes.count)
        guard rest.first == "weakness" else { return (Array(codes), []) }
        let numbers = rest.dropFirst().prefix { $0 == "and" || Int($0.trimmed) != nil }
        return (Array(codes), numbers.compactMap { Int($0.trimmed) })
    }

    @Test(
        arguments: [
            ("T1 a report", ["T1"], []), ("C4 C5 parents", ["C4", "C5"], []),
            ("weakness 8: never", [], [8]), ("weakness 10, 11 and 37: another", [], [10, 11, 37]),
            ("R4 weakness 1: a bundle", ["R4"], [1]), ("Two fits", [], []), ("a test", [], []),
        ] as [(String, [String], [Int])])
    func `names are read as they are meant`(name: String, codes: [String], weaknesses: [Int]) {
        let found = Self.claims(name)

        #expect(found.codes == codes && found.weaknesses == weaknesses)
    }

    @Test func `every code has a test or a reason, and none has both`() throws {
        let tested = Set(try Self.names().flatMap { Self.claims($0.name).codes })
        let all = Self.codes.flatMap { code in (1...code.count).map { "\(code.letter)\($0)" } }

        #expect(all.filter { !tested.contains($0) && Self.typedAway[$0] == nil } == [])
        #expect(Self.typedAway.keys.filter { tested.contains($0) || !all.contains($0) } == [])
    }

    @Test func `every weakness has a test that it is cured`() throws {
        let names = try Self.names()
        let here = Set(names.flatMap { Self.claims($0.name).weaknesses })

        #expect(Self.weaknesses.filter { !here.contains($0) && Self.elsewhere[$0] == nil } == [])
        for (number, place) in Self.elsewhere {
            #expect(
                names.contains { $0.file == place.file && $0.name.contains(place.name) },
                "weakness \(number): no test '\(place.name)' in \(place.file)")
        }
    }
}

extension String {
    fileprivate var trimmed: String { trimmingCharacters(in: .punctuationCharacters) }
}
