// SPDX-License-Identifier: Apache-2.0
/// APR v2: the specification that reader and writer share, its numbers, element types and flags.

import CairnTensor

/// The layout of an APR v2 file, the model container of aprender and entrenar.
///
///     header, 64 bytes | metadata | index | tensor data | CRC-32 of all before, u32
///
/// Numbers are little endian. Metadata, index and every tensor's data are padded with zeros to a
/// multiple of 64 bytes.
///
///     header                                       index entry, one after the other
///      0  4 bytes  "APR\0"                          u16  length of the name, at most 256
///      4  u8 u8    version: 2, 0                         name, UTF-8
///      6  u16      flags (`APRFlags`)               u8   element type (`APRElementType`)
///      8  u32      number of tensors                u8   number of dimensions, at most 8
///     12  u64      where metadata starts: 64        u64  each dimension, outermost first
///     20  u32      bytes of metadata, unpadded      u64  where the data starts, from the start
///     24  u64      where the index starts                of all data
///     32  u64      where the data starts            u64  bytes of data, unpadded
///     40  u32      CRC-32 of the other header bytes
///     44  20 bytes zero
///
/// - Metadata is one JSON object: see `APRMetadata`. At most 16 MiB.
/// - Index entries are sorted by the bytes of their names; no name occurs twice.
/// - The data of the tensors may come in any order, without hole or overlap.
/// - CRC-32 is that of IEEE 802.3, as in zlib.
///
/// The format's own reader checks neither version nor footer, neither sizes against shapes nor
/// overlap, alignment, duplicates or length. Here each of these is an error, and so are
/// compressed, encrypted and signed files (its flags for them announce what no code does),
/// column-major files, names of more than 256 bytes, unknown flags, and bytes that are not zero
/// where nothing is stored.
///
/// Source: the format as implemented by the crate `apr-format`, modules `v2`.
enum APRLayout {
    static let magic: [UInt8] = [0x41, 0x50, 0x52, 0x00]
    static let version: (major: UInt8, minor: UInt8) = (2, 0)
    static let headerSize = 64
    static let footerSize = 4
    static let alignment = 64
    /// Where the header's own checksum stands.
    static let checksumRange = 40..<44
    static let reservedRange = 44..<64
    static let metadataLimit = 16 << 20
    static let nameLimit = 256
    static let rankLimit = 8

    /// The next multiple of 64 from `place` on.
    static func aligned(_ place: Int) -> Int { (place + alignment - 1) / alignment * alignment }

    /// The checksum over a header but for the four bytes that hold it.
    static func headerChecksum(_ header: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32()
        crc.update(UnsafeRawBufferPointer(rebasing: header[..<checksumRange.lowerBound]))
        crc.update(UnsafeRawBufferPointer(rebasing: header[checksumRange.upperBound..<headerSize]))
        return crc.value
    }
}

