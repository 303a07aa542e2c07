// SPDX-License-Identifier: Apache-2.0
/// Tables of text: CSV with quotes, and TSV without.

enum CSVReader {
    /// A record with the line it starts on, or what is wrong with it.
    struct Record: Equatable {
        var line: Int
        var fields: [String]
        var fault: String?
    }

    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let quote = UInt8(ascii: "\"")

    /// Lines of fields between tabs, taken literally; blank lines are skipped.
    static func lines(_ bytes: [UInt8]) -> [Record] {
        var records: [Record] = []
        for (index, slice) in split(bytes).enumerated() where !slice.isEmpty {
            let tab = UInt8(ascii: "\t")
            let fields = slice.split(separator: tab, omittingEmptySubsequences: false)
            records.append(record(index + 1, fields.map(Array.init)))
        }
        return records
    }

    /// The lines of a file without their ends (LF or CRLF).
    static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        bytes.split(separator: newline, omittingEmptySubsequences: false).map {
            $0.last == carriageReturn ? $0.dropLast() : $0
        }
    }

    private static func record(_ line: Int, _ fields: [[UInt8]]) -> Record {
        var record = Record(line: line, fields: [])
        for field in fields {
            if let offset = field.withUnsafeBufferPointer({ UTF8Text.firstInvalid($0) }) {
                record.fault = invalidUTF8(field[offset])
            }
            record.fields.append(String(decoding: field, as: UTF8.self))
        }
        return record
    }

    static func invalidUTF8(_ byte: UInt8) -> String {
        "the text is not UTF-8 (byte 0x\(String(byte, radix: 16, uppercase: true)))"
    }

    /// RFC 4180: commas, quotes doubled inside quotes, line ends allowed inside quotes.
    static func records(_ bytes: [UInt8]) -> [Record] {
        var records: [Record] = []
        var index = 0
        var line = 1
        while index < bytes.count {
            let start = line
            let (fields, fault) = fields(bytes, &index, &line)
            if fields.count == 1, fields[0].isEmpty, fault == nil { continue }
            var record = record(start, fields)
            record.fault = fault ?? record.fault
            records.append(record)
        }
        return records
    }

    /// The fields of the record at `index`, which moves behind the record's line end.
    private static func fields(
        _ bytes: [UInt8], _ index: inout Int, _ line: inout Int
    ) -> (fields: [[UInt8]], fault: String?) {
        var fields: [[UInt8]] = [[]]
        var fault: String?
        while index < bytes.count {
            let byte = bytes[index]
            if byte == newline || byte == carriageReturn && nextIs(newline, bytes, index) {
                index += byte == newline ? 1 : 2
                line += 1
                return (fields, fault)
            }
            if byte == UInt8(ascii: ",") {
                fields.append([])
                index += 1
            } else if byte == quote, fields[fields.count - 1].isEmpty {
                guard let field = quoted(bytes, &index, &line) else {
                    return (fields, "a quote that opens here is never closed")
                }
                fields[fields.count - 1] = field
                let ends =
                    index == bytes.count
                    || [0x2C, newline, carriageReturn]
                        .contains(bytes[index])
                if !ends { fault = "text after a closing quote" }
            } else {
                if byte == quote { fault = "a quote inside a field that is not quoted" }
                fields[fields.count - 1].append(byte)
                index += 1
            }
        }
        return (fields, fault)
    }

    private static func nextIs(_ byte: UInt8, _ bytes: [UInt8], _ index: Int) -> Bool {
        index + 1 < bytes.count && bytes[index + 1] == byte
    }

    /// The field whose opening quote is at `index`; nil when no quote closes it.
    private static func quoted(
        _ bytes: [UInt8], _ index: inout Int, _ line: inout Int
    ) -> [UInt8]? {
        var field: [UInt8] = []
        index += 1
        while index < bytes.count {
            let byte = bytes[index]
            if byte == quote {
                guard nextIs(quote, bytes, index) else {
                    index += 1
                    return field
                }
                index += 1
            }
            if byte == newline { line += 1 }
            field.append(byte)
            index += 1
        }
        return nil
    }
}
