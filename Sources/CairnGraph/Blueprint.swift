// SPDX-License-Identifier: Apache-2.0
/// A graph before it is decided what of it is kept in memory and what is done twice.

/// What a program is made from: the passes that are free applied, the choice of memory open.
struct Blueprint: Sendable {
    /// Without dead code.
    let graph: Graph
    let kept: [Value]
    /// Values of a smaller id are the forward pass's.
    private let forwardValues: Int
    let forward: ForwardPass

    /// - Parameter forwardValues: how many values the graph had before it was differentiated.
    init(_ graph: Graph, kept: [Value], forwardValues: Int) {
        var graph = graph.withoutDeadCode(outputs: kept)
        // They are on the device by now; tables of positions are large.
        graph.constants = []
        self.graph = graph
        self.kept = kept
        self.forwardValues = forwardValues
        forward = ForwardPass(self.graph, values: forwardValues)
    }

    /// The operations in order. The fusions come last, so that they see what is done twice too.
    func nodes(_ choice: Recompute) -> [Node] {
        let chosen = forward.nodes(graph, doneAgain: choice)
        return graph.recomputed(chosen, of: forward, values: forwardValues)
            .withoutDeadCode(outputs: kept).fused().withoutDeadCode(outputs: kept).nodes
    }
}
