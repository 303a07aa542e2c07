// SPDX-License-Identifier: Apache-2.0
/// Losses per row with the gradient of the logits, and softmax (cairn_loss.h).

internal import CCairn

/// Settings of the cross-entropy.
package struct CrossEntropy {
    /// w, one per class; nil is all ones.
    package var classWeights: Floats?
    /// e in [0, 1).
    package var labelSmoothing: Float
    /// A row with this target has loss and gradient 0.
    package var ignoreIndex: Int32

    package init(
        classWeights: Floats? = nil, labelSmoothing: Float = 0, ignoreIndex: Int32 = -100
    ) {
        precondition(
            labelSmoothing >= 0 && labelSmoothing < 1,
            "label smoothing is in [0, 1), got \(labelSmoothing)")
        self.classWeights = classWeights
        self.labelSmoothing = labelSmoothing
        self.ignoreIndex = ignoreIndex
    }
}

extension Context {
    /// p = softmax(x) over each row of `classes`. x may be p.
    package func softmax(_ x: Floats, classes: Int, into p: Floats) throws(KernelError) {
        let rows = requireRows(x, classes, "softmax")
        require(p.count, x.count, "count of p", "softmax")
        try run("softmax") { backend, handle in
            backend.softmax(handle, rows, classes, x.base, p.base)
        }
    }

    /// loss = (1 - e) w[y] (-log p[y]) + (e / classes) sum over c of w[c] (-log p[c]), per row.
    ///
    /// - Shapes: logits [rows, classes], targets [rows], losses [rows], gradient as logits: `scale`
    ///   times the gradient of the losses; it may be the logits themselves.
    /// - Throws: `invalidOperand` when a target is neither in 0..<classes nor ignored.
    package func crossEntropy(
        _ settings: CrossEntropy, logits: Floats, classes: Int, targets: Integers,
        scale: Float = 1, into losses: Floats, gradient: Floats? = nil
    ) throws(KernelError) {
        require(logits.count, targets.count * classes, "count of logits", "crossEntropy")
        require(losses.count, targets.count, "count of losses", "crossEntropy")
        if let gradient {
            require(gradient.count, logits.count, "count of gradient", "crossEntropy")
        }
        if let weights = settings.classWeights {
            require(weights.count, classes, "count of classWeights", "crossEntropy")
        }
        var config = cairn_cross_entropy_config(
            class_weights: settings.classWeights.map { UnsafePointer($0.base) },
            label_smoothing: settings.labelSmoothing, ignore_index: settings.ignoreIndex,
            scale: scale)
        try run("crossEntropy", refuses: true) { backend, handle in
            backend.cross_entropy(
                handle, &config, targets.count, classes, logits.base, targets.base, losses.base,
                gradient?.base)
        }
    }

    /// loss = sum over c of max(x, 0) - x t + log(1 + exp(-|x|)), d = scale (sigmoid(x) - t).
    ///
    /// - Shapes: logits, targets [rows, columns], losses [rows], gradient as logits.
    package func binaryCrossEntropy(
        logits: Floats, targets: Floats, scale: Float = 1, into losses: Floats,
        gradient: Floats? = nil
    ) throws(KernelError) {
        let columns = requireLoss(logits, targets, losses, gradient, "binaryCrossEntropy")
        try run("binaryCrossEntropy") { backend, handle in
            backend.binary_cross_entropy(
                handle, losses.count, columns, scale, logits.base, targets.base, losses.base,
                gradient?.base)
        }
    }

    /// loss = sum over the columns of (x - t)^2, d = scale 2 (x - t).
    ///
    /// - Shapes: x, targets [rows, columns], losses [rows], gradient as x.
    package func squaredError(
        _ x: Floats, targets: Floats, scale: Float = 1, into losses: Floats,
        gradient: Floats? = nil
    ) throws(KernelError) {
        let columns = requireLoss(x, targets, losses, gradient, "squaredError")
        try run("squaredError") { backend, handle in
            backend.squared_error(
                handle, losses.count, columns, scale, x.base, targets.base, losses.base,
                gradient?.base)
        }
    }

    /// The number of columns; 0 when there are no rows.
    private func requireLoss(
        _ x: Floats, _ targets: Floats, _ losses: Floats, _ gradient: Floats?, _ operation: String
    ) -> Int {
        let columns = losses.count == 0 ? 0 : x.count / losses.count
        require(x.count, columns * losses.count, "count of x", operation)
        require(targets.count, x.count, "count of targets", operation)
        if let gradient { require(gradient.count, x.count, "count of gradient", operation) }
        return columns
    }
}
