// SPDX-License-Identifier: Apache-2.0
/// A digest that is taken beside those of the files being written.

import CairnTensor
import Foundation

/// The SHA-256 of a string of parts, taken bit by bit while files are written and hashed.
///
/// A processor with instructions for SHA-256 hashes two strings in the time of one: a sink that
/// has a side digest takes as many bytes of its parts as the file gets, for nothing. What no file
/// took along `hex` does at the end.
public final class SideDigest {
    /// A part of the string.
    public enum Part: Sendable {
        /// Bytes at hand.
        case bytes([UInt8])
        /// The bytes of a tensor.
        case tensor(Tensor)
    }

    private let parts: [Part]
    private var hash = SHA256()
    /// The next byte to take.
    private var part = 0
    private var offset = 0

    /// The digest of parts, one after the other; no byte of them was taken yet.
    public init(_ parts: [Part]) { self.parts = parts }

    /// Feeds `bytes` to the hash of a file, and as many bytes of the parts to this one.
    func update(_ file: inout SHA256, _ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty, part < parts.count {
            let count = withRest(rest.count) { own in
                let piece = UnsafeRawBufferPointer(rebasing: rest[..<own.count])
                file.update(piece, beside: &hash, own)
                return own.count
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        file.update(rest)
    }

    /// The digest of all parts, in 64 lower-case hexadecimal digits.
    public var hex: String {
        while part < parts.count { withRest(.max) { hash.update($0) } }
        return hash.hex
    }

    /// Hands out the bytes of the part that comes next, `limit` at most, and moves behind them.
    private func withRest<Result>(
        _ limit: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        func take(_ bytes: UnsafeRawBufferPointer) -> Result {
            let end = offset + min(bytes.count - offset, limit)
            defer {
                (part, offset) = end == bytes.count ? (part + 1, 0) : (part, end)
            }
            return body(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
        }
        return switch parts[part] {
        case .bytes(let bytes): bytes.withUnsafeBytes(take)
        case .tensor(let tensor): tensor.withBytes(take)
        }
    }
}
