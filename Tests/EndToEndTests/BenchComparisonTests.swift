// SPDX-License-Identifier: Apache-2.0
/// `cairn-bench compare`: which rows of a run are slower than those of a kept one.

import Cairn
import Foundation
import TestSupport
import Testing

@Suite struct BenchComparisonTests {
    private func run(_ rows: [JSONValue]) -> JSONValue { ["rows": .array(rows)] }

    private func row(
        _ work: String, _ milliseconds: Double, spread: Double = 0, ratio: Double? = nil
    ) -> JSONValue {
        var row: JSONObject = [
            "work": .string(work), "bytes": 16, "milliseconds": .number(milliseconds),
            "spread": .number(spread),
        ]
        if let ratio { row["peer_over_own"] = .number(ratio) }
        return .object(row)
    }

    private func compare(_ before: [JSONValue], _ now: [JSONValue]) throws -> ProcessResult {
        let directory = try TemporaryDirectory()
        try run(before).serialized().write(to: directory.file("before.json"))
        try run(now).serialized().write(to: directory.file("now.json"))
        return try CairnProcess.run(
            ["compare", "before.json", "now.json", "--json"], in: directory.url,
            program: "cairn-bench")
    }

    private func slower(_ result: ProcessResult) throws -> [String?]? {
        try JSONValue.parse(Data(result.output.utf8), file: "output")["compared"]?["slower"]?.array?
            .map(\.string)
    }

    @Test func `a row that lost a fifth of its speed is named`() throws {
        let result = try compare([row("a", 10), row("b", 10)], [row("a", 12.5), row("b", 10.5)])

        #expect(result.exitCode == 1, "\(result.errors)")
        #expect(try slower(result) == ["a, bytes 16"])
    }

    @Test func `what three spreads explain is no loss`() throws {
        let result = try compare([row("a", 10, spread: 0.1)], [row("a", 12.5)])

        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(try slower(result) == [])
    }

    @Test func `beside a peer the ratio counts and not the time`() throws {
        let result = try compare(
            [row("a", 10, ratio: 2), row("b", 10, ratio: 2)],
            [row("a", 30, ratio: 2.1), row("b", 10, ratio: 1.5)])

        #expect(result.exitCode == 1, "\(result.errors)")
        #expect(try slower(result) == ["b, bytes 16"])
    }

    @Test func `a run without rows is refused by name`() throws {
        let directory = try TemporaryDirectory()
        try Data("{}".utf8).write(to: directory.file("x.json"))

        let result = try CairnProcess.run(
            ["compare", "x.json", "x.json"], in: directory.url, program: "cairn-bench")

        #expect(result.exitCode == 1)
        #expect(result.errors.contains("the kept run: expected 'rows'"), "\(result.errors)")
    }

    @Test func `one run is nothing to compare`() throws {
        let result = try CairnProcess.run(
            ["compare", "x.json"], in: ScratchPlace.url, program: "cairn-bench")

        #expect(result.exitCode == 2)
        #expect(result.errors.contains("compare needs two runs, found 1"), "\(result.errors)")
    }
}
