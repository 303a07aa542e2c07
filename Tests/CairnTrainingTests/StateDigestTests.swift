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
        let optimizer: AdamW

        init(steps: Int = 2, learningRate: Double = 0.1) throws {
            let model = Sequential(inputs: 3) { Dense(2) }
            parameters = Parameters(context: try Context(threads: 1))
            for specification in model.parameters {
                try parameters.addTrainable(
                    specification.name, specification.initialTensor(seed: 1))
            }
            var recorder = Recorder(training: .everything)
            let y = model.record(&recorder)
            let program = try Program(
                recorder.graph, outputs: [], loss: (.squaredError, y), differentiates: true,
                parameters: parameters)
            optimizer = try AdamW(parameters: parameters)
            var batch = Batch(features: [1, 2, 3], rows: 1)
            batch.valueTargets = [0.5, -0.5]
            for _ in 0..<steps {
                program.zeroGradients()
                try program.run(batch)
                try optimizer.update(gradientsOf: program, learningRate: learningRate)
            }
        }

        var digest: String { StateDigest.of(optimizer, parameters) }
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

    /// With a learning rate of 0 the parameters stay, and the moments and the counter move.
    @Test func `moments and the step counter are in it`() throws {
        let (one, two) = (try Run(steps: 1, learningRate: 0), try Run(steps: 2, learningRate: 0))

        #expect(
            one.parameters.tensor("0.weight").floats() == two.parameters.tensor("0.weight").floats()
        )
        #expect(one.digest != two.digest)
    }
}
