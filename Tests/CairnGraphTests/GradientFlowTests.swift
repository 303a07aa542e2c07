// SPDX-License-Identifier: Apache-2.0
/// Where gradients flow, what is never computed, and how the uses of a parameter add up.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct GradientFlowTests {
    @Test func `what no output reads is dropped`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let x = graph.features(columns: 4)
        let y = graph.linear(x, weight: try workshop.parameter("w", [3, 4]))
        _ = graph.activation(.gelu, graph.linear(x, weight: try workshop.parameter("v", [2, 4])))

        let kept = graph.withoutDeadCode(outputs: [y])

        #expect(graph.nodes.map(\.kind) == ["Features", "Linear", "Linear", "Activate"])
        #expect(kept.nodes.map(\.kind) == ["Features", "Linear"])
        #expect(kept.parameters.map(\.name) == ["w"])
    }

    @Test func `nothing is differentiated below the first adapter`() throws {
        let every = try SmallDecoder(try Workshop(), trained: .adapters).program().nodes
        let last = try SmallDecoder(try Workshop(), trained: .lastAdapters).program().nodes
        let full = try SmallDecoder(try Workshop(), trained: .everything).program().nodes

        // Layer 0: o gate up down; layer 1: all seven; the head. q, k and v of layer 0 read frozen
        // embeddings, so no gradient goes through them.
        #expect(every.count(of: "InputGradient") == 12)
        // Layer 1: o gate up down and the head; q, k and v read what layer 0 made.
        #expect(last.count(of: "InputGradient") == 5)
        #expect(last.count(of: "AttentionGradient") == 1)
        #expect(last.count(of: "EmbeddingGradient") == 0)
        // Everything: seven per layer and the head.
        #expect(full.count(of: "InputGradient") == 15)
        #expect(full.count(of: "EmbeddingGradient") == 1)
        #expect(full.count(of: "RMSNormWeightGradient") == 5)
        #expect(every.count(of: "RMSNormWeightGradient") == 0)
    }

    @Test func `only what trains has a gradient`() throws {
        let workshop = try Workshop()
        let program = try SmallDecoder(workshop, trained: .lastAdapters).program()

        #expect(program.differentiatedNames == ["1.q.A", "1.q.B", "1.v.A", "1.v.B", "score"])
        #expect(Array(program.differentiatedNames).sorted() == workshop.parameters.trainableNames)
        let numbers = workshop.parameters.trainableNames.reduce(0) {
            $0 + workshop.parameters.dimensions(of: $1).reduce(1, *)
        }
        // A sum and an open group each, of 4 bytes.
        #expect(program.gradientBytes == 8 * numbers)
    }

    /// A tied table has two uses; each accumulates in a place of its own, so that the cut into
    /// micro-batches leaves no trace.
    @Test(arguments: [[0..<4], [0..<1, 1..<4], [0..<3, 3..<4], [0..<1, 1..<2, 2..<3, 3..<4]])
    func `a tied table's gradient does not see the cut`(cut: [Range<Int>]) throws {
        let workshop = try Workshop()
        let program = try tied(workshop)
        var losses: [Float] = []
        for range in [0..<2, 2..<4] {
            losses += try program.run(LinearLossTests.part(range)).losses
        }
        let expected = try workshop.gradients(program)

        program.zeroGradients()
        let actualLosses = try cut.flatMap { try program.run(LinearLossTests.part($0)).losses }
        let actual = try workshop.gradients(program)

        #expect(bitMismatch(actualLosses, losses) == nil)
        #expect(Set(expected.keys) == ["embed", "w"])
        for (name, gradient) in expected {
            #expect(bitMismatch(actual[name] ?? [], gradient) == nil, "\(name)")
        }
    }

    @Test func `a tied table has a slot per use`() throws {
        let program = try tied(try Workshop())

        let slots = program.nodes.flatMap(\.operation.gradientSlots)
            .filter { $0.parameter.name == "embed" }

        #expect(slots.map(\.use).sorted() == [0, 1])
    }

    private func tied(_ workshop: Workshop) throws -> Program {
        var graph = Graph()
        let table = try workshop.parameter("embed", [11, 6])
        let x = graph.embedding(.tokens, table: table)
        let h = graph.add(
            x,
            graph.activation(.silu, graph.linear(x, weight: try workshop.parameter("w", [6, 6]))))
        let logits = graph.selectRows(graph.linear(h, weight: table), .targets)
        return try Program(
            graph, outputs: [],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: workshop.parameters)
    }

    /// The gradient that a residual layer hands on is read again as that of its output: adding to
    /// it in place would change what is multiplied.
    @Test func `x plus a linear layer of x gives both gradients`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let table = try workshop.parameter("x", [3, 4])
        let weight = try workshop.parameter("w", [4, 4], trains: false)
        let x = graph.embedding(.tokens, table: table)
        let y = graph.add(x, graph.linear(x, weight: weight))
        let program = try Program(
            graph, outputs: [y], loss: (.squaredError, y), differentiates: true,
            parameters: workshop.parameters)
        var batch = Batch(sequences: [[0, 1, 2]])
        batch.valueTargets = [Float](repeating: 0, count: 12)

        let result = try program.run(batch)

        let numbers = workshop.start["w"]!.map(Double.init)
        let dy = result.outputs[0].map { 2 * Double($0) }
        let expected = (0..<12).map { index in
            let (row, column) = (index / 4, index % 4)
            return dy[index]
                + (0..<4).reduce(0.0) { $0 + dy[row * 4 + $1] * numbers[$1 * 4 + column] }
        }
        #expect(relativeError(try workshop.gradients(program)["x"]!, expected) <= 1e-6)
    }

    @Test func `gradients add up over runs until they are cleared`() throws {
        let workshop = try Workshop()
        let program = try SmallDecoder(workshop).program()
        try program.run(SmallDecoder.batch)
        let once = try workshop.gradients(program)

        try program.run(SmallDecoder.batch)
        let twice = try workshop.gradients(program)
        program.zeroGradients()
        try program.run(SmallDecoder.batch)

        for (name, gradient) in try workshop.gradients(program) {
            #expect(bitMismatch(gradient, once[name]!) == nil)
            #expect(bitMismatch(twice[name]!, once[name]!.map { 2 * $0 }) == nil)
        }
    }
}
