// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits (cairn_quantized.h).

internal import CCairn
package import CairnTensor

/// How the codes of a weight stand for numbers.
package enum QuantizedKind: String, CaseIterable, Sendable {
    /// 8 bits, with a scale per row.
    case int8
    /// 4 bits of NormalFloat, with a scale per 64 elements.
    case nf4

    /// The type that such a weight says it has.
    package var dtype: DType {
        switch self {
        case .int8: .i8
        case .nf4: .f4
        }
    }
}

/// A matrix rounded to 8 or 4 bits, in memory of its own.
package final class QuantizedWeight {
    package let kind: QuantizedKind
    package let rows: Int
    package let columns: Int
    package let context: Context
    private let memory: Buffer
    private let parts: Parts
    /// What the kernels are given: a `cairn_int8` or a `cairn_nf4`.
    private let description: UnsafeMutableRawPointer

    /// More columns would leave the 32 bits in which products of codes are summed.
    package static let mostColumns = 133_144

    /// The bytes of codes, scales, and what else belongs to them, one after the other.
    private struct Parts {
        let offsets: [Int]
        let byteCount: Int

        init(_ sizes: [Int]) {
            var offsets: [Int] = []
            var end = 0
            for size in sizes {
                offsets.append(end)
                end += (size + 63) / 64 * 64
            }
            self.offsets = offsets
            byteCount = end
        }

        static func int8(_ rows: Int, _ columns: Int) -> Parts {
            Parts([rows * ((columns + 63) / 64 * 64), rows * 4, rows * 4])
        }

        static func nf4(_ count: Int) -> Parts {
            let blocks = (count + 63) / 64
            return Parts([(count + 1) / 2, blocks, (blocks + 255) / 256 * 8])
        }
    }

    /// Rounds a matrix.
    ///
    /// - Precondition: the tensor is a matrix in F32, BF16 or F16 of 1 to `mostColumns` columns,
    ///   the context one of the CPU.
    package init(
        _ tensor: Tensor, as kind: QuantizedKind, context: Context
    ) throws(KernelError) {
        let shape = tensor.shape
        precondition(
            shape.rank == 2 && (1...Self.mostColumns).contains(shape[1]),
            "a matrix of 1 to \(Self.mostColumns) columns is rounded to codes, got \(shape)")
        precondition(context.device == .cpu, "\(context.device) computes no weights in codes")
        (self.kind, rows, columns, self.context) = (kind, shape[0], shape[1], context)
        switch kind {
        case .int8: parts = .int8(shape[0], shape[1])
        case .nf4: parts = .nf4(shape.elementCount)
        }
        memory = try Buffer(byteCount: parts.byteCount, context: context)
        memory.zero()
        description = .allocate(
            byteCount: max(MemoryLayout<cairn_int8>.size, MemoryLayout<cairn_nf4>.size),
            alignment: 16)
        try fill(from: tensor)
    }

    deinit { description.deallocate() }

    private func fill(from tensor: Tensor) throws(KernelError) {
        let source = Buffer(borrowing: tensor, context: context)
        defer { withExtendedLifetime(source) {} }
        let w = source.weight
        let base: UnsafeMutablePointer<UInt8> = memory.array(count: parts.byteCount).base
        func part<Element>(_ index: Int, _: Element.Type) -> UnsafeMutablePointer<Element> {
            UnsafeMutableRawPointer(base + parts.offsets[index])
                .assumingMemoryBound(to: Element.self)
        }
        switch kind {
        case .int8:
            let (codes, scales, sums) = (
                part(0, Int8.self), part(1, Float.self), part(2, Int32.self)
            )
            description.storeBytes(
                of: cairn_int8(
                    codes: codes, scales: scales, sums: sums, columns: columns,
                    stride: (columns + 63) / 64 * 64), as: cairn_int8.self)
            try context.run("quantizeInt8") { backend, handle in
                backend.quantize_int8(
                    handle, rows, columns, w.base, w.dtype.native, codes, scales, sums)
            }
        case .nf4:
            let (codes, scales, groups) = (
                part(0, UInt8.self), part(1, Int8.self), part(2, Float.self)
            )
            description.storeBytes(
                of: cairn_nf4(codes: codes, scales: scales, groups: groups), as: cairn_nf4.self)
            try context.run("quantizeNF4") { backend, handle in
                backend.quantize_nf4(
                    handle, rows * columns, w.base, w.dtype.native, codes, scales, groups)
            }
        }
    }

    /// Bytes in memory.
    package var byteCount: Int { parts.byteCount }

    /// The matrix as products take it, valid as long as this object lives.
    package var weight: Weight {
        Weight(description: description, kind, rows: rows, columns: columns)
    }

    /// Codes and all that belongs to them; zeros where something ends before a whole line.
    package func withBytes<Result>(
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try memory.withHostBytes(body)
    }

    /// Whether every number was finite: of a row or a group with another one the scale is NaN.
    package var isFinite: Bool {
        withBytes { bytes in
            let part = kind == .int8 ? parts.offsets[1] : parts.offsets[2]
            let count = kind == .int8 ? rows : ((rows * columns + 63) / 64 + 255) / 256 * 2
            return (0..<count).allSatisfy {
                !bytes.load(fromByteOffset: part + $0 * 4, as: Float.self).isNaN
            }
        }
    }

    /// The numbers that the codes stand for, as products read them.
    package func floats() throws(KernelError) -> [Float] {
        let buffer = try Buffer(byteCount: rows * columns * 4, context: context)
        let numbers = buffer.floats(count: rows * columns)
        try context.widen(weight, into: numbers)
        return context.read(numbers)
    }
}

extension Context {
    /// y[t, o] = (sum over i of q(x)[t, i] codes[o, i]) * s(x)[t] * scales[o] + bias[o]: rows of x are
    /// rounded to 8 bits as rows of the weight are, and the sums are exact.
    ///
    /// - Shapes: x [rows, in], weight [out, in] in 8 bits, bias [out], y [rows, out].
    package func matmulInt8(
        _ x: Floats, _ weight: Weight, bias: Floats? = nil, into y: Floats
    ) throws(KernelError) {
        precondition(weight.dtype == .i8, "matmulInt8: a weight in \(weight.dtype.rawValue)")
        let rows = x.count / weight.columns
        require(x.count, rows * weight.columns, "count of x", "matmulInt8")
        require(y.count, rows * weight.rows, "count of y", "matmulInt8")
        if let bias { require(bias.count, weight.rows, "count of bias", "matmulInt8") }
        let codes = weight.base.assumingMemoryBound(to: cairn_int8.self)
        try run("matmulInt8") { backend, handle in
            backend.matmul_int8(handle, rows, weight.rows, x.base, codes, bias?.base, y.base)
        }
    }
}
