// SPDX-License-Identifier: Apache-2.0
/// A strict reader of JSON text.

/// One pass over UTF-8 bytes by recursive descent.
///
/// Source: RFC 8259.
struct JSONParser {
    /// Levels of arrays and objects: far beyond any real file, far within any thread's stack.
    static let depthLimit = 256

    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private let allowNonFinite: Bool
    private var position = 0
    private var depth = 0

    init(bytes: UnsafeRawBufferPointer, file: String, allowNonFinite: Bool) {
        self.bytes = bytes
        self.file = file
        self.allowNonFinite = allowNonFinite
    }

    mutating func parseDocument() throws(FormatError) -> JSONValue {
        if let place = UTF8Check.firstInvalidByte(bytes) {
            throw failure("UTF-8", found: Self.hex(bytes[place]), at: place)
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw failure("a value", found: "a byte-order mark", at: 0)
        }
        let value = try parseValue()
        skipSpace()
        if position < bytes.count { throw failure("the end of the text") }
        return value
    }

    private mutating func parseValue() throws(FormatError) -> JSONValue {
        skipSpace()
        guard let byte = peek() else { throw failure("a value") }
        switch byte {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        case UInt8(ascii: "N"): return try parseNonFinite("NaN", .nan)
        case UInt8(ascii: "I"): return try parseNonFinite("Infinity", .infinity)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        default: throw failure("a value")
        }
    }

    // MARK: Containers

    private mutating func parseObject() throws(FormatError) -> JSONValue {
        try enter()
        var object = JSONObject()
        if !closes(UInt8(ascii: "}")) {
            repeat {
                skipSpace()
                let place = position
                guard peek() == UInt8(ascii: "\"") else { throw failure("a key in quotes") }
                let key = try parseString()
                skipSpace()
                guard peek() == UInt8(ascii: ":") else { throw failure("':' after a key") }
                position += 1
                if !object.append(key: key, value: try parseValue()) {
                    throw failure("every key once", found: "'\(key)' again", at: place)
                }
            } while try continues(until: UInt8(ascii: "}"))
        }
        depth -= 1
        return .object(object)
    }

    private mutating func parseArray() throws(FormatError) -> JSONValue {
        try enter()
        var elements: [JSONValue] = []
        if !closes(UInt8(ascii: "]")) {
            repeat {
                elements.append(try parseValue())
            } while try continues(until: UInt8(ascii: "]"))
        }
        depth -= 1
        return .array(elements)
    }

    private mutating func enter() throws(FormatError) {
        depth += 1
        if depth > Self.depthLimit {
            throw failure("at most \(Self.depthLimit) levels", found: "one more")
        }
        position += 1
    }

    /// Whether the container is empty; steps over its end if so.
    private mutating func closes(_ end: UInt8) -> Bool {
        skipSpace()
        guard peek() == end else { return false }
        position += 1
        return true
    }

    /// Steps over a comma (true) or the end of the container (false).
    private mutating func continues(until end: UInt8) throws(FormatError) -> Bool {
        skipSpace()
        let byte = peek()
        guard byte == UInt8(ascii: ",") || byte == end else {
            throw failure("',' or '\(Character(UnicodeScalar(end)))'")
        }
        position += 1
        return byte != end
    }

    // MARK: Words and numbers

    private mutating func parseWord(
        _ word: StaticString, _ value: JSONValue
    ) throws(FormatError) -> JSONValue {
        for index in 0..<word.utf8CodeUnitCount {
            guard position + index < bytes.count,
                bytes[position + index] == word.utf8Start[index]
            else { throw failure("a value") }
        }
        position += word.utf8CodeUnitCount
        return value
    }

