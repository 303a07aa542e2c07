// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm (cairn_normalization.h).

internal import CCairn

extension Context {
    /// y = x / sqrt(mean(x^2) + epsilon) * w, over each run of `weight.count` elements.
    ///
    /// - Shapes: x, y [rows, width], weight [1, width], inverseRMS [rows]. A norm per head has
    ///   rows = tokens * heads and width = headDim.
    package func rmsNormForward(
        _ x: Floats, weight: Weight, epsilon: Float, into y: Floats, inverseRMS: Floats
    ) throws(KernelError) {
        let (rows, width) = (inverseRMS.count, weight.count)
        require(x.count, rows * width, "count of x", "rmsNormForward")
        require(y.count, rows * width, "count of y", "rmsNormForward")
        try run("rmsNormForward") { backend, handle in
            backend.rms_norm_forward(
                handle, rows, width, epsilon, x.base, weight.base, weight.dtype.native, y.base,
                inverseRMS.base)
        }
    }

    /// dx = r (w dy - x r^2 mean(w dy x)), r = inverseRMS.
    package func rmsNormBackward(
        _ x: Floats, weight: Weight, inverseRMS: Floats, dy: Floats, into dx: Floats
    ) throws(KernelError) {
        let (rows, width) = (inverseRMS.count, weight.count)
        require(x.count, rows * width, "count of x", "rmsNormBackward")
        require(dy.count, rows * width, "count of dy", "rmsNormBackward")
        require(dx.count, rows * width, "count of dx", "rmsNormBackward")
        try run("rmsNormBackward") { backend, handle in
            backend.rms_norm_backward(
                handle, rows, width, x.base, weight.base, weight.dtype.native, inverseRMS.base,
                dy.base, dx.base)
        }
    }

    /// dw[j] += sum over rows of dy[., j] x[., j] r, in groups.
    ///
    /// - Shapes: x, dy [partition rows, repeats, width], inverseRMS [partition rows, repeats],
    ///   gradient [width]; `repeats` is the number of heads of a norm per head, else 1.
    package func rmsNormWeightGradient(
        _ x: Floats, inverseRMS: Floats, dy: Floats, repeats: Int = 1, partition: Partition,
        into gradient: Gradient
    ) throws(KernelError) {
        let (rows, width) = (partition.rows * repeats, gradient.count)
        require(inverseRMS.count, rows, "count of inverseRMS", "rmsNormWeightGradient")
        require(x.count, rows * width, "count of x", "rmsNormWeightGradient")
        require(dy.count, rows * width, "count of dy", "rmsNormWeightGradient")
        try run("rmsNormWeightGradient") { backend, handle in
            partition.withNative {
                backend.rms_norm_weight_gradient(
                    handle, $0, repeats, width, x.base, inverseRMS.base, dy.base, gradient.native)
            }
        }
    }

    /// y = (x - mean(x)) / sqrt(var(x) + epsilon) * w + b, var without Bessel's correction.
    ///
    /// - Shapes: x, y [rows, width]; weight, bias [1, width] of one element type; mean,
    ///   inverseDeviation [rows].
    package func layerNormForward(
        _ x: Floats, weight: Weight, bias: Weight, epsilon: Float, into y: Floats, mean: Floats,
        inverseDeviation: Floats
    ) throws(KernelError) {
        let (rows, width) = (mean.count, weight.count)
        require(bias.count, width, "count of bias", "layerNormForward")
        precondition(
            bias.dtype == weight.dtype,
            "layerNormForward: bias is \(bias.dtype.rawValue), expected \(weight.dtype.rawValue)"
        )
        require(inverseDeviation.count, rows, "count of inverseDeviation", "layerNormForward")
        require(x.count, rows * width, "count of x", "layerNormForward")
        require(y.count, rows * width, "count of y", "layerNormForward")
        try run("layerNormForward") { backend, handle in
            backend.layer_norm_forward(
                handle, rows, width, epsilon, x.base, weight.base, bias.base, weight.dtype.native,
                y.base, mean.base, inverseDeviation.base)
        }
    }

    /// dx = s (g - mean(g) - h mean(g h)), g = w dy, h = (x - mean) s, s = inverseDeviation.
    package func layerNormBackward(
        _ x: Floats, weight: Weight, mean: Floats, inverseDeviation: Floats, dy: Floats,
        into dx: Floats
    ) throws(KernelError) {
        let (rows, width) = (mean.count, weight.count)
        require(inverseDeviation.count, rows, "count of inverseDeviation", "layerNormBackward")
        require(x.count, rows * width, "count of x", "layerNormBackward")
        require(dy.count, rows * width, "count of dy", "layerNormBackward")
        require(dx.count, rows * width, "count of dx", "layerNormBackward")
        try run("layerNormBackward") { backend, handle in
            backend.layer_norm_backward(
                handle, rows, width, x.base, weight.base, weight.dtype.native, mean.base,
                inverseDeviation.base, dy.base, dx.base)
        }
    }

    /// dw[j] += sum over rows of dy h, db[j] += sum over rows of dy, in groups.
    ///
    /// - Shapes: x, dy [partition rows, width]; mean, inverseDeviation [partition rows].
    package func layerNormWeightGradient(
        _ x: Floats, mean: Floats, inverseDeviation: Floats, dy: Floats, partition: Partition,
        intoWeight dw: Gradient, bias db: Gradient
    ) throws(KernelError) {
        let (rows, width) = (partition.rows, dw.count)
        require(db.count, width, "count of db", "layerNormWeightGradient")
        require(mean.count, rows, "count of mean", "layerNormWeightGradient")
        require(
            inverseDeviation.count, rows, "count of inverseDeviation", "layerNormWeightGradient")
        require(x.count, rows * width, "count of x", "layerNormWeightGradient")
        require(dy.count, rows * width, "count of dy", "layerNormWeightGradient")
        try run("layerNormWeightGradient") { backend, handle in
            partition.withNative {
                backend.layer_norm_weight_gradient(
                    handle, $0, width, x.base, mean.base, inverseDeviation.base, dy.base,
                    dw.native, db.native)
            }
        }
    }
}
