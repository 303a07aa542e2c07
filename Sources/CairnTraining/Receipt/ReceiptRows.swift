// SPDX-License-Identifier: Apache-2.0
/// Which of the user's rows a receipt is about: kept under `training/`, and never published.

import CairnFormats
import CairnTensor
import CairnText
import Foundation

/// `training/receipt.json`: the places of a receipt's rows among the validation rows, and the
/// digests by which they are known again. The texts themselves stay in the user's file.
struct ReceiptRows: Equatable, Sendable {
    static let fileName = "training/receipt.json"

    struct Row: Equatable, Sendable {
        /// Among the validation rows.
        let index: Int
        /// In the file that the row came from.
        let line: Int
        let textDigest: String
        let idsDigest: String
        let tokens: Int
    }

    let rows: [Row]

    /// The places of a receipt's rows: drawn without return, in a stream of the run's seed.
    static func chosen(among count: Int, seed: UInt64) -> [Int] {
        var stream = RandomStream(seed: seed, name: "receipt")
        var places = Array(0..<count)
        let size = min(Receipt.rowCount, count)
        for place in 0..<size {
            places.swapAt(place, place + stream.index(below: count - place))
        }
        return places.prefix(size).sorted()
    }

    /// - Parameters:
    ///   - chosen: which rows of `data`.
    ///   - places: for each row of `data` its place in `corpus`.
    init(_ chosen: [Int], of data: DataSet, at places: [Int], in corpus: Corpus) {
        rows = chosen.map { row in
            let (ids, example) = (data.ids[row], corpus.examples[places[row]])
            return Row(
                index: places[row], line: example.line,
                textDigest: Self.digest(of: example.text), idsDigest: Self.digest(of: ids),
                tokens: ids.count)
        }
    }

    static func digest(of text: String) -> String { SHA256.hex(of: Data(text.utf8)) }

    /// Of the ids as little-endian 32-bit words.
    static func digest(of ids: [Int32]) -> String {
        var hash = SHA256()
        ids.map(\.littleEndian).withUnsafeBytes { hash.update($0) }
        return hash.hex
    }

    // MARK: The file

    var json: JSONValue {
        [
            "schema_version": 1,
            "rows": .array(
                rows.map {
                    [
                        "index": JSONValue($0.index), "line": JSONValue($0.line),
                        "text_sha256": .string($0.textDigest),
                        "token_ids_sha256": .string($0.idsDigest), "tokens": JSONValue($0.tokens),
                    ]
                }),
        ]
    }

    init(of directory: URL) throws {
        let file = directory.appendingPathComponent(Self.fileName)
        let reader = try DocumentReader(try JSONValue.parse(contentsOf: file), file: file.path)
        let version = try reader.count("schema_version", atLeast: 1)
        guard version <= 1 else {
            throw TrainingError.newerSchema(file: file.path, found: version, known: 1)
        }
        rows = try reader.array("rows").enumerated().map { index, json in
            let row = try DocumentReader(json, file: file.path, place: "rows[\(index)].")
            return Row(
                index: try row.count("index"), line: try row.count("line"),
                textDigest: try row.string("text_sha256"),
                idsDigest: try row.string("token_ids_sha256"), tokens: try row.count("tokens"))
        }
    }
}
