// SPDX-License-Identifier: Apache-2.0
/// Where bytes stop being UTF-8.

enum UTF8Check {
    /// The place of the first sequence that is not UTF-8; nil when all are.
    ///
    /// Source: Unicode 15.0, table 3-7.
    static func firstInvalidByte(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var place = 0
        while place < bytes.count {
            if place + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 == 0 {
                    place += 8
                    continue
                }
            }
            let length = sequenceLength(bytes, at: place)
            if length == 0 { return place }
            place += length
        }
        return nil
    }

    /// The length of the sequence that starts at `place`; 0 when there is no valid one.
    private static func sequenceLength(_ bytes: UnsafeRawBufferPointer, at place: Int) -> Int {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch bytes[place] {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return 0
        }
        guard place + length <= bytes.count, second.contains(bytes[place + 1]) else { return 0 }
        for rest in (place + 2)..<(place + length) where bytes[rest] & 0xC0 != 0x80 { return 0 }
        return length
    }
}
