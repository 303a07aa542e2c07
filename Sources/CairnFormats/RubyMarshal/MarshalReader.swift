// SPDX-License-Identifier: Apache-2.0
/// Reads Ruby's Marshal as data; never anything that Ruby would run code for.

import Foundation

/// A reader of Marshal 4.8.
///
///     4 8 | value
///     0 nil   T true   F false   i LONG   l SIGN LONG(words) bytes   f LONG text
///     " LONG bytes   I value LONG (symbol value)*   : LONG bytes   ; LONG(symbol)   @ LONG(object)
///     [ LONG value*   { LONG (key value)*   } LONG (key value)* default
///     LONG: 0, or one byte n ± 5 for -123...122, or a count of bytes and the little-endian bytes
///
/// `;` repeats a symbol, `@` an object, by the order of their first bytes; numbers of 30 bits,
/// symbols, nil and booleans are no objects. `I` gives a string its encoding: `E` true for UTF-8,
/// `E` false for ASCII, `encoding` with a name for others, nothing for bytes.
///
/// Refused by kind, name and place: objects (o), classes and modules (c m M), structs (S), what a
/// class dumps by itself (u U), extended objects (e), subclasses of core classes (C), C data (d),
/// regular expressions (/), other instance variables, cycles, keys that occur twice. A value may
/// be 256 levels deep and, with every repetition written out, a fixed multiple of the stream.
///
/// Source: Ruby's documentation of the format (`marshal.rdoc`).
public enum MarshalReader {
    /// Levels of arrays and hashes: far beyond any real file, far within any thread's stack.
    public static let depthLimit = 256

    public static func value(contentsOf url: URL) throws(FormatError) -> MarshalValue {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return try value(bytes: file.bytes, file: url.path)
    }

    public static func value(_ data: Data, file: String) throws(FormatError) -> MarshalValue {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try value(bytes: bytes, file: file) }
        }
        return try result.get()
    }

    package static func value(
        bytes: UnsafeRawBufferPointer, file: String
    ) throws(FormatError) -> MarshalValue {
        var parser = MarshalParser(bytes: bytes, file: file)
        return try parser.parseStream()
    }

    /// Whether the bytes begin as every stream of version 4.8 does.
    public static func begins(_ bytes: some Sequence<UInt8>) -> Bool { bytes.starts(with: [4, 8]) }
}

/// One pass over a stream by recursive descent.
struct MarshalParser {
    let bytes: UnsafeRawBufferPointer
    let file: String
    var position = 0
    private var depth = 0
    private var symbols: [MarshalString] = []
    /// Finished objects, and nil for those that are being read.
    private var objects: [(value: MarshalValue?, size: Int)] = []
    /// Values and, by 16, bytes of strings, every repetition counted.
    private var size = 0
    private let sizeLimit: Int

    init(bytes: UnsafeRawBufferPointer, file: String) {
        self.bytes = bytes
        self.file = file
        sizeLimit = 1 << 20 + 64 * bytes.count
    }

    mutating func parseStream() throws(FormatError) -> MarshalValue {
        let version = try take(2)
        guard MarshalReader.begins(version) else {
            throw failure(at: 0, "version 4.8 of Marshal", "\(version[0]).\(version[1])")
        }
        let value = try parseValue()
        guard position == bytes.count else {
            throw .trailing(file: file, needs: position, has: bytes.count)
        }
        return value
    }

