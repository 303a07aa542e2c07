// SPDX-License-Identifier: Apache-2.0
/// Gradient norm and parameter updates (cairn_optimizer.h).

internal import CCairn

/// Hyper-parameters of an Adam or AdamW step. Double, because 1 - 0.999f is already off by 1e-5.
package struct AdamStep: Sendable, Equatable {
    package var learningRate: Double
    package var beta1: Double
    package var beta2: Double
    /// Added to sqrt(v_hat), outside the root.
    package var epsilon: Double
    /// Of the gradient in Adam, decoupled in AdamW.
    package var weightDecay: Double
    /// Factor on the gradient before use: the clip coefficient, or 1.
    package var gradientScale: Double

    package init(
        learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
        gradientScale: Double = 1
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.gradientScale = gradientScale
    }

    fileprivate func requireValid(_ operation: String) {
        requireRate(learningRate, "learningRate", operation)
        requireDecay(beta1, "beta1", operation)
        requireDecay(beta2, "beta2", operation)
        precondition(
            epsilon > 0 && epsilon.isFinite, "\(operation): epsilon is \(epsilon), expected > 0")
        requireRate(weightDecay, "weightDecay", operation)
        requireRate(gradientScale, "gradientScale", operation)
    }

    fileprivate var native: cairn_adam_config {
        cairn_adam_config(
            learning_rate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
            weight_decay: weightDecay, gradient_scale: gradientScale)
    }
}

/// Hyper-parameters of a step of stochastic gradient descent.
package struct SGDStep: Sendable, Equatable {
    package var learningRate: Double
    /// In [0, 1); with 0 the velocity is not touched.
    package var momentum: Double
    /// Looks one step ahead; needs momentum.
    package var nesterov: Bool
    /// Added to the gradient as wd * p.
    package var weightDecay: Double
    /// Factor on the gradient before use: the clip coefficient, or 1.
    package var gradientScale: Double

    package init(
        learningRate: Double, momentum: Double = 0, nesterov: Bool = false,
        weightDecay: Double = 0, gradientScale: Double = 1
    ) {
        self.learningRate = learningRate
        self.momentum = momentum
        self.nesterov = nesterov
        self.weightDecay = weightDecay
        self.gradientScale = gradientScale
    }

    fileprivate func requireValid() {
        requireRate(learningRate, "learningRate", "sgdStep")
        requireDecay(momentum, "momentum", "sgdStep")
        precondition(
            !nesterov || momentum > 0, "sgdStep: nesterov with momentum \(momentum), expected > 0")
        requireRate(weightDecay, "weightDecay", "sgdStep")
        requireRate(gradientScale, "gradientScale", "sgdStep")
    }
}

/// Hyper-parameters of a Lion step.
package struct LionStep: Sendable, Equatable {
    package var learningRate: Double
    /// Share of m in the direction.
    package var beta1: Double
    /// Decay of m.
    package var beta2: Double
    /// Decoupled; times the learning rate.
    package var weightDecay: Double
    /// Factor on the gradient before use: the clip coefficient, or 1.
    package var gradientScale: Double

    package init(
        learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double,
        gradientScale: Double = 1
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.weightDecay = weightDecay
        self.gradientScale = gradientScale
    }

    fileprivate func requireValid() {
        requireRate(learningRate, "learningRate", "lionStep")
        requireDecay(beta1, "beta1", "lionStep")
        requireDecay(beta2, "beta2", "lionStep")
        requireRate(weightDecay, "weightDecay", "lionStep")
        requireRate(gradientScale, "gradientScale", "lionStep")
    }
}

private func requireRate(_ value: Double, _ name: String, _ operation: String) {
    precondition(
        value >= 0 && value.isFinite, "\(operation): \(name) is \(value), expected >= 0 and finite")
}

private func requireDecay(_ value: Double, _ name: String, _ operation: String) {
    precondition(value >= 0 && value < 1, "\(operation): \(name) is \(value), expected in [0, 1)")
}

