// SPDX-License-Identifier: Apache-2.0
/// The classes of a task: their names by id, and from a row's target to ids.

public struct LabelSpace: Sendable, Equatable {
    /// Names by class id.
    public let names: [String]
    /// Whether lists of integers hold a 0 or 1 for every class instead of class ids.
    public let usesFlags: Bool
    private let idByName: [[UInt8]: Int]

    /// How many labels there are.
    public var count: Int { names.count }

    /// The classes of a model that exists.
    ///
    /// - Precondition: the names differ from each other.
    public init(names: [String], usesFlags: Bool = false) {
        self.names = names
        self.usesFlags = usesFlags
        idByName = Dictionary(
            names.enumerated().map { (Array($1.utf8), $0) }, uniquingKeysWith: { first, _ in first }
        )
        precondition(
            idByName.count == names.count,
            "\(names.count) class names, but only \(idByName.count) differ")
    }

    /// The classes that the rows of `corpus` name.
    ///
    /// Names are sorted by code point. Ids must be 0..<n, each with a row, and are their own names.
    /// Lists of integers that all have one length of 2 or more and hold only 0 and 1 are flags.
    ///
    /// - Throws: rows that mix names and ids, a gap in the ids, fewer than two classes (for
    ///   multi-label corpora: none).
    public init(_ corpus: Corpus) throws(CorpusError) {
        precondition(
            corpus.task == .classification || corpus.task == .multiLabel,
            "a label space needs a corpus of classes, got \(corpus.task.rawValue)")
        let usesNames = try Self.usesNames(corpus)
        let usesFlags = Self.usesFlags(corpus)
        let names: [String]
        if usesNames {
            names = Self.sortedNames(corpus)
        } else if usesFlags, case .classIDs(let flags)? = corpus.examples.first?.target {
            names = flags.indices.map(String.init)
        } else {
            names = try Self.idNames(corpus)
        }
        guard names.count >= (corpus.task == .multiLabel ? 1 : 2) else {
            throw .tooFewClasses(file: corpus.file, found: names)
        }
        self.init(names: names, usesFlags: usesFlags)
    }

    /// The id of a label; nil for an unknown one.
    public func id(of name: String) -> Int? { idByName[Array(name.utf8)] }

    // MARK: From a corpus to its classes

    private static func usesNames(_ corpus: Corpus) throws(CorpusError) -> Bool {
        var faults: [LineFault] = []
        var usesNames: Bool?
        for example in corpus.examples {
            let isNamed: Bool
            switch example.target {
            case .label: isNamed = true
            case .labels(let names):
                if names.isEmpty { continue }
                isNamed = true
            case .classID, .classIDs: isNamed = false
            case .none, .values:
                faults.append(LineFault(line: example.line, reason: "no label"))
                continue
            }
            if let usesNames, usesNames != isNamed {
                let (found, before) = isNamed ? ("name", "ids") : ("class id", "names")
                faults.append(
                    LineFault(line: example.line, reason: "a \(found) after rows with \(before)"))
            }
            usesNames = usesNames ?? isNamed
        }
        guard faults.isEmpty else { throw .badLines(file: corpus.file, faults: faults) }
        return usesNames ?? true
    }

    private static func usesFlags(_ corpus: Corpus) -> Bool {
        guard case .classIDs(let first)? = corpus.examples.first?.target, first.count >= 2 else {
            return false
        }
        return corpus.examples.allSatisfy { example in
            guard case .classIDs(let ids) = example.target else { return false }
            return ids.count == first.count && ids.allSatisfy { $0 == 0 || $0 == 1 }
        }
    }

