// SPDX-License-Identifier: Apache-2.0
/// A network small enough to train, save and load hundreds of times in a test.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTraining

/// 3 -> 4 -> 2 on one batch of two rows; parameters `0.weight`, `0.bias`, `2.weight`, `2.bias`.
struct SmallRun {
    let network: Network
    let program: Program
    let batch: Batch

    var parameters: Parameters { network.parameters }

    init(seed: UInt64 = 1) throws {
        let model = Sequential(inputs: 3) {
            Dense(4)
            Activate(.tanh)
            Dense(2)
        }
        network = try Network(
            model, seed: seed, parameters: Parameters(context: try Context(threads: 1)))
        let (graph, y) = network.recorded(isTraining: true)
        program = try Program(
            graph, outputs: [], loss: (.squaredError, y), differentiates: true,
            parameters: network.parameters)
        var batch = Batch(features: [1, 2, 3, -1, 0.5, 2], rows: 2)
        batch.valueTargets = [0.5, -0.5, 1, 2]
        self.batch = batch
    }

    func train(_ optimizer: Optimizer, steps: Int, learningRate: Double = 0.1) throws {
        for _ in 0..<steps {
            program.zeroGradients()
            try program.run(batch)
            try optimizer.update(gradientsOf: program, learningRate: learningRate)
        }
    }

    var numbers: [String: [Float]] {
        Dictionary(
            uniqueKeysWithValues: parameters.trainableNames.map {
                ($0, parameters.tensor($0).floats())
            })
    }

    func digest(_ optimizer: Optimizer) -> String { StateDigest.of(optimizer) }
}
