// SPDX-License-Identifier: Apache-2.0
/// Writes a checkpoint directory: all of it or nothing.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// A directory that PEFT, transformers and Cairn open as it is, and from which a run goes on.
///
/// With LoRA: `adapter_model.safetensors` and `adapter_config.json`, which PEFT reads;
/// `model.safetensors` with the same tensors and a guard; `model.apr`; `config.json` of the task;
/// the base's tokenizer files byte for byte; `metadata.json`; `README.md`; the run's state under
/// `training/`; at the end of an epoch `receipt.json`; and `manifest.json`, last.
///
/// **The guard.** transformers 5 takes a local directory with config.json for a base, loads
/// model.safetensors, finds none of its names and goes on with random weights, silently. The file
/// therefore holds a tensor under the name of the embedding table with shape [1]: every reader
/// that takes the file for a base stops at that shape, and PEFT never looks at it.
public struct CheckpointWriter: Sendable {
    static let tokenizerFiles = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
        "vocab.txt", "merges.txt", "added_tokens.json", "chat_template.jinja",
    ]

    private let base: BaseModel
    private let adapter: Adapter?
    private let method: Method
    private let description: RunDescription
    /// The run's directory, in which checkpoints are made by name.
    public let directory: URL
    private let files: any FileOperations
    /// Whose workers train while a checkpoint is written.
    private let context: Context

    /// A writer of checkpoints of `model` into a run's directory.
    public init(_ model: TaskModel, _ description: RunDescription, in directory: URL) {
        self.init(model, description, in: directory, files: SystemFiles())
    }

    package init(
        _ model: TaskModel, _ description: RunDescription, in directory: URL,
        files: some FileOperations
    ) {
        base = model.base
        adapter = model.adapter
        method = model.method
        self.description = description
        self.directory = directory
        self.files = files
        context = model.parameters.context
    }

    /// Writes the checkpoint `name`, in place of an earlier one of that name.
    ///
    /// - Parameters:
    ///   - name: the directory's name in the run's.
    ///   - snapshot: the state that it holds.
    ///   - parent: the checkpoint that this one follows, for the manifest.
    ///   - steps: what the run's steps did, for `trainer_state.json`.
    /// - Throws: `TrainingError.nonFiniteWeights` before anything is touched; `FormatError` when a
    ///   file cannot be written, and then the earlier one is still there.
    public func write(
        _ name: String, _ snapshot: RunSnapshot, after parent: String? = nil,
        steps: [RunHistory.Step] = []
    ) throws {
        // Hashing and copying want a processor; the medium, which comes after, does not.
        let commit = try context.beside {
            try filled(name, snapshot, after: parent, steps: steps)
        }
        try commit.commit()
    }

    /// A checkpoint with all of its files, which are not on the medium yet.
    private func filled(
        _ name: String, _ snapshot: RunSnapshot, after parent: String?, steps: [RunHistory.Step]
    ) throws -> DirectoryCommit {
        let tensors = try finiteTensors(snapshot)
        let commit = try DirectoryCommit(
            target: directory.appendingPathComponent(name),
            subfolders: [TrainingFiles.folder], files: files)
        let digest = snapshot.besideDigest
        try addWeights(tensors, snapshot.state, digest, to: commit)
        let config = description.configuration(of: base, method: method)
        try commit.add(name: "config.json", try config.serialized())
        try addTokenizer(to: commit)
        let state = snapshot.state
        let metadata = description.metadata(state.epochs.last, step: state.step, method: method)
        try commit.add(name: "metadata.json", try metadata.serialized())
        let card = ModelCard(
            base: base, adapter: adapter, description: description, epoch: state.epochs.last)
        try commit.add(name: "README.md", Data(card.text.utf8))
        let history = description.transformersState(snapshot.state, steps: steps)
        try commit.add(name: TransformersState.fileName, try history.serialized())
        try TrainingFiles.write(snapshot, description, digest: digest, to: commit)
        if let receipt = description.receipt(snapshot.receipt, isAdapter: adapter != nil) {
            try commit.add(name: Receipt.fileName, try receipt.json.serialized())
            try commit.add(
                name: ReceiptRows.fileName, try description.receiptRows!.json.serialized())
        }
        let manifest = Manifest(
            runID: description.runID, name: name, parent: parent, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        return commit
    }

    /// The weights in every format, and what PEFT must know of them.
    private func addWeights(
        _ tensors: [String: Tensor], _ state: RunState, _ digest: SideDigest,
        to commit: DirectoryCommit
    ) throws {
        if let adapter {
            let config = PEFTAdapter.configurationJSON(
                adapter, model: base.model, taskType: description.task.taskType,
                base: description.baseName)
            try commit.add(name: PEFTAdapter.configurationFile, try config.serialized())
            try commit.add(name: PEFTAdapter.weightsFile, beside: digest) { sink in
                try SafetensorsWriter.write(tensors, to: &sink)
            }
            try commit.add(name: "model.safetensors", beside: digest) { sink in
                try SafetensorsWriter.write(guarded(tensors), to: &sink)
            }
        } else {
            try commit.add(name: "model.safetensors", beside: digest) { sink in
                try SafetensorsWriter.write(tensors, to: &sink)
            }
        }
        let metadata = description.aprMetadata(base.configuration, adapter, state)
        try commit.add(name: Self.aprFile, beside: digest) { sink in
            try APRWriter.write(tensors, metadata: metadata, to: &sink)
        }
    }

    static let aprFile = "model.apr"

    private func finiteTensors(_ snapshot: RunSnapshot) throws -> [String: Tensor] {
        let prefix = adapter == nil ? "" : PEFTAdapter.prefix
        let tensors = Dictionary(
            uniqueKeysWithValues: snapshot.weights.map { (prefix + $0, $1) })
        try FiniteWeights.require(tensors)
        return tensors
    }

    /// The tensors under PEFT's names, and the one that stops a reader of bases.
    private func guarded(_ tensors: [String: Tensor]) -> [String: Tensor] {
        let family = base.configuration.family
        let table =
            family.isEncoder
            ? "\(family.rawValue).embeddings.word_embeddings.weight" : "model.embed_tokens.weight"
        return tensors.merging([table: Tensor(zeros: [1])]) { own, _ in own }
    }

    private func addTokenizer(to commit: DirectoryCommit) throws {
        for name in Self.tokenizerFiles {
            let source = base.directory.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: source.path) {
                try commit.addCopy(of: source, as: name)
            }
        }
        // AutoTokenizer of transformers 4 needs a class name, which the family alone does not give.
        let settings = base.directory.appendingPathComponent("tokenizer_config.json")
        if !FileManager.default.fileExists(atPath: settings.path) {
            var object: JSONObject = ["tokenizer_class": "PreTrainedTokenizerFast"]
            if let pad = description.padTokenID.flatMap({ padToken($0) }) {
                object["pad_token"] = .string(pad)
            }
            object["model_max_length"] = .integer(Int64(base.maximumLength))
            try commit.add(
                name: "tokenizer_config.json", try JSONValue.object(object).serialized())
        }
    }

    /// The text of a special token, from the base's tokenizer.json.
    private func padToken(_ id: Int32) -> String? {
        let file = base.directory.appendingPathComponent("tokenizer.json")
        guard let json = try? JSONValue.parse(contentsOf: file) else { return nil }
        return json["added_tokens"]?.array?.first { $0["id"]?.integer == Int(id) }?["content"]?
            .string
    }
}
