// SPDX-License-Identifier: Apache-2.0
/// Element types as numpy spells them.

import CairnTensor

/// A type and the byte order of its numbers: `<f4`, `|b1`, `>i8`.
///
/// numpy has no bfloat16. `ml_dtypes` and MLX save it as `V2`, two opaque bytes, and so does
/// Cairn: `V2` is BF16 both ways, and `array.view(ml_dtypes.bfloat16)` gives the numbers in
/// Python. The eight-bit and narrower floats have no spelling that tells them apart; safetensors
/// holds them.
package struct NPYType: Equatable, Sendable {
    package let dtype: DType
    package let isBigEndian: Bool

    private static let codes: [(code: String, dtype: DType)] = [
        ("b1", .bool), ("i1", .i8), ("i2", .i16), ("i4", .i32), ("i8", .i64), ("u1", .u8),
        ("u2", .u16), ("u4", .u32), ("u8", .u64), ("f2", .f16), ("f4", .f32), ("f8", .f64),
        ("c8", .c64), ("V2", .bf16),
    ]

    /// Nil when numpy's type has no counterpart here.
    package init?(spelling: String) {
        guard let order = spelling.first,
            let known = Self.codes.first(where: { $0.code.utf8Equals(String(spelling.dropFirst())) }
            )
        else { return nil }
        let isWide = known.dtype.bitWidth > 8
        switch order {
        case "<": isBigEndian = false
        case ">" where known.dtype != .bf16: isBigEndian = isWide
        case "|" where !isWide || known.dtype == .bf16: isBigEndian = false
        default: return nil
        }
        dtype = known.dtype
    }

    /// The little-endian spelling; nil when numpy has none.
    static func spelling(of dtype: DType) -> String? {
        guard let code = codes.first(where: { $0.dtype == dtype })?.code else { return nil }
        return (dtype.bitWidth > 8 ? "<" : "|") + code
    }

    /// What the bytes of a type that is not read here are, for the error.
    static func meaning(of spelling: String) -> String? {
        switch spelling.dropFirst().first {
        case "O": "Python objects, which only a pickle can hold"
        case "U", "S", "a": "text"
        case "M", "m": "dates or times"
        case "V": "records"
        case "f", "c": "wider floats"
        default: nil
        }
    }
}
