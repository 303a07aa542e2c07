// SPDX-License-Identifier: Apache-2.0
/// The index of an APR v2 file: names, types, shapes and places of its tensors.

import CairnTensor

/// What the index says of one tensor.
public struct APREntry: Sendable {
    /// The tensor's name.
    public let name: String
    /// How its elements are stored.
    public let type: APRElementType
    /// Its shape, row-major.
    public let shape: Shape
    /// Where its bytes lie in the file.
    public let range: Range<Int>
}

/// Reads index entries one after the other, each checked by itself and against the one before.
struct APRIndexParser {
    private let bytes: UnsafeRawBufferPointer
    private let file: String
    private let dataStart: Int
    private var position: Int
    private var previous: String?
    /// Names seen, under which equal ones of another Unicode form count as the same.
    private var names: Set<String> = []

    init(_ bytes: UnsafeRawBufferPointer, header: APRHeader, file: String) {
        self.bytes = bytes
        self.file = file
        dataStart = header.dataStart
        position = header.indexStart
    }

    /// All entries, by name; checks that only zeros follow.
    mutating func parse(count: Int) throws(FormatError) -> [APREntry] {
        var entries: [APREntry] = []
        for number in 0..<count { entries.append(try parseEntry(number)) }
        let end = APRLayout.aligned(position)
        guard end == dataStart else {
            throw .entry(
                file: file, entry: "header, data offset", expected: "\(end), behind the index",
                found: "\(dataStart)")
        }
        try bytes.requireZeros(position..<end, "padding of the index", file: file)
        return entries
    }

    private mutating func parseEntry(_ number: Int) throws(FormatError) -> APREntry {
        let place = "index entry \(number)"
        let length = Int(try read(UInt16.self, of: place))
        guard length <= APRLayout.nameLimit else {
            throw .entry(
                file: file, entry: "\(place), name",
                expected: "at most \(APRLayout.nameLimit) bytes", found: "\(length)")
        }
        let name = try parseName(try take(length, of: place), of: place)
        let entry = "tensor '\(name)'"
        let code = try read(UInt8.self, of: entry)
        guard let type = APRElementType(code: code) else {
            let known = APRElementType.allCases.map { "\($0.rawValue) \($0.name)" }
            throw .entry(
                file: file, entry: "\(entry), type",
                expected: "one of \(known.joined(separator: ", "))", found: "\(code)")
        }
        let rank = Int(try read(UInt8.self, of: entry))
        guard rank <= APRLayout.rankLimit else {
            throw .entry(
                file: file, entry: entry,
                expected: "at most \(APRLayout.rankLimit) dimensions", found: "\(rank)")
        }
        var dimensions: [Int] = []
        for _ in 0..<rank { dimensions.append(try readPlace("\(entry), shape")) }
        let offset = try readPlace("\(entry), offset")
        let size = try readPlace("\(entry), size")
        guard let count = Shape.checkedElementCount(dimensions),
            let needed = type.byteCount(elements: count), needed == size
        else {
            throw .entry(
                file: file, entry: entry, expected: "the bytes of \(type.name) \(dimensions)",
                found: "\(size)")
        }
        return APREntry(
            name: name, type: type, shape: Shape(dimensions),
            range: (dataStart + offset)..<(dataStart + offset + size))
    }

    private mutating func parseName(
        _ text: UnsafeRawBufferPointer, of place: String
    ) throws(FormatError) -> String {
        func failure(_ expected: String, _ found: String) -> FormatError {
            .entry(file: file, entry: "\(place), name", expected: expected, found: found)
        }
        if let bad = UTF8Check.firstInvalidByte(text) {
            throw failure("UTF-8", "another byte at \(bad)")
        }
        let name = String(decoding: text, as: UTF8.self)
        if let previous {
            if previous.utf8Equals(name) { throw failure("every name once", "'\(name)' again") }
            guard previous.utf8Precedes(name) else {
                throw failure("names in the order of their bytes", "'\(name)' after '\(previous)'")
            }
        }
        guard names.insert(name).inserted else {
            throw failure("every name once", "'\(name)' again in another Unicode form")
        }
        previous = name
        return name
    }

    // MARK: Bytes

    private mutating func take(
        _ count: Int, of place: String
    ) throws(FormatError) -> UnsafeRawBufferPointer {
        guard count <= dataStart - position else {
            throw .entry(
                file: file, entry: place,
                expected: "it within the index, which ends at byte "
                    + "\(dataStart)", found: "it going on to byte \(position + count)")
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    private mutating func read<Number: FixedWidthInteger>(
        _ type: Number.Type, of place: String
    ) throws(FormatError) -> Number {
        try take(MemoryLayout<Number>.size, of: place).littleEndian(at: 0, as: type)
    }

    /// A number that can be added to another one without overflow.
    private mutating func readPlace(_ place: String) throws(FormatError) -> Int {
        let value = try read(UInt64.self, of: place)
        guard value < 1 << 61 else {
            throw .entry(file: file, entry: place, expected: "less than 2^61", found: "\(value)")
        }
        return Int(value)
    }
}

extension UnsafeRawBufferPointer {
    func requireZeros(
        _ range: Range<Int>, _ entry: String, file: String
    ) throws(FormatError) {
        guard let place = range.first(where: { self[$0] != 0 }) else { return }
        throw .entry(
            file: file, entry: entry, expected: "zeros", found: "another byte at \(place)")
    }
}
