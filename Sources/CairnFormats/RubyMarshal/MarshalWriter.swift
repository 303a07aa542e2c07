// SPDX-License-Identifier: Apache-2.0
/// Writes data as Ruby's Marshal, for a plain `Marshal.load`.

import Foundation

/// A streaming writer of Marshal 4.8; see `MarshalReader` for the format.
///
/// Symbols are written once and referred to after; shared parts of a value are written out.
public struct MarshalWriter {
    /// What `LONG` of the format can hold.
    private static let countLimit = 1 << 31 - 1
    private static let bufferSize = 1 << 16

    private var buffer: [UInt8] = [4, 8]
    private var symbols: [MarshalString: Int] = [:]
    private var depth = 0
    /// A float's spelling.
    private var text: [UInt8] = []

    /// Begins a stream, which takes one value.
    init() {}

    /// Fails on more than 256 levels or 2^31 - 1 elements in one place.
    public static func write(
        _ value: MarshalValue, to sink: inout some ByteSink
    ) throws(FormatError) {
        var writer = MarshalWriter()
        try writer.write(value, to: &sink)
        try writer.finish(to: &sink)
    }

    /// The stream of a value, as `Marshal.dump` writes it.
    public static func data(_ value: MarshalValue) throws(FormatError) -> Data {
        var sink = DataSink()
        try write(value, to: &sink)
        return sink.data
    }

    // MARK: Piece by piece

    /// Begins an array, whose elements follow; `end` comes behind them.
    mutating func beginArray(count: Int) throws(FormatError) {
        append("[")
        try enter(count: count)
    }

    /// Begins a hash, whose keys and values follow in turn; `end` comes behind them.
    mutating func beginHash(count: Int) throws(FormatError) {
        append("{")
        try enter(count: count)
    }

    mutating func end() { depth -= 1 }

    /// Hands over what is left; nothing may follow.
    mutating func finish(to sink: inout some ByteSink) throws(FormatError) {
        precondition(depth == 0, "\(depth) arrays and hashes were not ended")
        try flush(to: &sink)
    }

    mutating func write(
        _ value: MarshalValue, to sink: inout some ByteSink
    ) throws(FormatError) {
        switch value {
        case .null: append("0")
        case .bool(let value): append(value ? "T" : "F")
        case .integer(let value): writeInteger(value)
        case .bigInteger(let value): try writeBig(value.isNegative, value.magnitude)
        case .float(let value):
            append("f")
            text.removeAll(keepingCapacity: true)
            MarshalFloat.append(value, to: &text)
            writeLong(text.count)
            buffer += text
        case .string(let string): try writeString(string)
        case .symbol(let symbol): try writeSymbol(symbol)
        case .array(let elements):
            try beginArray(count: elements.count)
            for element in elements { try write(element, to: &sink) }
            end()
        case .hash(let hash):
            append(hash.standard == nil ? "{" : "}")
            try enter(count: hash.pairs.count)
            for (key, value) in hash.pairs {
                try write(key, to: &sink)
                try write(value, to: &sink)
            }
            if let standard = hash.standard { try write(standard, to: &sink) }
            end()
        }
        if buffer.count >= Self.bufferSize { try flush(to: &sink) }
    }

    // MARK: Numbers

    private mutating func writeInteger(_ value: Int64) {
        // Ruby's small integers have 31 bits in every file, whatever the machine.
        if value >= -(1 << 30) && value < 1 << 30 {
            append("i")
            writeLong(Int(value))
        } else {
            let magnitude = withUnsafeBytes(of: value.magnitude.littleEndian, Array.init)
            let count = magnitude.lastIndex { $0 != 0 }! + 1  // the number is not 0
            writeWords(value < 0, Array(magnitude.prefix(count)))
        }
    }

    private mutating func writeBig(_ isNegative: Bool, _ magnitude: [UInt8]) throws(FormatError) {
        try check(count: magnitude.count)
        writeWords(isNegative, magnitude)
    }

    private mutating func writeWords(_ isNegative: Bool, _ magnitude: [UInt8]) {
        append(isNegative ? "l-" : "l+")
        writeLong((magnitude.count + 1) / 2)
        buffer += magnitude
        if magnitude.count % 2 == 1 { buffer.append(0) }
    }

    private mutating func writeLong(_ value: Int) {
        switch value {
        case 0: buffer.append(0)
        case 1...122: buffer.append(UInt8(value + 5))
        case -123 ... -1: buffer.append(UInt8(bitPattern: Int8(value - 5)))
        default:
            var (rest, bytes) = (value, [UInt8]())
            let end = value < 0 ? -1 : 0
            repeat {
                bytes.append(UInt8(truncatingIfNeeded: rest))
                rest >>= 8
            } while rest != end
            buffer.append(UInt8(bitPattern: Int8(value < 0 ? -bytes.count : bytes.count)))
            buffer += bytes
        }
    }

    // MARK: Strings and symbols

    private mutating func writeString(_ string: MarshalString) throws(FormatError) {
        if string.encoding != .binary { append("I") }
        append("\"")
        try writeCounted(string.bytes)
        try writeEncoding(string.encoding)
    }

    private mutating func writeSymbol(_ given: MarshalString) throws(FormatError) {
        let symbol = MarshalString(symbol: given.bytes, encoding: given.encoding)
        if let index = symbols[symbol] {
            append(";")
            return writeLong(index)
        }
        // A symbol gets its number before what comes with it.
        symbols[symbol] = symbols.count
        let isPlain = symbol.encoding == .ascii && symbol.bytes.allSatisfy { $0 < 0x80 }
        let hasEncoding = symbol.encoding != .binary && !isPlain
        append(hasEncoding ? "I:" : ":")
        try writeCounted(symbol.bytes)
        if hasEncoding { try writeEncoding(symbol.encoding) }
    }

    private mutating func writeEncoding(_ encoding: MarshalString.Encoding) throws(FormatError) {
        switch encoding {
        case .binary: break
        case .ascii, .utf8:
            writeLong(1)
            try writeSymbol(MarshalString(symbol: Array("E".utf8), encoding: .ascii))
            append(encoding == .utf8 ? "T" : "F")
        case .named(let name):
            writeLong(1)
            try writeSymbol(MarshalString(symbol: Array("encoding".utf8), encoding: .ascii))
            append("\"")
            try writeCounted(Array(name.utf8))
        }
    }

    // MARK: Bytes

    private mutating func writeCounted(_ bytes: [UInt8]) throws(FormatError) {
        try check(count: bytes.count)
        writeLong(bytes.count)
        buffer += bytes
    }

    private mutating func enter(count: Int) throws(FormatError) {
        try check(count: count)
        writeLong(count)
        depth += 1
        if depth > MarshalReader.depthLimit {
            throw .entry(
                file: "Marshal", entry: "value",
                expected: "at most \(MarshalReader.depthLimit) levels", found: "one more")
        }
    }

    private func check(count: Int) throws(FormatError) {
        guard count <= Self.countLimit else {
            throw .entry(
                file: "Marshal", entry: "value", expected: "at most \(Self.countLimit) elements",
                found: "\(count)")
        }
    }

    private mutating func append(_ text: StaticString) {
        buffer.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func flush(to sink: inout some ByteSink) throws(FormatError) {
        let result = buffer.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try sink.write(bytes) }
        }
        try result.get()
        buffer.removeAll(keepingCapacity: true)
    }
}
