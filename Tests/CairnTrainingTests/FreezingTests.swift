// SPDX-License-Identifier: Apache-2.0
/// Parameters that are frozen stay as they are, cost nothing, and are saved all the same.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTraining
import TestSupport
import Testing

/// Names M6 to M9 are those of the checklist of mlx-ruby's own tests.
@Suite struct FreezingTests {
    private func network(seed: UInt64 = 1) throws -> Network {
        let model = Sequential(inputs: 3) {
            Dense(4)
            Normalize(.layer)
            Drop(0.5)
            Dense(2)
        }
        return try Network(
            model, seed: seed, parameters: Parameters(context: Context(threads: 1)))
    }

    private func numbers(_ network: Network) -> [String: [Float]] {
        Dictionary(
            uniqueKeysWithValues: network.parameters.names.map {
                ($0, network.parameters.tensor($0).floats())
            })
    }

    private func program(_ network: Network) throws -> Program {
        let (graph, y) = network.recorded(isTraining: true)
        return try Program(
            graph, outputs: [], loss: (.squaredError, y), differentiates: true,
            parameters: network.parameters)
    }

    private func train(_ network: Network, steps: Int = 3) throws {
        let program = try program(network)
        let optimizer = try Optimizer(parameters: network.parameters)
        var batch = Batch(features: [1, 2, 3, -1, 0.5, 2], rows: 2)
        batch.valueTargets = [0.5, -0.5, 1, 2]
        for _ in 0..<steps {
            program.zeroGradients()
            try program.run(batch)
            try optimizer.update(gradientsOf: program, learningRate: 0.1)
        }
    }

    @Test func `M6 paths are dotted names in order`() throws {
        let network = try network()

        #expect(
            network.parameterPaths()
                == ["0.bias", "0.weight", "1.bias", "1.weight", "3.bias", "3.weight"])
        #expect(network.parameterPaths(.suffix("weight")) == ["0.weight", "1.weight", "3.weight"])
        #expect(network.parameterPaths(.names("nothing")).isEmpty)
    }

    @Test(arguments: [
        ParameterSelector.suffix("bias"), .prefix("0."), .names("1.weight"), .prefix("1."),
        .prefix("3."),
    ])
    func `M8 what is frozen stays and the rest trains`(selector: ParameterSelector) throws {
        let network = try network()
        let before = numbers(network)

        let frozen = try network.freeze(selector)
        try train(network)

        #expect(frozen == network.parameterPaths(selector))
        for (name, old) in before {
            #expect((numbers(network)[name] == old) == frozen.contains(name), "\(name)")
        }
    }

    @Test func `no gradient is computed for a frozen layer`() throws {
        let network = try network()
        let whole = try program(network)

        try network.freeze(.prefix("0."))

        let frozen = try program(network)
        #expect(frozen.differentiatedNames == ["1.bias", "1.weight", "3.bias", "3.weight"])
        #expect(frozen.operationCount < whole.operationCount)
    }

    @Test func `M8 what is thawed trains again`() throws {
        let network = try network()
        try network.freeze(.everything)
        try network.unfreeze(.prefix("3."))
        let before = numbers(network)

        try train(network)

        for (name, old) in before {
            #expect((numbers(network)[name] != old) == name.hasPrefix("3."), "\(name)")
        }
    }

    @Test func `a selector that chooses nothing is an error`() throws {
        let network = try network()

        let error = #expect(throws: TrainingError.self) { try network.freeze(.prefix("encoder.")) }

        #expect(
            error?.description == "names beginning with encoder.: expected a choice among the "
                + "model's 6 parameters, such as '0.bias', found none")
    }

    @Test(arguments: ModelFileTests.names)
    func `frozen parameters are saved and loaded too`(name: String) throws {
        let directory = try TemporaryDirectory()
        let (one, other) = (try network(), try network(seed: 2))
        try one.freeze(.prefix("0."))
        try other.freeze(.prefix("0."))

        try one.save(to: directory.file(name))
        try other.load(from: directory.file(name))

        #expect(numbers(one) == numbers(other))
    }

    @Test func `M9 a summary counts and names`() throws {
        let network = try network()
        try network.freeze(.prefix("0."))

        let summary = network.summary

        #expect(network.parameterCount == 34)
        #expect(network.trainableParameterCount == 18)
        #expect(summary.frozenParameters == 16)
        #expect(
            summary.description
                == "model_class=Network\ntotal_parameters=34\ntrainable_parameters=18\n"
                + "frozen_parameters=16\n"
                + "parameter_paths=0.bias,0.weight,1.bias,1.weight,3.bias,3.weight")
        #expect(
            summary.json.keys == [
                "model_class", "total_parameters", "trainable_parameters", "frozen_parameters",
                "parameter_paths",
            ])
    }

    /// In Ruby a flag on the root alone left dropout on in evaluation. Here training and prediction
    /// are two recordings, and there is no flag to forget.
    @Test func `W30 a recording for prediction drops nothing`() throws {
        let network = try network()
        let batch = Batch(features: [1, 2, 3, -1, 0.5, 2], rows: 2)
        func outputs(isTraining: Bool) throws -> [Float] {
            let (graph, y) = network.recorded(isTraining: isTraining)
            let program = try Program(graph, outputs: [y], parameters: network.parameters)
            return try program.run(batch).outputs[0]
        }

        #expect(try outputs(isTraining: false) == outputs(isTraining: false))
        #expect(try outputs(isTraining: true) != outputs(isTraining: false))
    }

    @Test(arguments: [false, true])
    func `pairs of an adapter and its base are apart`(usesDoRA: Bool) throws {
        let base = try GoldenCase("qwen2-seqcls").base
        let model = try TaskModel(
            base,
            method: .lora(AdapterConfiguration(rank: 2, alpha: 4, usesDoRA: usesDoRA)), seed: 1,
            parameters: Parameters(context: Context(threads: 1)))
        let all = model.checkpointNames

        try model.freeze(.suffix("lora_A.weight"))

        let (graph, logits) = model.recorded(isTraining: true)
        let program = try Program(
            graph, outputs: [],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: model.parameters)
        let trained = all.filter { !$0.hasSuffix("lora_A.weight") }
        #expect(program.differentiatedNames == Set(trained))
        #expect(model.checkpointNames == all)
        #expect(PEFTAdapter.tensors(of: model).count == all.count)
        #expect(throws: TrainingError.self) { try model.unfreeze(.suffix("q_proj.weight")) }
    }
}
