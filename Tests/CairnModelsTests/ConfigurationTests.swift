// SPDX-License-Identifier: Apache-2.0
/// config.json: the spellings of transformers 4 and 5, and every refusal with its sentence.

import CairnFormats
import CairnModels
import Testing

@Suite struct ConfigurationTests {
    private func parse(
        _ family: ModelFamily, _ changes: [String: JSONValue?] = [:]
    ) throws -> ModelConfiguration {
        try ModelConfiguration(.object(ModelFiles.config(family, changes)), file: "config.json")
    }

    /// The sentence of the refusal.
    private func refusal(_ family: ModelFamily, _ changes: [String: JSONValue?]) -> String? {
        sentence("config.json") { try parse(family, changes) }
    }

    // MARK: What is read

    @Test func `a decoder's sizes`() throws {
        let c = try parse(.qwen2, ["num_attention_heads": 4, "num_key_value_heads": 2])

        #expect(c.family == .qwen2)
        #expect([c.hiddenSize, c.layerCount, c.headCount, c.keyValueHeadCount] == [8, 2, 4, 2])
        #expect([c.headDimension, c.intermediateSize, c.vocabularySize] == [2, 12, 12])
        #expect(c.maximumPositions == 16)
        #expect(c.normEpsilon == 1e-6)
        #expect(c.padTokenID == 1)
        #expect(c.hasQueryBias && !c.hasOutputBias && !c.hasFeedForwardBias)
        #expect(!c.tiesEmbeddings)
    }

    @Test func `what each family has of biases and head sizes`() throws {
        let llama = try parse(.llama, ["attention_bias": true, "mlp_bias": true])
        #expect(llama.hasQueryBias && llama.hasOutputBias && llama.hasFeedForwardBias)
        let mistral = try parse(.mistral)
        #expect(!mistral.hasQueryBias && !mistral.hasOutputBias)
        #expect(try parse(.qwen3, ["head_dim": nil]).headDimension == 128)
        #expect(try parse(.llama, ["head_dim": 6]).headDimension == 6)
        let bert = try parse(.bert)
        #expect(bert.hasQueryBias && bert.hasOutputBias && bert.hasFeedForwardBias)
        #expect(bert.normEpsilon == 1e-12)
        #expect(bert.typeVocabularySize == 2)
    }

