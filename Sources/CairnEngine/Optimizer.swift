// SPDX-License-Identifier: Apache-2.0
/// Gradient norm and parameter updates (cairn_optimizer.h).

internal import CCairn

/// Hyper-parameters of an AdamW step. Double, because 1 - 0.999f is already off by 1e-5.
package struct AdamWStep: Sendable, Equatable {
    package var learningRate: Double
    package var beta1: Double
    package var beta2: Double
    /// Added to sqrt(v_hat), outside the root.
    package var epsilon: Double
    /// Decoupled; times the learning rate.
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

    fileprivate func requireValid() {
        requireRate(learningRate, "learningRate", "adamWStep")
        requireDecay(beta1, "beta1", "adamWStep")
        requireDecay(beta2, "beta2", "adamWStep")
        precondition(
            epsilon > 0 && epsilon.isFinite, "adamWStep: epsilon is \(epsilon), expected > 0")
        requireRate(weightDecay, "weightDecay", "adamWStep")
        requireRate(gradientScale, "gradientScale", "adamWStep")
    }
}

/// Hyper-parameters of a step of stochastic gradient descent.
package struct SGDStep: Sendable, Equatable {
    package var learningRate: Double
    /// In [0, 1); with 0 the velocity is not touched.
    package var momentum: Double
    /// Added to the gradient as wd * p.
    package var weightDecay: Double
    /// Factor on the gradient before use: the clip coefficient, or 1.
    package var gradientScale: Double

    package init(
        learningRate: Double, momentum: Double = 0, weightDecay: Double = 0,
        gradientScale: Double = 1
    ) {
        self.learningRate = learningRate
        self.momentum = momentum
        self.weightDecay = weightDecay
        self.gradientScale = gradientScale
    }

    fileprivate func requireValid() {
        requireRate(learningRate, "learningRate", "sgdStep")
        requireDecay(momentum, "momentum", "sgdStep")
        requireRate(weightDecay, "weightDecay", "sgdStep")
        requireRate(gradientScale, "gradientScale", "sgdStep")
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
        _ step: AdamWStep, t: UInt64, parameters p: Floats, gradient g: Floats, m: Floats,
        v: Floats
    ) throws(KernelError) {
        step.requireValid()
        precondition(t > 0, "adamWStep: t is \(t), expected at least 1")
        require(g.count, p.count, "count of the gradient", "adamWStep")
        require(m.count, p.count, "count of m", "adamWStep")
        require(v.count, p.count, "count of v", "adamWStep")
        var config = cairn_adamw_config(
            learning_rate: step.learningRate, beta1: step.beta1, beta2: step.beta2,
            epsilon: step.epsilon, weight_decay: step.weightDecay,
            gradient_scale: step.gradientScale)
        try run("adamWStep") { backend, handle in
            backend.adamw_step(handle, &config, t, p.count, p.base, g.base, m.base, v.base)
        }
    }

    /// u <- momentum*u + g + wd*p, p <- p - lr*u; `velocity` may be nil when momentum is 0.
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
            weight_decay: step.weightDecay, gradient_scale: step.gradientScale)
        try run("sgdStep") { backend, handle in
            backend.sgd_step(handle, &config, p.count, p.base, g.base, u?.base)
        }
    }
}
