// SPDX-License-Identifier: Apache-2.0
/// DoRA with dropout, against the formula that PEFT computes, in double.

import CairnEngine
import CairnGraph
import TestSupport
import Testing

/// PEFT's y = x W^T + b + (m / n - 1) x' W^T + (m / n) s (x' A^T) B^T, with x' the dropped x and
/// n = ||W + s B A|| over each row, held fixed in the gradient.
private struct PEFTFormula {
    static let (rows, inputs, outputs, rank) = (5, 4, 3, 2)
    static let scaling = 1.5

    let mask: [Double]
    let weight: [Double]
    let bias: [Double]

    func norms(a: [Double], b: [Double]) -> [Double] {
        (0..<Self.outputs).map { o in
            (0..<Self.inputs).reduce(0.0) { sum, i in
                let delta = (0..<Self.rank).reduce(0.0) {
                    $0 + b[o * Self.rank + $1] * a[$1 * Self.inputs + i]
                }
                let element = weight[o * Self.inputs + i] + Self.scaling * delta
                return sum + element * element
            }.squareRoot()
        }
    }

    func outputs(
        x: [Double], a: [Double], b: [Double], magnitude: [Double], norms: [Double]
    ) -> [Double] {
        let inputs = Self.inputs
        return (0..<Self.rows).flatMap { row in
            let own = Array(x[row * inputs..<(row + 1) * inputs])
            let dropped = zip(own, mask[row * inputs..<(row + 1) * inputs]).map { $0 * $1 }
            return (0..<Self.outputs).map { o in
                let w = Array(weight[o * inputs..<(o + 1) * inputs])
                let lora = (0..<Self.rank).reduce(0.0) {
                    $0 + b[o * Self.rank + $1]
                        * dot(dropped, Array(a[$1 * inputs..<($1 + 1) * inputs]))
                }
                let ratio = magnitude[o] / norms[o]
                return dot(own, w) + bias[o] + (ratio - 1) * dot(dropped, w)
                    + ratio * Self.scaling * lora
            }
        }
    }
}

@Suite struct DoRATests {
    private static let names = ["x", "a", "b", "m"]

    @Test(arguments: [Float(0), 0.4])
    func `outputs and gradients are PEFT's, the norm detached`(dropout: Float) throws {
        let workshop = try Workshop(seed: 3)
        var graph = Graph()
        let x = graph.embedding(.tokens, table: try workshop.parameter("x", [5, 4]))
        let weight = try workshop.parameter("w", [3, 4], trains: false)
        let bias = try workshop.parameter("bias", [3], trains: false)
        let pair = LoRAPair(
            a: try workshop.parameter("a", [2, 4]), b: try workshop.parameter("b", [3, 2]),
            scaling: Float(PEFTFormula.scaling))
        let dropped =
            dropout > 0
            ? graph.dropout(x, probability: dropout, seed: 2, site: "d") : nil
        let y = graph.dora(
            x, weight: weight, bias: bias, pair: pair,
            magnitude: try workshop.parameter("m", [3], center: 2), dropped: dropped)
        var batch = Batch(sequences: [[0, 1, 2], [3, 4]])
        batch.valueTargets = [Float](repeating: 0, count: 15)
        batch.step = 9
        let program = try Program(
            graph, outputs: [y] + [dropped].compactMap { $0 }, loss: (.squaredError, y),
            differentiates: true, parameters: workshop.parameters)

        let result = try program.run(batch)
        let gradients = try workshop.gradients(program)

        func numbers(_ name: String) -> [Double] { workshop.start[name]!.map(Double.init) }
        let start = Self.names.map(numbers)
        let mask =
            dropout > 0
            ? zip(result.outputs[1], start[0]).map { $0 == 0 ? 0 : Double($0) / $1 }
            : [Double](repeating: 1, count: 20)
        if dropout > 0 { #expect(mask.contains(0) && mask.contains { $0 > 1.6 }) }
        let formula = PEFTFormula(mask: mask, weight: numbers("w"), bias: numbers("bias"))
        let norms = formula.norms(a: start[1], b: start[2])
        func value(_ p: [[Double]]) -> [Double] {
            formula.outputs(x: p[0], a: p[1], b: p[2], magnitude: p[3], norms: norms)
        }
        #expect(relativeError(result.outputs[0], value(start)) <= 1e-6)
        for (index, name) in Self.names.enumerated() {
            let expected = centralDifference(at: start[index]) { numbers in
                var point = start
                point[index] = numbers
                let y = value(point)
                return dot(y, y)
            }
            // fp32 sums of a dozen products.
            let error = relativeError(gradients[name] ?? [], expected)
            #expect(error <= 1e-5, "gradient of \(name): \(error)")
        }
    }

    @Test func `dropout moves with the step and stays with the row`() throws {
        let workshop = try Workshop()
        var graph = Graph()
        let x = graph.embedding(.tokens, table: try workshop.parameter("x", [5, 32]))
        let y = graph.dropout(x, probability: 0.5, seed: 1, site: "a")
        let other = graph.dropout(x, probability: 0.5, seed: 1, site: "b")
        let program = try Program(graph, outputs: [y, other], parameters: workshop.parameters)
        var whole = Batch(sequences: [[0, 1, 2], [3, 4]])
        whole.step = 4
        var second = Batch(sequences: [[3, 4]])
        second.step = 4
        second.rowIDs = [1]

        let first = try program.run(whole)
        let alone = try program.run(second).outputs[0]
        whole.step = 5
        let later = try program.run(whole).outputs[0]

        #expect(bitMismatch(Array(first.outputs[0][96...]), alone) == nil)
        #expect(bitMismatch(first.outputs[0], later) != nil)
        #expect(bitMismatch(first.outputs[0], first.outputs[1]) != nil)
    }
}
