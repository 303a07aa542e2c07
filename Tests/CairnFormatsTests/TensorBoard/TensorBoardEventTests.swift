// SPDX-License-Identifier: Apache-2.0
/// Checksums against published ones, records against those of TensorBoard's own writer.

import CairnFormats
import Foundation
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, B.4, and the check value of the catalogue of parametrised CRC algorithms.
    static let answers: [(bytes: [UInt8], checksum: UInt32)] = [
        ([], 0),
        (Array("123456789".utf8), 0xE306_9283),
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        (Array(0..<32), 0x46DD_794E),
        (Array((0..<32).reversed()), 0x113F_DB5C),
    ]

    @Test(arguments: answers)
    func `the published answers come out`(bytes: [UInt8], checksum: UInt32) {
        #expect(CRC32C.checksum(bytes) == checksum)
    }

    @Test func `a stored checksum is turned by 15 bits and moved`() {
        // 0x0000_0000 turned is itself.
        #expect(CRC32C.masked([]) == 0xA282_EAD8)
        // 0xE306_9283 turned by 15 bits is 0x2507_C60D.
        #expect(CRC32C.masked(Array("123456789".utf8)) == 0x2507_C60D &+ 0xA282_EAD8)
    }
}

@Suite struct TensorBoardEventTests {
    static let records: [(event: TensorBoardEvent, hex: String)] = [
        (
            TensorBoardEvent(wallTime: 1.5, step: 0, .fileVersion),
            "1800000000000000a37f4b22" + "09000000000000f83f1a0d627261696e2e4576656e743a32"
                + "2a28646c"
        ),
        (
            TensorBoardEvent(wallTime: 2, step: 300, .start),
            "100000000000000095fbfe18" + "09000000000000004010ac023a020801" + "1292da01"
        ),
        (
            TensorBoardEvent(
                wallTime: 3, step: 1,
                .scalars([.init("train/loss", 0.25), .init("é", 0)])),
            "2b00000000000000861bc34b"
                + "09000000000000084010012a1e0a110a0a747261696e2f6c6f7373150000803e"
                + "0a090a02c3a91500000000" + "555fb76e"
        ),
    ]

    @Test(arguments: records)
    func `a record has the bytes that TensorBoard writes`(event: TensorBoardEvent, hex: String) {
        let found = event.record.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()

        #expect(found == hex)
    }

    @Test func `a long summary carries its length in several bytes`() {
        let scalars = (0..<100).map { TensorBoardEvent.Scalar("tag/\($0)", Float($0)) }

        let encoded = TensorBoardEvent(wallTime: 0, step: 0, .scalars(scalars)).encoded

        // 10 values of 14 bytes and 90 of 15, each with a key and a length: 1490 = 0x5D2.
        #expect(Array(encoded[9..<12]) == [0x2A, 0xD2, 0x0B])
        #expect(encoded.count == 12 + 1490)
    }

    @Test func `numbers that are not finite are written as they are`() {
        let event = TensorBoardEvent(wallTime: 0, step: 0, .scalars([.init("x", .infinity)]))

        #expect(Array(event.encoded.suffix(5)) == [0x15, 0, 0, 0x80, 0x7F])
    }
}