    private mutating func parseValue() throws(FormatError) -> MarshalValue {
        let place = position
        size += 1
        let kind = try takeByte()
        switch kind {
        case UInt8(ascii: "0"): return .null
        case UInt8(ascii: "T"): return .bool(true)
        case UInt8(ascii: "F"): return .bool(false)
        case UInt8(ascii: "i"): return .integer(Int64(try long()))
        case UInt8(ascii: ":"), UInt8(ascii: ";"):
            position = place
            return .symbol(try parseSymbol())
        case UInt8(ascii: "@"): return try parseLink(at: place)
        case UInt8(ascii: "I"): return try parseWithVariables()
        case UInt8(ascii: "\""):
            let slot = openObject()
            let string = MarshalString(bytes: try takeCounted(), encoding: .binary)
            return close(slot, .string(string), from: size - 1)
        case UInt8(ascii: "l"): return try parseBigInteger()
        case UInt8(ascii: "f"): return try parseFloat()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "{"), UInt8(ascii: "}"):
            return try parseHash(hasDefault: kind == UInt8(ascii: "}"))
        default: throw refusal(of: kind, at: place)
        }
    }

    // MARK: Objects and what refers to them

    /// Takes the next number of an object, whose value comes later.
    private mutating func openObject() -> Int {
        objects.append((nil, 0))
        return objects.count - 1
    }

    private mutating func close(
        _ slot: Int, _ value: MarshalValue, from start: Int
    ) -> MarshalValue {
        objects[slot] = (value, size - start)
        return value
    }

    private mutating func parseLink(at place: Int) throws(FormatError) -> MarshalValue {
        let index = try long()
        guard objects.indices.contains(index) else {
            throw failure(
                at: place, "a link to one of \(objects.count) objects", "one to number \(index)")
        }
        guard let value = objects[index].value else {
            throw failure(at: place, "no cycles", "a link to an object that contains it")
        }
        size += objects[index].size
        guard size <= sizeLimit else {
            throw failure(
                at: place, "at most \(sizeLimit) values with every link written out", "more")
        }
        return value
    }

    // MARK: Strings and symbols

    /// What follows `I`: a string or a symbol with its encoding.
    private mutating func parseWithVariables() throws(FormatError) -> MarshalValue {
        let place = position
        switch try takeByte() {
        case UInt8(ascii: ":"):
            position = place - 1
            return .symbol(try parseSymbol())
        case UInt8(ascii: "\""):
            let (slot, start) = (openObject(), size - 1)
            let bytes = try takeCounted()
            let encoding = try parseEncoding() ?? .binary
            return close(
                slot, .string(MarshalString(bytes: bytes, encoding: encoding)), from: start)
        case let kind where "lf[{}@iTF0;I".utf8.contains(kind):
            throw failure(
                at: place, "instance variables on strings and symbols alone",
                "them on type '\(Character(Unicode.Scalar(kind)))'")
        case let kind: throw refusal(of: kind, at: place)
        }
    }

    /// The encoding among the instance variables of a string, which holds no other one.
    private mutating func parseEncoding() throws(FormatError) -> MarshalString.Encoding? {
        let place = position
        var encoding: MarshalString.Encoding?
        let count = try long()
        guard (0...1).contains(count) else {
            throw failure(at: place, "an encoding and no other instance variable", "\(count)")
        }
        for _ in 0..<count {
            let place = position
            let name = try parseSymbol().bytes
            try enter(at: place)
            let value = try parseValue()
            depth -= 1
            switch value {
            case .bool(let isUTF8) where name.elementsEqual("E".utf8):
                encoding = isUTF8 ? .utf8 : .ascii
            case .string(let text) where name.elementsEqual("encoding".utf8) && text.text != nil:
                encoding = .named(text.text!)  // just seen not to be nil
            default:
                throw failure(
                    at: place, "an encoding and no other instance variable",
                    "'\(Self.printable(name))'")
            }
        }
        return encoding
    }

    /// `:`, `;` or `I:` and what belongs to it.
    mutating func parseSymbol() throws(FormatError) -> MarshalString {
        let place = position
        var kind = try takeByte()
        let hasEncoding = kind == UInt8(ascii: "I")
        if hasEncoding { kind = try takeByte() }
        if kind == UInt8(ascii: ";") && !hasEncoding {
            let index = try long()
            guard symbols.indices.contains(index) else {
                throw failure(
                    at: place, "a link to one of \(symbols.count) symbols", "one to \(index)")
            }
            size += symbols[index].bytes.count / 16
            return symbols[index]
        }
        guard kind == UInt8(ascii: ":") else {
            throw failure(at: place, "a symbol", "type \(Self.name(of: kind))")
        }
        let name = try takeCounted()
        // A symbol gets its number before what comes with it.
        let slot = symbols.count
        symbols.append(MarshalString(symbol: name, encoding: .binary))
        if hasEncoding, let encoding = try parseEncoding() {
            symbols[slot] = MarshalString(symbol: name, encoding: encoding)
        }
        return symbols[slot]
    }

    // MARK: Numbers

    private mutating func parseBigInteger() throws(FormatError) -> MarshalValue {
        let (slot, start, place) = (openObject(), size - 1, position)
        let sign = try takeByte()
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else {
            throw failure(at: place, "a sign", Self.name(of: sign))
        }
        let magnitude = Array(try take(2 * (try count(of: 2))))
        size += magnitude.count / 16
        let isNegative = sign == UInt8(ascii: "-")
        let value: MarshalValue
        if let big = MarshalBigInteger(isNegative: isNegative, magnitude: magnitude) {
            value = .bigInteger(big)
        } else {
            value = .integer(MarshalBigInteger.small(isNegative, magnitude)!)  // or it were big
        }
        return close(slot, value, from: start)
    }

    private mutating func parseFloat() throws(FormatError) -> MarshalValue {
        let (slot, start, place) = (openObject(), size - 1, position)
        let text = String(decoding: try takeCounted(), as: UTF8.self)
        guard let value = MarshalFloat.value(of: text) else {
            throw failure(
                at: place, "a float in decimal", "'\(Self.printable(Array(text.utf8)))'")
        }
        return close(slot, .float(value), from: start)
    }

    // MARK: Containers

    private mutating func parseArray() throws(FormatError) -> MarshalValue {
        let (slot, start) = (openObject(), size - 1)
        try enter(at: position - 1)
        var elements: [MarshalValue] = []
        let count = try count(of: 1)
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try parseValue()) }
        depth -= 1
        return close(slot, .array(elements), from: start)
    }

    private mutating func parseHash(hasDefault: Bool) throws(FormatError) -> MarshalValue {
        let (slot, start) = (openObject(), size - 1)
        try enter(at: position - 1)
        var hash = MarshalHash([])
        var keys: Set<MarshalValue> = []
        let count = try count(of: 2)
        hash.pairs.reserveCapacity(count)
        for _ in 0..<count {
            let place = position
            let key = try parseValue()
            guard keys.insert(key).inserted else {
                throw failure(at: place, "every key once", "one again")
            }
            hash.pairs.append((key, try parseValue()))
        }
        if hasDefault { hash.standard = try parseValue() }
        depth -= 1
        return close(slot, .hash(hash), from: start)
    }

    private mutating func enter(at place: Int) throws(FormatError) {
        depth += 1
        if depth > MarshalReader.depthLimit {
            throw failure(at: place, "at most \(MarshalReader.depthLimit) levels", "one more")
        }
    }
}

