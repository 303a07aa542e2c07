// SPDX-License-Identifier: Apache-2.0
/// Borrowed device memory: arrays, stored weights, gradients.

internal import CCairn
package import CairnTensor

/// A run of elements in the memory of a backend, borrowed from a `Buffer` that must outlive it.
package struct DeviceArray<Element> {
    package let base: UnsafeMutablePointer<Element>
    package let count: Int

    package init(base: UnsafeMutablePointer<Element>, count: Int) {
        precondition(count >= 0, "a device array has at least 0 elements, got \(count)")
        self.base = base
        self.count = count
    }

    /// The `count` elements from index `start` on.
    package func slice(from start: Int, count: Int) -> DeviceArray {
        precondition(
            start >= 0 && count >= 0 && start <= self.count && count <= self.count - start,
            "elements \(start)..<\(start + count) are outside of 0..<\(self.count)")
        return DeviceArray(base: base + start, count: count)
    }

    package subscript(range: Range<Int>) -> DeviceArray {
        slice(from: range.lowerBound, count: range.count)
    }
}

package typealias Floats = DeviceArray<Float>
package typealias Words = DeviceArray<UInt32>
package typealias Integers = DeviceArray<Int32>

/// A stored weight, row-major [rows, columns]; a vector is [1, n].
///
/// One in 8 or 4 bits (`QuantizedWeight`) says I8 or F4, and its `base` is its description.
package struct Weight {
    package let base: UnsafeRawPointer
    package let dtype: DType
    package let rows: Int
    package let columns: Int

    package var count: Int { rows * columns }

    /// - Precondition: `dtype` is F32, BF16 or F16, and `base` is aligned to it.
    package init(base: UnsafeRawPointer, dtype: DType, rows: Int, columns: Int) {
        precondition(dtype.isWeight, "a weight is F32, BF16 or F16, got \(dtype.rawValue)")
        precondition(rows >= 0 && columns >= 0, "a weight cannot be [\(rows), \(columns)]")
        let alignment = dtype.bitWidth / 8
        precondition(
            Int(bitPattern: base) % alignment == 0,
            "a weight in \(dtype.rawValue) is aligned to \(alignment) bytes, got \(base)")
        self.base = base
        self.dtype = dtype
        self.rows = rows
        self.columns = columns
    }

    /// Codes in 8 or 4 bits behind a description, which outlives the weight.
    init(description: UnsafeRawPointer, _ kind: QuantizedKind, rows: Int, columns: Int) {
        base = description
        dtype = kind.dtype
        self.rows = rows
        self.columns = columns
    }

    /// A parameter that is trained: fp32 in the memory of the backend.
    package init(_ values: Floats, rows: Int, columns: Int) {
        require(values.count, rows * columns, "count", "Weight [\(rows), \(columns)]")
        self.init(base: values.base, dtype: .f32, rows: rows, columns: columns)
    }

    /// An fp32 vector as a [1, n] weight.
    package init(_ values: Floats) { self.init(values, rows: 1, columns: values.count) }
}

extension DType {
    var native: cairn_dtype {
        switch self {
        case .f32: .f32
        case .bf16: .bf16
        case .f16: .f16
        case .i8: .i8
        case .f4: .nf4
        default: preconditionFailure("a weight is F32, BF16, F16 or in codes, got \(rawValue)")
        }
    }
}

/// Where a parameter's gradient goes; both parts are zero at the start of an optimizer step.
package struct Gradient {
    /// Finished groups, added in order.
    package let sum: Floats
    /// The group that goes on.
    package let open: Floats

    package init(sum: Floats, open: Floats) {
        require(open.count, sum.count, "count of open", "Gradient")
        self.sum = sum
        self.open = open
    }

    package var count: Int { sum.count }

    var native: cairn_gradient { cairn_gradient(sum: sum.base, open: open.base) }
}
