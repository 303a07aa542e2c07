// SPDX-License-Identifier: Apache-2.0
/// What a job's rows are like before anything is trained on them.

import CairnFormats
import CairnText

/// How long rows are, in tokens.
public struct LengthStatistics: Sendable, Equatable {
    /// How many rows there are.
    public let rows: Int
    /// The mean length.
    public let mean: Double
    /// The smallest length that at least half of the rows do not exceed.
    public let median: Int
    /// The smallest length that at least 95 of 100 rows do not exceed.
    public let p95: Int
    /// The largest length.
    public let maximum: Int

    /// The figures of lengths, in any order.
    public init(_ lengths: [Int]) {
        let sorted = lengths.sorted()
        rows = sorted.count
        mean = sorted.isEmpty ? 0 : Double(sorted.reduce(0, +)) / Double(sorted.count)
        func rank(_ hundredths: Int) -> Int {
            sorted.isEmpty ? 0 : sorted[max((hundredths * sorted.count + 99) / 100, 1) - 1]
        }
        median = rank(50)
        p95 = rank(95)
        maximum = sorted.last ?? 0
    }

    var json: JSONObject {
        [
            "rows": JSONValue(rows), "mean_tokens": .number(mean),
            "median_tokens": JSONValue(median), "p95_tokens": JSONValue(p95),
            "max_tokens": JSONValue(maximum),
        ]
    }
}

/// The rows of one part of a job: training, validation or test.
public struct PlannedRows: Sendable, Equatable {
    /// `train`, `validation` or `test`.
    public let name: String
    /// The file that they are from.
    public let file: String
    /// Of the whole rows, before any loses its end.
    public let lengths: LengthStatistics
    /// How many lose their ends.
    public let truncatedRows: Int
    /// Tokens of one pass, after truncation.
    public let tokens: Int
    /// Classes and duplicates.
    public let report: CorpusReport
    /// The rows, by their lines, whose text is in the training rows too; empty for `train`.
    public let leakedLines: [Int]

    /// - Parameter texts: the texts of the training rows; nil for those themselves.
    init(
        _ name: String, _ corpus: Corpus, tokenizer: Tokenizer, maximumLength: Int,
        trainTexts: Set<[UInt8]>?
    ) throws {
        self.name = name
        file = corpus.file
        let lengths = try tokenizer.encode(corpus).rows.map(\.ids.count)
        self.lengths = LengthStatistics(lengths)
        truncatedRows = lengths.count { $0 > maximumLength }
        tokens = lengths.reduce(0) { $0 + min($1, maximumLength) }
        report = CorpusReport(corpus)
        leakedLines = corpus.examples.filter {
            trainTexts?.contains(Array($0.text.utf8)) == true
        }.map(\.line)
    }

    var json: JSONObject {
        var json: JSONObject = ["file": .string(file)]
        for (key, value) in lengths.json { json[key] = value }
        json["truncated_rows"] = JSONValue(truncatedRows)
        json["tokens"] = JSONValue(tokens)
        json["classes"] = .object(
            JSONObject(report.classCounts.map { ($0.name, JSONValue($0.rows)) }))
        json["duplicate_rows"] = JSONValue(report.superfluousRows)
        json["conflicting_texts"] = JSONValue(report.conflicts.count)
        json["leaked_rows"] = JSONValue(leakedLines.count)
        json["leaked_lines"] = .array(leakedLines.map { JSONValue($0) })
        return json
    }
}

extension PlannedRows {
    /// The parts of a job, read and encoded again: the job itself keeps only what fits the model.
    static func parts(of job: FineTuneJob) throws -> [PlannedRows] {
        let tokenizer = try Tokenizer(
            contentsOf: job.options.model.appendingPathComponent("tokenizer.json"))
        let parts = try CorpusParts(job.options)
        let texts = Set(parts.train.examples.map { Array($0.text.utf8) })
        let others = [("validation", parts.validation), ("test", parts.test)]
        let length = job.description.maximumLength
        return try [
            PlannedRows(
                "train", parts.train, tokenizer: tokenizer, maximumLength: length, trainTexts: nil)
        ]
            + others.compactMap { name, corpus in
                try corpus.map {
                    try PlannedRows(
                        name, $0, tokenizer: tokenizer, maximumLength: length, trainTexts: texts)
                }
            }
    }
}
