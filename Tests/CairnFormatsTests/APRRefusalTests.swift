// SPDX-License-Identifier: Apache-2.0
/// What the APR v2 reader refuses: a hand-made file and the sentence for each.

import CairnFormats
import Foundation
import Testing

/// A file with one thing wrong.
struct WrongAPR: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let sentence: String
    let spoil: @Sendable (inout HandmadeAPR) -> Void

    init(
        _ name: String, _ sentence: String, _ spoil: @escaping @Sendable (inout HandmadeAPR) -> Void
    ) {
        (testDescription, self.sentence, self.spoil) = (name, sentence, spoil)
    }
}

@Suite struct APRRefusalTests {
    // The small file: header 0-63, metadata 64-81 and padding, index 128-193 and padding,
    // "a" at 256-258 and padding, "b" at 320-327 and padding, footer at 384.
    static let header: [WrongAPR] = [
        .init(
            "GGUF", "header: expected an APR v2 file, which starts 41 50 52 00, found 47 47 55 46"
        ) { $0.magic = Array("GGUF".utf8) },
        .init("v1", "header: expected an APR v2 file, which starts 41 50 52 00, found 41 50 52 4e")
        {
            $0.magic = Array("APRN".utf8)
        },
        .init("major 3", "header, version: expected 2.0, found 3.0") { $0.version = [3, 0] },
        .init("minor 1", "header, version: expected 2.0, found 2.1") { $0.version = [2, 1] },
        .init("header checksum", "header, checksum: expected 0x31626b4f, found 0x00000000") {
            $0.headerChecksum = 0
        },
        .init("reserved", "header, reserved bytes: expected zeros, found others") {
            $0.reserved[19] = 1
        },
        .init("LZ4", refused("LZ4")) { $0.flags = 0x0401 },
        .init("ZSTD", refused("ZSTD")) { $0.flags = 0x0402 },
        .init("encrypted", refused("ENCRYPTED")) { $0.flags = 0x0404 },
        .init("signed", refused("SIGNED")) { $0.flags = 0x0408 },
        .init("column-major", refused("LAYOUT_COLUMN_MAJOR")) { $0.flags = 0x0800 },
        .init("both orders", refused("LAYOUT_COLUMN_MAJOR")) { $0.flags = 0x0C00 },
        .init("unknown flag", "header, flags: expected known flags, found bit 12") {
            $0.flags = 0x1400
        },
        .init("no order", "header, flags: expected LAYOUT_ROW_MAJOR, found SHARDED") {
            $0.flags = 0x0010
        },
        .init("metadata elsewhere", "header, metadata offset: expected 64, found 128") {
            $0.metadataOffset = 128
        },
        .init(
            "much metadata",
            "header, metadata size: expected at most 16777216 bytes, found 16777217"
        ) { $0.metadataSize = (16 << 20) + 1 },
        .init("index elsewhere", "header, index offset: expected 128, found 192") {
            $0.indexOffset = 192
        },
        .init(
            "index beyond all numbers",
            "header, index offset: expected less than 2^62, found "
                + "18446744073709551615"
        ) { $0.indexOffset = .max },
        .init(
            "data within the index",
            "index entry 0: expected it within the index, which ends at byte 128, found it going "
                + "on to byte 130"
        ) {
            $0.entries = []
            $0.tensorCount = 2
            $0.dataOffset = 128
        },
        .init(
            "data at an odd place",
            "header, data offset: expected a multiple of 64 from 128 on, found 257"
        ) { $0.dataOffset = 257 },
        .init(
            "data later than the index ends",
            "header, data offset: expected 256, behind the index, found 320"
        ) { $0.dataOffset = 320 },
    ]

    static func refused(_ flag: String) -> String {
        "header, flags: expected a plain, row-major file (LZ4, ZSTD, ENCRYPTED, SIGNED, "
            + "LAYOUT_COLUMN_MAJOR are not read), found \(flag)"
    }

