// SPDX-License-Identifier: Apache-2.0
/// The builder of plain stacks: torch's names, shapes and starting values.

import CairnEngine
import CairnGraph
import CairnModels
import TestSupport
import Testing

@Suite struct SequentialTests {
    @Test func `layers are named by their place, as torch names them`() {
        let model = Sequential(inputs: 6) {
            Dense(4)
            Activate(.relu)
            Normalize(.layer)
            Drop(0.1)
            Dense(3, bias: false)
        }

        #expect(model.inputs == 6 && model.outputs == 3)
        #expect(
            model.parameters.map(\.name) == [
                "0.weight", "0.bias", "2.weight", "2.bias", "4.weight",
            ])
        #expect(model.parameters.map(\.dimensions) == [[4, 6], [4], [4], [4], [3, 4]])
        #expect(model.linearLayers.map(\.name) == ["0", "4"])
    }

    @Test func `blocks may be repeated and chosen`() {
        func model(depth: Int, normed: Bool) -> Sequential {
            Sequential(inputs: 2) {
                for _ in 0..<depth {
                    Dense(2)
                    Activate(.tanh)
                }
                if normed { Normalize(.rms) }
                if depth > 1 { Dense(1) } else { Dense(5) }
            }
        }

        #expect(
            model(depth: 2, normed: true).parameters.map(\.name) == [
                "0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "5.weight", "5.bias",
            ])
        #expect(model(depth: 1, normed: false).outputs == 5)
    }

    @Test func `dense layers start within one over the root of their inputs`() {
        let weight = Sequential(inputs: 16) { Dense(8) }.parameters[0]

        #expect(weight.initialization == .uniform(bound: 0.25))
        #expect(weight.initialTensor(seed: 1).floats().allSatisfy { abs($0) <= 0.25 })
    }

    @Test func `the values of a small stack by hand`() throws {
        let model = Sequential(inputs: 2) {
            Dense(2)
            Activate(.relu)
            Dense(1)
        }
        let parameters = Parameters(context: try Context(threads: 1))
        for specification in model.parameters {
            try parameters.addTrainable(
                specification.name, specification.initialTensor(seed: 1))
        }
        parameters.set("0.weight", to: [1, 2, -3, 1])
        parameters.set("0.bias", to: [0.5, 0])
        parameters.set("2.weight", to: [2, -1])
        parameters.set("2.bias", to: [10])
        var recorder = Recorder(training: .everything)
        let logits = model.record(&recorder)

        let program = try Program(recorder.graph, outputs: [logits], parameters: parameters)
        let result = try program.run(Batch(features: [1, 1, -1, 2], rows: 2))

        // Row 0: relu(3.5, -2) = (3.5, 0); row 1: relu(3.5, 5) = (3.5, 5).
        #expect(result.outputs[0] == [17, 12])
    }

    @Test func `dropout drops in training only`() throws {
        let model = Sequential(inputs: 64) { Drop(0.5) }
        let parameters = Parameters(context: try Context(threads: 1))
        func outputs(drops: Bool) throws -> [Float] {
            var recorder = Recorder(drops: drops)
            let y = model.record(&recorder)
            return try Program(recorder.graph, outputs: [y], parameters: parameters)
                .run(Batch(features: [Float](repeating: 1, count: 64), rows: 1)).outputs[0]
        }

        #expect(try outputs(drops: false).allSatisfy { $0 == 1 })
        #expect(Set(try outputs(drops: true)) == [0, 2])
    }
}
