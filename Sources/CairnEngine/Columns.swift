// SPDX-License-Identifier: Apache-2.0
/// DoRA's factor per output column, and the norm that it divides by (cairn_elementwise.h).

internal import CCairn

extension Context {
    /// y[t, j] = z[t, j] * (numerator[j] / denominator[j]) + bias[j].
    ///
    /// - Shapes: z, y [rows, width]; numerator, denominator, bias [width].
    package func scaleColumnsForward(
        _ z: Floats, numerator: Floats, denominator: Floats, bias: Floats? = nil, into y: Floats
    ) throws(KernelError) {
        let rows = requireColumns(z, numerator, denominator, y, "scaleColumnsForward")
        if let bias {
            require(bias.count, numerator.count, "count of bias", "scaleColumnsForward")
        }
        try run("scaleColumnsForward") { backend, handle in
            backend.scale_columns_forward(
                handle, rows, numerator.count, z.base, numerator.base, denominator.base,
                bias?.base, y.base)
        }
    }

    /// dz[t, j] = dy[t, j] * (numerator[j] / denominator[j]).
    package func scaleColumnsBackward(
        dy: Floats, numerator: Floats, denominator: Floats, into dz: Floats
    ) throws(KernelError) {
        let rows = requireColumns(dy, numerator, denominator, dz, "scaleColumnsBackward")
        try run("scaleColumnsBackward") { backend, handle in
            backend.scale_columns_backward(
                handle, rows, numerator.count, dy.base, numerator.base, denominator.base, dz.base)
        }
    }

    /// Gradient of the numerator: d[j] += sum over rows of dy[t, j] z[t, j] / denominator[j],
    /// in groups.
    ///
    /// - Shapes: dy, z [partition rows, width]; denominator and gradient [width].
    package func scaleColumnsGradient(
        dy: Floats, z: Floats, denominator: Floats, partition: Partition, into gradient: Gradient
    ) throws(KernelError) {
        let width = gradient.count
        require(denominator.count, width, "count of denominator", "scaleColumnsGradient")
        require(dy.count, partition.rows * width, "count of dy", "scaleColumnsGradient")
        require(z.count, partition.rows * width, "count of z", "scaleColumnsGradient")
        try run("scaleColumnsGradient") { backend, handle in
            partition.withNative {
                backend.scale_columns_gradient(
                    handle, $0, width, dy.base, z.base, denominator.base, gradient.native)
            }
        }
    }

    /// norm[o] = sqrt(sum over i of (W[o, i] + scale * sum over r of B[o, r] A[r, i])^2).
    ///
    /// - Shapes: weight [out, in], a [rank, in], b [out, rank], norm [out].
    package func doraNorm(
        _ weight: Weight, a: Floats, b: Floats, rank: Int, scale: Float, into norm: Floats
    ) throws(KernelError) {
        require(a.count, rank * weight.columns, "count of a", "doraNorm")
        require(b.count, weight.rows * rank, "count of b", "doraNorm")
        require(norm.count, weight.rows, "count of norm", "doraNorm")
        try run("doraNorm") { backend, handle in
            backend.dora_norm(
                handle, weight.rows, weight.columns, rank, scale, weight.base,
                weight.dtype.native, a.base, b.base, norm.base)
        }
    }

    /// The number of rows of `x`; traps unless the four operands agree on the width.
    private func requireColumns(
        _ x: Floats, _ numerator: Floats, _ denominator: Floats, _ y: Floats, _ operation: String
    ) -> Int {
        let width = numerator.count
        require(denominator.count, width, "count of denominator", operation)
        precondition(width > 0, "\(operation): the width is \(width), expected at least 1")
        require(x.count % width, 0, "rest of the count of x (\(x.count)) / \(width)", operation)
        require(y.count, x.count, "count of the result", operation)
        return x.count / width
    }
}
