// SPDX-License-Identifier: Apache-2.0
/// Opens a checkpoint directory for evaluation and prediction.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import Foundation

/// A fine-tuned model: base, adapter, head, labels, and what is needed to run it as it was trained.
public struct Checkpoint {
    /// Where it was read.
    public let directory: URL
    /// Base, adapter and head, on the device.
    public let model: TaskModel
    /// What the model was trained for, with its labels.
    public let task: Task
    /// The longest row in tokens; longer texts lose their ends.
    public let maximumLength: Int
    /// How matmuls were computed in training.
    public let precision: Precision
    /// How the base's linear layers are kept: as in training unless it was asked for otherwise.
    public let storage: BaseStorage
    /// The token that pads, which pooling passes over.
    public let padTokenID: Int32?

    /// Opens an adapter directory (with its base) or a full model directory.
    ///
    /// - Parameters:
    ///   - directory: what a run wrote, or a merge, or PEFT with config.json.
    ///   - base: where the base is, instead of what adapter_config.json says.
    ///   - longest: the longest row in tokens, instead of what metadata.json says.
    ///   - context: where the numbers go.
    ///   - storage: how the base's linear layers are kept, instead of as in training: another
    ///     function.
    ///   - quantized: these layers, where they are in memory already.
    /// - Throws: when a file is missing, or when config.json, adapter and weights disagree.
    public init(
        contentsOf directory: URL, base: URL? = nil, maximumLength longest: Int? = nil,
        context: Context, storage: BaseStorage? = nil, sharing quantized: QuantizedBase? = nil
    ) throws {
        self.directory = directory
        let file = directory.appendingPathComponent("config.json")
        func exists(_ name: String) -> Bool {
            FileManager.default.fileExists(atPath: directory.appendingPathComponent(name).path)
        }
        let isAdapter = exists(PEFTAdapter.configurationFile)
        guard exists("config.json"),
            isAdapter || exists("model.safetensors") || exists("model.safetensors.index.json")
        else {
            let found = (try? FileManager.default.contentsOfDirectory(atPath: directory.path))
            throw TrainingError.notACheckpoint(
                path: directory.path,
                found: found.map {
                    $0.isEmpty
                        ? "an empty directory"
                        : $0.sorted().prefix(8)
                            .joined(separator: ", ")
                } ?? "no such directory")
        }
        let json = try JSONValue.parse(contentsOf: file)
        let configuration = try ModelConfiguration(json, file: file.path)
        padTokenID = configuration.padTokenID
        let parameters = Parameters(context: context)
        let metadata = try Self.metadata(directory)
        let trained = try CodedBase(metadata, of: directory)
        self.storage = storage ?? (isAdapter ? trained.storage : .stored)
        if isAdapter {
            let adapter = try PEFTAdapter(contentsOf: directory)
            task = try Self.task(json, configuration, adapter: adapter)
            let place = try base ?? Self.base(of: adapter)
            let base = try BaseModel(contentsOf: place, head: task.head)
            try Self.compare(base.configuration, configuration)
            let codes =
                quantized?.storage == self.storage
                ? quantized : try QuantizedBase(base, as: self.storage, for: parameters)
            try trained.requireSame(codes, as: self.storage, base)
            model = try TaskModel(
                base, method: .lora(adapter.configuration), seed: 0, parameters: parameters,
                quantized: codes)
            try adapter.apply(to: model)
        } else {
            guard !self.storage.isQuantized else {
                throw ModelError.unsupported(
                    file: file.path, key: "base_storage", value: self.storage.rawValue,
                    supported: "stored, for a model that is no adapter")
            }
            task = try Self.task(json, configuration, adapter: nil)
            let base = try BaseModel(contentsOf: directory, head: task.head)
            let missing = base.model.parameters.filter {
                $0.isHead && !base.headTensors.contains($0.name)
            }
            guard missing.isEmpty else {
                throw ModelError.missingTensors(
                    directory: directory.path, names: missing.map(\.name))
            }
            model = try TaskModel(base, method: .full, seed: 0, parameters: parameters)
        }
        maximumLength = min(
            longest ?? metadata?["max_length"]?.integer ?? 512, model.base.maximumLength)
        let named = metadata?["precision"]?.string ?? Precision.fp32.rawValue
        guard let precision = Precision(rawValue: named) else {
            throw TrainingError.badMetadata(
                file: directory.appendingPathComponent("metadata.json").path, key: "precision",
                expected: Precision.allCases.map(\.rawValue).joined(separator: " or "),
                found: "'\(named)'")
        }
        self.precision = precision
    }

    /// Which row a classifier of this model reads.
    public var pooling: Pooling {
        model.base.configuration.family.isEncoder ? .first : .last(padTokenID: padTokenID)
    }

    static func base(of adapter: PEFTAdapter) throws -> URL {
        let file = adapter.directory.appendingPathComponent(PEFTAdapter.configurationFile).path
        guard let name = adapter.base else {
            throw TrainingError.baseMissing(file: file, base: "null")
        }
        var isDirectory: ObjCBool = false
        let url = URL(fileURLWithPath: name)
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        else { throw TrainingError.baseMissing(file: file, base: name) }
        return url
    }

    /// Whether config.json names a class of language models, as bases' files do.
    private static func isLanguageModel(_ json: JSONValue) -> Bool {
        json["architectures"]?.array?.first?.string?.hasSuffix("ForCausalLM") ?? false
    }

    /// What an adapter says it is for; of a full model what its class is for.
    static func task(
        _ json: JSONValue, _ configuration: ModelConfiguration, adapter: PEFTAdapter?
    ) throws -> Task {
        let isCausal = adapter.map { $0.taskType == .causalLanguageModel } ?? isLanguageModel(json)
        if isCausal { return .causal }
        let labels = configuration.labels ?? ["LABEL_0", "LABEL_1"]
        guard let type = json["problem_type"]?.string else {
            return labels.count == 1 ? .regression(names: labels) : .singleLabel(labels: labels)
        }
        guard let task = Task(problemType: type, labels: labels) else {
            throw TrainingError.badMetadata(
                file: configuration.file, key: "problem_type",
                expected: "single_label_classification, multi_label_classification or regression",
                found: "'\(type)'")
        }
        return task
    }

    /// Refuses a base of another shape than the one that the checkpoint was trained on.
    static func compare(
        _ base: ModelConfiguration, _ own: ModelConfiguration
    ) throws(ModelError) {
        let pairs: [(String, String, String)] = [
            ("model_type", own.family.rawValue, base.family.rawValue),
            ("hidden_size", "\(own.hiddenSize)", "\(base.hiddenSize)"),
            ("num_hidden_layers", "\(own.layerCount)", "\(base.layerCount)"),
            ("vocab_size", "\(own.vocabularySize)", "\(base.vocabularySize)"),
            ("rope settings", "\(own.rope)", "\(base.rope)"),
        ]
        for (key, expected, found) in pairs where expected != found {
            throw .badValue(
                file: base.file, key: key, expected: "\(expected), as in the checkpoint",
                found: found)
        }
    }

    private static func metadata(_ directory: URL) throws -> JSONValue? {
        let file = directory.appendingPathComponent("metadata.json")
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        return try JSONValue.parse(contentsOf: file)
    }
}
