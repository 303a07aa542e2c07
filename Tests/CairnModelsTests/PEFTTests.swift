// SPDX-License-Identifier: Apache-2.0
/// PEFT's two files: written, read again, and refused where they do not fit.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation
import TestSupport
import Testing

@Suite struct PEFTTests {
    /// A model with an adapter whose numbers are all random.
    private func model(_ configuration: AdapterConfiguration) throws -> (ModelFiles, TaskModel) {
        let files = try ModelFiles(.qwen2)
        try files.write()
        let model = try TaskModel(
            try files.open(), method: .lora(configuration), seed: 1,
            parameters: Parameters(context: try Context(threads: 1)))
        for name in model.parameters.trainableNames {
            let dimensions = model.parameters.dimensions(of: name)
            let tensor = ParameterSpecification(name, dimensions, .normal(deviation: 0.5))
                .initialTensor(seed: 77)
            model.parameters.set(name, to: tensor.floats())
        }
        return (files, model)
    }

    /// Writes the adapter's two files as a checkpoint has them, changed by the caller.
    private func write(
        _ model: TaskModel, to directory: TemporaryDirectory,
        config: (inout JSONObject) -> Void = { _ in },
        tensors: (inout [String: Tensor]) -> Void = { _ in }
    ) throws {
        let json = PEFTAdapter.configurationJSON(
            model.adapter!, model: model.base.model, taskType: .sequenceClassification, base: "x/y")
        var object = json.object!
        config(&object)
        try JSONValue.object(object).serialized()
            .write(to: directory.file(PEFTAdapter.configurationFile))
        var all = PEFTAdapter.tensors(of: model)
        tensors(&all)
        try SafetensorsWriter.data(all).write(to: directory.file(PEFTAdapter.weightsFile))
    }

    private func fresh(_ model: TaskModel, _ adapter: PEFTAdapter) throws -> TaskModel {
        try TaskModel(
            model.base, method: .lora(adapter.configuration), seed: 2,
            parameters: Parameters(context: try Context(threads: 1)))
    }

    static let configurations = [
        AdapterConfiguration(
            rank: 3, alpha: 6, dropout: 0.1, targets: .names(["q_proj", "v_proj"])),
        AdapterConfiguration(rank: 2, alpha: 0.5, usesRSLoRA: true, usesDoRA: true),
        AdapterConfiguration(rank: 1, alpha: 1, targets: .names(["model.layers.1.mlp.up_proj"])),
        AdapterConfiguration(rank: 2, alpha: 4, layers: [1]),
    ]

    @Test func `a choice of layers is written and read as PEFT has it`() throws {
        let (_, model) = try model(Self.configurations[3])
        let directory = try TemporaryDirectory()
        func read(_ value: JSONValue, targets: JSONValue = ["q_proj"]) throws -> [Int]? {
            try write(
                model, to: directory,
                config: {
                    $0["layers_to_transform"] = value
                    $0["target_modules"] = targets
                })
            return try PEFTAdapter(contentsOf: directory.url).configuration.layers
        }
        let json = PEFTAdapter.configurationJSON(
            model.adapter!, model: model.base.model, taskType: .sequenceClassification, base: nil)

        #expect(json["layers_to_transform"] == [1])
        #expect(json["target_modules"]?.array?.count == 7)
        #expect(try read([0, 1]) == [0, 1])
        #expect(try read(1) == [1])
        #expect(try read([]) == nil)
        #expect(try read(.null) == nil)
        for bad: JSONValue in ["1", [1.5], [-1], true] {
            #expect(throws: ModelError.self) { try read(bad) }
        }
        #expect(throws: ModelError.self) { try read([1], targets: "all-linear") }
        #expect(throws: ModelError.self) { try read([1], targets: ".*q_proj") }
    }

