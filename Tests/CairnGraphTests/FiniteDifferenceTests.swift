// SPDX-License-Identifier: Apache-2.0
/// Every operation's gradient, through a program, against central differences.

import CairnEngine
import CairnGraph
import CairnTensor
import Foundation
import TestSupport
import Testing

/// Compares a program's gradients with differences of what it computes.
///
/// The loss is L = sum (y - t)^2. Values are fp32, the differences of L are taken in double and
/// extrapolated from two steps, (4 D(h/2) - D(h)) / 3, so that with h = 2^-5 what is left is the
/// fifth derivative times 1e-6 and the rounding of y over h: about 1e-5 of the gradient.
struct GradientCheck {
    static let step: Float = 0.03125
    /// Ten times the error above.
    static let tolerance = 3e-4

    let workshop: Workshop
    let program: Program
    let batch: Batch
    let loss: (Program.Result) -> Double

    /// Squared error against random targets, of the value that `build` records.
    init(
        _ batch: Batch, _ build: (inout Graph, Workshop) throws -> Value
    ) throws {
        let workshop = try Workshop(seed: 7)
        var graph = Graph()
        let y = try build(&graph, workshop)
        let targets = workshop.numbers(batch.count(y.rows) * y.columns)
        var batch = batch
        batch.valueTargets = targets
        self.workshop = workshop
        self.batch = batch
        program = try Program(
            graph, outputs: [y], loss: (.squaredError, y), differentiates: true,
            parameters: workshop.parameters)
        loss = { result in
            zip(result.outputs[0], targets).reduce(0.0) {
                let difference = Double($1.0) - Double($1.1)
                return $0 + difference * difference
            }
        }
    }

    /// A loss of logits, its value summed over the rows.
    init(
        _ batch: Batch, _ loss: Loss, value: @escaping ([Float]) -> Double,
        _ build: (inout Graph, Workshop) throws -> Value
    ) throws {
        workshop = try Workshop(seed: 7)
        var graph = Graph()
        let logits = try build(&graph, workshop)
        self.batch = batch
        program = try Program(
            graph, outputs: [logits], loss: (loss, logits), differentiates: true,
            parameters: workshop.parameters)
        self.loss = { value($0.outputs[0]) }
    }

    /// The worst relative error over the parameters, with its name.
    func worst() throws -> (name: String, error: Double) {
        program.zeroGradients()
        try program.run(batch)
        let gradients = try workshop.gradients(program)
        var worst = (name: "", error: 0.0)
        for name in workshop.parameters.trainableNames {
            let numbers = workshop.parameters.tensor(name).floats()
            let expected = try numbers.indices.map { try difference(name, numbers, $0) }
            workshop.parameters.set(name, to: numbers)
            let error = relativeError(gradients[name] ?? [], expected)
            if !(error <= worst.error) { worst = (name, error) }
        }
        return worst
    }

    private func difference(_ name: String, _ numbers: [Float], _ index: Int) throws -> Double {
        func slope(_ step: Float) throws -> Double {
            var moved = numbers
            moved[index] = numbers[index] + step
            let above = moved[index]
            workshop.parameters.set(name, to: moved)
            let high = loss(try program.run(batch))
            moved[index] = numbers[index] - step
            workshop.parameters.set(name, to: moved)
            let low = loss(try program.run(batch))
            return (high - low) / (Double(above) - Double(moved[index]))
        }
        return (4 * (try slope(Self.step / 2)) - (try slope(Self.step))) / 3
    }
}

@Suite struct FiniteDifferenceTests {
    /// Two sequences of 3 and 2 tokens, every id once: a table's gradient is that of its rows.
    static var batch: Batch {
        var batch = Batch(sequences: [[0, 1, 2], [3, 4]])
        batch.typeIDs = [0, 0, 1, 1, 0]
        batch.targetRows = [1, 2, 3]
        batch.targetOffsets = [0, 2, 3]
        return batch
    }

