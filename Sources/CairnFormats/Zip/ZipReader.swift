// SPDX-License-Identifier: Apache-2.0
/// A zip archive: names, and entries as mapped or as unpacked bytes.

import CairnTensor
import Foundation

/// One archive, mapped; its directory is checked when it is opened, an entry when it is read.
///
/// See `ZipDirectory` for the format and for what is refused.
public struct ZipReader: Sendable {
    /// The archive.
    public let url: URL

    /// In the order of the archive's directory.
    public let entries: [ZipEntry]

    private let file: MappedFile
    private let places: [ByteKey: Int]

    /// Reads the directory of an archive and checks every entry's place; contents are not read yet.
    public init(contentsOf url: URL) throws(FormatError) {
        self.url = url
        file = try MappedFile(contentsOf: url)
        entries = try ZipDirectory(parsing: file.bytes, file: url.path).entries
        places = entries.enumerated().reduce(into: [:]) { $0[ByteKey($1.element.name)] = $1.offset }
    }

    /// The entry of that name, compared by bytes.
    public func entry(named name: String) -> ZipEntry? { places[ByteKey(name)].map { entries[$0] } }

    /// The unpacked bytes, their checksum verified: those of the mapping where they are stored,
    /// else memory of their own. They last as long as the storage is held. `limit` is the most bytes
    /// that the caller has a use for.
    ///
    /// - Precondition: `entry` is one of `entries`.
    public func contents(of entry: ZipEntry, limit: Int) throws(FormatError) -> TensorStorage {
        guard entry.byteCount <= limit else {
            throw .entry(
                file: url.path, entry: "entry '\(entry.name)'", expected: "at most \(limit) bytes",
                found: "\(entry.byteCount)")
        }
        if entry.method == .stored { return try mapped(entry) }
        let stream = try stream(of: entry)
        let storage = TensorStorage(byteCount: entry.byteCount)
        try stream.read(into: storage.bytes)
        try stream.finish()
        return storage
    }

    /// The bytes of a stored entry where they lie in the file, not yet verified.
    package func unverifiedBytes(of entry: ZipEntry) -> UnsafeRawBufferPointer {
        precondition(entry.method == .stored, "entry '\(entry.name)' is not stored as it is")
        return UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
    }

    /// The entry from front to back; this reader must outlive the stream.
    package func stream(of entry: ZipEntry) throws(FormatError) -> ZipEntryStream {
        try ZipEntryStream(entry, in: file.bytes, file: url.path)
    }

    private func mapped(_ entry: ZipEntry) throws(FormatError) -> TensorStorage {
        let bytes = unverifiedBytes(of: entry)
        guard CRC32.of(bytes) == entry.crc32 else {
            throw .entry(
                file: url.path, entry: "entry '\(entry.name)'",
                expected: "the bytes of its CRC-32", found: "others; it is damaged")
        }
        return TensorStorage(borrowing: bytes, owner: file)
    }
}
