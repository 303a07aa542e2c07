// SPDX-License-Identifier: Apache-2.0
/// A prompt that sequences share: computed once, the same bits forward, the same gradients.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct SharedPromptTests {
    /// Two of four sequences leave three tokens to the first; the third begins another set.
    private static let sequences: [[Int32]] = [
        [1, 4, 2, 9, 3], [1, 4, 2, 10], [5, 5, 0, 7, 8, 6, 1], [5, 5, 0, 2],
    ]
    private static let prompts = [0, 3, 0, 3]

    private static func batch(shared: Bool) -> Batch {
        var batch = Batch(
            sequences: sequences, promptLengths: shared ? prompts : [0, 0, 0, 0])
        batch.classTargets = [0, 2, 1, 2]
        batch.lossScale = 0.25
        batch.groups = [0, 2, 4]
        return batch
    }

    // MARK: The batch

    @Test func `tokens are there once, and every sequence in full where they are repeated`() {
        let batch = Self.batch(shared: true)

        #expect(batch.ids == [1, 4, 2, 9, 3, 10, 5, 5, 0, 7, 8, 6, 1, 2])
        #expect(batch.offsets == [0, 5, 6, 13, 14])
        #expect(batch.pooledRows == [4, 5, 12, 13])
        #expect(batch.tokenCount == 20)
        #expect(RowSpace.allCases.map(batch.count) == [14, 4, 0, 1, 20])
        #expect(batch.offsets(in: .repeated) == [0, 5, 9, 16, 20])
        let repeated = batch.selection(.repeated).map { batch.ids[Int($0)] }
        #expect(repeated == Self.sequences.flatMap { $0 })
        #expect(Capacity(of: batch) == Capacity(tokens: 14, sequences: 4, repeated: 20))
    }

    @Test func `tokens behind a shared prompt keep their places`() {
        let places = Self.batch(shared: true).places(.tokens)

        #expect(places.positions == [0, 1, 2, 3, 4, 3, 0, 1, 2, 3, 4, 5, 6, 3])
        #expect(places.rowIDs == [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 2, 3])
        #expect(
            Self.batch(shared: true).places(.repeated).positions
                == Self.sequences.flatMap { $0.indices.map { UInt32($0) } })
    }

    @Test func `nothing shared is a plain batch`() {
        let (plain, none) = (Batch(sequences: Self.sequences), Self.batch(shared: false))

        #expect(none.ids == plain.ids && none.offsets == plain.offsets)
        #expect(none.promptLengths.isEmpty)
        #expect(none.tokenCount == plain.ids.count)
        #expect(none.repeatedTargets([1, 2, 3]) == [1, 2, 3])
    }

    @Test func `numbers of targets are repeated for each sequence`() {
        var batch = Batch(
            sequences: [[1, 2, 3, 4], [1, 2, 5], [1, 2, 6, 7]], promptLengths: [0, 1, 1])
        batch.targetRows = [0, 1, 2, 4, 6, 7]
        batch.targetOffsets = [0, 3, 4, 6]

        #expect(
            batch.repeatedTargets([10, 11, 12, 20, 30, 31]) == [10, 11, 12, 10, 20, 10, 30, 31])
    }

    // MARK: The graph

    @Test func `keys and values are repeated, and nothing else is`() throws {
        let decoder = try SmallDecoder(try Workshop())

        let nodes = try #require(decoder.graph.promptsShared()).nodes

        #expect(nodes.count(of: "RepeatRows") == 4)
        #expect(nodes.count(of: "Attention", on: .tokens) == 2)
        #expect(nodes.flatMap(\.outputs).count { $0.rows == .repeated } == 4)
    }

    @Test func `what sees later tokens, averages or drops shares no prompt`() throws {
        let table = try Workshop().parameter("table", [11, 8])
        func graph(_ build: (inout Graph, Value) -> Value) throws -> Graph {
            var graph = Graph()
            let x = graph.embedding(.tokens, table: table)
            _ = build(&graph, x)
            return graph
        }
        func attention(_ isCausal: Bool) throws -> Graph {
            try graph { graph, x in
                graph.attention(
                    AttentionLayout(
                        heads: 2, keyValueHeads: 2, headDimension: 4, scale: 1, isCausal: isCausal),
                    q: x, k: x, v: x)
            }
        }

        #expect(try attention(true).promptsShared() != nil)
        #expect(try attention(false).promptsShared() == nil)
        #expect(try graph { $0.meanRows($1) }.promptsShared() == nil)
        #expect(
            try graph { $0.dropout($1, probability: 0.5, seed: 1, site: "here") }
                .promptsShared() == nil)
    }

    // MARK: Numbers

    private struct Run {
        let losses: [Float]
        let logits: [Float]
        let gradients: [String: [Float]]
    }

    private func run(
        shared: Bool, _ trained: Trained, pruned: Bool = true, precision: Precision = .fp32,
        isa: ISA = .scalar, threads: Int = 1, recompute: Recompute = Recompute()
    ) throws -> Run {
        let workshop = try Workshop(isa: isa, threads: threads)
        let decoder = try SmallDecoder(workshop, trained: trained)
        let graph = shared ? decoder.graph.promptsShared()! : decoder.graph
        let program = try Program(
            graph, outputs: pruned ? [decoder.logits] : [decoder.logits, decoder.hidden],
            loss: (
                .crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), decoder.logits
            ),
            differentiates: true, parameters: workshop.parameters, precision: precision)
        program.setRecompute(recompute)
        let batch = Self.batch(shared: shared)
        let result = try program.run(batch)
        var logits = result.outputs[0]
        if !pruned {
            // Of every token, each sequence in full.
            let width = SmallDecoder.labels
            logits += batch.selection(.repeated).flatMap { row in
                result.outputs[1][Int(row) * width..<(Int(row) + 1) * width]
            }
        }
        return Run(
            losses: result.losses, logits: logits, gradients: try workshop.gradients(program))
    }

    /// Forward each token has the bits that it has alone. Backward a sum over the sequences of a set
    /// comes before the products that it goes through and not behind them: of k terms that takes
    /// k roundings elsewhere. Sums here have some dozens of terms, of 2^-24 each; in bf16 the operands
    /// are rounded, to 2^-9 each, behind the sum and not before.
    @Test(
        arguments: [Trained.everything, .adapters, .lastAdapters, .head], Precision.allCases)
    func `forward bits are those of the plain batch, gradients as close as their sums`(
        trained: Trained, precision: Precision
    ) throws {
        for pruned in [true, false] {
            let plain = try run(shared: false, trained, pruned: pruned, precision: precision)

            let shared = try run(shared: true, trained, pruned: pruned, precision: precision)

            #expect(bitMismatch(shared.logits, plain.logits) == nil)
            #expect(bitMismatch(shared.losses, plain.losses) == nil)
            #expect(shared.gradients.count == plain.gradients.count)
            let bound = precision == .fp32 ? 0x1p-18 : 0x1p-7
            for (name, expected) in plain.gradients {
                let error = relativeError(shared.gradients[name]!, expected)
                #expect(error <= bound, "\(name) is off by \(error)")
            }
        }
    }

    @Test(arguments: Precision.allCases)
    func `every build, thread count and recomputation gives the same bits`(
        precision: Precision
    ) throws {
        let expected = try run(shared: true, .everything, precision: precision)
        for isa in ISA.supported {
            for threads in 1...3 {
                let found = try run(
                    shared: true, .everything, precision: precision, isa: isa, threads: threads,
                    recompute: Recompute(segments: threads - 1, elementwise: threads > 1))

                for (name, gradient) in expected.gradients {
                    #expect(
                        bitMismatch(found.gradients[name]!, gradient) == nil,
                        "\(name), \(isa), \(threads) threads")
                }
            }
        }
    }

    @Test(arguments: [0, 2])
    func `gradients are those of central differences`(window: Int) throws {
        var batch = Batch(
            sequences: [[0, 1, 2], [0, 1, 3, 4], [0, 1, 5]], promptLengths: [0, 2, 2])
        batch.targetOffsets = [0, 0, 0, 0]
        let worst = try GradientCheck(batch) { graph, workshop in
            let table = try workshop.parameter("table", [6, 4])
            let x = graph.embedding(.tokens, table: table)
            func project(_ name: String, _ columns: Int) throws -> Value {
                graph.linear(x, weight: try workshop.parameter(name, [columns, 4]))
            }
            let (q, k, v) = (try project("q", 8), try project("k", 4), try project("v", 4))
            let o = graph.attention(
                AttentionLayout(
                    heads: 2, keyValueHeads: 1, headDimension: 4, scale: 0.7, isCausal: true,
                    window: window), q: q, k: k, v: v)
            graph = graph.promptsShared()!
            return o
        }.worst()

        #expect(worst.error <= GradientCheck.tolerance, "\(worst)")
    }
}
