// SPDX-License-Identifier: Apache-2.0
/// An APR v2 file: names, metadata, and tensors that borrow the mapped bytes.

import CairnTensor
import Foundation

/// One APR v2 file, mapped and checked as `APRLayout` says, checksums included.
///
/// The file is read once from end to end when it is opened, for its checksum.
public struct APRFile: Sendable {
    /// The file.
    public let url: URL

    /// In byte order of their names.
    public let entries: [APREntry]

    /// What the header's flags say.
    public let flags: APRFlags

    /// Known members under their keys and in their order, absent ones left out, then custom ones.
    public let metadata: JSONObject

    /// Places in the metadata that held `NaN` or `Infinity` and are read as null.
    public let nonFinite: [String]

    private let places: [String: Int]
    private let file: MappedFile

    /// Fails when the file cannot be mapped, and on whatever `APRLayout` and `APRMetadata` forbid.
    public init(contentsOf url: URL) throws(FormatError) {
        let mapped = try MappedFile(contentsOf: url)
        let (bytes, name) = (mapped.bytes, url.path)
        let header = try APRHeader(parsing: bytes, file: name)
        var parser = APRIndexParser(bytes, header: header, file: name)
        entries = try parser.parse(count: header.tensorCount)
        try Self.checkCoverage(entries, bytes, from: header.dataStart, file: name)
        try Self.checkFooter(bytes, file: name)
        (metadata, nonFinite) = try Self.metadata(bytes, header, file: name)
        flags = header.flags
        places = entries.enumerated().reduce(into: [:]) { $0[$1.element.name] = $1.offset }
        file = mapped
        self.url = url
    }

    /// The names of all tensors, in the order of the index.
    public var names: [String] { entries.map(\.name) }

    /// The entry of a name; nil when there is none.
    public func entry(named name: String) -> APREntry? { places[name].map { entries[$0] } }

    /// The tensor of that name, over the file's own bytes; nil when there is none.
    ///
    /// - Throws: when it is quantized, naming its type.
    public func tensor(named name: String) throws(FormatError) -> Tensor? {
        guard let entry = entry(named: name) else { return nil }
        guard let dtype = entry.type.dtype else {
            let readable = APRElementType.allCases.filter { $0.dtype != nil }.map(\.name)
            throw .entry(
                file: url.path, entry: "tensor '\(name)'",
                expected: "a type that is read: \(readable.joined(separator: ", "))",
                found: "\(entry.type.name), whose values are not unpacked")
        }
        return Tensor(
            dtype: dtype, shape: entry.shape,
            storage: TensorStorage(borrowing: storedBytes(of: entry), owner: file))
    }

    /// The bytes of a tensor of any type, quantized ones included.
    public func withStoredBytes<Result>(
        of entry: APREntry, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        defer { withExtendedLifetime(file) {} }
        return try body(storedBytes(of: entry))
    }

    private func storedBytes(of entry: APREntry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
    }

    // MARK: Checks

    /// The padded ranges, in order of place, follow on one another from `start` to the footer.
    private static func checkCoverage(
        _ entries: [APREntry], _ bytes: UnsafeRawBufferPointer, from start: Int, file: String
    ) throws(FormatError) {
        let inOrder = entries.sorted {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        var covered = start
        for entry in inOrder {
            guard entry.range.lowerBound == covered else {
                let offset = entry.range.lowerBound - start
                let problem =
                    offset % APRLayout.alignment != 0
                    ? "not a multiple of \(APRLayout.alignment)"
                    : entry.range.lowerBound > covered ? "a hole" : "an overlap"
                throw .entry(
                    file: file, entry: "tensor '\(entry.name)'",
                    expected: "its data at offset \(covered - start)",
                    found: "\(problem), offset \(offset)")
            }
            covered = APRLayout.aligned(entry.range.upperBound)
        }
        let needed = covered + APRLayout.footerSize
        if needed > bytes.count { throw .truncated(file: file, needs: needed, has: bytes.count) }
        if needed < bytes.count { throw .trailing(file: file, needs: needed, has: bytes.count) }
        for entry in inOrder {
            let end = entry.range.upperBound
            try bytes.requireZeros(
                end..<APRLayout.aligned(end), "padding of tensor '\(entry.name)'", file: file)
        }
    }

    static func checkFooter(
        _ bytes: UnsafeRawBufferPointer, file: String
    ) throws(FormatError) {
        let end = bytes.count - APRLayout.footerSize
        let stored = bytes.u32(end)
        let computed = CRC32.of(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        guard stored == computed else {
            throw .entry(
                file: file, entry: "checksum in the last 4 bytes",
                expected: BytePreview.hex(computed), found: BytePreview.hex(stored))
        }
    }

    private static func metadata(
        _ bytes: UnsafeRawBufferPointer, _ header: APRHeader, file: String
    ) throws(FormatError) -> (metadata: JSONObject, nonFinite: [String]) {
        let start = APRLayout.headerSize
        let end = start + header.metadataSize
        try bytes.requireZeros(end..<header.indexStart, "padding of the metadata", file: file)
        let document = try JSONValue.parse(
            bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]),
            file: "\(file), metadata", allowNonFinite: true)
        let (finite, nonFinite) = document.withoutNonFinite()
        guard let object = finite.object else {
            throw .entry(
                file: file, entry: "metadata", expected: "an object", found: document.kind)
        }
        return (try APRMetadata.canonical(object, file: file), nonFinite)
    }
}
