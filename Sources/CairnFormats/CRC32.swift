// SPDX-License-Identifier: Apache-2.0
/// The checksum that containers keep of their entries.

internal import CZlib
import Foundation

/// CRC-32 with the reflected polynomial 0xEDB88320, fed piece by piece.
///
/// Source: RFC 1952, section 8; ISO 3309.
public struct CRC32: Sendable {
    /// The checksum of all that came so far.
    public private(set) var value: UInt32 = 0

    /// The checksum of nothing yet.
    public init() {}

    /// Adds bytes to those that came before.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // zlib counts in 32 bits.
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            let start = piece.bindMemory(to: UInt8.self).baseAddress
            value = UInt32(truncatingIfNeeded: crc32(UInt(value), start, UInt32(piece.count)))
            rest = rest.dropFirst(piece.count)
        }
    }

    /// The checksum of `data`.
    public static func of(_ data: some ContiguousBytes) -> UInt32 {
        var checksum = CRC32()
        data.withUnsafeBytes { checksum.update($0) }
        return checksum.value
    }
}