// MARK: Bytes and errors

extension MarshalParser {
    mutating func takeByte() throws(FormatError) -> UInt8 { try take(1)[0] }

    private mutating func take(
        _ count: Int
    ) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - position else {
            throw .truncated(file: file, needs: position + count, has: bytes.count)
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    private mutating func takeCounted() throws(FormatError) -> [UInt8] {
        let bytes = Array(try take(try count(of: 1)))
        size += bytes.count / 16
        return bytes
    }

    /// A count of parts that take `width` bytes at least, which the stream must still have.
    private mutating func count(of width: Int) throws(FormatError) -> Int {
        let place = position
        let count = try long()
        guard count >= 0 else { throw failure(at: place, "a count", "\(count)") }
        guard count * width <= bytes.count - position else {
            throw .truncated(file: file, needs: position + count * width, has: bytes.count)
        }
        return count
    }

    private mutating func long() throws(FormatError) -> Int {
        let first = Int(Int8(bitPattern: try takeByte()))
        switch first {
        case 0: return 0
        case 5...: return first - 5
        case ...(-5): return first + 5
        default:
            let rest = try take(abs(first)).reversed()
            // A negative number is written without its bytes of ones.
            return rest.reduce(first < 0 ? -1 : 0) { $0 << 8 | Int($1) }
        }
    }

    private mutating func refusal(of kind: UInt8, at place: Int) -> FormatError {
        let data = "data (nil, booleans, numbers, strings, symbols, arrays, hashes)"
        let kinds: [Unicode.Scalar: String] = [
            "o": "an object of class", "c": "the class", "m": "the module",
            "M": "the class or module", "S": "a struct of class", "u": "a dump of class",
            "U": "a dump of class", "e": "an object extended by", "C": "a subclass",
            "d": "C data of class", "/": "the regular expression",
        ]
        guard let what = kinds[Unicode.Scalar(kind)] else {
            return failure(at: place, data, "type \(Self.name(of: kind))")
        }
        let name =
            "cmM/".utf8.contains(kind) ? try? takeCounted() : (try? parseSymbol())?.bytes
        let found = what + (name.map { " '\(Self.printable($0))'" } ?? "")
        return failure(at: place, data, found + ", type \(Self.name(of: kind))")
    }

    func failure(at place: Int, _ expected: String, _ found: String) -> FormatError {
        .entry(file: file, entry: "byte \(place)", expected: expected, found: found)
    }

    private static func name(of byte: UInt8) -> String {
        byte > 0x20 && byte < 0x7F
            ? "'\(Character(Unicode.Scalar(byte)))'" : "0x" + String(byte, radix: 16)
    }

    /// A name out of a file, short and without what would bend a message.
    private static func printable(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes.prefix(80), as: UTF8.self)
        let scalars = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }
        return String(String.UnicodeScalarView(scalars)) + (bytes.count > 80 ? "..." : "")
    }
}
