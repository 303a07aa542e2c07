// SPDX-License-Identifier: Apache-2.0
/// Writes zip archives front to back, the same bytes for the same entries.

import Foundation

/// An archive in the making: entries as they come, then the directory.
///
/// See `ZipDirectory` for the format. A stored entry begins at a multiple of `alignment`, so that
/// a mapped archive can be read in place; its size and checksum stand in front of it. Those of a
/// deflated entry stand behind it, since they are known only then. zip64 is used where a number
/// asks for it. Timestamps are that of the format's first day, 1 January 1980. Deflated bytes also
/// depend on the version of zlib.
public struct ZipWriter {
    /// Bytes to which the data of stored entries is aligned.
    public static let alignment = 64

    /// The kind of an extra field that holds an alignment and zeros.
    private static let alignmentKind: UInt16 = 0xD935
    private static let firstDay: UInt16 = 0x0021

    /// Bytes written so far.
    private var offset: UInt64 = 0
    private var directory = Data()
    private var names: Set<ByteKey> = []

    /// An archive without entries.
    public init() {}

    /// Writes an entry whose bytes are `pieces` one after another.
    ///
    /// Fails when the name is no relative path of a file, or was added before.
    public mutating func add(
        _ name: String, _ pieces: [UnsafeRawBufferPointer], method: ZipEntry.Method = .stored,
        to sink: inout some ByteSink
    ) throws(FormatError) {
        var checksum = CRC32()
        for piece in pieces { checksum.update(piece) }
        try add(name, pieces, method: method, checksum: checksum.value, to: &sink)
    }

    /// Writes an entry whose checksum, the CRC-32 of all `pieces`, is known already.
    package mutating func add(
        _ name: String, _ pieces: [UnsafeRawBufferPointer], method: ZipEntry.Method,
        checksum: UInt32, to sink: inout some ByteSink
    ) throws(FormatError) {
        try checkName(name)
        let byteCount = UInt64(pieces.reduce(0) { $0 + $1.count })
        var entry = NewEntry(
            name: name, method: method, offset: offset,
            sizes: ZipSizes(unpacked: byteCount, packed: byteCount, crc32: checksum))
        try write(entry.localHeader(), to: &sink)
        switch method {
        case .stored:
            for piece in pieces { try sink.write(piece) }
            offset += byteCount
        case .deflated:
            let packed = try Deflater.deflate(pieces, name: name, to: &sink)
            offset += packed
            entry.sizes = ZipSizes(
                unpacked: byteCount, packed: packed, crc32: checksum)
            try write(entry.descriptor(), to: &sink)
        }
        directory.append(entry.record())
    }

    /// Writes the directory; nothing may follow.
    public mutating func finish(to sink: inout some ByteSink) throws(FormatError) {
        let start = offset
        let size = UInt64(directory.count)
        let count = UInt64(names.count)
        try write(directory, to: &sink)
        var end = Data()
        if count >= 0xFFFF || size >= 0xFFFF_FFFF || start >= 0xFFFF_FFFF {
            end.append(littleEndian: ZipEnd.zip64Signature)
            end.append(littleEndian: UInt64(44))
            end.append(littleEndian: UInt32(0x002D_002D))  // made by and for version 4.5
            end.append(littleEndian: UInt64(0))  // this disk and that of the directory
            for number in [count, count, size, start] { end.append(littleEndian: number) }
            end.append(littleEndian: ZipEnd.locatorSignature)
            end.append(littleEndian: UInt32(0))
            end.append(littleEndian: offset)
            end.append(littleEndian: UInt32(1))
        }
        end.append(littleEndian: ZipEnd.signature)
        end.append(littleEndian: UInt32(0))
        for _ in 0..<2 { end.append(littleEndian: UInt16(clamping: count)) }
        end.append(littleEndian: UInt32(clamping: size))
        end.append(littleEndian: UInt32(clamping: start))
        end.append(littleEndian: UInt16(0))
        try write(end, to: &sink)
    }

    private mutating func checkName(_ name: String) throws(FormatError) {
        if let fault = ZipEntry.fault(ofName: name) {
            throw .fileName(name, expected: "a relative path, not \(fault)")
        }
        guard name.utf8.count <= 0xFFFF else {
            throw .fileName("\(name.prefix(40))...", expected: "at most 65535 bytes")
        }
        guard names.insert(ByteKey(name)).inserted else {
            throw .fileName(name, expected: "every name once")
        }
    }

