// SPDX-License-Identifier: Apache-2.0
/// Row pruning: fewer rows, the same bits.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct RowPruningTests {
    @Test func `the last layer's queries and feed-forward run on one row per sequence`() throws {
        let decoder = try SmallDecoder(try Workshop())

        let nodes = try decoder.program().nodes

        // Layer 0: q k v o gate up down, layer 1: k and v; on tokens.
        #expect(nodes.count(of: "Linear", on: .tokens) == 9)
        // Layer 1: q o gate up down, and the head.
        #expect(nodes.count(of: "Linear", on: .sequences) == 6)
        #expect(nodes.count(of: "Attention", on: .tokens) == 1)
        #expect(nodes.count(of: "Attention", on: .sequences) == 1)
        #expect(nodes.count(of: "Gate", on: .sequences) == 1)
        // What is read both ways is selected once each: the normed input of q, the residual.
        #expect(nodes.count(of: "SelectRows") == 2)
    }

    @Test func `asking for every token's logits prunes nothing`() throws {
        let decoder = try SmallDecoder(try Workshop())

        let nodes = try decoder.program(pruned: false).nodes

        #expect(nodes.count(of: "Linear", on: .tokens) == 15)
        #expect(nodes.count(of: "Linear", on: .sequences) == 0)
        #expect(nodes.count(of: "SelectRows") == 1)
    }

    @Test(arguments: [Trained.adapters, .everything])
    func `pruned and whole programs agree to the bit`(trained: Trained) throws {
        let (first, second) = (try Workshop(), try Workshop())
        let pruned = try SmallDecoder(first, trained: trained).program()
        let whole = try SmallDecoder(second, trained: trained).program(pruned: false)

        let a = try pruned.run(SmallDecoder.batch)
        let b = try whole.run(SmallDecoder.batch)

        #expect(bitMismatch(a.outputs[0], b.outputs[0]) == nil)
        #expect(bitMismatch(a.losses, b.losses) == nil)
        let (left, right) = (try first.gradients(pruned), try second.gradients(whole))
        #expect(Set(left.keys) == Set(first.parameters.trainableNames))
        for (name, gradient) in left {
            #expect(bitMismatch(gradient, right[name] ?? []) == nil, "gradient of \(name)")
            #expect(gradient.contains { $0 != 0 }, "gradient of \(name) is all zero")
        }
    }

    /// A query layer hands its input two gradients, of base and of dropped input: pruned, they are
    /// added on the selected rows first, so that sums round in another order.
    @Test func `with dropout the outputs agree to the bit and the gradients to rounding`() throws {
        let (first, second) = (try Workshop(), try Workshop())
        let pruned = try SmallDecoder(first, dropout: 0.5).program()
        let whole = try SmallDecoder(second, dropout: 0.5).program(pruned: false)

        let a = try pruned.run(SmallDecoder.batch)
        let b = try whole.run(SmallDecoder.batch)

        #expect(bitMismatch(a.outputs[0], b.outputs[0]) == nil)
        let (left, right) = (try first.gradients(pruned), try second.gradients(whole))
        for (name, gradient) in left {
            #expect(relativeError(gradient, right[name] ?? []) <= 1e-6, "gradient of \(name)")
        }
    }

    @Test func `a language model's head runs on the rows that have a target`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let table = try workshop.parameter("embed", [7, 4])
        let x = graph.embedding(.tokens, table: table)
        let y = graph.activation(
            .gelu, graph.linear(x, weight: try workshop.parameter("w", [4, 4])))
        let logits = graph.selectRows(graph.linear(y, weight: table), .targets)
        let program = try Program(graph, outputs: [logits], parameters: workshop.parameters)

        var batch = Batch(sequences: [[0, 1, 2], [3, 4]])
        batch.targetRows = [1, 4]
        batch.targetOffsets = [0, 1, 2]
        let some = try program.run(batch).outputs[0]
        batch.targetRows = [0, 1, 2, 3, 4]
        batch.targetOffsets = [0, 3, 5]
        let all = try program.run(batch).outputs[0]

        #expect(program.nodes.count(of: "Linear", on: .targets) == 2)
        #expect(bitMismatch(some, Array(all[7..<14] + all[28..<35])) == nil)
    }

    @Test func `a mean over tokens keeps every row`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let x = graph.embedding(.tokens, table: try workshop.parameter("embed", [7, 4]))
        let y = graph.meanRows(graph.linear(x, weight: try workshop.parameter("w", [4, 4])))

        let (pruned, outputs) = graph.rowsPruned(outputs: [y])

        #expect(pruned.nodes.map(\.kind) == ["Embedding", "Linear", "MeanRows"])
        #expect(pruned.nodes[1].outputs[0].rows == .tokens)
        #expect(outputs[0].rows == .sequences)
    }
}

extension Trained: CustomTestStringConvertible {
    var testDescription: String { "\(self)" }
}
