// SPDX-License-Identifier: Apache-2.0
/// What Ruby's Marshal can say without naming a class: plain data.

/// A value of a Marshal stream.
///
/// Parts that a stream refers to several times are shared here too, so that a value never takes
/// more memory than a fixed multiple of its stream.
public enum MarshalValue: Sendable {
    /// `nil`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// An integer that 64 bits with a sign hold.
    case integer(Int64)
    /// An integer beyond 64 bits.
    indirect case bigInteger(MarshalBigInteger)
    /// A number of 64 bits, which may be NaN or infinite.
    case float(Double)
    /// Bytes with an encoding.
    indirect case string(MarshalString)
    /// A symbol.
    indirect case symbol(MarshalString)
    /// Values in order.
    case array([MarshalValue])
    /// Keys and values in order.
    indirect case hash(MarshalHash)

    /// A string in UTF-8.
    public static func text(_ text: String) -> MarshalValue { .string(MarshalString(text)) }
}

/// An integer that 64 bits with a sign cannot hold.
public struct MarshalBigInteger: Hashable, Sendable {
    /// Whether the number is below zero.
    public let isNegative: Bool
    /// The absolute value, lowest byte first, without zeros at the end.
    public let magnitude: [UInt8]

    /// Nil when the number fits `Int64`, and so is no big one.
    public init?(isNegative: Bool, magnitude: [UInt8]) {
        let count = magnitude.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
        self.isNegative = isNegative
        self.magnitude = Array(magnitude.prefix(count))
        if Self.small(isNegative, self.magnitude) != nil { return nil }
    }

    static func small(_ isNegative: Bool, _ magnitude: [UInt8]) -> Int64? {
        guard magnitude.count <= 8 || magnitude[8...].allSatisfy({ $0 == 0 }) else { return nil }
        let value = magnitude.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        if isNegative { return value <= 1 << 63 ? Int64(truncatingIfNeeded: 0 &- value) : nil }
        return Int64(exactly: value)
    }

    /// The number, when it fits.
    public var unsigned: UInt64? {
        guard !isNegative, magnitude.count <= 8 else { return nil }
        return magnitude.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Bytes and the encoding they are meant in.
public struct MarshalString: Hashable, Sendable {
    /// What the bytes of a string mean.
    public enum Encoding: Hashable, Sendable {
        /// Ruby's ASCII-8BIT.
        case binary
        /// US-ASCII.
        case ascii
        /// UTF-8.
        case utf8
        /// Another one by its name in Ruby, as `Shift_JIS`.
        case named(String)
    }

    /// The bytes as stored.
    public let bytes: [UInt8]
    /// What they mean.
    public let encoding: Encoding

    /// Bytes that are meant in an encoding; whether they are valid in it is not checked.
    public init(bytes: [UInt8], encoding: Encoding) {
        self.bytes = bytes
        self.encoding = encoding
    }

    /// A text in UTF-8.
    public init(_ text: String) { self.init(bytes: Array(text.utf8), encoding: .utf8) }

    /// A symbol's name: Ruby holds one of ASCII alone as ASCII.
    init(symbol bytes: [UInt8], encoding: Encoding) {
        let isPlain: Bool
        if case .named = encoding { isPlain = false } else { isPlain = true }
        self.init(
            bytes: bytes,
            encoding: isPlain && bytes.allSatisfy { $0 < 0x80 } ? .ascii : encoding)
    }

    /// The text, where the bytes are valid in UTF-8 or ASCII and were meant so, or are plain ASCII.
    public var text: String? {
        let isASCII = bytes.allSatisfy { $0 < 0x80 }
        switch encoding {
        case .utf8:
            guard bytes.withUnsafeBytes({ UTF8Check.firstInvalidByte($0) }) == nil else {
                return nil
            }
        case .ascii, .binary: if !isASCII { return nil }
        case .named: return nil
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Keys and values in order, and what a missing key gives.
public struct MarshalHash: Sendable {
    /// Keys with their values, in the order of insertion.
    public var pairs: [(key: MarshalValue, value: MarshalValue)]
    /// Ruby's `default`; nil when the hash has none.
    public var standard: MarshalValue?

    /// A hash of pairs, with what a missing key gives.
    public init(_ pairs: [(key: MarshalValue, value: MarshalValue)], default: MarshalValue? = nil) {
        self.pairs = pairs
        standard = `default`
    }
}

// MARK: Equality

extension MarshalValue: Hashable {
    /// The same data; floats compare by their bits, so that any NaN equals itself.
    public static func == (a: MarshalValue, b: MarshalValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.bigInteger(let a), .bigInteger(let b)): a == b
        case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
        case (.string(let a), .string(let b)): a == b
        case (.symbol(let a), .symbol(let b)): a == b
        case (.array(let a), .array(let b)): a == b
        case (.hash(let a), .hash(let b)): a == b
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .integer(let value): hasher.combine(value)
        case .bigInteger(let value): hasher.combine(value)
        case .float(let value): hasher.combine(value.bitPattern)
        case .string(let value): hasher.combine(value)
        case .symbol(let value):
            hasher.combine(1)
            hasher.combine(value)
        case .array(let elements): hasher.combine(elements)
        case .hash(let value): hasher.combine(value)
        }
    }
}

extension MarshalHash: Hashable {
    /// The same pairs in the same order, and the same default.
    public static func == (a: MarshalHash, b: MarshalHash) -> Bool {
        a.standard == b.standard
            && a.pairs.elementsEqual(b.pairs) { $0.key == $1.key && $0.value == $1.value }
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(standard)
        for (key, value) in pairs {
            hasher.combine(key)
            hasher.combine(value)
        }
    }
}
