// SPDX-License-Identifier: Apache-2.0
/// What does not train is cut off where a single value is left, and the rest has the same bits.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct FrozenPrefixTests {
    private func split(_ small: SmallDecoder) throws -> (prefix: FrozenPrefix, logits: Value)? {
        let (graph, named) = small.graph.withoutDeadCode(outputs: [small.logits])
            .rowsPruned(outputs: [small.logits])
        return graph.frozenPrefix(outputs: named).map { ($0, named[0]) }
    }

    @Test func `the cut lies before the first operation that trains`() throws {
        let last = try #require(try split(SmallDecoder(try Workshop(), trained: .lastAdapters)))
        let head = try #require(try split(SmallDecoder(try Workshop(), trained: .head)))

        #expect(last.prefix.value.rows == .tokens)
        #expect(last.prefix.value.columns == SmallDecoder.width)
        #expect(last.prefix.graph.nodes.count(of: "Attention") == 1)
        #expect(last.prefix.rest.nodes.count(of: "Attention") == 1)
        // Behind the pooling: a row per sequence is all that is kept.
        #expect(head.prefix.value.rows == .sequences)
        #expect(head.prefix.graph.nodes.count(of: "Attention") == 2)
        #expect(head.prefix.rest.nodes.map(\.kind) == ["StoredRows", "Linear"])
        for prefix in [last.prefix, head.prefix] {
            #expect(prefix.graph.parameters.allSatisfy { !$0.isTrainable })
            #expect(prefix.rest.nodes.count(of: "Embedding") == 0)
        }
    }

    @Test func `a prefix that multiplies nothing is not worth it, nor is one that drops`() throws {
        #expect(try split(SmallDecoder(try Workshop(), trained: .adapters)) == nil)
        #expect(try split(SmallDecoder(try Workshop(), trained: .everything)) == nil)
        let workshop = try Workshop()
        var graph = Graph()
        let x = graph.embedding(
            .tokens, table: try workshop.parameter("table", [5, 4], trains: false))
        let dropped = graph.dropout(x, probability: 0.5, seed: 1, site: "x")
        let h = graph.linear(dropped, weight: try workshop.parameter("w", [4, 4], trains: false))
        let y = graph.linear(h, weight: try workshop.parameter("v", [2, 4]))

        #expect(graph.frozenPrefix(outputs: [y]) == nil)
    }

    @Test func `the share is that of the products`() throws {
        let small = try SmallDecoder(try Workshop(), trained: .lastAdapters)
        let (graph, named) = small.graph.withoutDeadCode(outputs: [small.logits])
            .rowsPruned(outputs: [small.logits])

        let share = try #require(graph.frozenPrefix(outputs: named)).share(of: graph)

        // One block of two; the other has two pairs and the head besides.
        #expect(share > 0.4 && share < 0.5)
    }

    @Test(
        arguments: [(Trained.lastAdapters, Float(0)), (.lastAdapters, 0.5), (.head, 0)],
        ISA.supported)
    func `losses and gradients keep their bits`(
        what: (trained: Trained, dropout: Float), isa: ISA
    ) throws {
        let workshop = try Workshop(isa: isa, threads: 2)
        let small = try SmallDecoder(workshop, trained: what.trained, dropout: what.dropout)
        let plain = try small.program()
        let (prefix, logits) = try #require(try split(small))
        let first = try Program(
            prefix.graph, outputs: [prefix.value], parameters: workshop.parameters)
        let rest = try Program(
            prefix.rest, outputs: [logits],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: workshop.parameters)
        rest.setRecompute(Recompute(segments: 1, elementwise: true))
        plain.zeroGradients()
        rest.zeroGradients()

        for range in [0..<3, 3..<4] {
            let expected = try plain.run(SmallDecoder.part(range))
            var batch = SmallDecoder.part(range)
            // Each sequence by itself, as a file would have it.
            batch.stored = try range.flatMap {
                try first.run(SmallDecoder.part($0..<$0 + 1)).outputs[0]
            }
            let found = try rest.run(batch)
            #expect(bitMismatch(found.losses, expected.losses) == nil)
            #expect(bitMismatch(found.outputs[0], expected.outputs[0]) == nil)
        }

        let (found, expected) = (
            try workshop.gradients(rest), try workshop.gradients(plain)
        )
        #expect(found.keys.sorted() == expected.keys.sorted())
        for (name, numbers) in expected {
            #expect(bitMismatch(found[name] ?? [], numbers) == nil, "\(name)")
        }
    }
}
