// SPDX-License-Identifier: Apache-2.0
/// The digest of a run's state sees every bit of it.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Testing

@Suite struct StateDigestTests {
    /// A stack of two layers that took `steps` steps.
    private struct Run {
        let parameters: Parameters
        let optimizer: Optimizer

        /// `isStill`: every number is zero and stays so.
        init(steps: Int = 2, learningRate: Double = 0.1, isStill: Bool = false) throws {
            let model = Sequential(inputs: 3) { Dense(2) }
            parameters = Parameters(context: try Context(threads: 1))
            for specification in model.parameters {
                try parameters.addTrainable(
                    specification.name, specification.initialTensor(seed: 1))
            }
            if isStill {
                parameters.set("0.weight", to: [Float](repeating: 0, count: 6))
                parameters.set("0.bias", to: [0, 0])
            }
            var recorder = Recorder(training: .everything)
            let y = model.record(&recorder)
            let program = try Program(
                recorder.graph, outputs: [], loss: (.squaredError, y), differentiates: true,
                parameters: parameters)
            optimizer = try Optimizer(parameters: parameters)
            var batch = Batch(features: [1, 2, 3], rows: 1)
            batch.valueTargets = isStill ? [0, 0] : [0.5, -0.5]
            for _ in 0..<steps {
                program.zeroGradients()
                try program.run(batch)
                try optimizer.update(gradientsOf: program, learningRate: learningRate)
            }
        }

        var digest: String { StateDigest.of(optimizer) }
    }

    @Test func `equal runs have equal digests of 64 hexadecimal digits`() throws {
        let digest = try Run().digest

        #expect(try Run().digest == digest)
        #expect(digest.count == 64)
        #expect(digest.allSatisfy { "0123456789abcdef".contains($0) })
    }

    @Test(arguments: 0..<32)
    func `any bit of a parameter changes it`(bit: Int) throws {
        let run = try Run()
        let before = run.digest

        var numbers = run.parameters.tensor("0.weight").floats()
        numbers[5] = Float(bitPattern: numbers[5].bitPattern ^ (1 << UInt32(bit)))
        run.parameters.set("0.weight", to: numbers)

        #expect(run.digest != before)
    }

    @Test func `the sign of a zero changes it`() throws {
        let run = try Run()
        run.parameters.set("0.bias", to: [0, 1])
        let before = run.digest

        run.parameters.set("0.bias", to: [-0.0, 1])

        #expect(run.digest != before)
    }

    /// With a learning rate of 0 the parameters stay and the moments move.
    @Test func `moments are in it`() throws {
        let (run, other) = (try Run(learningRate: 0), try Run(learningRate: 0, isStill: true))
        for name in ["0.weight", "0.bias"] {
            other.parameters.set(name, to: run.parameters.tensor(name).floats())
        }

        #expect(run.optimizer.step == other.optimizer.step)
        #expect(run.digest != other.digest)
    }

    @Test func `the step counter is in it`() throws {
        let (one, two) = (try Run(steps: 1, isStill: true), try Run(steps: 2, isStill: true))

        for name in ["0.weight", "0.bias"] {
            #expect(two.parameters.tensor(name).floats().allSatisfy { $0 == 0 })
            #expect(two.optimizer.state.slots[name]!["v"]!.floats().allSatisfy { $0 == 0 })
        }
        #expect(one.digest != two.digest)
    }
}
