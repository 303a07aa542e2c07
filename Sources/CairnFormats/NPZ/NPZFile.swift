// SPDX-License-Identifier: Apache-2.0
/// A npz file: named arrays in a zip archive.

import CairnTensor
import Foundation

/// One archive with an entry `NAME.npy` for each array, stored or deflated.
///
/// Directory and headers are checked when the file is opened, data and checksum of an array when
/// it is read. A deflated array is inflated into exactly the memory that its header asks for.
public struct NPZFile: Sendable {
    /// The archive.
    public let url: URL

    /// In byte order.
    public let names: [String]

    private let zip: ZipReader
    private let arrays: [String: (entry: ZipEntry, header: NPYHeader)]

    static let suffix = ".npy"

    /// Fails when the file cannot be mapped, and on whatever `ZipDirectory` and `NPYHeader` forbid.
    public init(contentsOf url: URL) throws(FormatError) {
        self.url = url
        zip = try ZipReader(contentsOf: url)
        var arrays: [String: (entry: ZipEntry, header: NPYHeader)] = [:]
        for entry in zip.entries {
            guard entry.name.hasSuffix(Self.suffix) else {
                throw .entry(
                    file: url.path, entry: "entry '\(entry.name)'",
                    expected: "only arrays, NAME\(Self.suffix)", found: "another file")
            }
            let name = String(entry.name.dropLast(Self.suffix.count))
            let header = try Self.header(of: entry, in: zip)
            guard arrays.updateValue((entry, header), forKey: name) == nil else {
                throw .entry(
                    file: url.path, entry: "array '\(name)'", expected: "every name once",
                    found: "it again in another Unicode form")
            }
        }
        self.arrays = arrays
        names = arrays.keys.sorted { $0.utf8Precedes($1) }
    }

    /// What the array's header says; its data is not looked at.
    public func layout(of name: String) -> (dtype: DType, shape: Shape)? {
        arrays[name].map { ($0.header.type.dtype, $0.header.shape) }
    }

    /// The array of that name, its checksum verified; nil when there is none.
    ///
    /// It lies over the file's own bytes where these are stored, in order, aligned and
    /// little-endian, unless it is to be a copy: then the file is read once, and not looked at
    /// again.
    public func tensor(
        named name: String, copied: Bool = false
    ) throws(FormatError) -> Tensor? {
        guard let (entry, header) = arrays[name] else { return nil }
        if entry.method == .stored && !copied {
            let storage = try zip.contents(of: entry, limit: entry.byteCount)
            let data = UnsafeRawBufferPointer(storage.bytes)[header.byteCount...]
            return NPYReader.tensor(
                header, over: UnsafeRawBufferPointer(rebasing: data), owner: storage)
        }
        let stream = try zip.stream(of: entry)
        defer { withExtendedLifetime(zip) {} }
        _ = try Self.pull(header.byteCount, from: stream)
        let storage = try TensorStorage(byteCount: header.dataByteCount) {
            bytes throws(FormatError) in try stream.read(into: bytes)
        }
        try stream.finish()
        return NPYReader.tensor(header, taking: storage)
    }

    /// All arrays, verified, on all cores; of several that fail, the first by name is reported.
    public func tensors(copied: Bool = false) throws(FormatError) -> [String: Tensor] {
        var results = [Result<Tensor?, FormatError>](repeating: .success(nil), count: names.count)
        results.withUnsafeMutableBufferPointer { buffer in
            // Unsafe: every iteration writes an element of its own.
            nonisolated(unsafe) let places = buffer
            DispatchQueue.concurrentPerform(iterations: names.count) { index in
                places[index] = Result { () throws(FormatError) in
                    try tensor(named: names[index], copied: copied)
                }
            }
        }
        var tensors: [String: Tensor] = [:]
        for (index, name) in names.enumerated() { tensors[name] = try results[index].get() }
        return tensors
    }

    private static func header(
        of entry: ZipEntry, in zip: ZipReader
    ) throws(FormatError) -> NPYHeader {
        let stream = try zip.stream(of: entry)
        defer { withExtendedLifetime(zip) {} }
        return try NPYHeader(
            file: zip.url.path, entry: "entry '\(entry.name)'", byteCount: entry.byteCount
        ) { count throws(FormatError) in try pull(count, from: stream) }
    }

    private static func pull(
        _ count: Int, from stream: ZipEntryStream
    ) throws(FormatError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(FormatError) in try stream.read(into: buffer) }
        }
        try result.get()
        return bytes
    }
}
