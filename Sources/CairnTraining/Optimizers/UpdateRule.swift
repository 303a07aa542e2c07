// SPDX-License-Identifier: Apache-2.0
/// How one step moves a parameter: the formulas of the optimizers, with their hyper-parameters.

import CairnEngine

/// The rule by which an optimizer moves parameters.
public enum UpdateRule: Sendable, Equatable {
    /// Adam with decoupled weight decay.
    ///
    ///     m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
    ///     p <- p (1 - lr wd) - lr m_hat / (sqrt(v_hat) + epsilon)
    ///
    /// Source: Loshchilov & Hutter 2019 (arXiv:1711.05101), decay scaled by lr as in torch.
    case adamW(
        beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0.01)

    /// Adam with weight decay as an L2 penalty: as AdamW without its decay, g + wd p in place of g.
    ///
    /// Source: Kingma & Ba 2015 (arXiv:1412.6980), decay as in torch.optim.Adam.
    case adam(
        beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
        weightDecay: Double = 0)

    /// Stochastic gradient descent. The slot `v` is the velocity; without momentum there is none.
    ///
    ///     d = g + wd p,   v <- momentum v + d,   p <- p - lr v
    ///
    /// With `nesterov`, which needs momentum, p <- p - lr (d + momentum v).
    ///
    /// Source: torch.optim.SGD with dampening 0.
    case sgd(momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0)

    /// The sign of a mixture of momentum and gradient, with decoupled weight decay.
    ///
    ///     c = beta1 m + (1 - beta1) g,   p <- p (1 - lr wd) - lr sign(c)
    ///     m <- beta2 m + (1 - beta2) g
    ///
    /// Every element moves by lr: a rate 3 to 10 times smaller than AdamW's, and a decay as many
    /// times larger, are the authors' advice.
    ///
    /// Source: Chen et al. 2023 (arXiv:2302.06675), Algorithm 2, decay scaled by lr.
    case lion(beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0)

    /// The name under which files know the rule.
    public var kind: String {
        switch self {
        case .adamW: "adamw"
        case .adam: "adam"
        case .sgd: "sgd"
        case .lion: "lion"
        }
    }

    /// What the rule remembers per parameter, in the order in which digests take it.
    public var slotNames: [String] {
        switch self {
        case .adamW, .adam: ["m", "v"]
        case .sgd(let momentum, _, _): momentum > 0 ? ["v"] : []
        case .lion: ["m"]
        }
    }

    /// By the names that files use; `nesterov` is 1 or 0.
    public var hyperparameters: [String: Double] {
        switch self {
        case .adamW(let beta1, let beta2, let epsilon, let weightDecay),
            .adam(let beta1, let beta2, let epsilon, let weightDecay):
            ["beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": weightDecay]
        case .sgd(let momentum, let nesterov, let weightDecay):
            ["momentum": momentum, "nesterov": nesterov ? 1 : 0, "weight_decay": weightDecay]
        case .lion(let beta1, let beta2, let weightDecay):
            ["beta1": beta1, "beta2": beta2, "weight_decay": weightDecay]
        }
    }

    /// The same rule with another weight decay.
    public func weightDecay(_ weightDecay: Double) -> UpdateRule {
        switch self {
        case .adamW(let beta1, let beta2, let epsilon, _):
            .adamW(beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
        case .adam(let beta1, let beta2, let epsilon, _):
            .adam(beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
        case .sgd(let momentum, let nesterov, _):
            .sgd(momentum: momentum, nesterov: nesterov, weightDecay: weightDecay)
        case .lion(let beta1, let beta2, _):
            .lion(beta1: beta1, beta2: beta2, weightDecay: weightDecay)
        }
    }

    /// One step of one parameter, in place; `t` counts from 1.
    func move(
        _ p: Floats, against gradient: Floats, slots: [String: Floats], t: UInt64,
        learningRate: Double, gradientScale: Double, in context: Context
    ) throws(KernelError) {
        switch self {
        case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
            let step = AdamStep(
                learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
                weightDecay: weightDecay, gradientScale: gradientScale)
            try context.adamWStep(
                step, t: t, parameters: p, gradient: gradient, m: slots["m"]!, v: slots["v"]!)
        case .adam(let beta1, let beta2, let epsilon, let weightDecay):
            let step = AdamStep(
                learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
                weightDecay: weightDecay, gradientScale: gradientScale)
            try context.adamStep(
                step, t: t, parameters: p, gradient: gradient, m: slots["m"]!, v: slots["v"]!)
        case .sgd(let momentum, let nesterov, let weightDecay):
            let step = SGDStep(
                learningRate: learningRate, momentum: momentum, nesterov: nesterov,
                weightDecay: weightDecay, gradientScale: gradientScale)
            try context.sgdStep(step, parameters: p, gradient: gradient, velocity: slots["v"])
        case .lion(let beta1, let beta2, let weightDecay):
            let step = LionStep(
                learningRate: learningRate, beta1: beta1, beta2: beta2, weightDecay: weightDecay,
                gradientScale: gradientScale)
            try context.lionStep(step, parameters: p, gradient: gradient, m: slots["m"]!)
        }
    }
}
