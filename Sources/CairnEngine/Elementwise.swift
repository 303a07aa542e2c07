// SPDX-License-Identifier: Apache-2.0
/// Operations on one element at a time (cairn_elementwise.h).

internal import CCairn

/// A function of one number.
public enum Activation: String, CaseIterable, Sendable {
    /// x sigmoid(x); x Phi(x), exact and by its tanh approximation; max(x, 0); tanh(x).
    case silu, gelu, geluTanh, relu, tanh

    var native: cairn_activation {
        switch self {
        case .silu: .silu
        case .gelu: .gelu
        case .geluTanh: .geluTanh
        case .relu: .relu
        case .tanh: .tanh
        }
    }
}

extension Context {
    /// y = f(x). x may be y.
    package func activationForward(
        _ function: Activation, _ x: Floats, into y: Floats
    ) throws(KernelError) {
        require(y.count, x.count, "count of y", "activationForward")
        try run("activationForward") { backend, handle in
            backend.activation_forward(handle, function.native, x.count, x.base, y.base)
        }
    }

    /// y = f(x) and slope = f'(x); dx is then dy * slope. x may be slope or y.
    package func activationSlope(
        _ function: Activation, _ x: Floats, into y: Floats, slope: Floats
    ) throws(KernelError) {
        require(y.count, x.count, "count of y", "activationSlope")
        require(slope.count, x.count, "count of slope", "activationSlope")
        try run("activationSlope") { backend, handle in
            backend.activation_slope(
                handle, function.native, x.count, x.base, y.base, slope.base)
        }
    }

    /// dx = dy f'(x). dy may be dx.
    package func activationBackward(
        _ function: Activation, _ x: Floats, dy: Floats, into dx: Floats
    ) throws(KernelError) {
        require(dy.count, x.count, "count of dy", "activationBackward")
        require(dx.count, x.count, "count of dx", "activationBackward")
        try run("activationBackward") { backend, handle in
            backend.activation_backward(
                handle, function.native, x.count, x.base, dy.base, dx.base)
        }
    }

    /// y = f(gate) * up: the gated unit of Llama's feed-forward layer.
    package func gatedForward(
        _ function: Activation, gate: Floats, up: Floats, into y: Floats
    ) throws(KernelError) {
        require(up.count, gate.count, "count of up", "gatedForward")
        require(y.count, gate.count, "count of y", "gatedForward")
        try run("gatedForward") { backend, handle in
            backend.gated_forward(
                handle, function.native, gate.count, gate.base, up.base, y.base)
        }
    }

    /// dGate = dy up f'(gate), dUp = dy f(gate).
    package func gatedBackward(
        _ function: Activation, gate: Floats, up: Floats, dy: Floats, intoGate dGate: Floats,
        up dUp: Floats
    ) throws(KernelError) {
        for array in [up, dy, dGate, dUp] {
            require(array.count, gate.count, "count of an operand", "gatedBackward")
        }
        try run("gatedBackward") { backend, handle in
            backend.gated_backward(
                handle, function.native, gate.count, gate.base, up.base, dy.base, dGate.base,
                dUp.base)
        }
    }

    /// y = a + scale * b; one fused multiply-add. y may be a or b.
    package func add(
        _ a: Floats, _ b: Floats, scale: Float = 1, into y: Floats
    ) throws(KernelError) {
        require(b.count, a.count, "count of b", "add")
        require(y.count, a.count, "count of y", "add")
        try run("add") { backend, handle in
            backend.add(handle, a.count, a.base, scale, b.base, y.base)
        }
    }

    /// y = a * b. y may be a or b.
    package func multiply(_ a: Floats, _ b: Floats, into y: Floats) throws(KernelError) {
        require(b.count, a.count, "count of b", "multiply")
        require(y.count, a.count, "count of y", "multiply")
        try run("multiply") { backend, handle in
            backend.multiply(handle, a.count, a.base, b.base, y.base)
        }
    }

    /// y = scale * x. y may be x.
    package func scale(_ x: Floats, by scale: Float, into y: Floats) throws(KernelError) {
        require(y.count, x.count, "count of y", "scale")
        try run("scale") { backend, handle in
            backend.scale(handle, x.count, scale, x.base, y.base)
        }
    }

    /// db[j] += sum over rows of dy[t, j], in groups; dy [partition rows, width].
    package func biasGradient(
        dy: Floats, partition: Partition, into gradient: Gradient
    ) throws(KernelError) {
        require(dy.count, partition.rows * gradient.count, "count of dy", "biasGradient")
        try run("biasGradient") { backend, handle in
            partition.withNative {
                backend.bias_gradient(handle, $0, gradient.count, dy.base, gradient.native)
            }
        }
    }

    /// The elements of a stored weight as fp32; exact, but for codes, whose numbers are rounded once.
    package func widen(_ weight: Weight, into y: Floats) throws(KernelError) {
        require(y.count, weight.count, "count of y", "widen")
        try run("widen") { backend, handle in
            backend.widen(handle, weight.count, weight.base, weight.dtype.native, y.base)
        }
    }
}
