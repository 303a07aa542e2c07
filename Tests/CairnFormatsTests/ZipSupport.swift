// SPDX-License-Identifier: Apache-2.0
/// Hand-made zip archives, right ones and wrong ones.

import CairnFormats
import Foundation

func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian, Array.init)
}

/// An archive spelled out field by field; tests bend single fields.
struct HandMadeZip {
    struct Entry {
        var name = Array("a".utf8)
        var data: [UInt8] = [1, 2, 3]
        var flags: UInt16 = 0
        var method: UInt16 = 0
        var crc32: UInt32
        var unpackedSize: UInt32 = 3
        var extra: [UInt8] = []
        var localExtra: [UInt8] = []
        /// What the local header says instead.
        var localName: [UInt8]?
        var localFlags: UInt16?
        var localSizes: (crc32: UInt32, packed: UInt32, unpacked: UInt32)?
        var descriptor: [UInt8] = []
        var gap: [UInt8] = []
        var disk: UInt16 = 0
        var offset: UInt32?

        init(_ name: String = "a", _ data: [UInt8] = [1, 2, 3]) {
            self.name = Array(name.utf8)
            self.data = data
            crc32 = CRC32.of(data)
            unpackedSize = UInt32(data.count)
        }
    }

    var entries = [Entry()]
    var comment: [UInt8] = []
    var entryCount: UInt16?
    var directoryOffset: UInt32?
    var disk: UInt16 = 0
    var directoryTail: [UInt8] = []
    /// Goes between the directory and the end record, given the directory's place and size.
    var zip64: ((_ start: Int, _ size: Int) -> [UInt8])?

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        var directory: [UInt8] = []
        for entry in entries {
            let offset = UInt32(bytes.count)
            let packed = UInt32(entry.data.count)
            let local = entry.localSizes ?? (entry.crc32, packed, entry.unpackedSize)
            let localName = entry.localName ?? entry.name
            bytes += Array("PK\u{3}\u{4}".utf8) + [20, 0]
            bytes += littleEndian(entry.localFlags ?? entry.flags) + littleEndian(entry.method)
            bytes += [0, 0, 0x21, 0] + littleEndian(local.crc32) + littleEndian(local.packed)
            bytes += littleEndian(local.unpacked) + littleEndian(UInt16(localName.count))
            bytes += littleEndian(UInt16(entry.localExtra.count)) + localName + entry.localExtra
            bytes += entry.data + entry.descriptor + entry.gap
            directory += Array("PK\u{1}\u{2}".utf8) + [20, 0, 20, 0]
            directory += littleEndian(entry.flags) + littleEndian(entry.method) + [0, 0, 0x21, 0]
            directory += littleEndian(entry.crc32) + littleEndian(packed)
            directory += littleEndian(entry.unpackedSize) + littleEndian(UInt16(entry.name.count))
            directory += littleEndian(UInt16(entry.extra.count)) + [0, 0]
            directory += littleEndian(entry.disk) + [0, 0, 0, 0, 0, 0]
            directory += littleEndian(entry.offset ?? offset) + entry.name + entry.extra
        }
        directory += directoryTail
        let start = bytes.count
        bytes += directory + (zip64?(start, directory.count) ?? [])
        let count = entryCount ?? UInt16(entries.count)
        bytes += Array("PK\u{5}\u{6}".utf8) + littleEndian(disk) + [0, 0]
        bytes += littleEndian(count) + littleEndian(count) + littleEndian(UInt32(directory.count))
        bytes += littleEndian(directoryOffset ?? UInt32(start))
        return bytes + littleEndian(UInt16(comment.count)) + comment
    }
}

/// Reads every entry of the archive; an error's sentence speaks of `FILE`.
func unzip(_ bytes: [UInt8], limit: Int = 1000) throws -> [String: [UInt8]] {
    try withFile(bytes) { url in
        let zip = try ZipReader(contentsOf: url)
        var contents: [String: [UInt8]] = [:]
        for entry in zip.entries {
            let storage = try zip.contents(of: entry, limit: limit)
            contents[entry.name] = withExtendedLifetime(storage) { Array($0.bytes) }
        }
        return contents
    }
}

/// Gives the bytes as a file; an error's sentence speaks of `FILE`.
func withFile<Result>(_ bytes: [UInt8], name: String = "x", _ body: (URL) throws -> Result) throws
    -> Result
{
    try withScratchDirectory { directory in
        let url = directory.appendingPathComponent(name)
        try Data(bytes).write(to: url)
        do {
            return try body(url)
        } catch {
            throw Sentence("\(error)".replacingOccurrences(of: url.path, with: "FILE"))
        }
    }
}

/// An archive of these entries by our writer.
func zip(_ entries: [(String, [UInt8])], method: ZipEntry.Method = .stored) throws -> [UInt8] {
    var sink = DataSink()
    var writer = ZipWriter()
    for (name, data) in entries {
        try data.withUnsafeBytes { try writer.add(name, [$0], method: method, to: &sink) }
    }
    try writer.finish(to: &sink)
    return Array(sink.data)
}
