// SPDX-License-Identifier: Apache-2.0
/// Matrix products: forward, input gradients, weight gradients (cairn_matmul.h).

internal import CCairn
package import CairnTensor

/// A matrix as a product uses it; `rows` and `columns` are those after transposition.
package struct MatrixOperand {
    package let base: UnsafeRawPointer
    package let dtype: DType
    package let rows: Int
    package let columns: Int
    /// Elements from one stored row to the next.
    package let stride: Int
    package let isTransposed: Bool

    private init(
        base: UnsafeRawPointer, dtype: DType, rows: Int, columns: Int, stride: Int,
        isTransposed: Bool
    ) {
        self.base = base
        self.dtype = dtype
        self.rows = rows
        self.columns = columns
        self.stride = stride
        self.isTransposed = isTransposed
    }

    /// Activations [rows, columns], `stride` elements from row to row (`columns` unless given).
    package static func rows(
        _ values: Floats, rows: Int, columns: Int, stride: Int? = nil
    ) -> MatrixOperand {
        requireMatrix(values.count, rows, columns, stride, "MatrixOperand")
        return MatrixOperand(
            base: values.base, dtype: .f32, rows: rows, columns: columns,
            stride: stride ?? columns, isTransposed: false)
    }

    /// A stored weight [rows, columns], or its transpose [columns, rows].
    package static func weight(_ weight: Weight, transposed: Bool = false) -> MatrixOperand {
        let stored = MatrixOperand(
            base: weight.base, dtype: weight.dtype, rows: weight.rows, columns: weight.columns,
            stride: weight.columns, isTransposed: false)
        return transposed ? stored.transposed : stored
    }

    /// The same memory, read as the transpose.
    package var transposed: MatrixOperand {
        MatrixOperand(
            base: base, dtype: dtype, rows: columns, columns: rows, stride: stride,
            isTransposed: !isTransposed)
    }

    var native: cairn_matrix {
        cairn_matrix(data: base, dtype: dtype.native, stride: stride, transposed: isTransposed)
    }

    /// The addresses that the operand may read.
    fileprivate var bytes: Range<UInt> {
        let start = UInt(bitPattern: base)
        // Codes lie behind a description, in memory that nothing else is written to.
        guard dtype.isWeight else { return start..<start + 1 }
        let stored = isTransposed ? (rows: columns, columns: rows) : (rows: rows, columns: columns)
        let elements = stored.rows == 0 ? 0 : (stored.rows - 1) * stride + stored.columns
        return start..<start + UInt(elements * dtype.bitWidth / 8)
    }
}

/// Traps unless `count` elements hold a matrix: exactly when contiguous, at least when strided.
private func requireMatrix(
    _ count: Int, _ rows: Int, _ columns: Int, _ stride: Int?, _ operation: String
) {
    precondition(
        rows >= 0 && columns >= 0, "\(operation): a matrix cannot be [\(rows), \(columns)]")
    guard let stride else {
        return require(count, rows * columns, "count of [\(rows), \(columns)]", operation)
    }
    precondition(
        stride >= columns, "\(operation): the stride is \(stride), expected at least \(columns)")
    let needed = rows == 0 ? 0 : (rows - 1) * stride + columns
    precondition(
        count >= needed,
        "\(operation): [\(rows), \(columns)] with stride \(stride) needs \(needed) elements, "
            + "got \(count)")
}

