// SPDX-License-Identifier: Apache-2.0
/// Moves the parameters of a model against their gradients; its slots are kept by name.

import CairnEngine
import CairnGraph
import CairnTensor

/// An optimizer over the parameters that train, and everything it remembers between steps.
///
/// Gradients are taken from a `Program`. With `clip` they are scaled by
/// min(1, clip / (norm + 1e-6)), norm being that of all of them together, as torch's
/// clip_grad_norm_.
public final class Optimizer {
    public let rule: UpdateRule
    /// Updates taken so far.
    public private(set) var step: UInt64 = 0
    public let parameters: Parameters
    private var slots: [String: [String: Buffer]] = [:]

    /// Slots of zeros for every parameter that trains.
    public init(_ rule: UpdateRule = .adamW(), parameters: Parameters) throws {
        self.rule = rule
        self.parameters = parameters
        for name in parameters.trainableNames {
            var buffers: [String: Buffer] = [:]
            for slot in rule.slotNames {
                let buffer = try Buffer(
                    byteCount: count(of: name) * 4, context: parameters.context)
                buffer.zero()
                buffers[slot] = buffer
            }
            slots[name] = buffers
        }
    }

    private func count(of name: String) -> Int {
        parameters.dimensions(of: name).reduce(1, *)
    }

    /// Moves the parameters against their gradients, names in order.
    ///
    /// - Returns: the norm before clipping. Where it is not finite nothing was moved.
    @discardableResult
    public func update(
        gradientsOf program: Program, learningRate: Double, clip: Double? = nil
    ) throws -> Double {
        let gradients = try program.finishedGradients()
        let names = parameters.trainableNames
        var squares = 0.0
        for name in names {
            guard let gradient = gradients[name] else { continue }
            squares += try parameters.context.sumOfSquares(gradient)
        }
        let norm = squares.squareRoot()
        guard norm.isFinite else { return norm }
        let scale = clip.map { min(1, $0 / (norm + 1e-6)) } ?? 1
        step += 1
        for name in names {
            guard let gradient = gradients[name] else { continue }
            let count = count(of: name)
            try rule.move(
                parameters.floats(name), against: gradient,
                slots: slots[name]!.mapValues { $0.floats(count: count) }, t: step,
                learningRate: learningRate, gradientScale: scale, in: parameters.context)
        }
        return norm
    }

    /// A copy of everything that the next step depends on, besides the parameters.
    public var state: OptimizerState {
        var tensors: [String: [String: Tensor]] = [:]
        for (name, buffers) in slots {
            let shape = Shape(parameters.dimensions(of: name))
            tensors[name] = buffers.mapValues { buffer in
                var tensor = Tensor(zeros: shape)
                tensor.withMutableBytes { buffer.copyOut(to: $0) }
                return tensor
            }
        }
        return OptimizerState(
            kind: rule.kind, step: step, hyperparameters: rule.hyperparameters, slots: tensors)
    }

    /// Hands out the bytes of every parameter that trains and of its slots: names in order, slots in
    /// order of their names.
    func withStateBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
        for name in parameters.trainableNames {
            parameters.entry(name).buffer.withHostBytes(body)
            for (_, buffer) in slots[name]!.sorted(by: { $0.key < $1.key }) {
                buffer.withHostBytes(body)
            }
        }
    }

    /// Everything that keeps `state` from being restored here, each as a clause; empty when it
    /// fits: another kind, a slot that is missing or too many, another shape or type.
    public func problems(restoring state: OptimizerState) -> [String] {
        guard state.kind == rule.kind else {
            return ["the optimizer is \(rule.kind), the state is of \(state.kind)"]
        }
        var problems: [String] = []
        for name in slots.keys.sorted() {
            let expected = parameters.dimensions(of: name)
            for slot in rule.slotNames {
                guard let tensor = state.slots[name]?[slot] else {
                    problems.append("slot '\(slot)' of '\(name)' is missing")
                    continue
                }
                if tensor.shape.dimensions != expected || tensor.dtype != .f32 {
                    problems.append(
                        "slot '\(slot)' of '\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), "
                            + "expected F32 \(Shape(expected))")
                }
            }
        }
        for (name, own) in state.slots.sorted(by: { $0.key < $1.key }) {
            let known = Set(slots[name].map { Array($0.keys) } ?? [])
            problems += Set(own.keys).subtracting(known).sorted().map {
                "slot '\($0)' of '\(name)' belongs to nothing that trains"
            }
        }
        return problems
    }

    /// Takes over a state.
    ///
    /// - Precondition: `problems(restoring:)` finds none.
    public func restore(_ state: OptimizerState) {
        let problems = problems(restoring: state)
        precondition(problems.isEmpty, problems.joined(separator: "; "))
        step = state.step
        for (name, tensors) in state.slots {
            for (slot, tensor) in tensors {
                tensor.withBytes { slots[name]![slot]!.copyIn(from: $0) }
            }
        }
    }
}

/// What an optimizer remembers between steps, by name, on the host.
public struct OptimizerState: Sendable {
    /// The rule's name: `adamw`, `sgd`, ...
    public var kind: String
    /// Updates taken so far.
    public var step: UInt64
    public var hyperparameters: [String: Double]
    /// By parameter name, then by slot name; fp32, in the parameter's shape.
    public var slots: [String: [String: Tensor]]

    public init(
        kind: String, step: UInt64, hyperparameters: [String: Double],
        slots: [String: [String: Tensor]]
    ) {
        self.kind = kind
        self.step = step
        self.hyperparameters = hyperparameters
        self.slots = slots
    }
}
