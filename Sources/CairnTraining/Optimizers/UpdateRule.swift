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

    /// The name under which files know the rule.
    public var kind: String {
        switch self {
        case .adamW: "adamw"
        }
    }

    /// What the rule remembers per parameter, in the order in which digests take it.
    public var slotNames: [String] {
        switch self {
        case .adamW: ["m", "v"]
        }
    }

    public var hyperparameters: [String: Double] {
        switch self {
        case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
            ["beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": weightDecay]
        }
    }

    /// One step of one parameter, in place; `t` counts from 1.
    func move(
        _ p: Floats, against gradient: Floats, slots: [String: Floats], t: UInt64,
        learningRate: Double, gradientScale: Double, in context: Context
    ) throws(KernelError) {
        switch self {
        case .adamW(let beta1, let beta2, let epsilon, let weightDecay):
            let step = AdamWStep(
                learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
                weightDecay: weightDecay, gradientScale: gradientScale)
            try context.adamWStep(
                step, t: t, parameters: p, gradient: gradient, m: slots["m"]!, v: slots["v"]!)
        }
    }
}