    private mutating func parseNonFinite(
        _ word: StaticString, _ value: Double
    ) throws(FormatError) -> JSONValue {
        let place = position
        let parsed = try parseWord(word, .number(value))
        guard allowNonFinite else {
            throw failure("a finite number", found: "\(word)", at: place)
        }
        return parsed
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    private mutating func parseNumber() throws(FormatError) -> JSONValue {
        let start = position
        let isNegative = peek() == UInt8(ascii: "-")
        if isNegative { position += 1 }
        if isNegative && peek() == UInt8(ascii: "I") {
            position = start
            return try parseNonFinite("-Infinity", -.infinity)
        }
        let firstDigit = position
        try skipDigits()
        if position > firstDigit + 1 && bytes[firstDigit] == UInt8(ascii: "0") {
            throw failure("a number without leading zeros", at: firstDigit)
        }
        let isWhole = try !skipFractionAndExponent()
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isWhole, let value = Int64(text), value != 0 || !isNegative { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            let found = text.count > 40 ? "one of \(text.count) characters" : text
            throw failure("a number within a double's range", found: found, at: start)
        }
        return .number(value)
    }

    /// Whether there was any of both.
    private mutating func skipFractionAndExponent() throws(FormatError) -> Bool {
        let start = position
        if peek() == UInt8(ascii: ".") {
            position += 1
            try skipDigits()
        }
        if let e = peek(), e | 0x20 == UInt8(ascii: "e") {
            position += 1
            if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                position += 1
            }
            try skipDigits()
        }
        return position > start
    }

    private mutating func skipDigits() throws(FormatError) {
        let start = position
        while position < bytes.count, bytes[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        if position == start { throw failure("a digit") }
    }

    // MARK: Strings

    private mutating func parseString() throws(FormatError) -> String {
        position += 1
        let start = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return String(decoding: bytes[start..<(position - 1)], as: UTF8.self)
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: start) }
            if byte < 0x20 { throw failure("control characters as escapes") }
            position += 1
        }
        throw failure("'\"' at the end of a string")
    }

    /// Goes on at the first backslash of a string that starts at `start`.
    private mutating func parseEscapedString(from start: Int) throws(FormatError) -> String {
        var text = Array(bytes[start..<position])
        while position < bytes.count {
            let byte = bytes[position]
            if byte < 0x20 { throw failure("control characters as escapes") }
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try parseEscape(into: &text)
            default: text.append(byte)
            }
        }
        throw failure("'\"' at the end of a string")
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(FormatError) {
        let place = position - 1
        guard let letter = peek() else { throw failure("'\"' at the end of a string") }
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: UTF8.encode(try parseScalar(at: place))!)
        default: throw failure("an escape", at: position - 1)
        }
    }

    /// A scalar from `XXXX`, or from a surrogate pair `XXXX\uXXXX`, of an escape at `place`.
    private mutating func parseScalar(at place: Int) throws(FormatError) -> UnicodeScalar {
        let first = try parseFourHexDigits()
        if let scalar = UnicodeScalar(first) { return scalar }
        if first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        {
            position += 2
            let second = try parseFourHexDigits()
            let code = 0x10000 + (first - 0xD800) << 10 + (second & 0x3FF)
            if second & 0xFC00 == 0xDC00, let scalar = UnicodeScalar(code) { return scalar }
        }
        throw failure("a surrogate pair", found: "half of one", at: place)
    }

    private mutating func parseFourHexDigits() throws(FormatError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek(), byte < 0x80,
                let digit = Character(UnicodeScalar(byte)).hexDigitValue
            else { throw failure("four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }

    // MARK: Bytes and errors

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private func failure(
        _ expected: String, found: String? = nil, at place: Int? = nil
    ) -> FormatError {
        let place = place ?? position
        let line = 1 + bytes[..<place].reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
        let found = found ?? (place < bytes.count ? Self.name(bytes[place]) : "the end")
        return .json(file: file, line: line, byte: place, expected: expected, found: found)
    }

    private static func name(_ byte: UInt8) -> String {
        byte > 0x20 && byte < 0x7F ? "'\(Character(UnicodeScalar(byte)))'" : hex(byte)
    }

    private static func hex(_ byte: UInt8) -> String {
        "byte 0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }
}