    static let index: [WrongAPR] = [
        .init("long name", "index entry 1, name: expected at most 256 bytes, found 257") {
            $0.entries[1].name = [UInt8](repeating: 0x62, count: 257)
        },
        .init("name not UTF-8", "index entry 1, name: expected UTF-8, found another byte at 1") {
            $0.entries[1].name = [0x62, 0xC0]
        },
        .init("duplicate", "index entry 1, name: expected every name once, found 'a' again") {
            $0.entries[1].name = [0x61]
        },
        .init(
            "two forms",
            "index entry 1, name: expected every name once, found '\u{E9}' again in "
                + "another Unicode form"
        ) {
            $0.entries[0].name = Array("e\u{301}".utf8)
            $0.entries[1].name = Array("\u{E9}".utf8)
        },
        .init(
            "unsorted",
            "index entry 1, name: expected names in the order of their bytes, found 'a' after 'b'"
        ) {
            $0.entries[0].name = [0x62]
            $0.entries[1].name = [0x61]
        },
        .init(
            "type 2",
            "tensor 'b', type: expected one of 0 F32, 1 F16, 3 F64, 4 I32, 5 I64, 6 I8, 7 U8, "
                + "12 Q4_K, 14 Q6_K, 30 BF16, 128 AprQ4, 129 AprQ8, found 2"
        ) { $0.entries[1].code = 2 },
        .init("nine dimensions", "tensor 'b': expected at most 8 dimensions, found 9") {
            $0.entries[1].dimensions = [UInt64](repeating: 1, count: 9)
        },
        .init(
            "a huge dimension",
            "tensor 'b', shape: expected less than 2^61, found "
                + "18446744073709551615"
        ) { $0.entries[1].dimensions = [.max] },
        .init(
            "dimensions that overflow",
            "tensor 'b': expected the bytes of F32 [1073741824, 1073741824, 1073741824], found 8"
        ) { $0.entries[1].dimensions = [1 << 30, 1 << 30, 1 << 30] },
        .init("size short of the shape", "tensor 'b': expected the bytes of F32 [1, 2], found 4") {
            $0.entries[1].size = 4
        },
        .init("size beyond the shape", "tensor 'b': expected the bytes of F32 [1, 2], found 12") {
            $0.entries[1].size = 12
        },
        .init("size of a quantized one", "tensor 'b': expected the bytes of AprQ8 [1, 2], found 8")
        { $0.entries[1].code = 129 },
        .init(
            "more entries than the header says",
            "header, data offset: expected 192, behind the index, found 256"
        ) {
            $0.tensorCount = 1
        },
        .init(
            "fewer entries than the header says",
            "index entry 2, name: expected names in the order of their bytes, found '' after 'b'"
        ) {
            $0.tensorCount = 3
        },
    ]

    static let data: [WrongAPR] = [
        .init("overlap", "tensor 'b': expected its data at offset 64, found an overlap, offset 0") {
            $0.entries[1].offset = 0
        },
        .init("hole", "tensor 'b': expected its data at offset 64, found a hole, offset 128") {
            $0.entries[1].offset = 128
            $0.data = $0.data + $0.data
        },
        .init(
            "unaligned",
            "tensor 'b': expected its data at offset 64, found not a multiple of 64, offset 65"
        ) { $0.entries[1].offset = 65 },
        .init(
            "beyond the file",
            "tensor 'b': expected its data at offset 64, found a hole, offset "
                + "1152921504606846976"
        ) { $0.entries[1].offset = 1 << 60 },
        .init("cut off", "FILE: needs 388 bytes but has 324; was the download interrupted?") {
            $0.data.removeLast(8)
        },
        .init("trailing", "FILE: ends at byte 388 by its header but has 452 bytes") {
            $0.extra = [UInt8](repeating: 0, count: 64)
        },
        .init("one byte trailing", "FILE: ends at byte 388 by its header but has 389 bytes") {
            $0.extra = [0]
        },
        .init("footer", "checksum in the last 4 bytes: expected 0xc0b81ef6, found 0x00000001") {
            $0.footer = 1
        },
        .init(
            "after the metadata",
            "padding of the metadata: expected zeros, found another byte at 127"
        ) {
            $0.patches = [127: 1]
        },
        .init("after the index", "padding of the index: expected zeros, found another byte at 255")
        { $0.patches = [255: 1] },
        .init(
            "between tensors",
            "padding of tensor 'a': expected zeros, found another byte at 259"
        ) {
            $0.patches = [259: 1]
        },
        .init(
            "after the last tensor",
            "padding of tensor 'b': expected zeros, found another byte at 383"
        ) {
            $0.patches = [383: 0x80]
        },
    ]

