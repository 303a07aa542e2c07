// SPDX-License-Identifier: Apache-2.0
/// Writes a checkpoint directory: all of it or nothing.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// A directory that PEFT, transformers and Cairn open as it is.
///
/// With LoRA: `adapter_model.safetensors` and `adapter_config.json`, which PEFT reads;
/// `model.safetensors` with the same tensors and a guard; `config.json` of the task; the base's
/// tokenizer files byte for byte; `metadata.json`; `README.md`; and `manifest.json`, last.
///
/// **The guard.** transformers 5 takes a local directory with config.json for a base, loads
/// model.safetensors, finds none of its names and goes on with random weights, silently. The file
/// therefore holds a tensor under the name of the embedding table with shape [1]: every reader
/// that takes the file for a base stops at that shape, and PEFT never looks at it.
public struct CheckpointWriter {
    static let tokenizerFiles = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
        "vocab.txt", "merges.txt", "added_tokens.json", "chat_template.jinja",
    ]
    /// Markdown that the base's own card uses belongs to the base; ours is written afresh.
    static let manifestFile = "manifest.json"

    private let model: TaskModel
    private let description: RunDescription
    private let directory: URL

    /// - Parameter directory: the run's directory, in which checkpoints are made by name.
    public init(_ model: TaskModel, _ description: RunDescription, in directory: URL) {
        self.model = model
        self.description = description
        self.directory = directory
    }

    /// Writes the checkpoint `name`, in place of an earlier one of that name.
    ///
    /// - Throws: `TrainingError.nonFiniteWeights` before anything is touched; `FormatError` when a
    ///   file cannot be written, and then the earlier one is still there.
    public func write(_ name: String, epoch: EpochReport?, step: Int) throws {
        let tensors = try finiteTensors()
        let commit = try DirectoryCommit(target: directory.appendingPathComponent(name))
        if let adapter = model.adapter {
            let config = PEFTAdapter.configurationJSON(
                adapter, model: model.base.model, taskType: .sequenceClassification,
                base: description.baseName)
            try commit.add(name: PEFTAdapter.configurationFile, try config.serialized())
            try commit.add(name: PEFTAdapter.weightsFile) { sink in
                try SafetensorsWriter.write(tensors, to: &sink)
            }
            try commit.add(name: "model.safetensors") { sink in
                try SafetensorsWriter.write(guarded(tensors), to: &sink)
            }
        } else {
            try commit.add(name: "model.safetensors") { sink in
                try SafetensorsWriter.write(tensors, to: &sink)
            }
        }
        let config = description.configuration(of: model.base, method: model.method)
        try commit.add(name: "config.json", try config.serialized())
        try addTokenizer(to: commit)
        let metadata = description.metadata(epoch, step: step, method: model.method)
        try commit.add(name: "metadata.json", try metadata.serialized())
        let card = ModelCard(model: model, description: description, epoch: epoch).text
        try commit.add(name: "README.md", Data(card.utf8))
        try commit.add(
            name: Self.manifestFile, try manifest(of: commit, name: name).serialized())
        try commit.commit()
    }

    private func finiteTensors() throws -> [String: Tensor] {
        let tensors =
            model.adapter == nil
            ? Dictionary(
                uniqueKeysWithValues: model.checkpointNames.map {
                    ($0, model.parameters.tensor($0))
                })
            : PEFTAdapter.tensors(of: model)
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            let bad = tensor.withBytes { bytes in
                bytes.bindMemory(to: Float.self).firstIndex { !$0.isFinite }
            }
            if let bad { throw TrainingError.nonFiniteWeights(tensor: name, element: bad) }
        }
        return tensors
    }

    /// The tensors under PEFT's names, and the one that stops a reader of bases.
    private func guarded(_ tensors: [String: Tensor]) -> [String: Tensor] {
        let family = model.base.configuration.family
        let table =
            family.isEncoder
            ? "\(family.rawValue).embeddings.word_embeddings.weight" : "model.embed_tokens.weight"
        return tensors.merging([table: Tensor(zeros: [1])]) { own, _ in own }
    }

    private func addTokenizer(to commit: DirectoryCommit) throws {
        let base = model.base.directory
        for name in Self.tokenizerFiles {
            let source = base.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: source.path) {
                try commit.addCopy(of: source, as: name)
            }
        }
        // AutoTokenizer of transformers 4 needs a class name, which the family alone does not give.
        let settings = base.appendingPathComponent("tokenizer_config.json")
        if !FileManager.default.fileExists(atPath: settings.path) {
            var object: JSONObject = ["tokenizer_class": "PreTrainedTokenizerFast"]
            if let pad = description.padTokenID.flatMap({ padToken($0) }) {
                object["pad_token"] = .string(pad)
            }
            object["model_max_length"] = .integer(Int64(model.base.maximumLength))
            try commit.add(
                name: "tokenizer_config.json", try JSONValue.object(object).serialized())
        }
    }

    /// The text of a special token, from the base's tokenizer.json.
    private func padToken(_ id: Int32) -> String? {
        let file = model.base.directory.appendingPathComponent("tokenizer.json")
        guard let json = try? JSONValue.parse(contentsOf: file) else { return nil }
        return json["added_tokens"]?.array?.first { $0["id"]?.integer == Int(id) }?["content"]?
            .string
    }

    private func manifest(of commit: DirectoryCommit, name: String) -> JSONValue {
        .object([
            "schema_version": 1, "run_id": .string(description.runID), "name": .string(name),
            "parent": .null,
            "files": .object(
                JSONObject(
                    commit.added.sorted { $0.name < $1.name }.map {
                        (
                            $0.name,
                            .object([
                                "size": .integer(Int64($0.size)), "sha256": .string($0.sha256),
                            ])
                        )
                    })),
        ])
    }
}
