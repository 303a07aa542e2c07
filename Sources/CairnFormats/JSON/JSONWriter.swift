// SPDX-License-Identifier: Apache-2.0
/// A deterministic writer of JSON text.

/// Appends values to UTF-8 bytes, with the layout of Python's `json.dumps(indent=2)` when pretty
/// and without any space when not.
struct JSONWriter {
    private let pretty: Bool
    private let sortedKeys: Bool
    private(set) var output: [UInt8] = []
    private var path: [Step] = []

    private enum Step {
        case key(String)
        case index(Int)
    }

    init(pretty: Bool, sortedKeys: Bool) {
        self.pretty = pretty
        self.sortedKeys = sortedKeys
    }

    mutating func write(_ value: JSONValue) throws(FormatError) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(String(value))
        case .number(let value):
            // `description` is the shortest text that reads back as the same bits.
            guard value.isFinite else { throw .nonFinite(place: place, value: "\(value)") }
            append(value.description)
        case .string(let value): writeString(value)
        case .array(let elements): try writeArray(elements)
        case .object(let object): try writeObject(object)
        }
    }

    private mutating func writeArray(_ elements: [JSONValue]) throws(FormatError) {
        output.append(UInt8(ascii: "["))
        for (index, element) in elements.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            path.append(.index(index))
            breakLine()
            try write(element)
            path.removeLast()
        }
        if !elements.isEmpty { breakLine() }
        output.append(UInt8(ascii: "]"))
    }

    private mutating func writeObject(_ object: JSONObject) throws(FormatError) {
        let members = sortedKeys ? object.sorted { $0.key.utf8Precedes($1.key) } : Array(object)
        output.append(UInt8(ascii: "{"))
        for (index, member) in members.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            path.append(.key(member.key))
            breakLine()
            writeString(member.key)
            append(pretty ? ": " : ":")
            try write(member.value)
            path.removeLast()
        }
        if !members.isEmpty { breakLine() }
        output.append(UInt8(ascii: "}"))
    }

    private mutating func breakLine() {
        guard pretty else { return }
        output.append(0x0A)
        output.append(contentsOf: repeatElement(0x20, count: 2 * path.count))
    }

    /// Escapes what RFC 8259 asks for and nothing else; short forms where there are any.
    private mutating func writeString(_ text: String) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\\"): append("\\\\")
            case 0x08: append("\\b")
            case 0x09: append("\\t")
            case 0x0A: append("\\n")
            case 0x0C: append("\\f")
            case 0x0D: append("\\r")
            case 0..<0x20: append((byte < 16 ? "\\u000" : "\\u00") + String(byte, radix: 16))
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func append(_ text: String) { output.append(contentsOf: text.utf8) }

    /// Where the value being written stands, as `$.losses[3]`.
    private var place: String {
        path.reduce("$") { text, step in
            switch step {
            case .key(let key): text + "." + key
            case .index(let index): text + "[\(index)]"
            }
        }
    }
}