    static let metadata: [WrongAPR] = [
        .init("no object", "metadata: expected an object, found an array") { $0.metadata = "[]" },
        .init("no JSON", "metadata, line 1 (byte 1): expected a key in quotes, found 'm'") {
            $0.metadata = "{m}"
        },
        .init("nothing", "metadata, line 1 (byte 0): expected a value, found the end") {
            $0.metadata = ""
        },
        .init("a key twice", "metadata, line 1 (byte 7): expected every key once, found 'a' again")
        { $0.metadata = #"{"a":1,"a":2}"# },
        .init(
            "a key and its alias",
            "metadata 'n_embd': expected one spelling of hidden_size, found 'hidden_size' too"
        ) {
            $0.metadata = #"{"hidden_size":8,"n_embd":8}"#
        },
        .init(
            "two aliases",
            "metadata 'norm_eps': expected one spelling of rms_norm_eps, found 'layer_norm_eps' too"
        ) { $0.metadata = #"{"layer_norm_eps":1e-5,"norm_eps":null}"# },
        .init(
            "a word for a count",
            "metadata 'd_model': expected a whole number from 0 on, found a string"
        ) {
            $0.metadata = #"{"d_model":"8"}"#
        },
        .init(
            "a negative count",
            "metadata 'vocab_size': expected a whole number from 0 on, found -1.0"
        ) {
            $0.metadata = #"{"vocab_size":-1}"#
        },
        .init("a number for a text", "metadata 'name': expected a string, found 3.0") {
            $0.metadata = #"{"name":3}"#
        },
        .init("a list for an object", "metadata 'sharding': expected an object, found an array") {
            $0.metadata = #"{"sharding":[]}"#
        },
    ]

    @Test(arguments: header + index + data + metadata)
    func `a file with one fault is refused for it`(fault: WrongAPR) throws {
        var file = HandmadeAPR.small
        fault.spoil(&file)

        let error = #expect(throws: Sentence.self) { try openAPR(file.bytes) }

        let text = fault.sentence
        let starts = text.hasPrefix("FILE") ? "" : text.hasPrefix("metadata,") ? "FILE, " : "FILE: "
        #expect(error?.description == starts + text)
    }

    @Test func `the file that the cases spoil is good`() throws {
        #expect(try openAPR(HandmadeAPR.small.bytes).names == ["a", "b"])
    }

    @Test func `a file cut anywhere is refused`() throws {
        for bytes in [HandmadeAPR.small.bytes, APRFileTests.example] {
            for count in 0..<bytes.count {
                #expect(throws: Sentence.self, "cut to \(count) bytes") {
                    try openAPR(Array(bytes.prefix(count)))
                }
            }
        }
    }

    @Test func `a changed byte is detected, whichever it is`() throws {
        for place in APRFileTests.example.indices {
            for change in [0x01, 0x80, 0xFF] as [UInt8] {
                var bytes = APRFileTests.example
                bytes[place] ^= change
                #expect(throws: Sentence.self, "byte \(place) changed by \(change)") {
                    try openAPR(bytes)
                }
            }
        }
    }

    /// With checksums made to fit, so that the parser itself has to hold.
    @Test func `random edits behind fitting checksums are refused or still consistent`() throws {
        var generator = SplitMix(state: 31)
        let start = HandmadeAPR.small.bytes
        // What carries something, but for checksums: padding is met by the fixed cases.
        let places = Array(4..<40) + Array(64..<82) + Array(128..<194) + [256, 258, 320, 327]
        var accepted = 0
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("x.apr")
            for round in 0..<2_000 {
                var bytes = start
                for _ in 0..<Int.random(in: 1...2, using: &generator) {
                    let place = places.randomElement(using: &generator)!
                    bytes[place] =
                        Bool.random(using: &generator)
                        ? bytes[place] ^ 1 << UInt8.random(in: 0..<8, using: &generator)
                        : UInt8.random(in: .min ... .max, using: &generator)
                }
                let header = HandmadeAPR.checksum(bytes[..<40] + bytes[44..<64])
                bytes.replaceSubrange(40..<44, with: HandmadeAPR.little(header))
                let footer = HandmadeAPR.checksum(bytes.dropLast(4))
                bytes.replaceSubrange((bytes.count - 4)..., with: HandmadeAPR.little(footer))
                try Data(bytes).write(to: url)
                guard let file = try? APRFile(contentsOf: url) else { continue }
                accepted += 1
                var place = file.entries.map(\.range.lowerBound).min() ?? 0
                for entry in file.entries.sorted(by: { $0.range.lowerBound < $1.range.lowerBound })
                {
                    #expect(entry.range.lowerBound == place, "round \(round)")
                    place = (entry.range.upperBound + 63) / 64 * 64
                }
                #expect(place + 4 == bytes.count, "round \(round)")
            }
        }
        #expect(accepted > 50 && accepted < 1_000)
    }
}
