// SPDX-License-Identifier: Apache-2.0
/// The digest that names the content of files and of states.

internal import CCairnDigest
import Foundation

/// SHA-256, fed piece by piece.
///
/// Source: FIPS 180-4, section 6.2.
public struct SHA256: Sendable {
    private var state: [UInt32] = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A,
        0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
    ]
    private var pending: [UInt8] = []
    private var byteCount: UInt64 = 0

    /// The digest of nothing yet.
    public init() {}

    /// Adds bytes to those that came before.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        absorbRest(absorbHead(bytes))
    }

    /// Takes `bytes` here and `others` in `other`, both strings at once as far as they reach: on a
    /// processor with instructions for SHA-256 in the time of the longer one alone.
    public mutating func update(
        _ bytes: UnsafeRawBufferPointer, beside other: inout SHA256,
        _ others: UnsafeRawBufferPointer
    ) {
        let (mine, theirs) = (absorbHead(bytes), other.absorbHead(others))
        let blocks = min(mine.count, theirs.count) / 64
        if blocks > 0 {
            state.withUnsafeMutableBufferPointer { a in
                other.state.withUnsafeMutableBufferPointer { b in
                    let states = [a.baseAddress!, b.baseAddress!]
                    Self.folds.two(states, [mine.blocks, theirs.blocks], blocks)
                }
            }
        }
        absorbRest(mine.from(64 * blocks))
        other.absorbRest(theirs.from(64 * blocks))
    }

    /// Fills a block that was begun, and returns the bytes after it: none while it is not full.
    private mutating func absorbHead(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        byteCount += UInt64(bytes.count)
        guard !pending.isEmpty else { return bytes }
        let taken = min(64 - pending.count, bytes.count)
        pending.append(contentsOf: bytes.prefix(taken))
        guard pending.count == 64 else { return bytes.from(bytes.count) }
        pending.withUnsafeBytes { Self.folds.one(&state, $0.blocks, 1) }
        pending.removeAll(keepingCapacity: true)
        return bytes.from(taken)
    }

    /// Takes what `absorbHead` left: whole blocks, and the beginning of one.
    private mutating func absorbRest(_ bytes: UnsafeRawBufferPointer) {
        let blocks = bytes.count / 64
        Self.folds.one(&state, bytes.blocks, blocks)
        pending.append(contentsOf: bytes.from(64 * blocks))
    }

    /// Adds bytes to those that came before.
    public mutating func update(_ data: some ContiguousBytes) {
        data.withUnsafeBytes { update($0) }
    }

    /// The 32 bytes of the digest of all that came so far.
    public var digest: [UInt8] {
        var copy = self
        var padding = [UInt8](repeating: 0, count: (119 - pending.count) % 64 + 1)
        padding[0] = 0x80
        withUnsafeBytes(of: (byteCount &* 8).bigEndian) { padding.append(contentsOf: $0) }
        copy.update(padding)
        return (0..<8).flatMap { index in
            withUnsafeBytes(of: copy.state[index].bigEndian, Array.init)
        }
    }

    /// The digest in 64 lower-case hexadecimal digits.
    public var hex: String {
        digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The digest of `data` as 64 hexadecimal digits.
    public static func hex(of data: some ContiguousBytes) -> String {
        var hash = SHA256()
        hash.update(data)
        return hash.hex
    }

    /// The digest of a file's bytes.
    public static func hex(ofFile url: URL) throws(FormatError) -> String {
        var hash = SHA256()
        try MappedFile.read(url) { hash.update($0) }
        return hash.hex
    }

    private static let folds = cairn_sha256_best()
}

extension UnsafeRawBufferPointer {
    /// What is left behind the first `count` bytes.
    fileprivate func from(_ count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[count...])
    }

    /// The first byte, for a function that takes as many blocks as it is told: not a null pointer
    /// where there is none.
    fileprivate var blocks: UnsafePointer<UInt8> {
        baseAddress.map { $0.assumingMemoryBound(to: UInt8.self) }
            ?? UnsafePointer(bitPattern: 64)!
    }
}
