// SPDX-License-Identifier: Apache-2.0
/// Joins operations that one pass over memory can do together; results keep their bits.

extension Graph {
    /// The graph as it runs: of an activation that is differentiated, the slope is computed with
    /// the value and kept instead of the input, so that its gradient is a product.
    package func fused() -> Graph { keepingSlopes() }

    private func keepingSlopes() -> Graph {
        struct Function: Hashable {
            let activation: Activation
            let input: Int
        }
        var result = self
        /// Where a function is computed, and what its slope is called once something asks for it.
        var places: [Function: Int] = [:]
        var slopes: [Function: Value] = [:]
        for (index, node) in nodes.enumerated() {
            if let operation = node.operation as? Activate {
                let key = Function(activation: operation.function, input: node.inputs[0].id)
                if places[key] == nil { places[key] = index }
            } else if let gradient = node.operation as? ActivateGradient {
                let x = node.inputs[0]
                let key = Function(activation: gradient.function, input: x.id)
                guard let place = places[key] else { continue }
                if slopes[key] == nil {
                    let slope = result.value(x.rows, x.columns)
                    slopes[key] = slope
                    result.nodes[place].operation = ActivateWithSlope(
                        function: gradient.function)
                    result.nodes[place].outputs.insert(slope, at: 0)
                }
                result.nodes[index].operation = Multiply()
                result.nodes[index].inputs = [node.inputs[1], slopes[key]!]
            }
        }
        return result
    }
}