/// What the header of an APR v2 file announces.
public struct APRFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt16

    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Data compressed by LZ4.
    public static let lz4 = APRFlags(rawValue: 0x0001)
    /// Data compressed by Zstandard.
    public static let zstd = APRFlags(rawValue: 0x0002)
    /// Data that needs a key.
    public static let encrypted = APRFlags(rawValue: 0x0004)
    /// A signature follows.
    public static let signed = APRFlags(rawValue: 0x0008)
    /// One of several files of a model.
    public static let sharded = APRFlags(rawValue: 0x0010)
    /// Tensors of quantized types.
    public static let quantized = APRFlags(rawValue: 0x0020)
    /// An audio model with its filter bank.
    public static let filterbank = APRFlags(rawValue: 0x0040)
    /// The metadata has a model card.
    public static let modelCard = APRFlags(rawValue: 0x0080)
    /// Meant to be read while it arrives.
    public static let streaming = APRFlags(rawValue: 0x0100)
    /// The metadata has a vocabulary.
    public static let vocabulary = APRFlags(rawValue: 0x0200)
    /// Tensors are row-major.
    public static let rowMajor = APRFlags(rawValue: 0x0400)
    /// Tensors are column-major; such a file is refused.
    public static let columnMajor = APRFlags(rawValue: 0x0800)

    /// The format's words, by bit.
    private static let words = [
        "LZ4", "ZSTD", "ENCRYPTED", "SIGNED", "SHARDED", "QUANTIZED", "HAS_FILTERBANK",
        "HAS_MODEL_CARD", "STREAMING", "HAS_VOCAB", "LAYOUT_ROW_MAJOR", "LAYOUT_COLUMN_MAJOR",
    ]
    static let known = APRFlags(rawValue: 0x0FFF)
    /// Flags of files whose bytes are not what the index says, or not for everyone.
    static let refused: APRFlags = [.lz4, .zstd, .encrypted, .signed, .columnMajor]

    /// The names of the flags that are set.
    public var names: [String] {
        (0..<UInt16.bitWidth).filter { rawValue >> $0 & 1 == 1 }.map {
            $0 < Self.words.count ? Self.words[$0] : "bit \($0)"
        }
    }
}

/// How the elements of an APR tensor are stored.
public enum APRElementType: UInt8, CaseIterable, Sendable {
    /// IEEE 754, 32 bits.
    case f32 = 0
    /// IEEE 754, 16 bits.
    case f16 = 1
    /// IEEE 754, 64 bits.
    case f64 = 3
    /// Integers of 32 bits.
    case i32 = 4
    /// Integers of 64 bits.
    case i64 = 5
    /// Integers of 8 bits.
    case i8 = 6
    /// Integers of 8 bits without sign.
    case u8 = 7
    /// GGUF's blocks of 256 elements in 144 bytes.
    case q4k = 12
    /// GGUF's blocks of 256 elements in 210 bytes.
    case q6k = 14
    /// The upper half of a 32-bit number.
    case bf16 = 30
    /// Blocks of 32 elements: a scale in fp16, then 16 bytes of two elements each.
    case aprQ4 = 128
    /// A scale in fp32, then a byte per element.
    case aprQ8 = 129

    /// The type of a code in a file; 8 and 9 are the older codes of AprQ4 and AprQ8.
    init?(code: UInt8) {
        switch code {
        case 8: self = .aprQ4
        case 9: self = .aprQ8
        default: self.init(rawValue: code)
        }
    }

    /// Nil for the types that an APR file cannot hold.
    init?(_ dtype: DType) {
        guard let type = Self.allCases.first(where: { $0.dtype == dtype }) else { return nil }
        self = type
    }

    /// The element type of a tensor read from a file; nil for the quantized ones.
    public var dtype: DType? {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        case .f64: .f64
        case .i32: .i32
        case .i64: .i64
        case .i8: .i8
        case .u8: .u8
        case .q4k, .q6k, .aprQ4, .aprQ8: nil
        }
    }

    /// The type's name in reports.
    public var name: String {
        switch self {
        case .q4k: "Q4_K"
        case .q6k: "Q6_K"
        case .aprQ4: "AprQ4"
        case .aprQ8: "AprQ8"
        default: dtype!.rawValue  // the others all have one
        }
    }

    /// Bytes that `count` elements take; nil when that overflows.
    func byteCount(elements count: Int) -> Int? {
        func blocks(of elements: Int, bytes: Int) -> Int? {
            let whole = count / elements + (count % elements == 0 ? 0 : 1)
            let (total, overflow) = whole.multipliedReportingOverflow(by: bytes)
            return overflow ? nil : total
        }
        switch self {
        case .q4k: return blocks(of: 256, bytes: 144)
        case .q6k: return blocks(of: 256, bytes: 210)
        case .aprQ4: return blocks(of: 32, bytes: 18)
        case .aprQ8: return count > Int.max - 4 ? nil : count + 4
        default: return dtype!.byteCount(elements: count)
        }
    }
}
