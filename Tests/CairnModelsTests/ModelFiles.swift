// SPDX-License-Identifier: Apache-2.0
/// Model directories made on the spot: a config.json and weights under the names that it implies.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation
import TestSupport

/// A tiny model of any family, to be changed before it is written.
final class ModelFiles {
    let directory: TemporaryDirectory
    var config: JSONObject
    var tensors: [String: Tensor] = [:]

    /// A model with two layers; `changes` sets keys of config.json, nil removes one.
    init(
        _ family: ModelFamily, _ changes: [String: JSONValue?] = [:],
        head: Head = .classification(labels: 3)
    ) throws {
        directory = try TemporaryDirectory()
        config = Self.config(family, changes)
        let settings = try ModelConfiguration(.object(config), file: "config.json")
        let model: any Model =
            family.isEncoder ? Encoder(settings, labels: 3) : Decoder(settings, head: head)
        for specification in model.parameters where !specification.isHead {
            tensors[specification.name] = specification.initialTensor(seed: 5)
        }
    }

    static func config(
        _ family: ModelFamily, _ changes: [String: JSONValue?] = [:]
    ) -> JSONObject {
        var config: JSONObject = [
            "model_type": .string(family.rawValue), "hidden_size": 8, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 12,
            "max_position_embeddings": 16, "pad_token_id": 1,
        ]
        if !family.isEncoder { config["num_key_value_heads"] = 1 }
        if family == .qwen3 { config["head_dim"] = 4 }
        if family == .mistral { config["sliding_window"] = .null }
        for (key, value) in changes { config[key] = value }
        return config
    }

    /// Writes the directory; with `shards`, in so many files and an index.
    func write(shards: Int = 1) throws {
        try JSONValue.object(config).serialized().write(to: directory.file("config.json"))
        guard shards > 1 else {
            return try SafetensorsWriter.data(tensors).write(
                to: directory.file("model.safetensors"))
        }
        var map = JSONObject()
        for shard in 0..<shards {
            let file = "model-0000\(shard + 1)-of-0000\(shards).safetensors"
            let part = tensors.keys.sorted().enumerated().filter { $0.offset % shards == shard }
            for (_, name) in part { map[name] = .string(file) }
            try SafetensorsWriter.data(
                Dictionary(uniqueKeysWithValues: part.map { ($0.element, tensors[$0.element]!) })
            ).write(to: directory.file(file))
        }
        try JSONValue.object(["weight_map": .object(map)]).serialized()
            .write(to: directory.file("model.safetensors.index.json"))
    }

    func open(head: Head = .classification(labels: 3)) throws -> BaseModel {
        try BaseModel(contentsOf: directory.url, head: head)
    }

    /// Writes, opens, and returns the error's sentence with the directory called DIR.
    func refusal() throws -> String? {
        try write()
        return sentence(directory.path) { try open() }
    }
}

/// The sentence of what `body` throws, a path in it called DIR; nil when it throws nothing.
func sentence(_ path: String, _ body: () throws -> some Any) -> String? {
    do {
        _ = try body()
        return nil
    } catch {
        return "\(error)".replacingOccurrences(of: path, with: "DIR")
    }
}

extension BaseModel {
    /// Logits of one batch, with parameters that a seed starts.
    func logits(
        _ batch: Batch, method: Method = .lora(AdapterConfiguration(rank: 2)), seed: UInt64 = 1
    ) throws -> [Float] {
        let model = try TaskModel(
            self, method: method, seed: seed,
            parameters: Parameters(context: try Context(threads: 1)))
        let (graph, logits) = model.recorded(isTraining: false)
        return try Program(graph, outputs: [logits], parameters: model.parameters).run(batch)
            .outputs[0]
    }
}
