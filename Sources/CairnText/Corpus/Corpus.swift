// SPDX-License-Identifier: Apache-2.0
/// Texts with their labels, from JSON Lines, CSV or TSV; or without any, from lines of text.

import Foundation

/// The rows of one file.
///
/// - JSON Lines: an object per line with `text` (or `input`, `sentence`), and `label` (a string or
///   a class id) or `labels` (a list of names or ids; a list of 0 and 1 stands for one flag per
///   class), and optionally `split`.
/// - CSV: a header with the same names, RFC 4180 quoting; several labels are separated by `|`.
/// - TSV: the same, without quoting.
/// - Text: a row per line that is not blank; for tasks without labels.
///
/// Other members and columns are ignored.
public struct Corpus: Sendable {
    /// How a file is written.
    public enum Format: String, CaseIterable, Sendable {
        /// An object per line; comma-separated with quotes; tab-separated without; lines of text.
        case jsonLines, csv, tsv, text

        /// The format that a file's extension names.
        public init?(pathExtension: String) {
            switch pathExtension.lowercased() {
            case "jsonl", "ndjson", "json": self = .jsonLines
            case "csv": self = .csv
            case "tsv": self = .tsv
            case "txt": self = .text
            default: return nil
            }
        }
    }

    /// What the rows are for, and so what their targets must be.
    public enum Task: String, CaseIterable, Sendable {
        /// One label, any number of labels, or numbers per row.
        case classification, multiLabel, regression
        /// Targets are ignored and may be absent.
        case prediction
    }

    /// The file, as errors call it.
    public var file: String
    /// What the rows are for.
    public var task: Task
    /// The rows in the order of the file.
    public var examples: [Example]

    /// A corpus of rows at hand; `file` is what errors call it.
    public init(file: String, task: Task, examples: [Example]) {
        self.file = file
        self.task = task
        self.examples = examples
    }

    /// Reads `url`; the format is that of the extension (jsonl, ndjson, json, csv, tsv, txt) unless
    /// it is given.
    ///
    /// - Throws: all bad lines at once, with their numbers.
    public init(
        contentsOf url: URL, format: Format? = nil, task: Task = .classification
    ) throws(CorpusError) {
        guard let format = format ?? Format(pathExtension: url.pathExtension) else {
            throw .unknownFormat(file: url.path, expected: "jsonl, ndjson, json, csv, tsv, txt")
        }
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            let exists = FileManager.default.fileExists(atPath: url.path)
            throw .unreadable(
                file: url.path,
                reason: exists ? "no permission, or not a file" : "there is no such file")
        }
        try self.init(data: data, file: url.path, format: format, task: task)
    }

    /// Reads the bytes of a file; `file` is the name that errors give.
    public init(
        data: Data, file: String, format: Format, task: Task = .classification
    ) throws(CorpusError) {
        var bytes = [UInt8](data)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes.removeFirst(3) }
        let rows: RowReader.Rows =
            switch format {
            case .jsonLines: RowReader.jsonLines(bytes, task: task)
            case .csv: try RowReader.table(CSVReader.records(bytes), file: file, task: task)
            case .tsv: try RowReader.table(CSVReader.lines(bytes), file: file, task: task)
            case .text: try RowReader.lines(bytes, file: file, task: task)
            }
        guard rows.faults.isEmpty else {
            throw .badLines(file: file, faults: rows.faults.sorted { $0.line < $1.line })
        }
        guard !rows.examples.isEmpty else { throw .empty(file: file) }
        self.init(file: file, task: task, examples: rows.examples)
    }

    /// The rows of one split of a file that has a split column.
    public func examples(in split: Split) -> Corpus {
        Corpus(file: file, task: task, examples: examples.filter { $0.split == split })
    }

    /// Whether the file says which rows are for what.
    public var hasSplits: Bool { examples.contains { $0.split != nil } }
}
