// SPDX-License-Identifier: Apache-2.0
/// Reverse-mode differentiation: appends the backward pass to a graph.

/// What an operation's `backward` writes to.
package struct GradientRecorder {
    package var graph: Graph
    private let needed: Set<Int>
    private var gradients: [Int: Value] = [:]
    private var uses: [String: Int] = [:]

    init(graph: Graph, needed: Set<Int>) {
        self.graph = graph
        self.needed = needed
        for slot in graph.nodes.flatMap(\.operation.gradientSlots) {
            uses[slot.parameter.name] = slot.use + 1
        }
    }

    /// Whether something that trains lies upstream of `value`.
    package func needs(_ value: Value) -> Bool { needed.contains(value.id) }

    /// The gradient that has reached `value` so far.
    package func gradient(of value: Value) -> Value? { gradients[value.id] }

    /// Adds to the gradient of `value`; contributions are summed in the order they come.
    package mutating func add(_ gradient: Value, to value: Value) {
        graph.requireSameShape(gradient, value, "gradient")
        if let earlier = gradients[value.id] {
            gradients[value.id] = graph.add(earlier, gradient)
        } else {
            gradients[value.id] = gradient
        }
    }

    /// Replaces the gradient of `value` by one that already holds what it was before.
    package mutating func replace(_ gradient: Value, of value: Value) {
        gradients[value.id] = gradient
    }

    /// A place for one use of a parameter; the uses of a tied parameter are summed after the step.
    package mutating func slot(for parameter: ParameterReference) -> GradientSlot {
        let use = uses[parameter.name, default: 0]
        uses[parameter.name] = use + 1
        return GradientSlot(parameter: parameter, use: use)
    }
}

/// Where the gradient of one use of a parameter accumulates.
package struct GradientSlot: Hashable, Sendable {
    package let parameter: ParameterReference
    package let use: Int
}

extension Graph {
    /// Appends the backward pass from `losses`, whose gradients are `seeds`.
    ///
    /// Gradients flow only along paths that lead to a parameter that trains; everything else is
    /// never computed.
    package func differentiated(seeds: [(value: Value, gradient: Value)]) -> Graph {
        var needed = Set<Int>()
        for node in nodes
        where node.operation.parameters.contains(where: \.isTrainable)
            || node.inputs.contains(where: { needed.contains($0.id) })
        {
            needed.formUnion(node.outputs.map(\.id))
        }
        var recorder = GradientRecorder(graph: self, needed: needed)
        for seed in seeds where needed.contains(seed.value.id) {
            recorder.add(seed.gradient, to: seed.value)
        }
        for node in nodes.reversed() {
            let gradients = node.outputs.map { recorder.gradient(of: $0) }
            guard gradients.contains(where: { $0 != nil }) else { continue }
            node.operation.backward(node, gradients, &recorder)
        }
        return recorder.graph
    }
}
