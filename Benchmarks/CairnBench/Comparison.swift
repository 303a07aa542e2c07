// SPDX-License-Identifier: Apache-2.0
/// A run of the benchmark beside a kept one: which rows became slower.

import Cairn
import Foundation

/// Rows of two runs, matched by what they are about.
///
/// A row with a peer in both runs is compared by its ratio to the peer, which another machine or
/// its load moves little; any other by its milliseconds. A row is slower when it lost more than
/// the threshold and more than three times the larger of the two spreads.
struct Comparison {
    /// The share of its speed that a row may lose.
    static let threshold = 0.10
    private static let spreads = 3.0

    struct Wrong: Error, CustomStringConvertible { let description: String }

    /// A row of both runs.
    struct Pair {
        /// What the row is about: `npz write, bytes 16000000`.
        let name: String
        /// Whether `before` and `now` are peer's time over ours; else milliseconds.
        let isRatio: Bool
        let before: Double
        let now: Double
        let spread: Double

        /// Speed now over speed before.
        var speed: Double { isRatio ? now / before : before / now }
        /// Not a number is no speed: such a row counts as slower.
        var isSlower: Bool {
            !(speed >= 1 - max(Comparison.threshold, Comparison.spreads * spread))
        }
    }

    let pairs: [Pair]
    /// Rows of the kept run that this one lacks.
    let missing: [String]

    var slower: [Pair] { pairs.filter(\.isSlower) }

    /// Matches the rows of two documents of `cairn-bench --json`.
    init(_ before: JSONValue, _ now: JSONValue) throws {
        let old = try Self.rows(before, "the kept run")
        let new = Dictionary(
            try Self.rows(now, "this run").map { ($0.name, $0.row) },
            uniquingKeysWith: { a, _ in a })
        var pairs: [Pair] = []
        var missing: [String] = []
        for (name, row) in old {
            guard let other = new[name] else {
                missing.append(name)
                continue
            }
            if let pair = Self.pair(name, row, other) { pairs.append(pair) }
        }
        self.pairs = pairs
        self.missing = missing
    }

    /// Prints the rows that are slower or missing.
    func print(to report: Report) {
        for pair in slower {
            let unit = pair.isRatio ? "x the peer" : "ms"
            report.line(
                "slower: \(pair.name): "
                    + String(
                        format: "%.3f %@ before, %.3f now, %.1f %% (spread %.1f %%)", pair.before,
                        unit, pair.now, (pair.speed - 1) * 100, pair.spread * 100))
        }
        for name in missing { report.line("missing: \(name)") }
        report.fact(
            "compared",
            ["rows": JSONValue(pairs.count), "slower": .array(slower.map { .string($0.name) })],
            text: "\(pairs.count) rows, \(slower.count) slower, \(missing.count) missing")
    }

    // MARK: Rows

    /// Fields that say what a row is about, in the order in which a name lists them.
    private static let identity = [
        "work", "model", "operation", "axis", "value", "type", "tokens", "length", "rank", "layers",
        "in", "out", "bytes", "isa", "threads",
    ]

    private static func rows(
        _ document: JSONValue, _ whose: String
    ) throws -> [(name: String, row: JSONValue)] {
        guard let rows = document["rows"]?.array else {
            throw Wrong(description: "\(whose): expected 'rows', a document of cairn-bench --json")
        }
        return rows.map { row in
            let parts = identity.compactMap { key -> String? in
                if let text = row[key]?.string { return text }
                return row[key]?.integer.map { "\(key) \($0)" }
            }
            return (parts.joined(separator: ", "), row)
        }
    }

    /// Nil where the row has no time, or one of zero.
    private static func pair(_ name: String, _ old: JSONValue, _ new: JSONValue) -> Pair? {
        let spread = max(old["spread"]?.number ?? 0, new["spread"]?.number ?? 0)
        if let before = old["peer_over_own"]?.number, let now = new["peer_over_own"]?.number {
            return Pair(name: name, isRatio: true, before: before, now: now, spread: spread)
        }
        for key in ["milliseconds", "milliseconds_p50"] {
            if let before = old[key]?.number, let now = new[key]?.number {
                return Pair(name: name, isRatio: false, before: before, now: now, spread: spread)
            }
        }
        return nil
    }
}
