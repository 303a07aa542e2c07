// SPDX-License-Identifier: Apache-2.0
/// APR v1 ("APRN"): what its header says, and whether the file is whole.

import Foundation

/// The header of an APR v1 file; its payload, a bincode of Rust types, is not decoded.
///
///      0  4 bytes  "APRN"               16  u32  uncompressed size, at most 1 GiB
///      4  u8 u8    version: 1, 0        20  u8   compression
///      6  u16      model type           21  u8   flags; the top bit carries nothing
///      8  u32      bytes of metadata    22  u8   quality score, 0 to 100
///     12  u32      bytes of payload     23  9 bytes  zero
///
/// Then metadata (MessagePack), payload, and the CRC-32 of all before. Encrypted, signed and
/// licensed files hold more between payload and checksum.
///
/// Source: the format as implemented by the crate `apr-format`, module `core_io`.
public struct APRVersion1: Sendable, Equatable {
    /// The number of the kind of model.
    public let modelType: UInt16
    /// Bytes of metadata.
    public let metadataSize: Int
    /// Bytes of payload as stored.
    public let payloadSize: Int
    /// Bytes of payload after decompression, as the header says.
    public let uncompressedSize: Int
    /// The name of the compression.
    public let compression: String
    /// The names of the flags that are set.
    public let flags: [String]
    /// What the writer thought of the model, from 0 to 100.
    public let qualityScore: Int

    static let magic: [UInt8] = [0x41, 0x50, 0x52, 0x4E]
    static let headerSize = 32
    static let uncompressedLimit = 1 << 30

    private static let compressions = ["none", "zstd level 3", "zstd level 19", "LZ4"]
    private static let flagNames = [
        "ENCRYPTED", "SIGNED", "STREAMING", "LICENSED", "TRUENO_NATIVE", "QUANTIZED",
        "HAS_MODEL_CARD",
    ]
    /// Flags of files that hold more than metadata, payload and checksum.
    private static let extending: Set<String> = ["ENCRYPTED", "SIGNED", "LICENSED"]

    private static let modelTypes: [UInt16: String] = [
        0x01: "linear regression", 0x02: "logistic regression", 0x03: "decision tree",
        0x04: "random forest", 0x05: "gradient boosting", 0x06: "k-means", 0x07: "PCA",
        0x08: "naive Bayes", 0x09: "k nearest neighbours", 0x0A: "SVM",
        0x10: "n-gram language model", 0x11: "TF-IDF", 0x12: "count vectorizer",
        0x20: "neural, sequential", 0x21: "neural, custom", 0x30: "content recommender",
        0x40: "mixture of experts", 0xFF: "custom",
    ]

    /// The kind of model in words; `unknown` for a number without a name.
    public var modelTypeName: String { Self.modelTypes[modelType] ?? "unknown" }

    /// Fails on what is no APR v1 file, is cut off, or does not have the checksum that it ends in.
    public init(contentsOf url: URL) throws(FormatError) {
        let mapped = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(mapped) {} }
        try self.init(parsing: mapped.bytes, file: url.path)
    }

    /// Nil when the file does not begin as one of APR v1.
    public init?(ifAt url: URL) throws(FormatError) {
        let mapped = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(mapped) {} }
        guard mapped.bytes.starts(with: Self.magic) else { return nil }
        try self.init(parsing: mapped.bytes, file: url.path)
    }

    package init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
        func failure(_ entry: String, _ expected: String, _ found: String) -> FormatError {
            .entry(file: file, entry: "header, \(entry)", expected: expected, found: found)
        }
        func size(at offset: Int) -> Int { Int(bytes.u32(offset)) }
        guard bytes.starts(with: Self.magic) else {
            throw failure("magic", "41 50 52 4e", BytePreview.hex(bytes, count: 4))
        }
        let least = Self.headerSize + APRLayout.footerSize
        guard bytes.count >= least else {
            throw .truncated(file: file, needs: least, has: bytes.count)
        }
        guard (bytes[4], bytes[5]) == (1, 0) else {
            throw failure("version", "1.0", "\(bytes[4]).\(bytes[5])")
        }
        modelType = UInt16(bytes.u16(6))
        (metadataSize, payloadSize, uncompressedSize) = (size(at: 8), size(at: 12), size(at: 16))
        guard uncompressedSize <= Self.uncompressedLimit else {
            throw failure(
                "uncompressed size", "at most \(Self.uncompressedLimit)", "\(uncompressedSize)")
        }
        guard Int(bytes[20]) < Self.compressions.count else {
            throw failure("compression", "0 to \(Self.compressions.count - 1)", "\(bytes[20])")
        }
        compression = Self.compressions[Int(bytes[20])]
        let flagBits = bytes[21]
        flags = Self.flagNames.enumerated().filter { flagBits >> $0.offset & 1 == 1 }
            .map(\.element)
        qualityScore = Int(bytes[22])
        guard qualityScore <= 100 else {
            throw failure("quality score", "0 to 100", "\(qualityScore)")
        }
        try bytes.requireZeros(23..<Self.headerSize, "header, reserved bytes", file: file)
        let needed = least + metadataSize + payloadSize
        if bytes.count < needed {
            throw .truncated(file: file, needs: needed, has: bytes.count)
        }
        if bytes.count > needed, Self.extending.isDisjoint(with: flags) {
            throw .trailing(file: file, needs: needed, has: bytes.count)
        }
        try APRFile.checkFooter(bytes, file: file)
    }
}
