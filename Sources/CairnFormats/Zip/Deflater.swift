// SPDX-License-Identifier: Apache-2.0
/// Packs bytes by deflate, a piece at a time.

internal import CZlib
import Foundation

/// Bare deflate at zlib's standard level.
///
/// Source: RFC 1951.
enum Deflater {
    private static let bufferSize = 1 << 16

    /// Packs `pieces` one after another into `sink`; gives the count of packed bytes.
    static func deflate(
        _ pieces: [UnsafeRawBufferPointer], name: String, to sink: inout some ByteSink
    ) throws(FormatError) -> UInt64 {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        let status = deflateInit2_(
            stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, zlibVersion(),
            Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            throw .system(operation: "deflate", path: name, reason: "out of memory")
        }
        defer { deflateEnd(stream) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 16)
        defer { buffer.deallocate() }
        var count: UInt64 = 0
        for piece in pieces {
            var rest = piece[...]
            while !rest.isEmpty {  // zlib counts in 32 bits
                let input = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
                count += try step(stream, input, Z_NO_FLUSH, buffer, to: &sink)
                rest = rest.dropFirst(input.count)
            }
        }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        return count + (try step(stream, nothing, Z_FINISH, buffer, to: &sink))
    }

    /// Takes all of `input` and writes what comes out.
    private static func step(
        _ stream: UnsafeMutablePointer<z_stream>, _ input: UnsafeRawBufferPointer, _ flush: Int32,
        _ buffer: UnsafeMutableRawBufferPointer, to sink: inout some ByteSink
    ) throws(FormatError) -> UInt64 {
        stream.pointee.next_in = UnsafeMutablePointer(
            mutating: input.bindMemory(to: UInt8.self).baseAddress)
        stream.pointee.avail_in = UInt32(input.count)
        var total: UInt64 = 0
        repeat {
            stream.pointee.next_out = buffer.bindMemory(to: UInt8.self).baseAddress
            stream.pointee.avail_out = UInt32(buffer.count)
            let status = CZlib.deflate(stream, flush)
            precondition(status != Z_STREAM_ERROR, "zlib refuses its own stream")
            let count = buffer.count - Int(stream.pointee.avail_out)
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            total += UInt64(count)
        } while stream.pointee.avail_out == 0
        return total
    }
}
