// SPDX-License-Identifier: Apache-2.0
/// A strict JSON reader that keeps members in order and never folds equivalent keys together.

/// A JSON value. Members keep the file's order; two keys are the same only if their bytes are.
enum JSON: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    struct Member: Sendable {
        var key: String
        var value: JSON
    }

    /// What the value is, in the words of an error message.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "the string '\(value.prefix(60))'"
        case .array(let values): "a list of \(values.count)"
        case .object(let members): "an object of \(members.count) members"
        }
    }
}

/// Where a text is not JSON.
struct JSONFault: Error {
    var offset: Int
    var reason: String
}

/// Parses RFC 8259 JSON; refuses duplicate keys, lone surrogates, invalid UTF-8 and NaN.
struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0
    private var depth = 0

    /// Nesting that no tokenizer or corpus comes near, and that no stack overflows at.
    private static let deepest = 128

    static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONFault) -> JSON {
        if let offset = UTF8Text.firstInvalid(bytes) {
            throw JSONFault(offset: offset, reason: "invalid UTF-8")
        }
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value()
        parser.skipBlanks()
        guard parser.index == bytes.count else { throw parser.fault("text after the value") }
        return value
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private func fault(_ reason: String) -> JSONFault { JSONFault(offset: index, reason: reason) }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipBlanks() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONFault) -> JSON {
        skipBlanks()
        switch next {
        case UInt8(ascii: "{"): return try nested { (self) throws(JSONFault) in try self.object() }
        case UInt8(ascii: "["): return try nested { (self) throws(JSONFault) in try self.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte):
            return try number()
        case nil: throw fault("the text ends where a value should be")
        default: throw fault("expected a value")
        }
    }

    private mutating func nested(
        _ body: (inout Self) throws(JSONFault) -> JSON
    ) throws(JSONFault) -> JSON {
        guard depth < Self.deepest else { throw fault("nested deeper than \(Self.deepest)") }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws(JSONFault) -> JSON {
        let length = text.utf8CodeUnitCount
        guard index + length <= bytes.count,
            (0..<length).allSatisfy({ bytes[index + $0] == text.utf8Start[$0] })
        else { throw fault("expected a value") }
        index += length
        return value
    }

    private mutating func expect(_ byte: UInt8) throws(JSONFault) {
        skipBlanks()
        guard next == byte else {
            throw fault("expected '\(Character(Unicode.Scalar(byte)))'")
        }
        index += 1
    }

    private mutating func array() throws(JSONFault) -> JSON {
        index += 1
        skipBlanks()
        if next == UInt8(ascii: "]") {
            index += 1
            return .array([])
        }
        var values: [JSON] = []
        while true {
            values.append(try value())
            skipBlanks()
            if next == UInt8(ascii: "]") {
                index += 1
                return .array(values)
            }
            try expect(UInt8(ascii: ","))
        }
    }

    private mutating func object() throws(JSONFault) -> JSON {
        index += 1
        skipBlanks()
        if next == UInt8(ascii: "}") {
            index += 1
            return .object([])
        }
        var members: [JSON.Member] = []
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw fault("expected a key in quotes") }
            let key = try string()
            try expect(UInt8(ascii: ":"))
            members.append(.init(key: key, value: try value()))
            skipBlanks()
            if next == UInt8(ascii: "}") {
                try checkDuplicates(members)
                index += 1
                return .object(members)
            }
            try expect(UInt8(ascii: ","))
        }
    }

    private func checkDuplicates(_ members: [JSON.Member]) throws(JSONFault) {
        var seen = Set<[UInt8]>(minimumCapacity: members.count)
        for member in members where !seen.insert(Array(member.key.utf8)).inserted {
            throw fault("the key '\(member.key.prefix(60))' stands twice in the object before")
        }
    }

    private mutating func number() throws(JSONFault) -> JSON {
        let start = index
        var isInteger = true
        if next == UInt8(ascii: "-") { index += 1 }
        let leadingZero = next == UInt8(ascii: "0")
        let digits = skipDigits()
        guard digits > 0, !(leadingZero && digits > 1) else { throw fault("expected a number") }
        if next == UInt8(ascii: ".") {
            isInteger = false
            index += 1
            guard skipDigits() > 0 else { throw fault("expected digits after the point") }
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            isInteger = false
            index += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
            guard skipDigits() > 0 else { throw fault("expected digits in the exponent") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONFault(offset: start, reason: "the number \(text.prefix(40)) is out of range")
        }
        return .number(value)
    }

    private mutating func skipDigits() -> Int {
        let start = index
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { index += 1 }
        return index - start
    }

    private mutating func string() throws(JSONFault) -> String {
        index += 1
        let start = index
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                let slice = UnsafeBufferPointer(rebasing: bytes[start..<index])
                index += 1
                return String(decoding: slice, as: UTF8.self)
            case UInt8(ascii: "\\"): return try escapedString(from: start)
            case 0..<0x20: throw fault("a control character in a string")
            default: index += 1
            }
        }
        throw fault("the text ends inside a string")
    }

    /// The slow half of `string`: the text from `start` on, with at least one escape.
    private mutating func escapedString(from start: Int) throws(JSONFault) -> String {
        var text = Array(bytes[start..<index])
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                index += 1
                UTF8Text.append(try escape(), to: &text)
            case 0..<0x20: throw fault("a control character in a string")
            default:
                text.append(byte)
                index += 1
            }
        }
        throw fault("the text ends inside a string")
    }

    private mutating func escape() throws(JSONFault) -> UInt32 {
        guard let byte = next else { throw fault("the text ends inside a string") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UInt32(byte)
        case UInt8(ascii: "b"): return 8
        case UInt8(ascii: "f"): return 12
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw fault("an unknown escape in a string")
        }
    }

    private mutating func unicodeEscape() throws(JSONFault) -> UInt32 {
        let unit = try fourHexDigits()
        guard unit & 0xF800 == 0xD800 else { return unit }
        guard unit < 0xDC00, index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"),
            bytes[index + 1] == UInt8(ascii: "u")
        else { throw fault("a lone surrogate in a string") }
        index += 2
        let low = try fourHexDigits()
        guard low & 0xFC00 == 0xDC00 else { throw fault("a lone surrogate in a string") }
        return 0x10000 + ((unit & 0x3FF) << 10 | low & 0x3FF)
    }

    private mutating func fourHexDigits() throws(JSONFault) -> UInt32 {
        guard index + 4 <= bytes.count else { throw fault("the text ends inside a string") }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue,
                bytes[index] < 0x80
            else { throw fault("expected four hexadecimal digits") }
            unit = unit << 4 | UInt32(digit)
            index += 1
        }
        return unit
    }
}
