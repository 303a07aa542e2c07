// SPDX-License-Identifier: Apache-2.0
/// Bad inputs: the files of a model directory.

import Cairn
import Foundation

extension BadInput {
    static let models: [BadInput] = [
        // MARK: config.json
        BadInput("no model directory", says: "/model", "a model directory", "nothing") {
            try $0.remove($0.model)
        },
        BadInput("the model is a file", says: "/model", "a model directory", "a file") {
            try $0.remove($0.model)
            try $0.write("weights", to: $0.model)
        },
        BadInput("no config.json", says: "/model/config.json", "No such file") {
            try $0.remove($0.config)
        },
        BadInput("config.json is not JSON", says: "config.json, line 3", "expected", "found") {
            try $0.write("{\n  \"hidden_size\": 64,\n  hidden\n}\n", to: $0.config)
        },
        BadInput("config.json is an array", says: "config.json", "an object", "an array") {
            try $0.write("[1, 2]\n", to: $0.config)
        },
        BadInput("unknown model_type", says: "config.json", "model_type", "'t5'", "qwen2") {
            try $0.set("model_type", "t5")
        },
        BadInput("no model_type", says: "config.json", "model_type", "missing", "qwen2") {
            try $0.set("model_type", nil)
        },
        BadInput("unknown rope type", says: "config.json", "rope_type", "'yarn'", "llama3") {
            try $0.set("rope_parameters", ["rope_type": "yarn", "rope_theta": 1e6, "factor": 4])
        },
        BadInput("rope scaling without factor", says: "config.json", "factor", "linear") {
            try $0.set("rope_parameters", ["rope_type": "linear", "rope_theta": 1e6])
        },
        BadInput("quantized weights", says: "config.json", "quantization_config", "BF16") {
            try $0.set("quantization_config", ["quant_method": "gptq", "bits": 4])
        },
        BadInput("no hidden_size", says: "config.json", "hidden_size", "positive integer") {
            try $0.set("hidden_size", nil)
        },
        BadInput("hidden_size is text", says: "config.json", "hidden_size", "\"64\"") {
            try $0.set("hidden_size", "64")
        },
        BadInput("heads that do not divide", says: "config.json", "num_attention_heads", "5", "64")
        {
            try $0.set("num_attention_heads", 5)
        },
        BadInput("key heads that do not divide", says: "config.json", "num_key_value_heads", "3") {
            try $0.set("num_key_value_heads", 3)
        },
        BadInput("unknown activation", says: "config.json", "hidden_act", "'mish'", "silu") {
            try $0.set("hidden_act", "mish")
        },
        BadInput(
            "no token to pad with", says: "/model", "pad_token_id", "tokenizer_config.json"
        ) {
            try $0.set("pad_token_id", nil)
            try $0.set("eos_token_id", nil)
            try $0.remove($0.tokenizerConfig)
        },

        // MARK: Weights
        BadInput("truncated safetensors", says: "model.safetensors", "needs", "but has") {
            try $0.editBytes($0.weights) { $0.removeLast(5) }
        },
        BadInput("empty safetensors", says: "model.safetensors", "needs 8 bytes", "has 0") {
            try $0.editBytes($0.weights) { $0.removeAll() }
        },
        BadInput("bytes behind the last tensor", says: "model.safetensors", "ends at byte") {
            try $0.editBytes($0.weights) { $0.append(contentsOf: [1, 2, 3]) }
        },
        BadInput("a header too long", says: "model.safetensors", "header length", "at most") {
            try $0.editBytes($0.weights) { $0[6] = 1 }
        },
        BadInput("a header that is not JSON", says: "model.safetensors, header, line 1") {
            try $0.editBytes($0.weights) { $0[8] = UInt8(ascii: "x") }
        },
        BadInput(
            "tensors that overlap", says: "model.safetensors", "model.embed_tokens.weight",
            "153856 bytes", "153600"
        ) {
            try $0.editHeader($0.weights, replacing: "[600,64]", with: "[601,64]")
        },
        BadInput("unknown element type", says: "model.safetensors", "dtype", "'Q32'", "F32") {
            try $0.editHeader($0.weights, replacing: "\"F32\"", with: "\"Q32\"")
        },
        BadInput(
            "a shape that config.json does not have", says: "model.safetensors",
            "model.norm.weight", "[32]", "[64]"
        ) {
            try $0.editTensors($0.weights) { $0["model.norm.weight"] = Tensor(zeros: [32]) }
        },
        BadInput("a missing tensor", says: "/model", "'model.norm.weight'", "missing") {
            try $0.editTensors($0.weights) { $0["model.norm.weight"] = nil }
        },
        BadInput(
            "a tensor too many", says: "/model", "'model.layers.2.extra.weight'", "config.json"
        ) {
            try $0.editTensors($0.weights) {
                $0["model.layers.2.extra.weight"] = Tensor(zeros: [2])
            }
        },
        BadInput(
            "integer weights", says: "model.safetensors", "model.norm.weight", "I64", "F32"
        ) {
            try $0.editTensors($0.weights) {
                $0["model.norm.weight"] = Tensor([Int64](repeating: 1, count: 64), shape: [64])
            }
        },
        BadInput("an index that names no file", says: "model-00002.safetensors", "No such file") {
            try $0.shard(["model.norm.weight": "model-00002.safetensors"])
        },
        BadInput(
            "an index that gives a shard too much", says: "model-00001.safetensors",
            "'model.extra.weight'", "model.safetensors.index.json"
        ) {
            try $0.shard(["model.extra.weight": "model-00001.safetensors"])
        },
        BadInput(
            "an index that leaves the directory", says: "model.safetensors.index.json",
            "'../x.safetensors'"
        ) {
            try $0.shard(["model.norm.weight": "../x.safetensors"])
        },
        BadInput(
            "nothing but a pickle", says: "/model", "pytorch_model.bin", "save_pretrained"
        ) {
            try $0.remove($0.weights)
            try $0.write("pickle", to: $0.model.appendingPathComponent("pytorch_model.bin"))
        },
        BadInput("no weights", says: "/model", "no weights", "model.safetensors") {
            try $0.remove($0.weights)
        },

        // MARK: Tokenizer
        BadInput("no tokenizer.json", says: "tokenizer.json", "no such file") {
            try $0.remove($0.tokenizer)
        },
        BadInput("a tokenizer of another kind", says: "tokenizer.json", "model", "Unigram") {
            try $0.edit($0.tokenizer) { $0["model"]?["type"] = "Unigram" }
        },
        BadInput("tokenizer.json is not JSON", says: "tokenizer.json, line 1", "not JSON") {
            try $0.editBytes($0.tokenizer) { $0[0] = UInt8(ascii: "]") }
        },
        BadInput("an unknown normalizer", says: "tokenizer.json", "normalizer", "Rot13") {
            try $0.edit($0.tokenizer) { $0["normalizer"] = ["type": "Rot13"] }
        },
        BadInput(
            "token ids beyond the vocabulary", says: "train.jsonl", "token id", "vocabulary of 300"
        ) {
            try $0.set("vocab_size", 300)
            try $0.editTensors($0.weights) {
                $0["model.embed_tokens.weight"] = Tensor(zeros: [300, 64])
            }
        },
    ]
}

extension Job {
    /// Moves the weights into one shard, with an index that says something else of `changed`.
    func shard(_ changed: [String: String]) throws {
        let shard = model.appendingPathComponent("model-00001.safetensors")
        try FileManager.default.moveItem(at: weights, to: shard)
        var map = JSONObject()
        for name in try SafetensorsFile(contentsOf: shard).names {
            map[name] = "model-00001.safetensors"
        }
        for (name, file) in changed { map[name] = .string(file) }
        let index = JSONValue.object(["metadata": [:], "weight_map": .object(map)])
        try index.serialized().write(
            to: model.appendingPathComponent("model.safetensors.index.json"))
    }
}
