// SPDX-License-Identifier: Apache-2.0
/// The values of a Marshal stream, one after another.

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
    var size = 0
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
        var encoding: MarshalString.Encoding?
        for _ in 0..<(try count(of: 2)) {
            let place = position
            let name = try parseSymbol().bytes
            try enter(at: place)
            let value = try parseValue()
            depth -= 1
            let found: MarshalString.Encoding?
            switch value {
            case .bool(let isUTF8) where name.elementsEqual("E".utf8):
                found = isUTF8 ? .utf8 : .ascii
            case .string(let text) where name.elementsEqual("encoding".utf8):
                found = text.text.map { .named($0) }
            default: found = nil
            }
            guard encoding == nil, let found else {
                throw failure(
                    at: place, "an encoding and no other instance variable",
                    "'\(Self.printable(name))'")
            }
            encoding = found
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
