// SPDX-License-Identifier: Apache-2.0
/// Trades memory for time: what the backward pass can compute again need not be kept until then.

/// How much of the forward pass is done again in the backward pass instead of kept in memory.
///
/// An operation done again has the same inputs and parameters, and dropout is counted and not
/// drawn, so the results have the same bits whatever is chosen.
public struct Recompute: Hashable, Sendable {
    /// So many segments of the forward pass, from the first on, are done again as a whole. A
    /// segment lies between two places at which a single value is alive, as between two layers.
    public var segments: Int
    /// Of the other segments, what needs no matrix product: norms, activations, dropout.
    public var elementwise: Bool

    /// Keeps everything, unless told otherwise.
    public init(segments: Int = 0, elementwise: Bool = false) {
        precondition(segments >= 0, "\(segments) segments cannot be done again")
        self.segments = segments
        self.elementwise = elementwise
    }
}

/// The forward pass of a differentiated graph, cut where a single value is alive.
///
/// Segments that begin the graph are done again first: by the time they are, the backward pass has
/// given back what the later ones kept.
package struct ForwardPass: Sendable {
    /// Nodes of the graph that are done once and have outputs, up to the last cut, by segment.
    package let segments: [[Int]]
    /// The values at the cuts.
    private let cuts: Set<Int>
    /// Values that the backward pass reads.
    private let readBackward: Set<Int>

    /// - Parameters:
    ///   - graph: a graph without dead code.
    ///   - values: values of a smaller id belong to the forward pass.
    package init(_ graph: Graph, values: Int) {
        let forward = graph.nodes.indices.filter {
            !graph.nodes[$0].outputs.isEmpty
                && graph.nodes[$0].outputs.allSatisfy { $0.id < values }
        }
        let isForward = Set(forward)
        readBackward = Set(
            graph.nodes.indices.filter { !isForward.contains($0) }
                .flatMap { graph.nodes[$0].inputs.map(\.id) })
        var readers: [Int: Int] = [:]
        for index in forward {
            for input in graph.nodes[index].inputs { readers[input.id] = index }
        }
        var alive = Set<Int>()
        var cuts: Set<Int> = []
        var segments: [[Int]] = []
        var open: [Int] = []
        // A cut behind nothing but element-wise work would keep what is cheap to do again.
        var hasProduct = true
        for index in forward {
            let node = graph.nodes[index]
            open.append(index)
            hasProduct = hasProduct || node.isProduct
            for output in node.outputs where readers[output.id] ?? index > index {
                alive.insert(output.id)
            }
            for input in node.inputs where readers[input.id] == index { alive.remove(input.id) }
            guard alive.count == 1, hasProduct, !node.writesGradient else { continue }
            cuts.formUnion(alive)
            if open.contains(where: { !graph.nodes[$0].outputs.contains { cuts.contains($0.id) } })
            {
                segments.append(open)
            }
            (open, hasProduct) = ([], false)
        }
        self.cuts = cuts
        // What comes before the first cut leads to it alone; it has nothing that could be kept.
        self.segments = segments
    }

    /// The nodes of `graph` that the choice does again.
    package func nodes(_ graph: Graph, doneAgain choice: Recompute) -> Set<Int> {
        var chosen = Set<Int>()
        for (place, segment) in segments.enumerated() {
            var available = readBackward.union(cuts)
            for index in segment {
                let node = graph.nodes[index]
                // A function of parameters alone takes no memory to speak of.
                guard !node.outputs.contains(where: { cuts.contains($0.id) || $0.rows == .single })
                else { continue }
                let isCheap =
                    choice.elementwise && !node.isProduct
                    && node.inputs.allSatisfy { available.contains($0.id) }
                guard place < choice.segments || isCheap else { continue }
                chosen.insert(index)
                available.formUnion(node.outputs.map(\.id))
            }
        }
        return chosen
    }
}

extension Graph {
    /// The graph with some nodes of the forward pass done again, each just before the first
    /// operation of the backward pass that needs it.
    ///
    /// What is then read by nothing is left for `withoutDeadCode`.
    package func recomputed(_ chosen: Set<Int>, of pass: ForwardPass, values: Int) -> Graph {
        guard !chosen.isEmpty else { return self }
        var producers: [Int: Int] = [:]
        for index in chosen { for output in nodes[index].outputs { producers[output.id] = index } }
        var result = self
        result.nodes = []
        var again: [Int: Value] = [:]
        func repeated(_ value: Value) -> Value {
            if let known = again[value.id] { return known }
            guard let index = producers[value.id] else { return value }
            let node = nodes[index]
            let inputs = node.inputs.map(repeated)
            let outputs = result.record(
                node.operation, inputs, node.outputs.map { ($0.rows, $0.columns) })
            for (old, new) in zip(node.outputs, outputs) { again[old.id] = new }
            return again[value.id]!
        }
        for node in nodes {
            let isForward = !node.outputs.isEmpty && node.outputs.allSatisfy { $0.id < values }
            var node = node
            if !isForward { node.inputs = node.inputs.map(repeated) }
            result.nodes.append(node)
        }
        return result
    }
}

extension Node {
    /// Whether matrix products are computed, however small the batch.
    var isProduct: Bool { operation.multiplyAdds(self, .smallest) > 0 }

    var writesGradient: Bool { !operation.gradientSlots.isEmpty }
}

extension Batch {
    /// A row in every space.
    static let smallest: Batch = {
        var batch = Batch(sequences: [[0]])
        batch.targetRows = [0]
        batch.targetOffsets = [0, 1]
        return batch
    }()
}
