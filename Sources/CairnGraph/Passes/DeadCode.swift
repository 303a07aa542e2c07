// SPDX-License-Identifier: Apache-2.0
/// Drops what nothing reads.

extension Graph {
    /// Keeps the nodes that lead to `outputs` or that write a gradient.
    package func withoutDeadCode(outputs: [Value]) -> Graph {
        var wanted = Set(outputs.map(\.id))
        var kept: [Node] = []
        for node in nodes.reversed()
        where node.outputs.isEmpty || node.outputs.contains(where: { wanted.contains($0.id) }) {
            wanted.formUnion(node.inputs.map(\.id))
            kept.append(node)
        }
        var result = self
        result.nodes = kept.reversed()
        return result
    }
}
