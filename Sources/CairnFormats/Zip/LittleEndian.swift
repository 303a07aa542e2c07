// SPDX-License-Identifier: Apache-2.0
/// Little-endian numbers at places of binary files.

import Foundation

extension UnsafeRawBufferPointer {
    /// The number at `place`.
    ///
    /// - Precondition: its bytes lie within the buffer.
    package func littleEndian<Number: FixedWidthInteger>(
        at place: Int, as type: Number.Type
    ) -> Number {
        precondition(
            place >= 0 && place <= count - MemoryLayout<Number>.size,
            "\(type) at byte \(place) of \(count)")
        return Number(littleEndian: loadUnaligned(fromByteOffset: place, as: type))
    }

    func u16(_ place: Int) -> Int { Int(littleEndian(at: place, as: UInt16.self)) }
    func u32(_ place: Int) -> UInt32 { littleEndian(at: place, as: UInt32.self) }
    func u64(_ place: Int) -> UInt64 { littleEndian(at: place, as: UInt64.self) }
}

extension Data {
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}
