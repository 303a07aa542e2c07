// SPDX-License-Identifier: Apache-2.0
/// Sixteen-bit floats as bit patterns: bfloat16, and IEEE half for platforms without `Float16`.

/// The upper half of a binary32: one sign, eight exponent and seven fraction bits.
public struct BFloat16: Hashable, Sendable {
    /// Sign, 8 bits of exponent, 7 of fraction.
    public var bitPattern: UInt16

    /// The number of these bits.
    public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

    /// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN of the same sign.
    public init(_ value: Float) {
        let bits = value.bitPattern
        if value.isNaN {
            bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x40
        } else {
            let rounded = bits &+ 0x7FFF &+ ((bits >> 16) & 1)
            bitPattern = UInt16(truncatingIfNeeded: rounded >> 16)
        }
    }

    /// The same number as binary32; exact.
    public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}

/// IEEE binary16 as a bit pattern.
public struct Half: Hashable, Sendable {
    /// Sign, 5 bits of exponent, 10 of fraction.
    public var bitPattern: UInt16

    /// The number of these bits.
    public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

    /// Rounds to nearest, ties to even; overflow gives infinity, a NaN stays a quiet NaN.
    public init(_ value: Float) {
        let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
        let magnitude = value.bitPattern & 0x7FFF_FFFF
        if magnitude > 0x7F80_0000 {
            bitPattern = sign | 0x7E00
        } else if magnitude >= 0x4780_0000 {  // 65536 and above, infinity
            bitPattern = sign | 0x7C00
        } else if magnitude < 0x3880_0000 {  // below 2^-14: subnormal, in units of 2^-24
            let units = (Float(bitPattern: magnitude) * 16_777_216).rounded(.toNearestOrEven)
            bitPattern = sign | UInt16(units)
        } else {
            let rounded = magnitude &+ 0xFFF &+ ((magnitude >> 13) & 1)
            bitPattern = sign | UInt16(truncatingIfNeeded: (rounded &- 0x3800_0000) >> 13)
        }
    }

    /// The same number as binary32; exact.
    public var float: Float {
        let sign = UInt32(bitPattern & 0x8000) << 16
        let exponent = UInt32(bitPattern >> 10) & 0x1F
        let fraction = UInt32(bitPattern & 0x3FF)
        if exponent == 0 {
            let magnitude = Float(fraction) / 16_777_216
            return Float(bitPattern: magnitude.bitPattern | sign)
        }
        if exponent == 31 { return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13) }
        return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}