extension Context {
    /// C <- [C +] scale * (A B + A2 B2) + bias.
    ///
    /// - Shapes: A [m, k], B [k, n], second A2 [m, k2] and B2 [k2, n], bias [n], C [m, n] with
    ///   `stride` elements from row to row (n unless given).
    /// - Aliasing: C overlaps no operand.
    package func matmul(
        _ a: MatrixOperand, _ b: MatrixOperand, second: (a: MatrixOperand, b: MatrixOperand)? = nil,
        bias: Floats? = nil, scale: Float = 1, accumulate: Bool = false, precision: Precision,
        into c: Floats, stride: Int? = nil
    ) throws(KernelError) {
        let (m, n, k) = (a.rows, b.columns, a.columns)
        require(b.rows, k, "rows of B", "matmul")
        if let second {
            require(second.a.rows, m, "rows of A2", "matmul")
            require(second.b.columns, n, "columns of B2", "matmul")
            require(second.b.rows, second.a.columns, "rows of B2", "matmul")
        }
        if let bias { require(bias.count, n, "count of bias", "matmul") }
        requireMatrix(c.count, m, n, stride, "matmul")
        let start = UInt(bitPattern: c.base)
        let written = start..<start + UInt(c.count * MemoryLayout<Float>.stride)
        for operand in [a, b, second?.a, second?.b].compactMap({ $0 }) {
            precondition(
                !written.overlaps(operand.bytes),
                "matmul: C at \(written) overlaps an operand at \(operand.bytes)")
        }

        var config = cairn_matmul_config(
            precision: precision.native, scale: scale, accumulate: accumulate)
        var (first, last) = (a.native, b.native)
        try run("matmul") { backend, handle in
            guard let second else {
                return backend.matmul(
                    handle, &config, m, n, k, &first, &last, 0, nil, nil, bias?.base, c.base,
                    stride ?? n)
            }
            var (first2, last2) = (second.a.native, second.b.native)
            return backend.matmul(
                handle, &config, m, n, k, &first, &last, second.a.columns, &first2, &last2,
                bias?.base, c.base, stride ?? n)
        }
    }

    /// Z <- scaling * A D,   C <- [C +] A B + Z U + bias: a product with a LoRA pair, in one pass over A.
    ///
    /// - Shapes: A [m, k], B [k, n], D [k, rank], U [rank, n], bias [n], C [m, n] and Z [m, rank],
    ///   contiguous.
    /// - Aliasing: neither C nor Z overlaps an operand or the other.
    package func matmulAdapted(
        _ a: MatrixOperand, _ b: MatrixOperand, down: MatrixOperand, up: MatrixOperand,
        scaling: Float, bias: Floats? = nil, accumulate: Bool = false, precision: Precision,
        projected: Floats, into c: Floats
    ) throws(KernelError) {
        let (m, n, k, rank) = (a.rows, b.columns, a.columns, down.columns)
        require(b.rows, k, "rows of B", "matmulAdapted")
        require(down.rows, k, "rows of D", "matmulAdapted")
        require(up.rows, rank, "rows of U", "matmulAdapted")
        require(up.columns, n, "columns of U", "matmulAdapted")
        if let bias { require(bias.count, n, "count of bias", "matmulAdapted") }
        requireMatrix(c.count, m, n, nil, "matmulAdapted")
        requireMatrix(projected.count, m, rank, nil, "matmulAdapted")
        let results = [c, projected].map { result in
            let start = UInt(bitPattern: result.base)
            return start..<start + UInt(result.count * MemoryLayout<Float>.stride)
        }
        precondition(
            !results[0].overlaps(results[1]), "matmulAdapted: C and Z overlap at \(results[0])")
        for operand in [a, b, down, up] {
            for result in results {
                precondition(
                    !result.overlaps(operand.bytes),
                    "matmulAdapted: a result at \(result) overlaps an operand at \(operand.bytes)")
            }
        }
        var config = cairn_matmul_config(
            precision: precision.native, scale: 1, accumulate: accumulate)
        var (first, last) = (a.native, b.native)
        var adapter = cairn_adapter(
            rank: rank, scale: scaling, down: down.native, up: up.native,
            projected: projected.base)
        try run("matmulAdapted") { backend, handle in
            backend.matmul_adapted(
                handle, &config, m, n, k, &first, &last, &adapter, bias?.base, c.base, n)
        }
    }

    /// G[o, i] += sum over rows t of dy[t, o] x[t, i], in groups.
    ///
    /// - Shapes: dy [rows, outputs], x [rows, inputs], gradient [outputs, inputs]; rows is the
    ///   partition's.
    package func matmulGradient(
        dy: Floats, x: Floats, outputs: Int, inputs: Int, partition: Partition,
        precision: Precision, into gradient: Gradient
    ) throws(KernelError) {
        require(dy.count, partition.rows * outputs, "count of dy", "matmulGradient")
        require(x.count, partition.rows * inputs, "count of x", "matmulGradient")
        require(gradient.count, outputs * inputs, "count of the gradient", "matmulGradient")
        try run("matmulGradient") { backend, handle in
            partition.withNative {
                backend.matmul_gradient(
                    handle, precision.native, $0, outputs, inputs, dy.base, x.base,
                    gradient.native)
            }
        }
    }
}