    private static func sortedNames(_ corpus: Corpus) -> [String] {
        var names: [[UInt8]: String] = [:]
        for example in corpus.examples {
            switch example.target {
            case .label(let name): names[Array(name.utf8)] = name
            case .labels(let list): for name in list { names[Array(name.utf8)] = name }
            default: break
            }
        }
        return names.values.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private static func idNames(_ corpus: Corpus) throws(CorpusError) -> [String] {
        var found = Set<Int>()
        for example in corpus.examples {
            switch example.target {
            case .classID(let id): found.insert(id)
            case .classIDs(let ids): found.formUnion(ids)
            default: break
            }
        }
        let largest = found.max() ?? -1
        if largest >= found.count {
            // Ten are enough for the message, and the largest id may be any number.
            var missing: [Int] = []
            var id = 0
            while missing.count < 10, id < largest {
                if !found.contains(id) { missing.append(id) }
                id += 1
            }
            throw .gapInClasses(file: corpus.file, found: found.sorted(), missing: missing)
        }
        return (0..<found.count).map(String.init)
    }

    // MARK: From targets to ids

    /// The class of each row.
    ///
    /// - Throws: every row whose label is not one of these classes.
    public func classIDs(for corpus: Corpus) throws(CorpusError) -> [Int] {
        try map(corpus) { (example) throws(TargetFault) in
            switch example.target {
            case .label(let name): return try known(name)
            case .classID(let id): return try known(id)
            default: throw TargetFault(reason: "expected one label")
            }
        }
    }

    /// For each row one flag per class.
    ///
    /// - Throws: every row with a label that is not one of these classes.
    public func flags(for corpus: Corpus) throws(CorpusError) -> [[Bool]] {
        try map(corpus) { (example) throws(TargetFault) in
            var flags = [Bool](repeating: false, count: count)
            switch example.target {
            case .labels(let names): for name in names { flags[try known(name)] = true }
            case .classIDs(let values) where usesFlags:
                guard values.count == count, values.allSatisfy({ $0 == 0 || $0 == 1 }) else {
                    throw TargetFault(reason: "expected \(count) flags of 0 or 1, found \(values)")
                }
                flags = values.map { $0 == 1 }
            case .classIDs(let ids):
                for id in ids {
                    if flags[try known(id)] {
                        throw TargetFault(reason: "the class id \(id) stands twice")
                    }
                    flags[id] = true
                }
            default: throw TargetFault(reason: "expected a list of labels")
            }
            return flags
        }
    }

    private func map<Value>(
        _ corpus: Corpus, _ value: (Example) throws(TargetFault) -> Value
    ) throws(CorpusError) -> [Value] {
        var values: [Value] = []
        var faults: [LineFault] = []
        for example in corpus.examples {
            do throws(TargetFault) {
                values.append(try value(example))
            } catch {
                faults.append(LineFault(line: example.line, reason: error.reason))
            }
        }
        guard faults.isEmpty else { throw .badLines(file: corpus.file, faults: faults) }
        return values
    }

    private func known(_ name: String) throws(TargetFault) -> Int {
        if let id = id(of: name) { return id }
        let list = names.prefix(10).joined(separator: ", ") + (count > 10 ? ", ..." : "")
        throw TargetFault(reason: "the label '\(name)' is not among \(list)")
    }

    private func known(_ id: Int) throws(TargetFault) -> Int {
        guard names.indices.contains(id) else {
            throw TargetFault(reason: "the class id \(id) is not in 0..<\(count)")
        }
        return id
    }
}

extension Corpus {
    /// The numbers of each row, for regression.
    ///
    /// - Throws: rows without numbers, or with another count than the first row has.
    public func values() throws(CorpusError) -> [[Double]] {
        var result: [[Double]] = []
        var faults: [LineFault] = []
        for example in examples {
            guard case .values(let values) = example.target else {
                faults.append(LineFault(line: example.line, reason: "no number to regress on"))
                continue
            }
            if let first = result.first, values.count != first.count {
                faults.append(
                    LineFault(
                        line: example.line,
                        reason: "\(values.count) numbers where the rows before have \(first.count)")
                )
            }
            result.append(values)
        }
        guard faults.isEmpty else { throw .badLines(file: file, faults: faults) }
        return result
    }
}
