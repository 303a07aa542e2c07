// SPDX-License-Identifier: Apache-2.0
/// The header of a safetensors file, checked in full before any tensor is handed out.

import CairnTensor

/// Names, types, shapes and places of the tensors of one file.
///
///     u64 little endian N | N bytes of JSON | data
///     JSON: {"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets": [b, e]}}
///
/// The tensors cover the data without hole, overlap or rest, as the reference library asks.
///
/// Source: the format description of huggingface/safetensors.
package struct SafetensorsHeader: Sendable {
    package struct Entry: Sendable {
        package let name: String
        package let dtype: DType
        package let shape: Shape
        /// Bytes of the file.
        package let range: Range<Int>
    }

    static let metadataKey = "__metadata__"
    /// What the reference library accepts: a longer header is a hostile or a broken file.
    static let lengthLimit: UInt64 = 100_000_000

    /// By name.
    package private(set) var entries: [String: Entry] = [:]
    package private(set) var metadata: [String: String] = [:]

    package init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
        let start = try Self.dataStart(bytes, file: file)
        let text = UnsafeRawBufferPointer(rebasing: bytes[8..<start])
        let header = try JSONValue.parse(bytes: text, file: "\(file), header")
        guard let members = header.object else {
            throw .entry(file: file, entry: "header", expected: "an object", found: header.kind)
        }
        var ordered: [Entry] = []
        for (name, value) in members {
            if name == Self.metadataKey {
                metadata = try Self.metadata(value, file: file)
            } else {
                let parser = EntryParser(file: file, name: name, dataStart: start)
                let entry = try parser.parse(value)
                guard entries.updateValue(entry, forKey: name) == nil else {
                    throw parser.failure(
                        expected: "every name once", found: "it again in another Unicode form")
                }
                ordered.append(entry)
            }
        }
        try Self.checkCoverage(ordered, from: start, to: bytes.count, file: file)
    }

    private static func dataStart(
        _ bytes: UnsafeRawBufferPointer, file: String
    ) throws(FormatError) -> Int {
        guard bytes.count >= 8 else { throw .truncated(file: file, needs: 8, has: bytes.count) }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= lengthLimit else {
            throw .entry(
                file: file, entry: "header length", expected: "at most \(lengthLimit) bytes",
                found: "\(length)")
        }
        let start = 8 + Int(length)
        guard start <= bytes.count else {
            throw .truncated(file: file, needs: start, has: bytes.count)
        }
        return start
    }

    private static func metadata(
        _ value: JSONValue, file: String
    ) throws(FormatError) -> [String: String] {
        guard let members = value.object else {
            throw .entry(file: file, entry: metadataKey, expected: "an object", found: value.kind)
        }
        var metadata: [String: String] = [:]
        for (key, value) in members {
            let entry = "\(metadataKey) '\(key)'"
            guard let text = value.string else {
                throw .entry(file: file, entry: entry, expected: "a string", found: value.kind)
            }
            guard metadata.updateValue(text, forKey: key) == nil else {
                throw .entry(
                    file: file, entry: entry, expected: "every key once",
                    found: "it again in another Unicode form")
            }
        }
        return metadata
    }

    /// The ranges, in order of place, follow on one another from `start` to `end`.
    private static func checkCoverage(
        _ entries: [Entry], from start: Int, to end: Int, file: String
    ) throws(FormatError) {
        var covered = start
        let inOrder = entries.sorted {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        for entry in inOrder {
            guard entry.range.lowerBound == covered else {
                let gap = entry.range.lowerBound > covered ? "a hole" : "an overlap"
                throw .entry(
                    file: file, entry: "tensor '\(entry.name)'",
                    expected: "its data at offset \(covered - start)",
                    found: "\(gap), offset \(entry.range.lowerBound - start)")
            }
            covered = entry.range.upperBound
        }
        if covered > end { throw .truncated(file: file, needs: covered, has: end) }
        if covered < end { throw .trailing(file: file, needs: covered, has: end) }
    }
}

/// Reads the header's description of one tensor.
private struct EntryParser {
    let file: String
    let name: String
    let dataStart: Int

    func parse(_ value: JSONValue) throws(FormatError) -> SafetensorsHeader.Entry {
        guard value.object != nil else {
            throw failure(expected: "an object", found: value.kind)
        }
        let dtype = try dtype(value["dtype"])
        let dimensions = try sizes(value["shape"], of: "shape")
        let offsets = try sizes(value["data_offsets"], of: "data_offsets")
        guard offsets.count == 2, offsets[0] <= offsets[1],
            offsets[1] <= Int.max - dataStart
        else {
            throw failure(
                "data_offsets", expected: "[begin, end] with begin <= end", found: "\(offsets)")
        }
        guard let count = elementCount(dimensions),
            let byteCount = dtype.byteCount(elements: count)
        else {
            throw failure(
                "shape", expected: "a size in whole bytes below 2^63",
                found: "\(dtype.rawValue) \(dimensions)")
        }
        guard offsets[1] - offsets[0] == byteCount else {
            throw failure(
                expected: "\(byteCount) bytes for \(dtype.rawValue) \(dimensions)",
                found: "\(offsets[1] - offsets[0])")
        }
        return SafetensorsHeader.Entry(
            name: name, dtype: dtype, shape: Shape(dimensions),
            range: (dataStart + offsets[0])..<(dataStart + offsets[1]))
    }

    /// The product from left to right, as `Shape` forms it; nil when it overflows on the way, be
    /// there a zero behind or not.
    private func elementCount(_ dimensions: [Int]) -> Int? {
        var product = 1
        for dimension in dimensions {
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            if overflow { return nil }
            product = next
        }
        return product
    }

    private func dtype(_ value: JSONValue?) throws(FormatError) -> DType {
        guard let text = value?.string else {
            throw failure("dtype", expected: "a string", found: value?.kind ?? "none")
        }
        guard let dtype = DType(rawValue: text) else {
            let known = DType.allCases.map(\.rawValue).joined(separator: " ")
            throw failure("dtype", expected: "one of \(known)", found: "'\(text)'")
        }
        return dtype
    }

    private func sizes(_ value: JSONValue?, of key: String) throws(FormatError) -> [Int] {
        guard let elements = value?.array else {
            throw failure(key, expected: "an array", found: value?.kind ?? "none")
        }
        var sizes: [Int] = []
        for element in elements {
            guard case .integer(let size) = element, size >= 0 else {
                let found = element.number.map { "\($0)" } ?? element.kind
                throw failure(key, expected: "integers from 0 to 2^63 - 1", found: found)
            }
            sizes.append(Int(size))
        }
        return sizes
    }

    func failure(_ key: String? = nil, expected: String, found: String) -> FormatError {
        .entry(
            file: file, entry: "tensor '\(name)'" + (key.map { ", \($0)" } ?? ""),
            expected: expected, found: found)
    }
}
