// SPDX-License-Identifier: Apache-2.0
/// One file of a zip archive, as its directory describes it.

/// Where an entry's bytes lie, how they are packed, and what they must be.
public struct ZipEntry: Sendable, Equatable {
    /// How an entry is compressed.
    public enum Method: Int, Sendable {
        /// Not at all.
        case stored = 0
        /// By zlib's deflate.
        case deflated = 8
    }

    /// A relative path with `/` between its parts.
    public let name: String
    /// How the entry is compressed.
    public let method: Method
    /// Bytes once unpacked.
    public let byteCount: Int
    /// The checksum of its content.
    public let crc32: UInt32
    /// The packed bytes' place in the archive.
    public let range: Range<Int>
}

extension ZipEntry {
    /// The most bytes that one byte of deflate can stand for: a match of 258 in two bits.
    static let largestExpansion = 1032

    /// Why a name cannot be an entry's; nil when it can.
    static func fault(ofName name: String) -> String? {
        if name.isEmpty { return "an empty name" }
        for byte in name.utf8 where byte < 0x20 || byte == 0x7F { return "a control character" }
        if name.utf8.contains(UInt8(ascii: "\\")) { return "a backslash" }
        for part in name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        {
            if part.isEmpty { return "an empty part" }
            if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) {
                return "the part '\(String(decoding: part, as: UTF8.self))'"
            }
        }
        return nil
    }
}
