// SPDX-License-Identifier: Apache-2.0
/// Why a corpus cannot be used.

public enum CorpusError: Error, Equatable, Sendable {
    /// The file cannot be read.
    case unreadable(file: String, reason: String)
    /// The format is neither given nor known from the file's extension.
    case unknownFormat(file: String, expected: String)
    /// There is no row.
    case empty(file: String)
    /// A table without a column that it needs.
    case missingColumn(file: String, expected: String, found: [String])
    /// Lines of text, where the task needs labels.
    case noLabels(file: String)
    /// Two columns that would mean the same.
    case ambiguousColumns(file: String, columns: [String])
    /// Every faulty line of the file, in order.
    case badLines(file: String, faults: [LineFault])
    /// Class ids that are not 0..<n.
    case gapInClasses(file: String, found: [Int], missing: [Int])
    /// A classifier needs two classes or more.
    case tooFewClasses(file: String, found: [String])
    /// The rows cannot be parted as was asked.
    case cannotSplit(file: String, reason: String)
    /// A row whose tokens do not fit, or that has none.
    case badRows(file: String, faults: [LineFault])
}

/// What is wrong with one line; lines count from 1.
public struct LineFault: Error, Equatable, Sendable {
    /// From 1.
    public var line: Int
    /// What is wrong there.
    public var reason: String

    /// A fault of a line.
    public init(line: Int, reason: String) {
        self.line = line
        self.reason = reason
    }
}

extension CorpusError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreadable(let file, let reason): "\(file): cannot be read: \(reason)"
        case .unknownFormat(let file, let expected):
            "\(file): unknown format; expected an extension among \(expected)"
        case .empty(let file): "\(file): holds no row"
        case .missingColumn(let file, let expected, let found):
            "\(file): the header has no column \(expected); found \(found.joined(separator: ", "))"
        case .noLabels(let file):
            "\(file): lines of text have no labels; expected a jsonl, csv or tsv file"
        case .ambiguousColumns(let file, let columns):
            "\(file): the columns \(columns.joined(separator: " and ")) mean the same; keep one"
        case .badLines(let file, let faults), .badRows(let file, let faults):
            Self.list(file, faults)
        case .gapInClasses(let file, let found, let missing):
            "\(file): class ids must be 0 to \((found.max() ?? 0)) without gaps, but "
                + "\(missing.prefix(10).map(String.init).joined(separator: ", ")) "
                + "\(missing.count == 1 ? "has" : "have") no row"
        case .tooFewClasses(let file, let found):
            "\(file): a classifier needs 2 classes or more, found \(found.count)"
                + (found.isEmpty ? "" : " ('\(found[0])')")
        case .cannotSplit(let file, let reason): "\(file): cannot be split: \(reason)"
        }
    }

    /// At most this many faults are spelled out; the rest are counted.
    private static let listed = 20

    /// One sentence on one line: a single fault by its place, several after their count.
    private static func list(_ file: String, _ faults: [LineFault]) -> String {
        if faults.count == 1 { return "\(file), line \(faults[0].line): \(faults[0].reason)" }
        let shown = faults.prefix(listed).map { "line \($0.line): \($0.reason)" }
            .joined(separator: "; ")
        let rest = faults.count > listed ? "; and \(faults.count - listed) more" : ""
        return "\(file): \(faults.count) bad lines: \(shown)\(rest)"
    }
}
