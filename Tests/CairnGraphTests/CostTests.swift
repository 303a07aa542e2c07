// SPDX-License-Identifier: Apache-2.0
/// The work of a step, counted: only rows that are read, only gradients that lead somewhere.

import CairnEngine
import CairnGraph
import Testing

@Suite struct CostTests {
    /// Sequences of 5, 1, 7 and 3 tokens; adapters of rank 2 on q and v of the upper of two layers
    /// of width 8 (keys 4, inner 12), and a head of 3 labels.
    @Test func `a step multiplies the rows that are read and no others`() throws {
        let program = try SmallDecoder(try Workshop(), trained: .lastAdapters).program()
        let (tokens, sequences) = (16, 4)
        // Causal: L (L + 1) / 2 pairs of each sequence; the last token alone sees all L.
        let (allPairs, lastPairs) = (15 + 1 + 28 + 6, tokens)

        let costs = program.costs(of: SmallDecoder.batch)

        // q k v o gate up down, and two products for each of two heads of width 4.
        let lower = tokens * (64 + 32 + 32 + 64 + 3 * 96) + 2 * 2 * 4 * allPairs
        // k and v with its pair on tokens; q with its pair, o gate up down and head on sequences.
        let upper =
            tokens * (32 + 32 + 2 * (8 + 4)) + sequences * (64 + 2 * (8 + 8) + 64 + 3 * 96 + 24)
            + 2 * 2 * 4 * lastPairs
        // The head's weight and input, the inputs of down, gate, up and o, and five products of
        // attention; of q and v only the pairs: d = dy B, dB, dA. Nothing below.
        let backward =
            sequences * (24 + 24 + 3 * 96 + 64) + 5 * 2 * 4 * lastPairs + sequences * 3 * 16
            + tokens * (8 + 8 + 16)
        #expect(costs.reduce(0) { $0 + $1.multiplyAdds } == lower + upper + backward)
    }

    @Test func `a look-up counts the rows that it reads, not the table`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let x = graph.embedding(.tokens, table: try workshop.parameter("embed", [1000, 4]))
        let program = try Program(graph, outputs: [x], parameters: workshop.parameters)

        let costs = program.costs(of: Batch(sequences: [[1, 2, 3]]))

        #expect(costs == [Cost(multiplyAdds: 0, byteCount: 2 * 3 * 4 * 4)])
    }

    @Test func `an observer is told of every operation once, in order`() throws {
        let program = try SmallDecoder(try Workshop()).program()
        var seen: [Observation] = []
        program.observer = { seen.append($0) }

        try program.run(SmallDecoder.batch)

        #expect(seen.map(\.index) == Array(0..<program.operationCount))
        #expect(seen.map(\.kind) == program.nodes.map(\.kind))
        #expect(seen.allSatisfy { $0.seconds >= 0 })
    }
}
