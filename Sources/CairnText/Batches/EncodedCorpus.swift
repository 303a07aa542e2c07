// SPDX-License-Identifier: Apache-2.0
/// A corpus as token ids.

import Dispatch

/// The tokens of one row of a corpus.
public struct EncodedRow: Sendable, Equatable {
    /// Token ids.
    public var ids: [Int32]
    /// Segment ids, as many.
    public var typeIDs: [Int32]
    /// The row's index in its corpus.
    public var index: Int

    /// A row of tokens.
    public init(ids: [Int32], typeIDs: [Int32], index: Int) {
        self.ids = ids
        self.typeIDs = typeIDs
        self.index = index
    }
}

/// Every row of a corpus in tokens, in the order of the corpus.
public struct EncodedCorpus: Sendable {
    /// What errors call the rows.
    public var file: String
    /// The rows in tokens.
    public var rows: [EncodedRow]
    /// The line of each row in the file.
    public var lines: [Int]
    /// Rows that lost tokens to the maximum length.
    public var truncatedRows: Int

    /// Rows in tokens, with their places in the file.
    public init(file: String, rows: [EncodedRow], lines: [Int], truncatedRows: Int) {
        precondition(rows.count == lines.count, "\(rows.count) rows but \(lines.count) lines")
        self.file = file
        self.rows = rows
        self.lines = lines
        self.truncatedRows = truncatedRows
    }

    /// Tokens of all rows.
    public var tokenCount: Int { rows.reduce(0) { $0 + $1.ids.count } }
    /// Tokens of the longest row.
    public var longestRow: Int { rows.reduce(0) { max($0, $1.ids.count) } }
}

extension Tokenizer {
    /// The tokens of every row of `corpus`, encoded on all cores; the result does not depend on
    /// their number.
    ///
    /// - Throws: `CorpusError.badRows` with every row that has no token, or the first
    ///   `TokenizerError` in the order of rows.
    public func encode(
        _ corpus: Corpus, maxLength: Int? = nil, addSpecialTokens: Bool = true
    ) throws -> EncodedCorpus {
        let texts = corpus.examples.map(\.text)
        var encoded: [EncodedRow] = []
        var faults: [LineFault] = []
        var truncated = 0
        let results = encodeAll(texts, maxLength: maxLength, addSpecialTokens: addSpecialTokens)
        encoded.reserveCapacity(results.count)
        for (index, result) in results.enumerated() {
            let row = try result.get()
            if row.ids.isEmpty {
                faults.append(
                    LineFault(line: corpus.examples[index].line, reason: "the text has no token"))
            }
            if row.isTruncated { truncated += 1 }
            encoded.append(EncodedRow(ids: row.ids, typeIDs: row.typeIDs, index: index))
        }
        guard faults.isEmpty else { throw CorpusError.badRows(file: corpus.file, faults: faults) }
        return EncodedCorpus(
            file: corpus.file, rows: encoded, lines: corpus.examples.map(\.line),
            truncatedRows: truncated)
    }

    private typealias Row = (ids: [Int32], typeIDs: [Int32], isTruncated: Bool)

    /// Rows per piece of parallel work: enough to hide the cost of handing it out.
    private static let rowsPerChunk = 64

    private func encodeAll(
        _ texts: [String], maxLength: Int?, addSpecialTokens: Bool
    ) -> [Result<Row, TokenizerError>] {
        let chunks = (texts.count + Self.rowsPerChunk - 1) / Self.rowsPerChunk
        return [Result<Row, TokenizerError>](unsafeUninitializedCapacity: texts.count) {
            buffer, count in
            // Each chunk initializes its own slots, so no two threads write to one.
            nonisolated(unsafe) let slots = buffer
            DispatchQueue.concurrentPerform(iterations: chunks) { chunk in
                let start = chunk * Self.rowsPerChunk
                for index in start..<min(start + Self.rowsPerChunk, texts.count) {
                    var result: Result<Row, TokenizerError>
                    do throws(TokenizerError) {
                        result = .success(
                            try row(
                                texts[index], maxLength: maxLength,
                                addSpecialTokens: addSpecialTokens))
                    } catch {
                        result = .failure(error)
                    }
                    slots.initializeElement(at: index, to: result)
                }
            }
            count = texts.count
        }
    }
}
