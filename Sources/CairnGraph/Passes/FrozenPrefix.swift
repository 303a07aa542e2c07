// SPDX-License-Identifier: Apache-2.0
/// Cuts off what training does not change: computed once, it can be read ever after.

import CairnEngine

/// A graph in two: what depends on nothing that trains, and the rest, which reads its result.
package struct FrozenPrefix: Sendable {
    /// The operations that lead to `value`.
    package let graph: Graph
    /// What the rest reads of them: one value, whose rows depend on their own sequence alone.
    package let value: Value
    /// The rest, with the batch's stored rows in the place of `value`.
    package let rest: Graph
}

extension Graph {
    /// The graph cut behind the longest part that neither trains nor drops and leaves a single
    /// value; nil when that part has no matrix product, and so is not worth keeping.
    ///
    /// - Parameter outputs: what the graph is for; named alike in the rest.
    /// - Precondition: the rows are pruned, so that a cut may lie behind the pooling.
    package func frozenPrefix(outputs: [Value]) -> FrozenPrefix? {
        var readers: [Int: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for input in node.inputs { readers[input.id] = index }
        }
        for output in outputs { readers[output.id] = nodes.count }
        var alive: [Int: Value] = [:]
        var hasProduct = false
        var cut: (index: Int, value: Value)?
        for (index, node) in nodes.enumerated() {
            // A mask is another one in every step.
            if node.operation is DropoutOperation { break }
            if node.operation.parameters.contains(where: \.isTrainable) { break }
            hasProduct = hasProduct || node.isProduct
            for output in node.outputs where readers[output.id] != nil {
                alive[output.id] = output
            }
            for input in node.inputs where readers[input.id] == index { alive[input.id] = nil }
            if hasProduct, alive.count == 1, let value = alive.values.first,
                readers[value.id] != nodes.count
            {
                cut = (index, value)
            }
        }
        guard let (index, value) = cut, value.rows != .single else { return nil }
        var (prefix, rest) = (self, self)
        prefix.nodes = Array(nodes[...index])
        rest.nodes =
            [Node(operation: StoredRows(), inputs: [], outputs: [value])]
            + nodes[(index + 1)...]
        return FrozenPrefix(graph: prefix, value: value, rest: rest)
    }
}

extension FrozenPrefix {
    /// Multiply-adds of the prefix on a single token, as a share of those of the whole graph.
    package func share(of whole: Graph) -> Double {
        func sum(_ nodes: some Sequence<Node>) -> Int {
            nodes.reduce(0) { $0 + $1.operation.multiplyAdds($1, .smallest) }
        }
        return Double(sum(graph.nodes)) / Double(max(sum(whole.nodes), 1))
    }

    /// Which operations on which parameters it is, one a line.
    package var text: String {
        let lines = graph.nodes.map { node in
            let outputs = node.outputs.map { "\($0.rows.rawValue) \($0.columns)" }
            return "\(node.operation) \(node.inputs.map(\.id)) \(outputs)"
        }
        return lines.joined(separator: "\n")
    }
}

/// Rows that the batch brings with it, computed before.
struct StoredRows: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        execution.copy(execution.batch.stored, into: node.outputs[0], "stored rows")
    }
}
