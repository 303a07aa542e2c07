// SPDX-License-Identifier: Apache-2.0
/// The digest by which git names what a file holds; it guards nothing here, it only names.

import CairnFormats
import Foundation

/// SHA-1, fed piece by piece.
///
/// Source: FIPS 180-4, section 6.1.
package struct SHA1 {
    private var state: [UInt32] = [
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0,
    ]
    private var pending: [UInt8] = []
    private var byteCount: UInt64 = 0

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount += UInt64(bytes.count)
        var rest = bytes[...]
        if !pending.isEmpty {
            let taken = rest.prefix(64 - pending.count)
            pending.append(contentsOf: taken)
            rest = rest.dropFirst(taken.count)
            if pending.count < 64 { return }
            let block = pending
            block.withUnsafeBytes { fold($0) }
            pending.removeAll(keepingCapacity: true)
        }
        while rest.count >= 64 {
            fold(UnsafeRawBufferPointer(rebasing: rest.prefix(64)))
            rest = rest.dropFirst(64)
        }
        pending.append(contentsOf: rest)
    }

    /// The digest of all that came so far, in 40 lower-case hexadecimal digits.
    var hex: String {
        var copy = self
        var padding = [UInt8](repeating: 0, count: (119 - pending.count) % 64 + 1)
        padding[0] = 0x80
        withUnsafeBytes(of: (byteCount &* 8).bigEndian) { padding.append(contentsOf: $0) }
        padding.withUnsafeBytes { copy.update($0) }
        return copy.state.map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 8 - text.count) + text
        }.joined()
    }

    /// The name that git gives a file of these bytes: the digest of `blob <count>\0` and them.
    package static func blobID(of bytes: UnsafeRawBufferPointer) -> String {
        var hash = SHA1()
        Array("blob \(bytes.count)\0".utf8).withUnsafeBytes { hash.update($0) }
        hash.update(bytes)
        return hash.hex
    }

    package static func blobID(of data: Data) -> String { data.withUnsafeBytes { blobID(of: $0) } }

    package static func blobID(ofFile url: URL) throws(FormatError) -> String {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return blobID(of: file.bytes)
    }

    /// Takes one block of 64 bytes.
    private mutating func fold(_ block: UnsafeRawBufferPointer) {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 80) { w in
            for t in 0..<16 {
                w[t] = UInt32(
                    bigEndian: block.loadUnaligned(fromByteOffset: 4 * t, as: UInt32.self))
            }
            for t in 16..<80 {
                w[t] = Self.rotated(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], by: 1)
            }
            var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
            for t in 0..<80 {
                let (f, k) = Self.round(t, b, c, d)
                let next = Self.rotated(a, by: 5) &+ f &+ e &+ k &+ w[t]
                (e, d, c, b, a) = (d, c, Self.rotated(b, by: 30), a, next)
            }
            for (index, word) in [a, b, c, d, e].enumerated() { state[index] &+= word }
        }
    }

    private static func round(
        _ t: Int, _ b: UInt32, _ c: UInt32, _ d: UInt32
    ) -> (UInt32, UInt32) {
        switch t {
        case 0..<20: ((b & c) | (~b & d), 0x5A82_7999)
        case 20..<40: (b ^ c ^ d, 0x6ED9_EBA1)
        case 40..<60: ((b & c) | (b & d) | (c & d), 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
    }

    private static func rotated(_ word: UInt32, by count: UInt32) -> UInt32 {
        word << count | word >> (32 - count)
    }
}
