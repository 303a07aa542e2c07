// SPDX-License-Identifier: Apache-2.0
/// A JSON document as a value: order kept, integers apart from other numbers.

import Foundation

/// A JSON value.
///
/// A number without fraction and exponent that fits 64 bits is an `integer`, every other one
/// (`-0` included, for its sign) a `number`. Strings compare by their bytes.
public enum JSONValue: Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number written without fraction and exponent that 64 bits hold.
    case integer(Int64)
    /// Any other number.
    case number(Double)
    /// A text.
    case string(String)
    /// Values in order.
    case array([JSONValue])
    /// Members by name, in order.
    case object(JSONObject)

    /// Reads one document, strictly: RFC 8259 without duplicate keys, byte-order mark, lone
    /// surrogates, numbers beyond a double, or bytes after the document; at most 256 levels.
    ///
    /// - Parameters:
    ///   - data: the document in UTF-8.
    ///   - file: what errors call the document.
    ///   - allowNonFinite: also takes `NaN`, `Infinity` and `-Infinity`, which Python writes.
    public static func parse(
        _ data: Data, file: String, allowNonFinite: Bool = false
    ) throws(FormatError) -> JSONValue {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                try parse(bytes: bytes, file: file, allowNonFinite: allowNonFinite)
            }
        }
        return try result.get()
    }

    package static func parse(
        bytes: UnsafeRawBufferPointer, file: String, allowNonFinite: Bool = false
    ) throws(FormatError) -> JSONValue {
        var parser = JSONParser(bytes: bytes, file: file, allowNonFinite: allowNonFinite)
        return try parser.parseDocument()
    }

    /// Reads the document in a file.
    public static func parse(
        contentsOf url: URL, allowNonFinite: Bool = false
    ) throws(FormatError) -> JSONValue {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return try parse(bytes: file.bytes, file: url.path, allowNonFinite: allowNonFinite)
    }

    /// The UTF-8 of the document, without a final newline; the same value gives the same bytes.
    ///
    /// Fails on a number that is not finite, naming its place.
    public func serialized(
        pretty: Bool = true, sortedKeys: Bool = false
    ) throws(FormatError) -> Data {
        var writer = JSONWriter(pretty: pretty, sortedKeys: sortedKeys)
        try writer.write(self)
        return Data(writer.output)
    }
}

// MARK: Reading

extension JSONValue {
    /// Whether this is `null`.
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// The value of a boolean; nil for another kind, as in the next ones.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// A whole number, written as `3` or as `3.0`.
    public var integer: Int? {
        switch self {
        case .integer(let value): Int(exactly: value)
        case .number(let value): Int(exactly: value)
        default: nil
        }
    }

    /// Any number; an integer beyond 2^53 rounds to nearest.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The text of a string.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements of an array.
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }

    /// The members of an object.
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The member of an object; nil when there is none or this is not an object.
    ///
    /// - Precondition: what is set into is an object.
    public subscript(key: String) -> JSONValue? {
        get { object?[key] }
        set {
            guard case .object(var members) = self else {
                preconditionFailure("'\(key)' set in \(kind), which is not an object")
            }
            self = .null
            members[key] = newValue
            self = .object(members)
        }
    }

    /// What kind of value this is, with its article, for error messages.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension JSONValue: Equatable {
    public static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.utf8Equals(b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

// MARK: Writing by hand

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements))
    }

    /// A boolean.
    public init(_ value: Bool) { self = .bool(value) }
    /// An integer.
    public init(_ value: Int) { self = .integer(Int64(value)) }
    /// A number with a fraction.
    public init(_ value: Double) { self = .number(value) }
    /// A text.
    public init(_ value: String) { self = .string(value) }
}
