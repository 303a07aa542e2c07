// SPDX-License-Identifier: Apache-2.0
/// What Marshal and JSON have in common, so that mlx-ruby's payloads are read and written once.

/// One level of a value of either format.
package enum PayloadView<Value> {
    case null
    case bool(Bool)
    case integer(Int64)
    /// An integer from 2^63 to 2^64 - 1.
    case unsigned(UInt64)
    case number(Double)
    case text(String)
    case list([Value])
    case members([(key: String, value: Value)])
    /// Something that only one of the formats has, in words.
    case other(String)

    /// What this is, with its article, for error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .unsigned: "an integer"
        case .number: "a number"
        case .text: "a string"
        case .list: "a list"
        case .members: "a hash"
        case .other(let words): words
        }
    }
}

/// A value that a payload can be made of.
package protocol PayloadValue: Sendable {
    var view: PayloadView<Self> { get }

    /// Nil for what the format cannot say.
    init?(_ view: PayloadView<Self>)
}

extension JSONValue: PayloadValue {
    package var view: PayloadView<JSONValue> {
        switch self {
        case .null: .null
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .number(let value): .number(value)
        case .string(let value): .text(value)
        case .array(let elements): .list(elements)
        case .object(let members): .members(Array(members))
        }
    }

    package init?(_ view: PayloadView<JSONValue>) {
        switch view {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .text(let value): self = .string(value)
        case .list(let elements): self = .array(elements)
        case .members(let members):
            var object = JSONObject()
            for (key, value) in members where !object.append(key: key, value: value) { return nil }
            self = .object(object)
        case .unsigned, .other: return nil
        }
    }
}

extension MarshalValue: PayloadValue {
    /// Symbols read as text, and integers that are keys too, as Ruby's conversion to JSON has it.
    package var view: PayloadView<MarshalValue> {
        switch self {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .bigInteger(let value):
            return value.unsigned.map { .unsigned($0) } ?? .other("an integer beyond 64 bits")
        case .float(let value): return .number(value)
        case .string(let value), .symbol(let value):
            return value.text.map { .text($0) } ?? .other("a string that is not UTF-8")
        case .array(let elements): return .list(elements)
        case .hash(let hash):
            var members: [(key: String, value: MarshalValue)] = []
            members.reserveCapacity(hash.pairs.count)
            for (key, value) in hash.pairs {
                switch key.view {
                case .text(let text): members.append((text, value))
                case .integer(let number): members.append((String(number), value))
                default: return .other("a hash with \(key.view.kind) for a key")
                }
            }
            return .members(members)
        }
    }

    package init?(_ view: PayloadView<MarshalValue>) {
        switch view {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .unsigned(let value):
            let bytes = withUnsafeBytes(of: value.littleEndian, Array.init)
            self =
                MarshalBigInteger(isNegative: false, magnitude: bytes).map { .bigInteger($0) }
                ?? .integer(Int64(value))  // it fits, or it were a big one
        case .number(let value): self = .float(value)
        case .text(let value): self = .text(value)
        case .list(let elements): self = .array(elements)
        case .members(let members):
            self = .hash(MarshalHash(members.map { (.text($0.key), $0.value) }))
        case .other: return nil
        }
    }
}

/// Reads and writes payloads; errors name the file and the place in it by a dotted path.
package struct PayloadCodec<Value: PayloadValue>: Sendable {
    let file: String

    package init(file: String) { self.file = file }

    func failure(_ place: String, _ expected: String, _ found: String) -> FormatError {
        .entry(
            file: file, entry: place.isEmpty ? "payload" : "'\(place)'", expected: expected,
            found: found)
    }

    func path(_ place: String, _ key: String) -> String { place.isEmpty ? key : place + "." + key }

    /// The members of a hash by key, each key once.
    func members(
        _ value: Value, at place: String
    ) throws(FormatError) -> [String: Value] {
        guard case .members(let members) = value.view else {
            throw failure(place, "a hash with text for keys", value.view.kind)
        }
        var byKey: [String: Value] = [:]
        for (key, member) in members where byKey.updateValue(member, forKey: key) != nil {
            throw failure(path(place, key), "every key once", "it again")
        }
        return byKey
    }

    /// The value of `view`, which the format must be able to say.
    func make(_ view: PayloadView<Value>, at place: String) throws(FormatError) -> Value {
        guard let value = Value(view) else {
            throw failure(place, "what the format can hold", view.kind)
        }
        return value
    }

    // MARK: Metadata

    /// The value as JSON: symbols become strings.
    func json(_ value: Value, at place: String) throws(FormatError) -> JSONValue {
        switch value.view {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .text(let value): return .string(value)
        case .list(let elements):
            var array: [JSONValue] = []
            for (index, element) in elements.enumerated() {
                array.append(try json(element, at: path(place, "\(index)")))
            }
            return .array(array)
        case .members(let members):
            var object = JSONObject()
            for (key, member) in members {
                let place = path(place, key)
                guard object.append(key: key, value: try json(member, at: place)) else {
                    throw failure(place, "every key once", "it again")
                }
            }
            return .object(object)
        case .unsigned, .other:
            throw failure(place, "what JSON can hold", value.view.kind)
        }
    }

    func value(of json: JSONValue, at place: String) throws(FormatError) -> Value {
        switch json {
        case .array(let elements):
            var list: [Value] = []
            for element in elements { list.append(try value(of: element, at: place)) }
            return try make(.list(list), at: place)
        case .object(let object):
            var members: [(key: String, value: Value)] = []
            for (key, member) in object {
                members.append((key, try value(of: member, at: path(place, key))))
            }
            return try make(.members(members), at: place)
        case .null: return try make(.null, at: place)
        case .bool(let value): return try make(.bool(value), at: place)
        case .integer(let value): return try make(.integer(value), at: place)
        case .number(let value): return try make(.number(value), at: place)
        case .string(let value): return try make(.text(value), at: place)
        }
    }
}
