// SPDX-License-Identifier: Apache-2.0
/// The bytes of one zip entry in order, unpacked as they are asked for.

internal import CZlib

/// Reads an entry from front to back, and checks at its end that this was all of it.
///
/// Nothing is allocated but zlib's window; the caller brings the memory for what is read.
package final class ZipEntryStream {
    private let file: String
    private let entry: ZipEntry
    private let packed: UnsafeRawBufferPointer
    /// Bytes of `packed` that were taken.
    private var consumed = 0
    private var produced = 0
    private var checksum = CRC32()
    private var isAtEnd = false
    /// At one address from start to end, as zlib asks.
    private let inflater: UnsafeMutablePointer<z_stream>?

    /// - Precondition: `bytes` are those of the archive whose directory gave `entry`, and outlive
    ///   the stream.
    package init(
        _ entry: ZipEntry, in bytes: UnsafeRawBufferPointer, file: String
    ) throws(FormatError) {
        self.file = file
        self.entry = entry
        packed = UnsafeRawBufferPointer(rebasing: bytes[entry.range])
        guard entry.method == .deflated else {
            inflater = nil
            return
        }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // Negative: bare deflate, without a header of zlib's own.
        let status = inflateInit2_(stream, -15, zlibVersion(), Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            stream.deallocate()
            throw .entry(
                file: file, entry: "entry '\(entry.name)'", expected: "memory to inflate it",
                found: "none")
        }
        inflater = stream
    }

    deinit {
        guard let inflater else { return }
        inflateEnd(inflater)
        inflater.deallocate()
    }

    /// So many bytes are unpacked and then summed, while they are still in a cache.
    private static let pieceBytes = 256 << 10

    /// Fills all of `target` with the next bytes.
    package func read(into target: UnsafeMutableRawBufferPointer) throws(FormatError) {
        guard target.count <= entry.byteCount - produced else {
            throw failure("at least \(produced + target.count) bytes", "\(entry.byteCount)")
        }
        for start in stride(from: 0, to: target.count, by: Self.pieceBytes) {
            let end = min(start + Self.pieceBytes, target.count)
            try readPiece(into: UnsafeMutableRawBufferPointer(rebasing: target[start..<end]))
        }
    }

    private func readPiece(into target: UnsafeMutableRawBufferPointer) throws(FormatError) {
        if let inflater {
            try inflate(into: target, with: inflater)
        } else {
            target.copyMemory(
                from: UnsafeRawBufferPointer(
                    rebasing: packed[produced..<(produced + target.count)]))
            consumed += target.count
        }
        produced += target.count
        checksum.update(UnsafeRawBufferPointer(target))
    }

    /// Checks that all was read, that nothing follows, and the checksum.
    package func finish() throws(FormatError) {
        guard produced == entry.byteCount else {
            throw failure("\(produced) bytes", "\(entry.byteCount)")
        }
        if let inflater, !isAtEnd {
            // The end of deflate may still be in the input; one more byte would be too many.
            var surplus: UInt8 = 0
            let rest = try withUnsafeMutableBytes(of: &surplus) { bytes throws(FormatError) in
                try step(into: bytes, with: inflater)
            }
            guard rest == 0 else { throw failure("\(produced) bytes", "more") }
            guard isAtEnd else { throw failure("an end of its deflated data", "none") }
        }
        guard consumed == packed.count else {
            throw failure(
                "its data to take \(packed.count) bytes", "an end after \(consumed)")
        }
        guard checksum.value == entry.crc32 else {
            throw failure(
                "CRC-32 " + Self.hex(entry.crc32), Self.hex(checksum.value) + "; it is damaged")
        }
    }

    private func inflate(
        into target: UnsafeMutableRawBufferPointer, with inflater: UnsafeMutablePointer<z_stream>
    ) throws(FormatError) {
        var filled = 0
        while filled < target.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
            let count = try step(into: rest, with: inflater)
            guard count > 0 else {
                throw failure(
                    "\(entry.byteCount) bytes out of its deflated data", "\(produced + filled)")
            }
            filled += count
        }
    }

    /// One call of zlib, whose counts have 32 bits; gives the bytes written.
    private func step(
        into target: UnsafeMutableRawBufferPointer, with inflater: UnsafeMutablePointer<z_stream>
    ) throws(FormatError) -> Int {
        if isAtEnd { return 0 }
        let input = packed[consumed...].prefix(1 << 30)
        let room = min(target.count, 1 << 30)
        inflater.pointee.next_in = UnsafeMutablePointer(
            mutating: UnsafeRawBufferPointer(rebasing: input).bindMemory(to: UInt8.self)
                .baseAddress)
        inflater.pointee.avail_in = UInt32(input.count)
        inflater.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
        inflater.pointee.avail_out = UInt32(room)
        let status = CZlib.inflate(inflater, Z_NO_FLUSH)
        consumed += input.count - Int(inflater.pointee.avail_in)
        guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
            throw failure("deflated data", "a fault near byte \(entry.range.lowerBound + consumed)")
        }
        isAtEnd = status == Z_STREAM_END
        return room - Int(inflater.pointee.avail_out)
    }

    private func failure(_ expected: String, _ found: String) -> FormatError {
        .entry(file: file, entry: "entry '\(entry.name)'", expected: expected, found: found)
    }

    private static func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
