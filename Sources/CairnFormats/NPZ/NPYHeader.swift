// SPDX-License-Identifier: Apache-2.0
/// The header of a npy file: what the bytes behind it are.

import CairnTensor

/// Type, shape and order of one array.
///
///     0x93 "NUMPY" | major | minor | header length, u16 (major 1) or u32 (2, 3) | header | data
///     header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, blanks, newline
///
/// The header is a literal of Python's; read here is exactly what such a dictionary can be: the
/// three keys once each, in any order, strings without escapes. The data has as many bytes as
/// shape and type ask for, and nothing follows.
///
/// Source: the documentation of `numpy.lib.format`, versions 1.0, 2.0 and 3.0.
package struct NPYHeader: Sendable {
    /// What numpy itself accepts; a longer header is a hostile or a broken file.
    static let lengthLimit = 10_000
    static let rankLimit = 64
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

    package let type: NPYType
    package let shape: Shape
    package let isFortranOrder: Bool
    /// Bytes in front of the data.
    package let byteCount: Int
    /// Bytes of the data.
    package let dataByteCount: Int

    /// Reads the header from the front of an array.
    ///
    /// - Parameters:
    ///   - byteCount: bytes of header and data together, which must fit.
    ///   - pull: gives the next bytes, as many as it is asked for.
    package init(
        file: String, entry: String, byteCount total: Int,
        pull: (Int) throws(FormatError) -> [UInt8]
    ) throws(FormatError) {
        let fail = { (expected: String, found: String) in
            FormatError.entry(file: file, entry: entry, expected: expected, found: found)
        }
        let start = try pull(8)
        guard start.starts(with: Self.magic) else { throw fail("an array of npy", "another magic") }
        guard (1...3).contains(start[6]), start[7] == 0 else {
            throw fail("version 1.0, 2.0 or 3.0 of npy", "\(start[6]).\(start[7])")
        }
        let lengthBytes = try pull(start[6] == 1 ? 2 : 4)
        let length = lengthBytes.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.lengthLimit else {
            throw fail("a header of at most \(Self.lengthLimit) bytes", "\(length)")
        }
        var literal = NPYLiteral(text: try pull(length), file: file, entry: entry)
        let fields = try literal.parse()
        byteCount = 8 + lengthBytes.count + length
        guard let type = NPYType(spelling: fields.type) else {
            let meaning = NPYType.meaning(of: fields.type).map { " (\($0))" } ?? ""
            throw fail("numbers of 8 to 64 bits", "type '\(fields.type)'" + meaning)
        }
        guard fields.shape.count <= Self.rankLimit,
            let count = Shape.checkedElementCount(fields.shape),
            let dataByteCount = type.dtype.byteCount(elements: count)
        else { throw fail("a shape of a size below 2^63", "\(fields.shape)") }
        guard dataByteCount == total - byteCount else {
            throw fail(
                "\(dataByteCount) bytes for \(type.dtype.rawValue) \(fields.shape)",
                "\(total - byteCount)")
        }
        self.type = type
        shape = Shape(fields.shape)
        isFortranOrder = fields.isFortranOrder
        self.dataByteCount = dataByteCount
    }
}

/// Reads the dictionary of a header.
struct NPYLiteral {
    private let text: [UInt8]
    private let file: String
    private let entry: String
    private var position = 0

    init(text: [UInt8], file: String, entry: String) {
        self.text = text
        self.file = file
        self.entry = entry
    }

    mutating func parse() throws(FormatError) -> (
        type: String, shape: [Int], isFortranOrder: Bool
    ) {
        var type: String?
        var shape: [Int]?
        var isFortranOrder: Bool?
        try expect("{")
        while !skips("}") {
            let key = try string()
            try expect(":")
            switch key {
            case "descr" where type == nil: type = try self.type()
            case "fortran_order" where isFortranOrder == nil: isFortranOrder = try boolean()
            case "shape" where shape == nil: shape = try tuple()
            default: throw failure("the keys descr, fortran_order and shape once", "'\(key)'")
            }
            if !skips(",") {
                try expect("}")
                break
            }
        }
        skipSpace()
        if position < text.count { throw failure("blanks after the header's '}'") }
        guard let type, let shape, let isFortranOrder else {
            throw failure("the keys descr, fortran_order and shape", "fewer")
        }
        return (type, shape, isFortranOrder)
    }

    private mutating func type() throws(FormatError) -> String {
        skipSpace()
        if position < text.count, text[position] == UInt8(ascii: "[") {
            throw failure("numbers of 8 to 64 bits", "a record of several fields")
        }
        return try string()
    }

    private mutating func boolean() throws(FormatError) -> Bool {
        skipSpace()
        for (word, value) in [("True", true), ("False", false)]
        where text[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return value
        }
        throw failure("True or False")
    }

    /// `()`, `(3,)`, `(3, 4)`, `(3, 4,)`; integers of Python 2 end in `L`.
    private mutating func tuple() throws(FormatError) -> [Int] {
        try expect("(")
        var elements: [Int] = []
        var hasComma = true
        while !skips(")") {
            guard hasComma else { throw failure("',' or ')' in the shape") }
            elements.append(try integer())
            if elements.count > NPYHeader.rankLimit {
                throw failure("at most \(NPYHeader.rankLimit) dimensions", "more")
            }
            hasComma = skips(",")
        }
        guard elements.count != 1 || hasComma else {
            throw failure("a shape in parentheses", "a number")
        }
        return elements
    }

    private mutating func integer() throws(FormatError) -> Int {
        skipSpace()
        let digits = text[position...].prefix { (0x30...0x39).contains($0) }
        guard !digits.isEmpty else { throw failure("a dimension") }
        guard let value = Int(String(decoding: digits, as: UTF8.self)) else {
            throw failure("a dimension below 2^63", "one of \(digits.count) digits")
        }
        position += digits.count
        if position < text.count, text[position] == UInt8(ascii: "L") { position += 1 }
        return value
    }

    private mutating func string() throws(FormatError) -> String {
        skipSpace()
        guard position < text.count,
            let quote = [0x22, 0x27].first(where: { $0 == text[position] })
        else { throw failure("a string") }
        let content = text[(position + 1)...].prefix { $0 != quote && $0 != 0x5C && $0 >= 0x20 }
        guard content.endIndex < text.count, text[content.endIndex] == quote else {
            throw failure("a string without escapes")
        }
        position = content.endIndex + 1
        return String(decoding: content, as: UTF8.self)
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(FormatError) {
        if !skips(character) { throw failure("'\(character)'") }
    }

    /// Steps over the character, if it comes next.
    private mutating func skips(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while position < text.count, [0x20, 0x0A, 0x0D, 0x09].contains(text[position]) {
            position += 1
        }
    }

    private func failure(_ expected: String, _ found: String? = nil) -> FormatError {
        let place =
            position < text.count
            ? "'\(Character(Unicode.Scalar(text[position])))' at byte \(position) of the header"
            : "the end of the header"
        return .entry(file: file, entry: entry, expected: expected, found: found ?? place)
    }
}
