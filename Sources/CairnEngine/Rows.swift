// SPDX-License-Identifier: Apache-2.0
/// Operations that pick, place and average rows (cairn_rows.h).

internal import CCairn

extension Context {
    /// y[t, .] = table[ids[t], .], widened to fp32.
    ///
    /// - Shapes: ids [rows], table [vocabulary, width], y [rows, width].
    /// - Throws: `invalidOperand` when an id is not in 0..<vocabulary.
    package func embeddingForward(
        ids: Integers, table: Weight, into y: Floats
    ) throws(KernelError) {
        require(y.count, ids.count * table.columns, "count of y", "embeddingForward")
        try run("embeddingForward", refuses: true) { backend, handle in
            backend.embedding_forward(
                handle, ids.count, table.columns, table.rows, ids.base, table.base,
                table.dtype.native, y.base)
        }
    }

    /// dTable[ids[t], .] += dy[t, .], rows in order, in groups.
    ///
    /// - Shapes: ids [partition rows], dy [partition rows, width], gradient [vocabulary, width].
    /// - Throws: `invalidOperand` when an id is not in 0..<vocabulary.
    package func embeddingGradient(
        ids: Integers, dy: Floats, vocabulary: Int, width: Int, partition: Partition,
        into gradient: Gradient
    ) throws(KernelError) {
        require(ids.count, partition.rows, "count of ids", "embeddingGradient")
        require(dy.count, ids.count * width, "count of dy", "embeddingGradient")
        require(gradient.count, vocabulary * width, "count of the gradient", "embeddingGradient")
        try run("embeddingGradient", refuses: true) { backend, handle in
            partition.withNative {
                backend.embedding_gradient(
                    handle, $0, width, vocabulary, ids.base, dy.base, gradient.native)
            }
        }
    }

    /// y[i, .] = x[indices[i], .].
    ///
    /// - Shapes: indices [count], x [rows, width], y [count, width].
    package func gatherRows(
        _ x: Floats, indices: Words, width: Int, into y: Floats
    ) throws(KernelError) {
        let rows = requireRows(x, width, "gatherRows")
        require(y.count, indices.count * width, "count of y", "gatherRows")
        try run("gatherRows") { backend, handle in
            backend.gather_rows(
                handle, indices.count, rows, width, indices.base, x.base, y.base)
        }
    }

    /// dx = 0, then dx[indices[i], .] += dy[i, .], i ascending; every row of dx is written.
    ///
    /// - Shapes: indices [count], dy [count, width], dx [rows, width].
    package func scatterRows(
        dy: Floats, indices: Words, width: Int, into dx: Floats
    ) throws(KernelError) {
        let rows = requireRows(dx, width, "scatterRows")
        require(dy.count, indices.count * width, "count of dy", "scatterRows")
        try run("scatterRows") { backend, handle in
            backend.scatter_rows(
                handle, indices.count, rows, width, indices.base, dy.base, dx.base)
        }
    }

    /// y[s, .] = mean of the rows of sequence s; zeros for an empty one.
    ///
    /// - Shapes: offsets [sequences + 1], x [rows, width], y [sequences, width].
    package func meanRowsForward(
        _ x: Floats, offsets: [UInt32], width: Int, into y: Floats
    ) throws(KernelError) {
        requireMean(offsets, rows: x, sequences: y, width, "meanRowsForward")
        try run("meanRowsForward") { backend, handle in
            backend.mean_rows_forward(handle, offsets.count - 1, width, offsets, x.base, y.base)
        }
    }

    /// dx[t, .] = dy[s, .] / (rows of s) for every row t of sequence s.
    ///
    /// - Shapes: offsets [sequences + 1], dy [sequences, width], dx [rows, width].
    package func meanRowsBackward(
        dy: Floats, offsets: [UInt32], width: Int, into dx: Floats
    ) throws(KernelError) {
        requireMean(offsets, rows: dx, sequences: dy, width, "meanRowsBackward")
        try run("meanRowsBackward") { backend, handle in
            backend.mean_rows_backward(handle, offsets.count - 1, width, offsets, dy.base, dx.base)
        }
    }

    private func requireMean(
        _ offsets: [UInt32], rows: Floats, sequences: Floats, _ width: Int, _ operation: String
    ) {
        requireAscending(offsets, "\(operation): offsets")
        let (count, end) = (offsets.count - 1, Int(offsets[offsets.count - 1]))
        require(rows.count, end * width, "count of [rows, width]", operation)
        require(sequences.count, count * width, "count of [sequences, width]", operation)
    }
}

/// The number of rows of `x`; traps unless its count is a multiple of `width`.
func requireRows(_ x: Floats, _ width: Int, _ operation: @autoclosure () -> String) -> Int {
    precondition(width > 0, "\(operation()): the width is \(width), expected at least 1")
    require(x.count % width, 0, "rest of the count (\(x.count)) / \(width)", operation())
    return x.count / width
}
