// SPDX-License-Identifier: Apache-2.0
/// APR files put together by hand, right or wrong at will, with checksums that fit all the same.

import CairnFormats
import Foundation

/// The parts of an APR v2 file; every part can be set to something wrong.
struct HandmadeAPR {
    struct Entry {
        var name: [UInt8]
        var code: UInt8 = 0
        var dimensions: [UInt64]
        var offset: UInt64
        var size: UInt64

        init(
            _ name: String, code: UInt8 = 0, _ dimensions: [UInt64], offset: UInt64 = 0,
            size: UInt64
        ) {
            self.name = Array(name.utf8)
            (self.code, self.dimensions, self.offset, self.size) = (code, dimensions, offset, size)
        }
    }

    var magic: [UInt8] = [0x41, 0x50, 0x52, 0]
    var version: [UInt8] = [2, 0]
    var flags: UInt16 = 0x0400
    var tensorCount: UInt32?
    var metadataOffset: UInt64 = 64
    var metadataSize: UInt32?
    var indexOffset: UInt64?
    var dataOffset: UInt64?
    var headerChecksum: UInt32?
    var reserved = [UInt8](repeating: 0, count: 20)
    var metadata = #"{"model_type":"t"}"#
    var entries: [Entry] = []
    /// Unpadded.
    var data: [UInt8] = []
    /// After the data's padding, before the footer.
    var extra: [UInt8] = []
    var footer: UInt32?
    /// Changes made after everything is laid out and before the footer is computed.
    var patches: [Int: UInt8] = [:]

    /// Two tensors: "a" I8 [3] = 1, 2, 3 and "b" F32 [1, 2] = 1, 2.
    static var small: HandmadeAPR {
        var file = HandmadeAPR()
        file.entries = [
            Entry("a", code: 6, [3], size: 3), Entry("b", [1, 2], offset: 64, size: 8),
        ]
        file.data =
            [1, 2, 3] + [UInt8](repeating: 0, count: 61) + [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
        return file
    }

    var bytes: [UInt8] {
        let text = Self.padded(Array(metadata.utf8))
        let index = Self.padded(entries.flatMap(Self.bytes))
        let start = UInt64(64 + text.count)
        var header = magic + version + Self.little(flags)
        header += Self.little(tensorCount ?? UInt32(entries.count)) + Self.little(metadataOffset)
        header += Self.little(metadataSize ?? UInt32(metadata.utf8.count))
        header += Self.little(indexOffset ?? start)
        header += Self.little(dataOffset ?? start + UInt64(index.count))
        let computed = Self.checksum(header + reserved)
        header += Self.little(headerChecksum ?? computed) + reserved
        var file = header + text + index + Self.padded(data) + extra
        for (place, byte) in patches { file[place] = byte }
        return file + Self.little(footer ?? Self.checksum(file))
    }

    static func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: (64 - bytes.count % 64) % 64)
    }

    static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian, Array.init)
    }

    private static func bytes(of entry: Entry) -> [UInt8] {
        little(UInt16(entry.name.count)) + entry.name + [entry.code]
            + [UInt8(entry.dimensions.count)] + entry.dimensions.flatMap { little($0) }
            + little(entry.offset) + little(entry.size)
    }

    /// CRC-32 bit by bit, as its definition has it.
    static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~crc
    }
}

func openAPR(_ bytes: [UInt8]) throws -> APRFile {
    try withFile(bytes) { try APRFile(contentsOf: $0) }
}
