// SPDX-License-Identifier: Apache-2.0
/// Fusion: fewer passes over memory, the same bits, no more memory.

import CairnEngine
import CairnGraph
import CairnTensor
import TestSupport
import Testing

@Suite struct FusionTests {
    /// y = f(x W^T) V^T, differentiated as far as `fused` has not touched it.
    private func differentiated(
        _ workshop: Workshop, _ function: Activation
    ) throws -> (graph: Graph, y: Value) {
        var graph = Graph()
        let x = graph.features(columns: 6)
        let h = graph.linear(x, weight: try workshop.parameter("w", [20, 6]))
        let y = graph.linear(
            graph.activation(function, h), weight: try workshop.parameter("v", [1, 20]))
        let seed = graph.features(columns: 1)
        return (graph.differentiated(seeds: [(y, seed)]), y)
    }

    @Test(arguments: Activation.allCases.map(\.rawValue))
    func `a differentiated activation keeps its slope instead of its input`(
        name: String
    ) throws {
        let function = try #require(Activation(rawValue: name))
        let (graph, y) = try differentiated(try Workshop(), function)

        let fused = graph.fused()

        #expect(graph.nodes.count(of: "ActivateGradient") == 1)
        #expect(fused.nodes.count(of: "ActivateGradient") == 0)
        #expect(fused.nodes.count(of: "ActivateWithSlope") == 1)
        #expect(fused.nodes.count(of: "Multiply") == 1)
        let capacity = Capacity(tokens: 0, sequences: 100)
        let before = MemoryPlan(nodes: graph.nodes, kept: [y], capacity: capacity)
        let after = MemoryPlan(nodes: fused.nodes, kept: [y], capacity: capacity)
        #expect(after.byteCount <= before.byteCount)
    }

    @Test func `what is not differentiated stays as it was`() throws {
        var graph = Graph()
        _ = graph.activation(.gelu, graph.features(columns: 4))

        #expect(graph.fused().nodes.map(\.kind) == ["Features", "Activate"])
    }

    @Test(arguments: ISA.supported, Activation.allCases.map(\.rawValue))
    func `the product with a kept slope has the bits of the gradient`(
        isa: ISA, name: String
    ) throws {
        let function = try #require(Activation(rawValue: name))
        let context = try Context(isa: isa, threads: 2)
        let count = 40_000
        let buffer = try Buffer(byteCount: 6 * count * 4, context: context)
        func array(_ index: Int) -> Floats { buffer.floats(offset: index * count, count: count) }
        var stream = RandomStream(seed: 5, name: "slopes")
        let (x, dy) = (array(0), array(1))
        context.write([Float].random(count, using: &stream).map { 4 * $0 }, to: x)
        context.write(.random(count, using: &stream), to: dy)

        try context.activationForward(function, x, into: array(2))
        try context.activationBackward(function, x, dy: dy, into: array(3))
        try context.activationSlope(function, x, into: array(4), slope: x)
        try context.multiply(dy, x, into: array(5))

        #expect(bitMismatch(context.read(array(4)), context.read(array(2))) == nil)
        #expect(bitMismatch(context.read(array(5)), context.read(array(3))) == nil)
    }
}
