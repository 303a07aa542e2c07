// SPDX-License-Identifier: Apache-2.0
/// A receipt's rows with their texts, read again from the files that the run had.

import CairnFormats
import Foundation

/// A held-out row for one check, in memory only.
public struct ReceiptText: Equatable, Sendable {
    /// The row's text.
    public let text: String
    /// What errors call it: a file's name and a line.
    public let place: String
    /// How many token ids it had in training, and the digest of these.
    let tokens: Int
    let idsDigest: String

    /// The rows of a checkpoint's receipt, in its order.
    ///
    /// - Parameters:
    ///   - checkpoint: the one that the run made, with its `training/` folder.
    ///   - change: tells where the files lie now.
    /// - Throws: `ReceiptError.noRows` where the checkpoint does not tell the rows, `changedRow`
    ///   where a row is not the one that it was.
    public static func rows(
        of checkpoint: URL, _ change: (inout FineTuneOptions) throws -> Void = { _ in }
    ) throws -> [ReceiptText] {
        let file = checkpoint.appendingPathComponent(ReceiptRows.fileName)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw ReceiptError.noRows(directory: checkpoint.path)
        }
        let saved = try SavedRun(ofCheckpoint: checkpoint)
        guard let job = saved.job else { throw TrainingError.noJob(file: saved.file) }
        var options = try FineTuneOptions(job, settings: saved.settings, output: checkpoint)
        try change(&options)
        let corpus = try CorpusParts(options).validation
        let name = URL(fileURLWithPath: corpus.file).lastPathComponent
        return try ReceiptRows(of: checkpoint).rows.map { row in
            guard corpus.examples.indices.contains(row.index),
                ReceiptRows.digest(of: corpus.examples[row.index].text) == row.textDigest
            else { throw ReceiptError.changedRow(file: corpus.file, line: row.line) }
            return ReceiptText(
                text: corpus.examples[row.index].text, place: "\(name), line \(row.line)",
                tokens: row.tokens, idsDigest: row.idsDigest)
        }
    }
}

// MARK: To another process

extension ReceiptText {
    /// What the process that judges is told, over a pipe.
    public static func question(_ receipt: Receipt, _ rows: [ReceiptText]) throws -> Data {
        try JSONValue.object([
            "receipt": receipt.json,
            "rows": .array(
                rows.map {
                    [
                        "text": .string($0.text), "place": .string($0.place),
                        "tokens": JSONValue($0.tokens), "token_ids_sha256": .string($0.idsDigest),
                    ]
                }),
        ]).serialized(pretty: false)
    }

    /// The same, read.
    public static func asked(_ question: Data) throws -> (receipt: Receipt, rows: [ReceiptText]) {
        let file = "the question"
        let reader = try DocumentReader(try JSONValue.parse(question, file: file), file: file)
        let rows = try reader.array("rows").enumerated().map { index, json in
            let row = try DocumentReader(json, file: file, place: "rows[\(index)].")
            return ReceiptText(
                text: try row.string("text"), place: try row.string("place"),
                tokens: try row.count("tokens"), idsDigest: try row.string("token_ids_sha256"))
        }
        return (try Receipt(reader.object["receipt"] ?? .null, file: Receipt.fileName), rows)
    }
}
