// SPDX-License-Identifier: Apache-2.0
/// Models of one's own: built, named, frozen, counted, and trained by hand-written layers too.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

/// y = W x + x, then [y, x]: a residual and a concatenation, written as a plain model.
private struct Joined: Model {
    let linear = Linear("mix", 2, 2, bias: false)

    var parameters: [ParameterSpecification] { linear.parameters }
    var linearLayers: [Linear] { [linear] }

    func record(_ recorder: inout Recorder) -> Value {
        let x = recorder.graph.features(columns: 2)
        let mixed = linear(x, &recorder)
        let y = recorder.graph.add(mixed, x)
        let left = recorder.graph.project(y, by: [1, 0, 0, 1, 0, 0, 0, 0], outputs: 4)
        let right = recorder.graph.project(x, by: [0, 0, 0, 0, 1, 0, 0, 1], outputs: 4)
        return recorder.graph.add(left, right)
    }
}

/// A block of one's own: twice the same width.
private struct Widened: SequentialBlock {
    func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int) {
        (Linear("\(name).wide", inputs, 2 * inputs), 2 * inputs)
    }
}

@Suite struct TrainerNetworkTests {
    private func parameters() throws -> Parameters { Parameters(context: try Context(threads: 1)) }

    @Test func `M1 M6 M16 a stack is built from its blocks, and named by their places`() throws {
        let stack = Sequential(inputs: 4) {
            Dense(8)
            Normalize(.layer)
            Activate(.gelu)
            Drop(0.1)
            Dense(2, bias: false)
        }

        let network = try Network(stack, seed: 1, parameters: parameters())

        #expect(
            network.parameters.names == ["0.bias", "0.weight", "1.bias", "1.weight", "4.weight"])
        #expect(stack.outputs == 2)
    }

    @Test func `M2 what does not train is registered, stands still, and is saved`() throws {
        let folder = try TemporaryDirectory()
        let network = try TrainerModelTests.network()
        try network.freeze(.prefix("0."))
        let before = network.parameters.tensor("0.weight").floats()
        let trainer = try Trainer(network, loss: .crossEntropy, learningRate: .constant(0.01))

        try trainer.fit(TrainerModelTests.train) {
            $0.checkpointPath = .template(folder.file("ck.safetensors").path)
        }

        #expect(bitMismatch(network.parameters.tensor("0.weight").floats(), before) == nil)
        let other = try Network(TrainerModelTests.mlp, seed: 9, parameters: parameters())
        try other.load(from: folder.file("ck.safetensors"))
        #expect(bitMismatch(other.parameters.tensor("0.weight").floats(), before) == nil)
    }

    @Test func `M3 M14 a plain model with a residual and a concatenation gives their values`()
        throws
    {
        let network = try Network(Joined(), seed: 1, parameters: parameters())
        network.parameters.set("mix.weight", to: [1, 2, 3, 4])
        let learner = try GraphLearner(
            network, optimizer: Optimizer(parameters: network.parameters),
            objective: .squaredError)
        var batch = Batch(features: [10, 1], rows: 1)
        batch.valueTargets = [0, 0, 0, 0]

        #expect(try learner.logits(batch) == [12 + 10, 34 + 1, 10, 1])
    }

    @Test func `M5 a block of one's own is given its name and its inputs`() throws {
        let stack = Sequential(inputs: 3) {
            Activate(.relu)
            Widened()
        }

        #expect(stack.outputs == 6)
        #expect(stack.parameters.map(\.name) == ["1.wide.weight", "1.wide.bias"])
    }

    @Test func `K8 a step changes the weights and is step 0`() throws {
        let trainer = try TrainerModelTests.trainer()
        let before = trainer.learner.stateDigest
        let steps = Box<[Int]>([])
        trainer.hooks.on(.afterStep) { steps.value.append($0.step) }

        try trainer.fit(TrainerModelTests.train.limited(.batches(1)))

        #expect(steps.value == [0] && trainer.learner.stateDigest != before)
    }
}
