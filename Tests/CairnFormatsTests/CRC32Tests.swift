// SPDX-License-Identifier: Apache-2.0
/// The checksum against published answers.

import CairnFormats
import Testing

@Suite struct CRC32Tests {
    /// The first number is the check value of the CRC catalogue.
    @Test(
        arguments: [
            ("", 0), ("123456789", 0xCBF4_3926), ("a", 0xE8B7_BE43),
            ("The quick brown fox jumps over the lazy dog", 0x414F_A339),
        ] as [(String, UInt32)])
    func `known messages have their published checksums`(message: String, expected: UInt32) {
        #expect(CRC32.of(Array(message.utf8)) == expected)
    }

    @Test func `32 zero bytes and 32 ones have their published checksums`() {
        #expect(CRC32.of([UInt8](repeating: 0, count: 32)) == 0x190A_55AD)
        #expect(CRC32.of([UInt8](repeating: 0xFF, count: 32)) == 0xFF6C_AB0B)
    }

    @Test func `pieces of any size give the checksum of the whole`() {
        let message = (0..<100).map { UInt8($0) }
        for size in [1, 3, 64, 99] {
            var checksum = CRC32()
            for start in stride(from: 0, to: 100, by: size) {
                message[start..<min(start + size, 100)].withUnsafeBytes { checksum.update($0) }
            }
            #expect(checksum.value == CRC32.of(message), "pieces of \(size)")
        }
    }
}
