// SPDX-License-Identifier: Apache-2.0
/// Losses that a graph records itself, against the built-in ones.

import CairnEngine
import CairnGraph
import CairnTensor
import TestSupport
import Testing

@Suite struct RecordedLossTests {
    private static let rows = 5

    /// A linear model of 4 inputs, its batch, and its gradients under a loss.
    private func gradients(
        _ outputs: Int, _ make: (Graph, Value, Parameters) throws -> Program
    ) throws -> (losses: [Float], gradients: [String: [Float]]) {
        let workshop = try Workshop(seed: 3)
        var graph = Graph()
        let x = graph.features(columns: 4)
        let y = graph.linear(
            x, weight: try workshop.parameter("w", [outputs, 4]),
            bias: try workshop.parameter("b", [outputs]))
        var batch = Batch(features: workshop.numbers(Self.rows * 4), rows: Self.rows)
        batch.valueTargets = workshop.numbers(Self.rows * outputs)
        batch.classTargets = (0..<Int32(Self.rows)).map { $0 % Int32(outputs) }
        batch.lossScale = 0.125
        let program = try make(graph, y, workshop.parameters)
        let result = try program.run(batch)
        return (result.losses, try workshop.gradients(program))
    }

    private func builtIn(_ loss: Loss, _ outputs: Int = 3) throws -> (
        losses: [Float], gradients: [String: [Float]]
    ) {
        try gradients(outputs) { graph, y, parameters in
            try Program(
                graph, outputs: [y], loss: (loss, y), differentiates: true, parameters: parameters)
        }
    }

    private func recorded(
        _ outputs: Int = 3, _ record: (inout Graph, Value) -> Value
    ) throws -> (losses: [Float], gradients: [String: [Float]]) {
        try gradients(outputs) { graph, y, parameters in
            var graph = graph
            let losses = record(&graph, y)
            return try Program(
                graph, outputs: [y], losses: losses, differentiates: true, parameters: parameters)
        }
    }

    @Test func `squared error written by hand has the gradient of the built-in one`() throws {
        let expected = try builtIn(.squaredError)

        let found = try recorded { graph, y in
            let difference = graph.add(y, graph.targetValues(columns: 3), scale: -1)
            return graph.sumOfColumns(graph.multiply(difference, difference))
        }

        #expect(firstMismatch(found.losses, expected.losses, tolerance: 1e-5) == nil)
        for (name, gradient) in expected.gradients {
            #expect(
                firstMismatch(found.gradients[name] ?? [], gradient, tolerance: 1e-5) == nil,
                "\(name)")
        }
    }

    @Test(arguments: [
        Loss.crossEntropy(weights: nil, labelSmoothing: 0.1, ignoreIndex: -100),
        .crossEntropy(weights: [1, 2, 0.5], labelSmoothing: 0, ignoreIndex: -100),
        .squaredError,
    ])
    func `a built-in loss read further on has three times its gradient when it is tripled`(
        loss: Loss
    ) throws {
        let expected = try builtIn(loss)

        let found = try recorded { graph, y in
            graph.scaled(graph.rowLosses(loss, y), by: 3)
        }

        #expect(
            firstMismatch(found.losses, expected.losses.map { 3 * $0 }, tolerance: 1e-5) == nil)
        for (name, gradient) in expected.gradients {
            let tripled = gradient.map { 3 * $0 }
            #expect(
                firstMismatch(found.gradients[name] ?? [], tripled, tolerance: 1e-5) == nil,
                "\(name)")
        }
    }

    @Test func `a sum of a loss and a penalty has the sum of their gradients`() throws {
        let entropy = Loss.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100)
        func penalty(_ graph: inout Graph, _ y: Value) -> Value {
            graph.sumOfColumns(graph.multiply(y, y))
        }
        let first = try builtIn(entropy)
        let second = try recorded { penalty(&$0, $1) }

        let both = try recorded { graph, y in
            let losses = graph.rowLosses(entropy, y)
            return graph.add(losses, penalty(&graph, y))
        }

        for (name, gradient) in both.gradients {
            let sum = zip(first.gradients[name]!, second.gradients[name]!).map { $0 + $1 }
            #expect(firstMismatch(gradient, sum, tolerance: 1e-5) == nil, "\(name)")
        }
    }

    @Test func `one-hot targets pick the logit of each row's class`() throws {
        let found = try recorded { graph, y in
            graph.sumOfColumns(graph.multiply(y, graph.oneHotTargets(classes: 3)))
        }

        // d/db of sum of the picked logits, scaled: rows of each class times the scale.
        let expected: [Float] = [0.25, 0.25, 0.125]
        #expect(found.gradients["b"] == expected)
    }
}
