// SPDX-License-Identifier: Apache-2.0
/// Tiny models of four families against what transformers computes for them.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation
import TestSupport
import Testing

/// A model of `Tests/Fixtures/families` with its expected numbers, trained in full.
private struct Family {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/families")

    let base: BaseModel
    let expected: SafetensorsFile
    let context: Context
    let model: TaskModel

    init(_ name: String) throws {
        let directory = Self.directory.appendingPathComponent(name)
        base = try BaseModel(contentsOf: directory, head: .classification(labels: 3))
        expected = try SafetensorsFile(
            contentsOf: directory.appendingPathComponent("expected.safetensors"))
        context = try Context(threads: 1)
        model = try TaskModel(
            base, method: .full, seed: 0, parameters: Parameters(context: context))
    }

    func numbers(_ name: String) -> [Double] { expected.tensor(named: name)!.doubles() }

    /// The rows with padding taken out.
    var batch: Batch {
        let ids = expected.tensor(named: "input_ids")!
        let mask = expected.tensor(named: "attention_mask")!.integers()
        let (rows, width) = (ids.shape[0], ids.shape[1])
        let all = ids.integers()
        var batch = Batch(
            sequences: (0..<rows).map { row in
                (row * width..<(row + 1) * width).filter { mask[$0] != 0 }.map { Int32(all[$0]) }
            })
        if base.configuration.family.isEncoder {
            batch.pooledRows = Array(batch.offsets.dropLast())
        }
        batch.classTargets = expected.tensor(named: "labels")!.integers().map(Int32.init)
        batch.lossScale = 1 / Float(rows)
        return batch
    }

    func program(training: Bool) throws -> Program {
        let (graph, logits) = model.recorded(isTraining: training)
        return try Program(
            graph, outputs: [logits],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: training, parameters: model.parameters)
    }
}

@Suite struct FamilyTests {
    static let names = ["qwen3", "mistral", "llama", "roberta"]

    /// Qwen3's norms of q and k with a head size of its own, Mistral with a window of 4 keys,
    /// Llama with Llama 3.1's frequencies and tied tables, RoBERTa's positions and head.
    @Test(arguments: names)
    func `logits and loss are those of transformers`(name: String) throws {
        let family = try Family(name)

        let result = try family.program(training: false).run(family.batch)

        // Both sides are fp32 sums of a few dozen terms.
        let logits = family.numbers("logits")
        #expect(firstMismatch(result.outputs[0], logits, tolerance: 2e-5) == nil)
        let loss = result.losses.reduce(0.0) { $0 + Double($1) } / 3
        #expect(abs(loss - family.numbers("loss")[0]) <= 1e-5)
        #expect(family.base.headTensors.count == (name == "roberta" ? 4 : 1))
    }

    @Test(arguments: names)
    func `the gradient of every parameter is that of torch`(name: String) throws {
        let family = try Family(name)
        let program = try family.program(training: true)

        try program.run(family.batch)

        let gradients = try program.finishedGradients()
        let names = family.expected.names.filter { $0.hasPrefix("grad.") }
        #expect(Set(names.map { String($0.dropFirst(5)) }) == Set(gradients.keys))
        for (parameter, gradient) in gradients {
            let actual = family.context.read(gradient)
            let expected = family.numbers("grad." + parameter)
            let largest = expected.map(abs).max()!
            let mismatch = firstMismatch(actual, expected, tolerance: max(largest * 1e-4, 1e-6))
            #expect(mismatch == nil, "\(name): \(parameter) \(mismatch ?? "")")
        }
    }

    /// What makes each fixture its own: without it the logits are others.
    static let others: [(name: String, key: String, value: JSONValue)] = [
        ("mistral", "sliding_window", .null),
        ("llama", "rope_parameters", ["rope_theta": 10_000, "rope_type": "default"]),
        ("llama", "rope_parameters", ["rope_theta": 10_000, "rope_type": "linear", "factor": 8]),
        ("roberta", "hidden_act", "relu"),
    ]

    @Test(arguments: 0..<others.count)
    func `the setting under test moves the logits`(index: Int) throws {
        let (name, key, value) = Self.others[index]
        let family = try Family(name)
        let directory = try TemporaryDirectory()
        var config = family.base.configuration.json.object!
        config[key] = value
        try JSONValue.object(config).serialized().write(to: directory.file("config.json"))
        try FileManager.default.copyItem(
            at: Family.directory.appendingPathComponent("\(name)/model.safetensors"),
            to: directory.file("model.safetensors"))
        let changed = try BaseModel(
            contentsOf: directory.url, head: .classification(labels: 3))

        let logits = try changed.logits(family.batch, method: .full)

        #expect(firstMismatch(logits, family.numbers("logits"), tolerance: 1e-3) != nil)
    }

    @Test func `Llama 3's frequencies are those of transformers`() throws {
        let file = Family.directory.appendingPathComponent("rope.json")
        let expected = try JSONValue.parse(contentsOf: file)["inv_freq"]!.array!.map { $0.number! }
        let rope = RopeConfiguration(
            theta: 10_000,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 32))

        let frequencies = rope.frequencies(half: 8)

        // transformers computes them in fp32.
        #expect(
            firstMismatch(frequencies, expected, tolerance: 2e-7, scale: expected) == nil)
        let linear = RopeConfiguration(theta: 10_000, scaling: .linear(factor: 4))
        let plain = RopeConfiguration(theta: 10_000, scaling: .none)
        #expect(linear.frequencies(half: 8) == plain.frequencies(half: 8).map { $0 / 4 })
        #expect(abs(plain.frequencies(half: 8)[4] - 0.01) <= 1e-15)
    }

    @Test(arguments: ModelFamily.allCases)
    func `gradients reach every adapter of each family`(family: ModelFamily) throws {
        let files = try ModelFiles(family)
        try files.write()
        let context = try Context(threads: 1)
        let model = try TaskModel(
            try files.open(), method: .lora(AdapterConfiguration(rank: 2)), seed: 1,
            parameters: Parameters(context: context))
        for name in model.parameters.trainableNames where name.hasSuffix("lora_B.weight") {
            let tensor = ParameterSpecification(
                name, model.parameters.dimensions(of: name), .normal(deviation: 0.3)
            ).initialTensor(seed: 4)
            model.parameters.set(name, to: tensor.floats())
        }
        let (graph, logits) = model.recorded(isTraining: true)
        let program = try Program(
            graph, outputs: [],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: model.parameters)
        var batch = Batch(sequences: [[2, 3, 4], [5, 6, 7, 8]])
        batch.classTargets = [0, 2]

        try program.run(batch)

        let gradients = try program.finishedGradients().mapValues { context.read($0) }
        #expect(gradients.keys.sorted() == model.parameters.trainableNames)
        for (name, gradient) in gradients {
            #expect(
                gradient.allSatisfy { $0.isFinite } && gradient.contains { $0 != 0 }, "\(name)")
        }
    }
}