extension Context {
    /// The sum of squares in double, in an order that depends on the count only.
    package func sumOfSquares(_ x: Floats) throws(KernelError) -> Double {
        var sum = 0.0
        try run("sumOfSquares") { backend, handle in
            backend.sum_of_squares(handle, x.count, x.base, &sum)
        }
        return sum
    }

    /// One AdamW step, in place; `t` counts from 1.
    ///
    ///     m <- beta1*m + (1-beta1)*g               m_hat = m / (1 - beta1^t)
    ///     v <- beta2*v + (1-beta2)*g*g             v_hat = v / (1 - beta2^t)
    ///     p <- p*(1 - lr*wd) - lr * m_hat / (sqrt(v_hat) + epsilon)
    ///
    /// - Aliasing: the four arrays do not overlap.
    package func adamWStep(
        _ step: AdamStep, t: UInt64, parameters p: Floats, gradient g: Floats, m: Floats,
        v: Floats
    ) throws(KernelError) {
        requireAdam(step, t: t, p, g, m, v, "adamWStep")
        var config = step.native
        try run("adamWStep") { backend, handle in
            backend.adamw_step(handle, &config, t, p.count, p.base, g.base, m.base, v.base)
        }
    }

    /// One Adam step, in place: as `adamWStep` without its decay, g + wd*p in place of g.
    ///
    /// - Aliasing: the four arrays do not overlap.
    package func adamStep(
        _ step: AdamStep, t: UInt64, parameters p: Floats, gradient g: Floats, m: Floats,
        v: Floats
    ) throws(KernelError) {
        requireAdam(step, t: t, p, g, m, v, "adamStep")
        var config = step.native
        try run("adamStep") { backend, handle in
            backend.adam_step(handle, &config, t, p.count, p.base, g.base, m.base, v.base)
        }
    }

    private func requireAdam(
        _ step: AdamStep, t: UInt64, _ p: Floats, _ g: Floats, _ m: Floats, _ v: Floats,
        _ operation: String
    ) {
        step.requireValid(operation)
        precondition(t > 0, "\(operation): t is \(t), expected at least 1")
        require(g.count, p.count, "count of the gradient", operation)
        require(m.count, p.count, "count of m", operation)
        require(v.count, p.count, "count of v", operation)
    }

    /// d = g + wd*p, u <- momentum*u + d, and p <- p - lr*u, or p <- p - lr*(d + momentum*u) with
    /// nesterov; `velocity` may be nil when momentum is 0.
    package func sgdStep(
        _ step: SGDStep, parameters p: Floats, gradient g: Floats, velocity u: Floats? = nil
    ) throws(KernelError) {
        step.requireValid()
        require(g.count, p.count, "count of the gradient", "sgdStep")
        precondition(
            u != nil || step.momentum == 0, "sgdStep: momentum \(step.momentum) needs a velocity")
        if let u { require(u.count, p.count, "count of the velocity", "sgdStep") }
        var config = cairn_sgd_config(
            learning_rate: step.learningRate, momentum: step.momentum,
            weight_decay: step.weightDecay, gradient_scale: step.gradientScale,
            nesterov: step.nesterov)
        try run("sgdStep") { backend, handle in
            backend.sgd_step(handle, &config, p.count, p.base, g.base, u?.base)
        }
    }

    /// c = beta1*m + (1-beta1)*g, p <- p*(1 - lr*wd) - lr*sign(c), m <- beta2*m + (1-beta2)*g.
    ///
    /// - Aliasing: the three arrays do not overlap.
    package func lionStep(
        _ step: LionStep, parameters p: Floats, gradient g: Floats, m: Floats
    ) throws(KernelError) {
        step.requireValid()
        require(g.count, p.count, "count of the gradient", "lionStep")
        require(m.count, p.count, "count of m", "lionStep")
        var config = cairn_lion_config(
            learning_rate: step.learningRate, beta1: step.beta1, beta2: step.beta2,
            weight_decay: step.weightDecay, gradient_scale: step.gradientScale)
        try run("lionStep") { backend, handle in
            backend.lion_step(handle, &config, p.count, p.base, g.base, m.base)
        }
    }
}