    @Test(arguments: 0..<configurations.count)
    func `what is written is read again, to the bit`(index: Int) throws {
        let configuration = Self.configurations[index]
        let (_, model) = try model(configuration)
        let directory = try TemporaryDirectory()
        try write(model, to: directory)

        let adapter = try PEFTAdapter(contentsOf: directory.url)
        let copy = try fresh(model, adapter)
        try adapter.apply(to: copy)

        #expect(adapter.taskType == .sequenceClassification)
        #expect(adapter.base == "x/y")
        #expect(adapter.configuration.rank == configuration.rank)
        #expect(adapter.configuration.alpha == configuration.alpha)
        #expect(adapter.configuration.scaling == configuration.scaling)
        #expect(adapter.configuration.dropout == configuration.dropout)
        #expect(adapter.configuration.usesDoRA == configuration.usesDoRA)
        #expect(copy.adapter?.modules == model.adapter?.modules)
        #expect(copy.parameters.trainableNames == model.parameters.trainableNames)
        for name in model.parameters.trainableNames {
            #expect(
                bitMismatch(
                    copy.parameters.tensor(name).floats(), model.parameters.tensor(name).floats())
                    == nil, "\(name)")
        }
    }

    @Test func `names as PEFT's own state dictionary has them are understood`() throws {
        let (_, model) = try model(AdapterConfiguration(rank: 2, usesDoRA: true))
        let directory = try TemporaryDirectory()
        try write(
            model, to: directory,
            tensors: { tensors in
                tensors = Dictionary(
                    uniqueKeysWithValues: tensors.map { name, tensor in
                        let long =
                            name
                            .replacingOccurrences(
                                of: "lora_A.weight", with: "lora_A.default.weight"
                            )
                            .replacingOccurrences(
                                of: "lora_B.weight", with: "lora_B.default.weight"
                            )
                            .replacingOccurrences(
                                of: "lora_magnitude_vector",
                                with: "lora_magnitude_vector.default.weight"
                            )
                            .replacingOccurrences(
                                of: "score.weight", with: "score.modules_to_save.default.weight")
                        return (long, tensor)
                    })
            })

        let adapter = try PEFTAdapter(contentsOf: directory.url)

        #expect(Set(adapter.tensors.keys) == Set(model.parameters.trainableNames))
        try adapter.apply(to: try fresh(model, adapter))
    }

    @Test func `last names are written where they mean the same layers, else whole ones`() throws {
        func targets(_ configuration: AdapterConfiguration) throws -> [String?]? {
            let model = try model(configuration).1
            return PEFTAdapter.configurationJSON(
                model.adapter!, model: model.base.model, taskType: .sequenceClassification,
                base: nil
            )["target_modules"]?.array?.map(\.string)
        }

        #expect(
            try targets(AdapterConfiguration(targets: .names(["v_proj", "q_proj"])))
                == ["q_proj", "v_proj"])
        #expect(try targets(Self.configurations[2]) == ["model.layers.1.mlp.up_proj"])
        #expect(
            try targets(AdapterConfiguration()) == [
                "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
            ])
    }

    // MARK: Refusals

    static let refusals: [(String, JSONValue?, String)] = [
        ("r", nil, "key 'r' is missing; expected a positive integer"),
        ("r", 0, "key 'r' must be a positive integer, found 0"),
        ("lora_alpha", nil, "key 'lora_alpha' is missing; expected a number"),
        ("target_modules", nil, "key 'target_modules' is missing; expected a list of layer names"),
        ("lora_dropout", 1.5, "key 'lora_dropout' must be a number in [0, 1), found 1.5"),
        (
            "peft_type", "IA3",
            "'peft_type' is \"IA3\", which Cairn does not compute; supported: \"LORA\""
        ),
        (
            "task_type", nil,
            "'task_type' is absent, which Cairn does not compute; supported: SEQ_CLS, CAUSAL_LM"
        ),
        (
            "rank_pattern", ["q_proj": 4],
            "'rank_pattern' is {\"q_proj\":4}, which Cairn does not compute; supported: null, "
                + "false or empty"
        ),
        ("bias", "all", "'bias' is \"all\", which Cairn does not compute; supported: none"),
        (
            "init_lora_weights", "pissa",
            "'init_lora_weights' is \"pissa\", which Cairn does not compute; supported: true, "
                + "false or \"gaussian\" (others change the base)"
        ),
    ]

    @Test(arguments: 0..<refusals.count)
    func `settings that are missing or not computed are refused`(index: Int) throws {
        let (key, value, expected) = Self.refusals[index]
        let (_, model) = try model(AdapterConfiguration(rank: 2))
        let directory = try TemporaryDirectory()
        try write(model, to: directory, config: { $0[key] = value })

        #expect(
            sentence(directory.path) { try PEFTAdapter(contentsOf: directory.url) }
                == "DIR/adapter_config.json: \(expected)")
    }

    /// The sentence of applying an adapter whose tensors were changed.
    private func refusal(_ change: @escaping (inout [String: Tensor]) -> Void) throws -> String? {
        let (_, model) = try model(
            AdapterConfiguration(rank: 2, targets: .names(["q_proj"])))
        let directory = try TemporaryDirectory()
        try write(model, to: directory, tensors: change)
        let before = try fresh(model, try PEFTAdapter(contentsOf: directory.url))
        let names = before.parameters.trainableNames
        let numbers = names.map { before.parameters.tensor($0).floats() }
        let sentence = sentence(directory.path) {
            try PEFTAdapter(contentsOf: directory.url).apply(to: before)
        }
        if sentence != nil {
            // Everything or nothing.
            #expect(names.map { before.parameters.tensor($0).floats() } == numbers)
        }
        return sentence
    }

    @Test func `a file that does not fit is refused whole`() throws {
        let b = "model.layers.1.self_attn.q_proj.lora_B.weight"
        let pair = "model.layers.0.self_attn.k_proj.lora_A.weight"
        let file = "DIR/adapter_model.safetensors"

        #expect(try refusal { _ in } == nil)
        #expect(
            try refusal { $0[PEFTAdapter.prefix + b] = nil }
                == "\(file): tensor '\(b)' is missing from the weight files")
        #expect(
            try refusal { $0[PEFTAdapter.prefix + b] = Tensor(zeros: [8, 3]) }
                == "\(file): tensor '\(b)' has shape [8, 3], its configuration makes it [8, 2]")
        #expect(
            try refusal { $0[PEFTAdapter.prefix + pair] = Tensor(zeros: [2, 8]) }
                == "\(file): tensor '\(pair)' is in the weight files but not in the model that "
                + "config.json describes")
        // Another module saved whole: without it the model would not be the one that was trained.
        #expect(
            try refusal { $0[PEFTAdapter.prefix + "model.norm.weight"] = Tensor(zeros: [8]) }
                == "\(file): tensor 'model.norm.weight' is in the weight files but not in the "
                + "model that config.json describes")
    }

    @Test func `a tensor under two of its names is refused`() throws {
        let name = "model.layers.1.self_attn.q_proj.lora_B"

        let sentence = sentence("") {
            try refusal { tensors in
                tensors[PEFTAdapter.prefix + name + ".default.weight"] =
                    tensors[PEFTAdapter.prefix + name + ".weight"]
            }
        }

        #expect(sentence?.contains("tensor 'base_model.model.\(name).weight' is in") == true)
    }
}