    private mutating func write(_ data: Data, to sink: inout some ByteSink) throws(FormatError) {
        try sink.write(data)
        offset += UInt64(data.count)
    }

    /// What is said of an entry in front of it, behind it and in the directory.
    private struct NewEntry {
        let name: String
        let method: ZipEntry.Method
        let offset: UInt64
        var sizes: ZipSizes

        private var flags: UInt16 {
            (method == .deflated ? 0x0008 : 0) | (name.utf8.allSatisfy { $0 < 0x80 } ? 0 : 0x0800)
        }

        /// Whether sizes take 64 bits; deflate lengthens what it cannot shorten, by 5 bytes in
        /// 16 383 at most.
        private var isLong: Bool {
            let margin = method == .deflated ? sizes.unpacked / 3000 + 64 : 0
            return sizes.unpacked + margin >= 0xFFFF_FFFF
        }

        func localHeader() -> Data {
            let known = method == .stored ? sizes : ZipSizes.zero
            var extra = Data()
            if isLong {
                extra.append(littleEndian: UInt16(ZipExtra.zip64Kind))
                extra.append(littleEndian: UInt16(16))
                extra.append(littleEndian: known.unpacked)
                extra.append(littleEndian: known.packed)
            }
            if method == .stored { extra.append(padding(behind: extra.count)) }
            var header = Data()
            header.append(littleEndian: ZipRecord.localSignature)
            header.append(fixedPart(of: known, saturated: isLong))
            header.append(littleEndian: UInt16(name.utf8.count))
            header.append(littleEndian: UInt16(extra.count))
            header.append(contentsOf: name.utf8)
            return header + extra
        }

        /// A field that moves the data to the next aligned byte.
        private func padding(behind extraCount: Int) -> Data {
            let alignment = ZipWriter.alignment
            let start = offset + UInt64(30 + name.utf8.count + extraCount + 6)
            let zeros = (alignment - Int(start % UInt64(alignment))) % alignment
            var field = Data()
            field.append(littleEndian: ZipWriter.alignmentKind)
            field.append(littleEndian: UInt16(2 + zeros))
            field.append(littleEndian: UInt16(alignment))
            field.append(contentsOf: repeatElement(0, count: zeros))
            return field
        }

        func descriptor() -> Data {
            var data = Data()
            data.append(littleEndian: ZipRecord.descriptorSignature)
            data.append(littleEndian: sizes.crc32)
            for size in [sizes.packed, sizes.unpacked] {
                if isLong {
                    data.append(littleEndian: size)
                } else {
                    data.append(littleEndian: UInt32(size))
                }
            }
            return data
        }

        func record() -> Data {
            var extra = Data()
            for number in [sizes.unpacked, sizes.packed, offset] where number >= 0xFFFF_FFFF {
                extra.append(littleEndian: number)
            }
            if !extra.isEmpty {
                var head = Data()
                head.append(littleEndian: UInt16(ZipExtra.zip64Kind))
                head.append(littleEndian: UInt16(extra.count))
                extra = head + extra
            }
            var record = Data()
            record.append(littleEndian: ZipRecord.signature)
            record.append(littleEndian: UInt16(45))  // made by version 4.5
            record.append(fixedPart(of: sizes, saturated: false))
            record.append(littleEndian: UInt16(name.utf8.count))
            record.append(littleEndian: UInt16(extra.count))
            // No comment; disk 0; attributes of a plain file.
            record.append(contentsOf: repeatElement(0, count: 10))
            record.append(littleEndian: UInt32(clamping: offset))
            record.append(contentsOf: name.utf8)
            return record + extra
        }

        /// From the version needed to the sizes, alike in headers and records.
        private func fixedPart(of sizes: ZipSizes, saturated: Bool) -> Data {
            let needsZip64 = isLong || offset >= 0xFFFF_FFFF
            var data = Data()
            data.append(littleEndian: UInt16(needsZip64 ? 45 : 20))
            data.append(littleEndian: flags)
            data.append(littleEndian: UInt16(method.rawValue))
            data.append(littleEndian: UInt16(0))
            data.append(littleEndian: ZipWriter.firstDay)
            data.append(littleEndian: sizes.crc32)
            for size in [sizes.packed, sizes.unpacked] {
                data.append(littleEndian: saturated ? UInt32.max : UInt32(clamping: size))
            }
            return data
        }
    }
}
