// SPDX-License-Identifier: Apache-2.0
/// What a look at a corpus finds before anything is trained on it.

/// Counts, repeated rows and contradictions of a corpus; nothing in it is an error.
public struct CorpusReport: Sendable, Equatable {
    /// How many rows a class has.
    public struct ClassCount: Sendable, Equatable {
        /// The label.
        public var name: String
        /// Its rows.
        public var rows: Int
    }

    /// Rows with the same text and the same label.
    public struct Duplicate: Sendable, Equatable {
        /// Line numbers in order; the first is not superfluous, the others are.
        public var lines: [Int]
    }

    /// Rows with the same text and different labels.
    public struct Conflict: Sendable, Equatable {
        /// Line numbers in order.
        public var lines: [Int]
        /// The label of each line.
        public var labels: [String]
    }

    /// All rows.
    public var rows: Int
    /// In order of name; for multi-label corpora a row counts for each of its labels.
    public var classCounts: [ClassCount]
    /// What is there more than once.
    public var duplicates: [Duplicate]
    /// What contradicts itself.
    public var conflicts: [Conflict]

    /// Rows that repeat another one, beyond the first of each group.
    public var superfluousRows: Int { duplicates.reduce(0) { $0 + $1.lines.count - 1 } }

    /// Looks at every row of a corpus.
    public init(_ corpus: Corpus) {
        rows = corpus.examples.count
        duplicates = []
        conflicts = []
        var counts: [[UInt8]: Int] = [:]
        for example in corpus.examples {
            for name in example.target.classNames { counts[Array(name.utf8), default: 0] += 1 }
        }
        classCounts = counts.map {
            ClassCount(name: String(decoding: $0.key, as: UTF8.self), rows: $0.value)
        }
        classCounts.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for group in corpus.rowsByText() where group.count > 1 {
            let examples = group.map { corpus.examples[$0] }
            let labels = examples.map(\.target.summary)
            if Set(labels.map { Array($0.utf8) }).count > 1 {
                conflicts.append(Conflict(lines: examples.map(\.line), labels: labels))
            }
            var linesByLabel: [[UInt8]: [Int]] = [:]
            for (example, label) in zip(examples, labels) {
                linesByLabel[Array(label.utf8), default: []].append(example.line)
            }
            duplicates += linesByLabel.values.filter { $0.count > 1 }.map(Duplicate.init)
        }
        duplicates.sort { $0.lines[0] < $1.lines[0] }
    }
}

extension Target {
    /// The classes of the target, as the file spells them.
    var classNames: [String] {
        switch self {
        case .none, .values: []
        case .classID(let id): ["\(id)"]
        case .label(let name): [name]
        case .classIDs(let ids): ids.map(String.init)
        case .labels(let names): names
        }
    }

    /// One string that equal targets share and different ones do not, for messages and grouping.
    var summary: String {
        switch self {
        case .none: ""
        case .classID(let id): "\(id)"
        case .label(let name): name
        case .classIDs(let ids): ids.map(String.init).joined(separator: "|")
        case .labels(let names):
            names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.joined(separator: "|")
        case .values(let values): values.map { "\($0)" }.joined(separator: "|")
        }
    }
}

extension Corpus {
    /// Indices of rows by text, groups and members in the order of the file.
    ///
    /// Two texts are the same if their bytes are.
    func rowsByText() -> [[Int]] {
        var groups: [[Int]] = []
        var groupByText: [[UInt8]: Int] = [:]
        for (row, example) in examples.enumerated() {
            let key = Array(example.text.utf8)
            if let group = groupByText[key] {
                groups[group].append(row)
            } else {
                groupByText[key] = groups.count
                groups.append([row])
            }
        }
        return groups
    }
}
