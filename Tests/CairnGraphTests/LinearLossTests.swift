// SPDX-License-Identifier: Apache-2.0
/// The loss of a language model, made a few rows at a time: the bits of doing it all at once.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

@Suite struct LinearLossTests {
    /// Rows whose logits are in memory at once: a pair, an odd number, more than there are.
    static let chunks = [2, 3, 4, 7, 64]
    static let cuts = [[0..<4], [0..<1, 1..<4], [0..<3, 3..<4], [0..<1, 1..<2, 2..<3, 3..<4]]

    @Test(arguments: chunks, Precision.allCases)
    func `losses and gradients have the bits of all logits at once`(
        chunk: Int, precision: Precision
    ) throws {
        let expected = try Self.outcome(chunk: nil, precision, cut: Self.cuts[0])

        for cut in Self.cuts {
            let actual = try Self.outcome(chunk: chunk, precision, cut: cut)

            #expect(actual.kinds.contains("LinearLoss"))
            #expect(bitMismatch(actual.losses, expected.losses) == nil, "\(cut)")
            #expect(Set(actual.gradients.keys) == ["embed", "w", "head"])
            for (name, gradient) in expected.gradients {
                #expect(bitMismatch(actual.gradients[name] ?? [], gradient) == nil, "\(name)")
            }
        }
    }

    @Test(arguments: ISA.supported)
    func `every instruction set and thread count gives the same bits`(isa: ISA) throws {
        let expected = try Self.outcome(chunk: 4, .fp32, cut: Self.cuts[0])

        let actual = try Self.outcome(chunk: 4, .fp32, cut: Self.cuts[0], isa: isa, threads: 3)

        #expect(bitMismatch(actual.losses, expected.losses) == nil)
        for (name, gradient) in expected.gradients {
            #expect(bitMismatch(actual.gradients[name] ?? [], gradient) == nil, "\(name)")
        }
    }

    /// Tied and not: L is the mean of the losses, whose differences are taken in double.
    @Test(arguments: [true, false])
    func `gradients agree with central differences`(isTied: Bool) throws {
        let workshop = try Workshop(seed: 5)
        let program = try Self.program(workshop, isTied: isTied, chunk: 2, .fp32)
        var batch = Self.part(0..<4)
        batch.lossScale = 1 / Float(batch.targetRows.count)
        program.zeroGradients()
        try program.run(batch)
        let gradients = try workshop.gradients(program)

        for name in workshop.parameters.trainableNames {
            let start = workshop.parameters.tensor(name).floats()
            func loss(_ numbers: [Float]) throws -> Double {
                workshop.parameters.set(name, to: numbers)
                return try program.run(batch).losses.reduce(0.0) { $0 + Double($1) }
                    * Double(batch.lossScale)
            }
            func slope(_ index: Int, _ step: Float) throws -> Double {
                var (high, low) = (start, start)
                high[index] += step
                low[index] -= step
                return (try loss(high) - loss(low)) / (Double(high[index]) - Double(low[index]))
            }
            let expected = try start.indices.map {
                let (wide, narrow) = (
                    try slope($0, GradientCheck.step), try slope($0, GradientCheck.step / 2)
                )
                return (4 * narrow - wide) / 3
            }
            workshop.parameters.set(name, to: start)
            let error = relativeError(gradients[name] ?? [], expected)
            #expect(error <= GradientCheck.tolerance, "\(name): \(error)")
        }
    }

    @Test func `a frozen head has no gradient, and what feeds it has`() throws {
        let workshop = try Workshop()
        let program = try Self.program(
            workshop, isTied: false, chunk: 2, .fp32, headTrains: false)

        #expect(program.differentiatedNames == ["embed", "w"])
        try program.run(Self.part(0..<4))
        let gradients = try workshop.gradients(program)
        #expect(gradients["w"]!.contains { $0 != 0 })
    }

    @Test func `logits that are asked for are made`() throws {
        let workshop = try Workshop()
        let program = try Self.program(workshop, isTied: false, chunk: nil, .fp32)

        let batch = Self.part(0..<4)
        let result = try program.run(batch)

        #expect(!program.nodes.map(\.kind).contains("LinearLoss"))
        #expect(result.outputs[0].count == batch.targetRows.count * 11)
    }

    /// Memory that grows with the chunk and not with rows times classes.
    @Test func `memory holds the logits of a chunk`() throws {
        func bytes(_ chunk: Int?) throws -> Int {
            try Self.program(try Workshop(), isTied: false, chunk: chunk, .fp32).bytes(
                for: Capacity(tokens: 4096, sequences: 1, targets: 4095))
        }

        // Without: logits and their gradient, 11 columns of 4095 rows.
        #expect(try bytes(nil) - bytes(64) >= 4095 * 11 * 4)
    }

    // MARK: The model

    struct Outcome {
        let losses: [Float]
        let gradients: [String: [Float]]
        let kinds: [String]
    }

    static func outcome(
        chunk: Int?, _ precision: Precision, cut: [Range<Int>], isa: ISA = .scalar,
        threads: Int = 1
    ) throws -> Outcome {
        let workshop = try Workshop(isa: isa, threads: threads)
        let program = try program(workshop, isTied: false, chunk: chunk, precision)
        let losses = try cut.flatMap { try program.run(part($0)).losses }
        return Outcome(
            losses: losses, gradients: try workshop.gradients(program),
            kinds: program.nodes.map(\.kind))
    }

    /// Embedding, a residual layer and a head; without a chunk the logits are asked for too.
    static func program(
        _ workshop: Workshop, isTied: Bool, chunk: Int?, _ precision: Precision,
        headTrains: Bool = true
    ) throws -> Program {
        var graph = Graph()
        let table = try workshop.parameter("embed", [11, 6])
        let x = graph.embedding(.tokens, table: table)
        let h = graph.add(
            x,
            graph.activation(.silu, graph.linear(x, weight: try workshop.parameter("w", [6, 6]))))
        let head =
            isTied ? table : try workshop.parameter("head", [11, 6], trains: headTrains)
        let logits = graph.selectRows(graph.linear(h, weight: head), .targets)
        return try Program(
            graph, outputs: chunk == nil ? [logits] : [],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: workshop.parameters, precision: precision,
            lossChunk: chunk)
    }

    /// Sequences of the small batch, one of which has nothing to predict, as a micro-batch of two
    /// groups of two.
    static func part(_ range: Range<Int>) -> Batch {
        var part = SmallDecoder.part(range)
        part.classTargets = []
        for sequence in 0..<part.sequenceCount {
            for token in part.offsets[sequence]..<part.offsets[sequence + 1] - 1 {
                part.targetRows.append(token)
                part.classTargets.append(part.ids[Int(token) + 1])
            }
            part.targetOffsets[sequence + 1] = UInt32(part.targetRows.count)
        }
        return part
    }
}
