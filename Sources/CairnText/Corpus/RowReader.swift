// SPDX-License-Identifier: Apache-2.0
/// From lines and records to examples, collecting every fault on the way.

enum RowReader {
    struct Rows {
        var examples: [Example] = []
        var faults: [LineFault] = []
    }

    static let textNames = ["text", "input", "sentence"]
    static let targetNames = ["label", "labels"]

    /// The separator of several labels in one field of a table.
    private static let labelSeparator: Character = "|"

    // MARK: JSON Lines

    static func jsonLines(_ bytes: [UInt8], task: Corpus.Task) -> Rows {
        var rows = Rows()
        for (index, line) in CSVReader.split(bytes).enumerated() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            do throws(LineFault) {
                rows.examples.append(try example(Array(line), line: index + 1, task: task))
            } catch {
                rows.faults.append(error)
            }
        }
        return rows
    }

    private static func example(
        _ bytes: [UInt8], line: Int, task: Corpus.Task
    ) throws(LineFault) -> Example {
        func fault(_ reason: String) -> LineFault { LineFault(line: line, reason: reason) }
        let members = try members(of: bytes, line)
        func member(_ names: [String]) throws(LineFault) -> JSON? {
            let found = members.filter { names.contains($0.key) }
            if found.count > 1 {
                throw fault("'\(found[0].key)' and '\(found[1].key)' mean the same; keep one")
            }
            return found.first?.value
        }
        guard case .string(let text)? = try member(textNames) else {
            throw fault("no string under 'text' (or 'input', 'sentence')")
        }
        var split: Split?
        if let value = try member(["split"]) {
            guard case .string(let name) = value, let known = Split(name: name) else {
                throw fault("'split' must be train, validation or test, found \(value.kind)")
            }
            split = known
        }
        let label = try member(targetNames) ?? .null
        do throws(TargetFault) {
            let target = try TargetReader.target(label, task: task)
            return Example(text: text, target: target, line: line, split: split)
        } catch {
            throw fault(error.reason)
        }
    }

    private static func members(
        of bytes: [UInt8], _ line: Int
    ) throws(LineFault) -> [JSON.Member] {
        var parsed: Result<JSON, JSONFault> = .success(.null)
        bytes.withUnsafeBufferPointer { buffer in
            do throws(JSONFault) {
                parsed = .success(try JSONParser.parse(buffer))
            } catch {
                parsed = .failure(error)
            }
        }
        switch parsed {
        case .success(.object(let members)): return members
        case .success(let other):
            throw LineFault(line: line, reason: "expected an object, found \(other.kind)")
        case .failure(let fault):
            throw LineFault(
                line: line, reason: "not JSON: \(fault.reason) at column \(fault.offset + 1)")
        }
    }

    // MARK: Lines

    /// A row per line; lines of blanks alone are passed over.
    static func lines(
        _ bytes: [UInt8], file: String, task: Corpus.Task
    ) throws(CorpusError) -> Rows {
        guard task == .prediction else {
            throw .noLabels(file: file)
        }
        var rows = Rows()
        for (index, line) in CSVReader.split(bytes).enumerated() {
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            let text = Array(line)
            if let offset = text.withUnsafeBufferPointer({ UTF8Text.firstInvalid($0) }) {
                rows.faults.append(
                    LineFault(line: index + 1, reason: CSVReader.invalidUTF8(text[offset])))
            } else {
                rows.examples.append(
                    Example(
                        text: String(decoding: text, as: UTF8.self), target: .none,
                        line: index + 1))
            }
        }
        return rows
    }

    // MARK: Tables

    static func table(
        _ records: [CSVReader.Record], file: String, task: Corpus.Task
    ) throws(CorpusError) -> Rows {
        guard let header = records.first else { throw .empty(file: file) }
        if let fault = header.fault {
            throw .badLines(file: file, faults: [LineFault(line: header.line, reason: fault)])
        }
        guard let textColumn = try column(textNames, header.fields, file) else {
            throw .missingColumn(
                file: file, expected: "'text' (or 'input', 'sentence')", found: header.fields)
        }
        let targetColumn = try column(targetNames, header.fields, file)
        if targetColumn == nil, task != .prediction {
            throw .missingColumn(file: file, expected: "'label' or 'labels'", found: header.fields)
        }
        let splitColumn = try column(["split"], header.fields, file)
        let hasIntegers = targetColumn.map { allIntegers(records.dropFirst(), $0) } ?? false
        var rows = Rows()
        for record in records.dropFirst() {
            do throws(LineFault) {
                try check(record, fieldCount: header.fields.count)
                let field = targetColumn.map { record.fields[$0] } ?? ""
                rows.examples.append(
                    Example(
                        text: record.fields[textColumn],
                        target: try target(field, task, hasIntegers, record.line),
                        line: record.line, split: try split(record, splitColumn)))
            } catch {
                rows.faults.append(error)
            }
        }
        return rows
    }

    private static func check(
        _ record: CSVReader.Record, fieldCount: Int
    ) throws(LineFault) {
        if let reason = record.fault { throw LineFault(line: record.line, reason: reason) }
        guard record.fields.count == fieldCount else {
            throw LineFault(
                line: record.line,
                reason: "\(record.fields.count) fields where the header has \(fieldCount)")
        }
    }

    private static func split(
        _ record: CSVReader.Record, _ column: Int?
    ) throws(LineFault) -> Split? {
        guard let column else { return nil }
        guard let split = Split(name: record.fields[column]) else {
            throw LineFault(
                line: record.line,
                reason: "'split' must be train, validation or test, found "
                    + "'\(record.fields[column])'")
        }
        return split
    }

    private static func column(
        _ names: [String], _ header: [String], _ file: String
    ) throws(CorpusError) -> Int? {
        let found = header.indices.filter { names.contains(header[$0].lowercased()) }
        if found.count > 1 {
            throw .ambiguousColumns(file: file, columns: found.map { "'\(header[$0])'" })
        }
        return found.first
    }

    /// Whether a label column holds class ids: every label of every row is an integer.
    private static func allIntegers(_ records: ArraySlice<CSVReader.Record>, _ column: Int) -> Bool
    {
        records.allSatisfy { record in
            guard column < record.fields.count else { return true }
            return record.fields[column].split(separator: labelSeparator)
                .allSatisfy { Int($0) != nil }
        }
    }

    private static func target(
        _ field: String, _ task: Corpus.Task, _ hasIntegers: Bool, _ line: Int
    ) throws(LineFault) -> Target {
        func json(_ text: Substring) -> JSON {
            if task == .regression, let number = Double(text) { return .number(number) }
            if hasIntegers, let id = Int(text) { return .integer(id) }
            return .string(String(text))
        }
        let value: JSON
        switch task {
        case .prediction: return .none
        case .multiLabel:
            value = .array(field.split(separator: labelSeparator).map(json))
        case .regression where field.contains(labelSeparator):
            value = .array(field.split(separator: labelSeparator).map(json))
        case .classification, .regression:
            value = field.isEmpty ? .null : json(field[...])
        }
        do throws(TargetFault) {
            return try TargetReader.target(value, task: task)
        } catch {
            throw LineFault(line: line, reason: error.reason)
        }
    }
}