    private func check(
        _ build: (inout Graph, Workshop) throws -> Value
    ) throws {
        let worst = try GradientCheck(Self.batch, build).worst()
        #expect(
            worst.error <= GradientCheck.tolerance, "gradient of \(worst.name): \(worst.error)")
    }

    /// Rows of numbers that train, [5 tokens, columns].
    private func rows(
        _ graph: inout Graph, _ workshop: Workshop, _ name: String, _ columns: Int
    ) throws -> Value {
        graph.embedding(.tokens, table: try workshop.parameter(name, [5, columns]))
    }

    @Test func `a linear layer with bias`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            return graph.linear(
                x, weight: try workshop.parameter("w", [3, 4]),
                bias: try workshop.parameter("b", [3]))
        }
    }

    @Test func `linear with a LoRA pair on the same input`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            return graph.linear(
                x, weight: try workshop.parameter("w", [3, 4]),
                pair: LoRAPair(
                    a: try workshop.parameter("a", [2, 4]), b: try workshop.parameter("b", [3, 2]),
                    scaling: 1.5))
        }
    }

    @Test func `linear with a LoRA pair on a dropped input`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            let dropped = graph.dropout(x, probability: 0.4, seed: 5, site: "s")
            return graph.linear(
                x, weight: try workshop.parameter("w", [3, 4]),
                pair: LoRAPair(
                    a: try workshop.parameter("a", [2, 4]), b: try workshop.parameter("b", [3, 2]),
                    scaling: 1.5), adapterInput: dropped)
        }
    }

    @Test func `several layers that read one value`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            let a = graph.linear(x, weight: try workshop.parameter("a", [4, 4]))
            let b = graph.linear(x, weight: try workshop.parameter("b", [4, 4]))
            return graph.add(graph.multiply(a, b), graph.add(x, b, scale: 0.5))
        }
    }

    @Test func `sums, products and factors`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            let y = try rows(&graph, workshop, "y", 4)
            let product = graph.multiply(graph.add(x, y, scale: -0.7), graph.scaled(y, by: 1.3))
            return graph.add(product, product)
        }
    }

    @Test(arguments: Activation.allCases.map(\.rawValue))
    func `activations and gates`(name: String) throws {
        let function = try #require(Activation(rawValue: name))
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 6)
            let y = try rows(&graph, workshop, "y", 6)
            for name in ["x", "y"] {
                // Away from the corner of relu, by more than a step.
                let numbers = workshop.parameters.tensor(name).floats()
                workshop.parameters.set(name, to: numbers.map { $0 + ($0 < 0 ? -0.1 : 0.1) })
            }
            return graph.gated(function, gate: graph.activation(function, x), up: y)
        }
    }

    @Test func `dropout drops its gradient too`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 8)
            return graph.dropout(x, probability: 0.5, seed: 1, site: "a")
        }
    }

    @Test(arguments: [4, 2])
    func `rmsNorm over a row and over each head`(width: Int) throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            return graph.rmsNorm(
                x, weight: try workshop.parameter("w", [width], center: 1), epsilon: 0.1)
        }
    }

    @Test func `layerNorm with weight and bias`() throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            return graph.layerNorm(
                x, weight: try workshop.parameter("w", [4], center: 1),
                bias: try workshop.parameter("b", [4]), epsilon: 0.1)
        }
    }

    /// isCausal, window, and the rows on which queries run.
    @Test(arguments: [
        (true, 0, RowSpace.tokens), (false, 0, .tokens), (true, 2, .tokens), (true, 0, .sequences),
        (false, 0, .targets),
    ])
    func `attention with rotary positions`(causal: Bool, window: Int, space: RowSpace) throws {
        try check { graph, workshop in
            var q = try rows(&graph, workshop, "q", 8)
            var k = try rows(&graph, workshop, "k", 4)
            let v = try rows(&graph, workshop, "v", 4)
            let tables = graph.ropeTables(positions: 8, frequencies: [1, 0.3])
            q = graph.rope(q, heads: 2, half: 2, cosine: tables.cosine, sine: tables.sine)
            k = graph.rope(k, heads: 1, half: 2, cosine: tables.cosine, sine: tables.sine)
            if space != .tokens { q = graph.selectRows(q, space) }
            return graph.attention(
                AttentionLayout(
                    heads: 2, keyValueHeads: 1, headDimension: 4, scale: 0.7, isCausal: causal,
                    window: window), q: q, k: k, v: v)
        }
    }

    @Test func `tables by token, type and position`() throws {
        try check { graph, workshop in
            let words = try rows(&graph, workshop, "words", 4)
            let types = graph.embedding(.types, table: try workshop.parameter("types", [2, 4]))
            let places = graph.embedding(
                .positions(offset: 2), table: try workshop.parameter("places", [6, 4]))
            return graph.multiply(graph.add(words, types), places)
        }
    }

    @Test(arguments: [RowSpace.sequences, .targets])
    func `selected rows`(space: RowSpace) throws {
        try check { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            // A mean too, so that the gradients of two uses meet.
            let mean = graph.meanRows(x)
            let picked = graph.selectRows(x, space)
            return space == .sequences ? graph.multiply(mean, picked) : picked
        }
    }

    @Test func `features through a network without tokens`() throws {
        var batch = Batch(features: [0.3, -1, 0.8, 0.1, 0.5, -0.4], rows: 2)
        batch.valueTargets = [0, 0]
        let worst = try GradientCheck(batch) { graph, workshop in
            let x = graph.features(columns: 3)
            let h = graph.activation(
                .tanh, graph.linear(x, weight: try workshop.parameter("w", [4, 3])))
            return graph.linear(h, weight: try workshop.parameter("v", [2, 4]))
        }.worst()

        #expect(worst.error <= GradientCheck.tolerance, "\(worst)")
    }

    // MARK: Losses

    @Test func `cross-entropy with weights, smoothing and an ignored row`() throws {
        let weights: [Float] = [0.5, 1, 2, 1.5]
        let targets: [Int32] = [1, -100, 3, 0, 2]
        var batch = Self.batch
        batch.classTargets = targets
        let smoothing = 0.2

        let worst = try GradientCheck(
            batch, .crossEntropy(weights: weights, labelSmoothing: 0.2, ignoreIndex: -100),
            value: { logits in
                targets.indices.filter { targets[$0] >= 0 }.reduce(0.0) { sum, row in
                    let x = logits[row * 4..<row * 4 + 4].map(Double.init)
                    let logSum = log(x.reduce(0) { $0 + exp($1) })
                    let own = Int(targets[row])
                    let smooth = (0..<4).reduce(0.0) {
                        $0 + Double(weights[$1]) * (logSum - x[$1])
                    }
                    return sum + (1 - smoothing) * Double(weights[own]) * (logSum - x[own])
                        + smoothing / 4 * smooth
                }
            }
        ) { graph, workshop in try rows(&graph, workshop, "x", 4) }.worst()

        #expect(worst.error <= GradientCheck.tolerance, "\(worst)")
    }

    @Test func `binary cross-entropy`() throws {
        let targets: [Float] = [1, 0, 0.5, 1, 1, 0, 0, 0, 1, 0]
        var batch = Self.batch
        batch.valueTargets = targets

        let worst = try GradientCheck(
            batch, .binaryCrossEntropy,
            value: { logits in
                zip(logits, targets).reduce(0.0) {
                    let (x, t) = (Double($1.0), Double($1.1))
                    return $0 - t * log(1 / (1 + exp(-x))) - (1 - t) * log(1 / (1 + exp(x)))
                }
            }
        ) { graph, workshop in try rows(&graph, workshop, "x", 2) }.worst()

        #expect(worst.error <= GradientCheck.tolerance, "\(worst)")
    }

    @Test func `the check itself finds a wrong gradient`() throws {
        // The norm of DoRA is detached, so that its gradient is not that of the function.
        let worst = try GradientCheck(Self.batch) { graph, workshop in
            let x = try rows(&graph, workshop, "x", 4)
            return graph.dora(
                x, weight: try workshop.parameter("w", [3, 4], trains: false), bias: nil,
                pair: LoRAPair(
                    a: try workshop.parameter("a", [2, 4]), b: try workshop.parameter("b", [3, 2]),
                    scaling: 1.5),
                magnitude: try workshop.parameter("m", [3], center: 1))
        }.worst()

        #expect(worst.error > 10 * GradientCheck.tolerance)
    }
}
