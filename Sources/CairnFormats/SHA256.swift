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

    public init() {}

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        byteCount += UInt64(bytes.count)
        var rest = bytes[...]
        if !pending.isEmpty {
            let taken = min(64 - pending.count, rest.count)
            pending.append(contentsOf: rest.prefix(taken))
            rest = rest.dropFirst(taken)
            if pending.count < 64 { return }
            pending.withUnsafeBytes { Self.fold($0, into: &state) }
            pending.removeAll(keepingCapacity: true)
        }
        let whole = rest.count / 64 * 64
        Self.fold(UnsafeRawBufferPointer(rebasing: rest.prefix(whole)), into: &state)
        pending.append(contentsOf: rest.dropFirst(whole))
    }

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

    public static func hex(of data: some ContiguousBytes) -> String {
        var hash = SHA256()
        hash.update(data)
        return hash.hex
    }

    /// The digest of a file's bytes.
    public static func hex(ofFile url: URL) throws(FormatError) -> String {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        var hash = SHA256()
        hash.update(file.bytes)
        return hash.hex
    }

    private static let foldBlocks = cairn_sha256_native() ?? cairn_sha256_portable

    /// Takes whole blocks of 64 bytes.
    private static func fold(_ blocks: UnsafeRawBufferPointer, into state: inout [UInt32]) {
        guard let bytes = blocks.bindMemory(to: UInt8.self).baseAddress else { return }
        foldBlocks(&state, bytes, blocks.count / 64)
    }
}