    @Test func `null for key-value heads means as many as query heads`() throws {
        #expect(try parse(.qwen2, ["num_key_value_heads": .null]).keyValueHeadCount == 2)
        #expect(try parse(.llama, ["num_key_value_heads": nil]).keyValueHeadCount == 2)
        #expect(
            refusal(.qwen2, ["num_key_value_heads": nil])
                == "DIR: key 'num_key_value_heads' is missing; expected a positive integer")
    }

    @Test func `rotary settings in the spelling of transformers 4`() throws {
        let plain = try parse(.llama, ["rope_theta": 5e5])
        let linear = try parse(
            .llama, ["rope_theta": 1e4, "rope_scaling": ["type": "linear", "factor": 4]])
        let llama3 = try parse(
            .llama,
            [
                "rope_theta": 5e5,
                "rope_scaling": [
                    "rope_type": "llama3", "factor": 8, "low_freq_factor": 1,
                    "high_freq_factor": 4, "original_max_position_embeddings": 8192,
                ],
            ])

        #expect(plain.rope == RopeConfiguration(theta: 5e5, scaling: .none))
        #expect(linear.rope == RopeConfiguration(theta: 1e4, scaling: .linear(factor: 4)))
        #expect(
            llama3.rope
                == RopeConfiguration(
                    theta: 5e5,
                    scaling: .llama3(
                        factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                        originalPositions: 8192)))
        #expect(try parse(.llama).rope == RopeConfiguration(theta: 10_000, scaling: .none))
    }

    @Test func `rotary settings in the spelling of transformers 5, which wins`() throws {
        let new = try parse(
            .qwen2, ["rope_parameters": ["rope_theta": 1e6, "rope_type": "default"]])
        let both = try parse(
            .qwen2,
            [
                "rope_theta": 1e4, "rope_scaling": ["type": "linear", "factor": 2],
                "rope_parameters": ["rope_theta": 1e6, "rope_type": "linear", "factor": 3],
            ])

        #expect(new.rope == RopeConfiguration(theta: 1e6, scaling: .none))
        #expect(both.rope == RopeConfiguration(theta: 1e6, scaling: .linear(factor: 3)))
    }

    @Test func `labels from id2label in the order of their ids`() throws {
        let map: JSONValue = ["1": "b", "0": "a", "2": "c"]
        #expect(try parse(.bert, ["id2label": map]).labels == ["a", "b", "c"])
        #expect(try parse(.bert, ["num_labels": 2]).labels == ["LABEL_0", "LABEL_1"])
        #expect(try parse(.bert).labels == nil)
    }

    @Test func `sliding windows`() throws {
        #expect(try parse(.mistral, ["sliding_window": 4]).windows == [4, 4])
        #expect(try parse(.mistral, ["sliding_window": .null]).windows == [0, 0])
        // transformers' own default where the key is absent.
        #expect(try parse(.mistral, ["sliding_window": nil]).windows == [4096, 4096])
        // Qwen2 names a window and does not use it unless it says so.
        #expect(try parse(.qwen2, ["sliding_window": 4]).windows == [0, 0])
        let used: [String: JSONValue?] = ["sliding_window": 4, "use_sliding_window": true]
        #expect(try parse(.qwen2, used).windows == [0, 0])
        #expect(
            try parse(.qwen2, used.merging(["max_window_layers": 1]) { $1 }).windows == [0, 4])
        let types: JSONValue = ["sliding_attention", "full_attention"]
        #expect(try parse(.qwen3, used.merging(["layer_types": types]) { $1 }).windows == [4, 0])
        #expect(try parse(.llama, ["sliding_window": 4]).windows == [0, 0])
        #expect(try parse(.bert, ["sliding_window": 4]).windows == [0, 0])
    }

    @Test(arguments: [
        ("silu", "silu"), ("swish", "silu"), ("gelu", "gelu"), ("gelu_new", "geluTanh"),
        ("gelu_pytorch_tanh", "geluTanh"), ("relu", "relu"), ("tanh", "tanh"),
    ])
    func `activations by their names`(name: String, function: String) throws {
        let activation = try parse(.bert, ["hidden_act": .string(name)]).activation
        #expect(activation.rawValue == function)
    }

    // MARK: What is refused

    static let families = "qwen2, qwen3, llama, mistral, bert, roberta"
    static let refusals: [(ModelFamily, [String: JSONValue?], String)] = [
        (
            .llama, ["model_type": "gpt2"],
            "DIR: 'model_type' is 'gpt2', which Cairn does not compute; supported: \(families)"
        ),
        (
            .llama, ["model_type": nil],
            "DIR: key 'model_type' is missing; expected one of \(families)"
        ),
        (.llama, ["model_type": 3], "DIR: key 'model_type' must be a string, found 3"),
        (
            .llama, ["quantization_config": ["bits": 4]],
            "DIR: 'quantization_config' is {\"bits\":4}, which Cairn does not compute; supported: "
                + "weights stored as F32, BF16 or F16"
        ),
        (
            .llama, ["rope_scaling": ["rope_type": "yarn", "factor": 4]],
            "DIR, in 'rope_scaling': 'rope_type' is 'yarn', which Cairn does not compute; "
                + "supported: default, linear, llama3"
        ),
        (
            .llama, ["rope_parameters": ["rope_type": "dynamic"]],
            "DIR, in 'rope_parameters': 'rope_type' is 'dynamic', which Cairn does not compute; "
                + "supported: default, linear, llama3"
        ),
        (
            .llama, ["rope_scaling": ["rope_type": "llama3", "factor": 8]],
            "DIR, in 'rope_scaling': key 'low_freq_factor' is missing; expected a positive number, "
                + "for rope type 'llama3'"
        ),
        (.llama, ["rope_theta": 0], "DIR: key 'rope_theta' must be a positive number, found 0.0"),
        (
            .llama, ["partial_rotary_factor": 0.5],
            "DIR: 'partial_rotary_factor' is 0.5, which Cairn does not compute; supported: 1"
        ),
        (
            .llama, ["hidden_size": nil],
            "DIR: key 'hidden_size' is missing; expected a positive integer"
        ),
        (
            .llama, ["num_hidden_layers": 0],
            "DIR: key 'num_hidden_layers' must be a positive integer, found 0"
        ),
        (
            .llama, ["vocab_size": "12"],
            "DIR: key 'vocab_size' must be a positive integer, found \"12\""
        ),
        (
            .llama, ["head_dim": 5],
            "DIR: key 'head_dim' must be a positive even number, found 5"
        ),
        (
            .llama, ["num_attention_heads": 3, "num_key_value_heads": 1],
            "DIR: key 'num_attention_heads' must be a divisor of hidden_size (8) that gives an "
                + "even head size, found 3"
        ),
        (
            .llama, ["num_attention_heads": 4, "num_key_value_heads": 3],
            "DIR: key 'num_key_value_heads' must be a divisor of num_attention_heads (4), found 3"
        ),
        (
            .llama, ["hidden_act": "mish"],
            "DIR: 'hidden_act' is 'mish', which Cairn does not compute; supported: silu, gelu, "
                + "gelu_new, gelu_pytorch_tanh, relu, tanh"
        ),
        (
            .mistral, ["sliding_window": -1],
            "DIR: key 'sliding_window' must be a positive number or null, found -1"
        ),
        (
            .qwen2, ["layer_types": ["full_attention"]],
            "DIR: key 'layer_types' must be 2 entries, found 1"
        ),
        (
            .qwen2, ["layer_types": ["full_attention", "chunked_attention"]],
            "DIR: 'layer_types' is 'chunked_attention', which Cairn does not compute; supported: "
                + "full_attention, and sliding_attention with sliding_window"
        ),
        (
            .qwen2,
            ["layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4],
            "DIR: 'layer_types' is 'sliding_attention', which Cairn does not compute; supported: "
                + "full_attention, and sliding_attention with sliding_window"
        ),
        (
            .qwen2, ["attention_bias": false],
            "DIR: 'attention_bias' is false, which Cairn does not compute; supported: true"
        ),
        (
            .mistral, ["attention_bias": true],
            "DIR: 'attention_bias' is true, which Cairn does not compute; supported: false"
        ),
        (
            .bert, ["position_embedding_type": "relative_key"],
            "DIR: 'position_embedding_type' is \"relative_key\", which Cairn does not compute; "
                + "supported: absolute"
        ),
        (
            .bert, ["is_decoder": true],
            "DIR: 'is_decoder' is true, which Cairn does not compute; supported: false"
        ),
        (
            .bert, ["layer_norm_eps": -1],
            "DIR: key 'layer_norm_eps' must be a positive number, found -1.0"
        ),
        (
            .bert, ["id2label": ["0": "a", "2": "b"]],
            "DIR: key 'id2label' must be ids 0 to 1, found {\"0\":\"a\",\"2\":\"b\"}"
        ),
        (
            .bert, ["id2label": ["0": 1]],
            "DIR: key 'id2label' must be an object of label names by id, found {\"0\":1}"
        ),
        (.bert, ["pad_token_id": 0.5], "DIR: key 'pad_token_id' must be an integer, found 0.5"),
    ]

    @Test(arguments: 0..<refusals.count)
    func `a refusal names the key, what was expected and what was found`(index: Int) {
        let (family, changes, expected) = Self.refusals[index]

        #expect(refusal(family, changes) == expected)
    }
}
