// SPDX-License-Identifier: Apache-2.0
/// What a look at a tensor tells: its range, its mean, and how many elements are not finite.

import CairnTensor

/// Figures over the elements of one tensor.
public struct TensorStatistics: Sendable, Equatable {
    /// Of the finite elements; nil when there is none.
    public private(set) var minimum: Double?
    /// Of the finite elements; nil when there is none.
    public private(set) var maximum: Double?
    /// Sum over count, in double and in order; nil too when the sum exceeds a double.
    public var mean: Double? {
        finiteCount > 0 && sum.isFinite ? sum / Double(finiteCount) : nil
    }
    /// Elements that are not a number.
    public private(set) var nanCount = 0
    /// Of both signs.
    public private(set) var infinityCount = 0

    private var sum = 0.0
    private var finiteCount = 0

    /// Nil for types that have no conversion here: complex numbers and floats of 4, 6 and 8 bits.
    public init?(_ tensor: Tensor) {
        switch tensor.dtype {
        case .f32: add(tensor) { (value: Float) in Double(value) }
        case .f64: add(tensor) { (value: Double) in value }
        case .bf16: add(tensor) { Double(BFloat16(bitPattern: $0).float) }
        case .f16: add(tensor) { Double(Half(bitPattern: $0).float) }
        case .i64: add(tensor) { (value: Int64) in Double(value) }
        case .u64: add(tensor) { (value: UInt64) in Double(value) }
        case .i32: add(tensor) { (value: Int32) in Double(value) }
        case .u32: add(tensor) { (value: UInt32) in Double(value) }
        case .i16: add(tensor) { (value: Int16) in Double(value) }
        case .u16: add(tensor) { (value: UInt16) in Double(value) }
        case .i8: add(tensor) { (value: Int8) in Double(value) }
        case .u8, .bool: add(tensor) { (value: UInt8) in Double(value) }
        case .f4, .f6e2m3, .f6e3m2, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .c64:
            return nil
        }
    }

    private mutating func add<Stored>(_ tensor: Tensor, _ convert: (Stored) -> Double) {
        tensor.withBytes { bytes in
            var (low, high) = (Double.infinity, -Double.infinity)
            for index in 0..<tensor.elementCount {
                let value = convert(
                    bytes.loadUnaligned(
                        fromByteOffset: index * MemoryLayout<Stored>.stride, as: Stored.self))
                if value.isFinite {
                    low = min(low, value)
                    high = max(high, value)
                    sum += value
                    finiteCount += 1
                } else if value.isNaN {
                    nanCount += 1
                } else {
                    infinityCount += 1
                }
            }
            if finiteCount > 0 { (minimum, maximum) = (low, high) }
        }
    }
}
