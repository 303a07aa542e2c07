// SPDX-License-Identifier: Apache-2.0
/// Computes only the rows that are read: a gather moves up through row-wise operations.

extension Graph {
    /// Moves every gather of rows as far up as it goes.
    ///
    /// Going backwards, each value learns in which row spaces it is read. An operation whose first
    /// input-following output is read only after a gather is itself done on the gathered rows, and
    /// asks for its row-following inputs there; what a row may read as a whole (keys and values of
    /// attention) is still asked for in full. With pooling of the last token, the last layer's
    /// queries, attention rows, output projection and feed-forward run on one row per sequence.
    ///
    /// - Returns: the new graph, and what the given outputs are called in it.
    package func rowsPruned(outputs: [Value]) -> (graph: Graph, outputs: [Value]) {
        var demands: [Int: Set<RowSpace>] = [:]
        for output in outputs { demands[output.id, default: []].insert(output.rows) }
        var spaces = [RowSpace?](repeating: nil, count: nodes.count)
        for (index, node) in nodes.enumerated().reversed() {
            if node.operation is SelectRows {
                // Read as `output` means: the input is read in the space that was selected.
                demands[node.inputs[0].id, default: []].formUnion(
                    demands[node.outputs[0].id] ?? [])
                continue
            }
            let space = movedSpace(of: node, demands: demands)
            spaces[index] = space
            for (input, rule) in zip(node.inputs, rules(of: node)) {
                demands[input.id, default: []].insert(
                    rule == .follows && space != nil ? space! : input.rows)
            }
        }
        return rebuilt(spaces: spaces, demands: demands, outputs: outputs)
    }

    private func rules(of node: Node) -> [RowRule] {
        node.operation.rowRules.isEmpty
            ? node.inputs.map { _ in .whole } : node.operation.rowRules
    }

    /// The one space in which a movable node's outputs are read, if it is not their own.
    private func movedSpace(of node: Node, demands: [Int: Set<RowSpace>]) -> RowSpace? {
        guard !node.operation.rowRules.isEmpty, let own = node.outputs.first?.rows else {
            return nil
        }
        let read = node.outputs.reduce(into: Set<RowSpace>()) {
            $0.formUnion(demands[$1.id] ?? [])
        }
        return read.count == 1 && !read.contains(own) ? read.first : nil
    }

    private func rebuilt(
        spaces: [RowSpace?], demands: [Int: Set<RowSpace>], outputs: [Value]
    ) -> (graph: Graph, outputs: [Value]) {
        struct Place: Hashable {
            let id: Int
            let space: RowSpace
        }
        var result = Graph()
        result.constants = constants
        var names: [Place: Value] = [:]
        /// The value in the given space, selected from where it was computed if need be.
        func read(_ value: Value, in space: RowSpace) -> Value {
            if let known = names[Place(id: value.id, space: space)] { return known }
            guard let native = names[Place(id: value.id, space: value.rows)] else {
                preconditionFailure("value \(value.id) is read in \(space) but was never computed")
            }
            let selected = result.selectRows(native, space)
            names[Place(id: value.id, space: space)] = selected
            return selected
        }
        for (node, space) in zip(nodes, spaces) {
            if node.operation is SelectRows {
                let output = node.outputs[0]
                for demand in demands[output.id] ?? [] {
                    names[Place(id: output.id, space: demand)] = read(node.inputs[0], in: demand)
                }
                continue
            }
            let inputs = zip(node.inputs, rules(of: node)).map { input, rule in
                read(input, in: rule == .follows && space != nil ? space! : input.rows)
            }
            let values = result.record(
                node.operation, inputs, node.outputs.map { (space ?? $0.rows, $0.columns) })
            for (old, new) in zip(node.outputs, values) {
                names[Place(id: old.id, space: new.rows)] = new
            }
        }
        return (result, outputs.map { read($0, in: $0.rows) })
    }
}
