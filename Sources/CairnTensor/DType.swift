// SPDX-License-Identifier: Apache-2.0
/// The element types that files hold and that the engine reads.

/// An element type, named as in safetensors headers.
///
/// Kernels compute on `f32`, and read weights in `f32`, `bf16` and `f16`; the others are carried
/// from file to file unchanged.
public enum DType: String, CaseIterable, Sendable, Hashable {
    /// A byte that is 0 or 1.
    case bool = "BOOL"
    /// Floats of 4 bits, two to a byte.
    case f4 = "F4"
    /// Floats of 6 bits: 2 of exponent, 3 of fraction.
    case f6e2m3 = "F6_E2M3"
    /// Floats of 6 bits: 3 of exponent, 2 of fraction.
    case f6e3m2 = "F6_E3M2"
    /// Integers of 8 bits without sign.
    case u8 = "U8"
    /// Integers of 8 bits.
    case i8 = "I8"
    /// Floats of 8 bits: 5 of exponent, 2 of fraction.
    case f8e5m2 = "F8_E5M2"
    /// Floats of 8 bits: 4 of exponent, 3 of fraction.
    case f8e4m3 = "F8_E4M3"
    /// Powers of two in 8 bits.
    case f8e8m0 = "F8_E8M0"
    /// Floats of 8 bits: 4 of exponent, 3 of fraction; without infinities and negative zero.
    case f8e4m3fnuz = "F8_E4M3FNUZ"
    /// Floats of 8 bits: 5 of exponent, 2 of fraction; without infinities and negative zero.
    case f8e5m2fnuz = "F8_E5M2FNUZ"
    /// Integers of 16 bits.
    case i16 = "I16"
    /// Integers of 16 bits without sign.
    case u16 = "U16"
    /// IEEE 754, 16 bits: `Half`.
    case f16 = "F16"
    /// The upper half of a 32-bit float: `BFloat16`.
    case bf16 = "BF16"
    /// Integers of 32 bits.
    case i32 = "I32"
    /// Integers of 32 bits without sign.
    case u32 = "U32"
    /// IEEE 754, 32 bits: `Float`.
    case f32 = "F32"
    /// Complex numbers of two 32-bit floats.
    case c64 = "C64"
    /// IEEE 754, 64 bits: `Double`.
    case f64 = "F64"
    /// Integers of 64 bits.
    case i64 = "I64"
    /// Integers of 64 bits without sign.
    case u64 = "U64"

    /// Bits per element.
    public var bitWidth: Int {
        switch self {
        case .f4: 4
        case .f6e2m3, .f6e3m2: 6
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
        case .i16, .u16, .f16, .bf16: 16
        case .i32, .u32, .f32: 32
        case .c64, .f64, .i64, .u64: 64
        }
    }

    /// Whether a weight of this type can feed a matmul.
    public var isWeight: Bool { self == .f32 || self == .bf16 || self == .f16 }

    /// Bytes that `count` elements take; nil when that overflows or does not fill whole bytes.
    public func byteCount(elements count: Int) -> Int? {
        let (bits, overflow) = count.multipliedReportingOverflow(by: bitWidth)
        guard !overflow, count >= 0, bits % 8 == 0 else { return nil }
        return bits / 8
    }
}
