// SPDX-License-Identifier: Apache-2.0
/// The checksum of TensorFlow's record files.

/// CRC-32C (Castagnoli): the reflected polynomial 0x82F63B78, all ones before and after.
///
/// Source: RFC 3720, sections 12.1 and B.4.
package enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in
            value >> 1 ^ (value & 1 == 1 ? 0x82F6_3B78 : 0)
        }
    }

    package static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { crc, byte in
            table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8
        }
    }

    /// The checksum turned by 15 bits plus a constant, as records store it: a checksum over data
    /// that holds its own checksum would say little.
    package static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
    }
}
