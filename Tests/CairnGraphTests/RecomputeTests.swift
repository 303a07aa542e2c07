// SPDX-License-Identifier: Apache-2.0
/// What is done twice has the same bits, and takes less memory.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct RecomputeTests {
    static let choices = [
        Recompute(elementwise: true), Recompute(segments: 1), Recompute(segments: 3),
        Recompute(segments: 2, elementwise: true), Recompute(segments: .max),
        Recompute(segments: .max, elementwise: true),
    ]

    /// Losses, outputs and gradients of a step of two micro-batches.
    private func step(_ program: Program, _ workshop: Workshop) throws -> [[Float]] {
        program.zeroGradients()
        let results = try [0..<3, 3..<4].map { try program.run(SmallDecoder.part($0)) }
        let gradients = try workshop.gradients(program).sorted { $0.key < $1.key }.map(\.value)
        return results.flatMap { $0.outputs + [$0.losses] } + gradients
    }

    private func differences(_ a: [[Float]], _ b: [[Float]]) -> [String] {
        #expect(a.count == b.count)
        return zip(a, b).compactMap { bitMismatch($0, $1).map { "\($0)" } }
    }

    @Test(arguments: [Trained.adapters, .everything, .lastAdapters], choices)
    func `gradients keep their bits whatever is done twice`(
        trained: Trained, choice: Recompute
    ) throws {
        for (dropout, pruned) in [(Float(0), true), (0.5, true), (0, false)] {
            let workshop = try Workshop()
            let program = try SmallDecoder(workshop, trained: trained, dropout: dropout)
                .program(pruned: pruned)
            let expected = try step(program, workshop)
            let before = program.nodes.count

            program.setRecompute(choice)
            let found = try step(program, workshop)
            program.setRecompute(Recompute())
            let again = try step(program, workshop)

            #expect(differences(found, expected) == [])
            #expect(differences(again, expected) == [])
            #expect(program.nodes.count == before)
        }
    }

    @Test(arguments: ISA.supported, [1, 2])
    func `the bits are the same on every instruction set and thread count`(
        isa: ISA, threads: Int
    ) throws {
        let plain = try Workshop()
        let expected = try step(SmallDecoder(plain, dropout: 0.5).program(), plain)
        let workshop = try Workshop(isa: isa, threads: threads)
        let program = try SmallDecoder(workshop, dropout: 0.5).program()
        program.setRecompute(Recompute(segments: .max, elementwise: true))

        let found = try step(program, workshop)

        #expect(differences(found, expected) == [])
    }

    @Test func `more segments take less memory and more arithmetic`() throws {
        let program = try SmallDecoder(try Workshop(), trained: .everything).program()
        let capacity = Capacity(tokens: 640, sequences: 16)
        let count = program.segmentCount

        let bytes = (0...count).map { program.bytes(for: capacity, Recompute(segments: $0)) }
        let work = (0...count).map {
            program.multiplyAdds(SmallDecoder.batch, Recompute(segments: $0))
        }

        // Two blocks of two halves each, and the head.
        #expect(count == 5)
        #expect(bytes[0] == program.bytes(for: capacity))
        #expect(bytes[4] < bytes[0] * 3 / 4)
        #expect(work == work.sorted() && work[4] > work[0])
        let cheap = Recompute(elementwise: true)
        #expect(program.bytes(for: capacity, cheap) < bytes[0])
        #expect(program.multiplyAdds(SmallDecoder.batch, cheap) == work[0])
    }

    @Test func `an operation is done again where it is first needed, and only once`() throws {
        let program = try SmallDecoder(try Workshop(), trained: .adapters).program()
        func attentions() -> [Int] {
            program.nodes.indices.filter { program.nodes[$0].kind == "Attention" }
        }
        let once = attentions()

        program.setRecompute(Recompute(segments: program.segmentCount))

        let twice = attentions()
        #expect(once.count == 2 && twice.count == 4)
        let gradient = try #require(
            program.nodes.firstIndex { $0.kind == "AttentionGradient" })
        #expect(twice[2] < gradient && gradient < twice[3])
    }

    @Test(arguments: choices)
    func `gradients are those of differences`(choice: Recompute) throws {
        var batch = Batch(sequences: [[0, 1, 2], [3, 4]])
        batch.typeIDs = [0, 0, 1, 1, 0]
        let check = try GradientCheck(batch) { graph, workshop in
            var x = graph.embedding(.tokens, table: try workshop.parameter("table", [5, 6]))
            for layer in 0..<2 {
                let h = graph.layerNorm(
                    x, weight: try workshop.parameter("\(layer).w", [6], center: 1),
                    bias: try workshop.parameter("\(layer).b", [6]), epsilon: 1e-5)
                let inner = graph.activation(
                    .gelu,
                    graph.linear(h, weight: try workshop.parameter("\(layer).in", [7, 6])))
                x = graph.add(
                    x, graph.linear(inner, weight: try workshop.parameter("\(layer).out", [6, 7])))
            }
            return x
        }
        check.program.setRecompute(choice)

        let worst = try check.worst()

        #expect(worst.error <= GradientCheck.tolerance, "\(worst.name)")
    }

    @Test func `programs that share memory run in turn and keep their bits`() throws {
        let workshop = try Workshop()
        let small = try SmallDecoder(workshop)
        let (trainer, judge) = (try small.program(), try small.program(pruned: false))
        let expected = (try step(trainer, workshop), try judge.run(SmallDecoder.batch).losses)

        judge.shareMemory(of: trainer)
        let first = (try judge.run(SmallDecoder.batch).losses, try step(trainer, workshop))
        trainer.setRecompute(Recompute(segments: .max))
        let second = (try judge.run(SmallDecoder.batch).losses, try step(trainer, workshop))

        for (losses, step) in [first, second] {
            #expect(bitMismatch(losses, expected.1) == nil)
            #expect(differences(step, expected.0) == [])
        }
        #expect(judge.arenaByteCount == trainer.arenaByteCount)
    }
}

extension Recompute: CustomTestStringConvertible {
    public var testDescription: String { "\(segments) segments, elementwise \(elementwise)" }
}
