// SPDX-License-Identifier: Apache-2.0
/// AdamW over the parameters of a model, its moments kept by name.

import CairnEngine
import CairnGraph
import CairnTensor

/// Adam with decoupled weight decay.
///
///     m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
///     p <- p (1 - lr wd) - lr m_hat / (sqrt(v_hat) + epsilon)
///
/// Source: Loshchilov & Hutter 2019 (arXiv:1711.05101), decay scaled by lr as in torch.
public final class AdamW {
    public struct Configuration: Sendable, Equatable {
        public var beta1 = 0.9
        public var beta2 = 0.999
        public var epsilon = 1e-8
        public var weightDecay = 0.01

        public init(
            beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
            weightDecay: Double = 0.01
        ) {
            self.beta1 = beta1
            self.beta2 = beta2
            self.epsilon = epsilon
            self.weightDecay = weightDecay
        }
    }

    public let configuration: Configuration
    /// Updates taken so far.
    public private(set) var step: UInt64 = 0
    private let parameters: Parameters
    private var moments: [String: (first: Buffer, second: Buffer, count: Int)] = [:]

    public init(_ configuration: Configuration = .init(), parameters: Parameters) throws {
        self.configuration = configuration
        self.parameters = parameters
        for name in parameters.trainableNames {
            let count = parameters.dimensions(of: name).reduce(1, *)
            let first = try Buffer(byteCount: count * 4, context: parameters.context)
            let second = try Buffer(byteCount: count * 4, context: parameters.context)
            first.zero()
            second.zero()
            moments[name] = (first, second, count)
        }
    }

    /// Moves the parameters against their gradients, names in order.
    ///
    /// With `clip`, gradients are scaled by min(1, clip / (norm + 1e-6)), norm being that of all
    /// of them together, as torch's clip_grad_norm_.
    ///
    /// - Returns: the norm before clipping.
    @discardableResult
    public func update(
        gradientsOf program: Program, learningRate: Double, clip: Double? = nil
    ) throws -> Double {
        let gradients = try program.finishedGradients()
        let context = parameters.context
        let names = parameters.trainableNames
        var squares = 0.0
        for name in names {
            guard let gradient = gradients[name] else { continue }
            squares += try context.sumOfSquares(gradient)
        }
        let norm = squares.squareRoot()
        guard norm.isFinite else { return norm }
        let scale = clip.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        step += 1
        let settings = AdamWStep(
            learningRate: learningRate, beta1: configuration.beta1, beta2: configuration.beta2,
            epsilon: configuration.epsilon, weightDecay: configuration.weightDecay,
            gradientScale: scale)
        for name in names {
            guard let gradient = gradients[name], let moment = moments[name] else { continue }
            try context.adamWStep(
                settings, t: step, parameters: parameters.floats(name), gradient: gradient,
                m: moment.first.floats(count: moment.count),
                v: moment.second.floats(count: moment.count))
        }
        return norm
    }

    /// The moments of a parameter, copied to the host.
    public func moments(of name: String) -> (first: Tensor, second: Tensor) {
        guard let moment = moments[name] else {
            preconditionFailure("'\(name)' is not a parameter that trains")
        }
        let shape = Shape(parameters.dimensions(of: name))
        var first = Tensor(zeros: shape)
        var second = Tensor(zeros: shape)
        first.withMutableBytes { moment.first.copyOut(to: $0) }
        second.withMutableBytes { moment.second.copyOut(to: $0) }
        return (first, second)
    }
}
