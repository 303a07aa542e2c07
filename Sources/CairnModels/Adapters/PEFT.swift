// SPDX-License-Identifier: Apache-2.0
/// The two files of a PEFT adapter: `adapter_config.json` and `adapter_model.safetensors`.

import CairnFormats
import CairnTensor
import Foundation

/// What a PEFT adapter is for.
public enum TaskType: String, Sendable {
    /// A label, or numbers, for each sequence.
    case sequenceClassification = "SEQ_CLS"
    /// The next token.
    case causalLanguageModel = "CAUSAL_LM"
}

/// A LoRA adapter as PEFT stores it.
///
/// Tensors are `base_model.model.` + the model's own name: `....q_proj.lora_A.weight` [r, in],
/// `lora_B.weight` [out, r], `lora_magnitude_vector` [out], and the head as `score.weight` or
/// `classifier.weight` and `.bias`, whole.
public struct PEFTAdapter: Sendable {
    /// The settings' file name.
    public static let configurationFile = "adapter_config.json"
    /// The tensors' file name.
    public static let weightsFile = "adapter_model.safetensors"
    /// What PEFT puts before the model's own names.
    public static let prefix = "base_model.model."

    /// Rank, alpha, targets and kind.
    public let configuration: AdapterConfiguration
    /// What the adapter is for.
    public let taskType: TaskType
    /// What the adapter says it was trained on: a Hub id or a path.
    public let base: String?
    /// Tensors by the model's own names.
    public let tensors: [String: Tensor]
    /// Where it was read.
    public let directory: URL

    /// Reads an adapter directory.
    ///
    /// Nothing is assumed where PEFT would silently assume 8: rank, alpha and targets must be
    /// there. Settings that change the function and are not computed are refused.
    public init(contentsOf directory: URL) throws {
        let file = directory.appendingPathComponent(Self.configurationFile)
        let json = try JSONValue.parse(contentsOf: file)
        let config = ConfigReader(json, file: file.path)
        guard try config.string("peft_type") == "LORA" else {
            throw ModelError.unsupported(
                file: file.path, key: "peft_type",
                value: config.value("peft_type").map(ConfigReader.text) ?? "absent",
                supported: "\"LORA\"")
        }
        guard let type = try config.string("task_type").flatMap(TaskType.init(rawValue:)) else {
            throw ModelError.unsupported(
                file: file.path, key: "task_type",
                value: config.value("task_type").map(ConfigReader.text) ?? "absent",
                supported: "SEQ_CLS, CAUSAL_LM")
        }
        try Self.refuseUnsupported(config)
        taskType = type
        base = try config.string("base_model_name_or_path")
        self.directory = directory
        let rank = try config.size("r")
        guard let alpha = try config.number("lora_alpha") else {
            throw ModelError.missingKey(file: file.path, key: "lora_alpha", expected: "a number")
        }
        let dropout = try config.number("lora_dropout") ?? 0
        guard dropout >= 0, dropout < 1 else {
            throw ModelError.badValue(
                file: file.path, key: "lora_dropout", expected: "a number in [0, 1)",
                found: "\(dropout)")
        }
        configuration = AdapterConfiguration(
            rank: rank, alpha: alpha, usesRSLoRA: try config.bool("use_rslora", default: false),
            usesDoRA: try config.bool("use_dora", default: false), dropout: Float(dropout),
            targets: try Self.targets(config), layers: try Self.layers(config))
        let weights = try SafetensorsFile(
            contentsOf: directory.appendingPathComponent(Self.weightsFile))
        var tensors: [String: Tensor] = [:]
        for (name, tensor) in weights.tensors.sorted(by: { $0.key < $1.key }) {
            guard tensors.updateValue(tensor, forKey: Self.modelName(name)) == nil else {
                throw ModelError.unexpectedTensors(
                    directory: directory.appendingPathComponent(Self.weightsFile).path,
                    names: [name])
            }
        }
        self.tensors = tensors
    }

    private static func refuseUnsupported(_ config: ConfigReader) throws(ModelError) {
        func isEmpty(_ value: JSONValue) -> Bool {
            value.object?.isEmpty ?? value.array?.isEmpty ?? (value.bool == false)
        }
        for key in [
            "rank_pattern", "alpha_pattern", "layers_pattern", "layer_replication",
            "exclude_modules", "trainable_token_indices", "target_parameters",
            "fan_in_fan_out", "lora_bias", "use_qalora", "megatron_config",
            "alora_invocation_tokens",
        ] {
            try config.refuse(key, unless: isEmpty, supported: "null, false or empty")
        }
        try config.refuse("bias", unless: { $0.string == "none" }, supported: "none")
        try config.refuse(
            "init_lora_weights",
            unless: { $0.bool != nil || $0.string == "gaussian" },
            supported: "true, false or \"gaussian\" (others change the base)")
    }

    private static func targets(_ config: ConfigReader) throws(ModelError) -> TargetModules {
        guard let value = config.value("target_modules") else {
            throw .missingKey(
                file: config.file, key: "target_modules", expected: "a list of layer names")
        }
        if let text = value.string { return text == "all-linear" ? .allLinear : .pattern(text) }
        return .names(try config.strings("target_modules") ?? [])
    }

    /// A number or a list of them; PEFT takes no pattern of names beside it.
    private static func layers(_ config: ConfigReader) throws(ModelError) -> [Int]? {
        let key = "layers_to_transform"
        guard let value = config.value(key), value != .null, value.array?.isEmpty != true else {
            return nil
        }
        let numbers = value.array ?? [value]
        let layers = numbers.compactMap { $0.integer.flatMap { $0 >= 0 ? Int($0) : nil } }
        guard layers.count == numbers.count else {
            throw .badValue(
                file: config.file, key: key, expected: "a layer's number, or a list of them",
                found: ConfigReader.text(value))
        }
        guard config.value("target_modules")?.string == nil else {
            throw .badValue(
                file: config.file, key: key, expected: "null beside a pattern of layer names",
                found: ConfigReader.text(value))
        }
        return layers
    }

    /// `base_model.model.X.lora_A.default.weight` and `base_model.model.X.lora_A.weight` are both
    /// `X.lora_A.weight`.
    public static func modelName(_ name: String) -> String {
        var name = name
        if name.hasPrefix(prefix) { name = String(name.dropFirst(prefix.count)) }
        for part in ["lora_A", "lora_B"] {
            name = name.replacingOccurrences(of: ".\(part).default.weight", with: ".\(part).weight")
        }
        if name.hasSuffix(".lora_magnitude_vector.default")
            || name.hasSuffix(".lora_magnitude_vector.default.weight")
            || name.hasSuffix(".lora_magnitude_vector.weight")
        {
            name = String(name[..<name.range(of: ".lora_magnitude_vector")!.upperBound])
        }
        return name.replacingOccurrences(of: ".modules_to_save.default.", with: ".")
    }

    /// Puts the adapter's tensors into a model made with the same settings.
    ///
    /// - Throws: as `requireTensors`; then nothing was put anywhere.
    public func apply(to model: TaskModel) throws {
        let names = model.checkpointNames
        try requireTensors(
            Dictionary(
                uniqueKeysWithValues: names.map { ($0, model.parameters.dimensions(of: $0)) }))
        for name in names { model.parameters.set(name, to: tensors[name]!.floats()) }
    }

    /// Checks that the file holds just these tensors, in these shapes.
    ///
    /// - Throws: `ModelError` when one is missing or has another shape or no type of weights, or
    ///   when the file has one more: a pair of a layer that the settings do not target, or another
    ///   module saved whole.
    public func requireTensors(_ expected: [String: [Int]]) throws(ModelError) {
        let file = directory.appendingPathComponent(Self.weightsFile).path
        let names = expected.keys.sorted()
        let missing = names.filter { tensors[$0] == nil }
        guard missing.isEmpty else {
            throw .missingTensors(directory: file, names: missing)
        }
        let extra = tensors.keys.filter { expected[$0] == nil }.sorted()
        guard extra.isEmpty else {
            throw .unexpectedTensors(directory: file, names: extra)
        }
        for name in names {
            let (shape, tensor) = (expected[name]!, tensors[name]!)
            guard tensor.shape.dimensions == shape else {
                throw .shapeMismatch(
                    file: file, tensor: name, expected: shape, found: tensor.shape.dimensions)
            }
            guard tensor.dtype.isWeight else {
                throw .dtypeUnsupported(file: file, tensor: name, found: tensor.dtype.rawValue)
            }
        }
    }

    // MARK: Writing

    /// The portable keys: what peft 0.17 and 0.21 read without a warning.
    public static func configurationJSON(
        _ adapter: Adapter, model: some Model, taskType: TaskType, base: String?
    ) -> JSONValue {
        let c = adapter.configuration
        let targets = targetNames(adapter, model: model)
        let alpha: JSONValue =
            Int64(exactly: c.alpha).map { .integer($0) } ?? .number(c.alpha)
        return .object([
            "alpha_pattern": .object([:]), "auto_mapping": .null,
            "base_model_name_or_path": base.map { .string($0) } ?? .null, "bias": "none",
            "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
            "layers_pattern": .null, "layers_to_transform": targets.layers, "lora_alpha": alpha,
            "lora_dropout": .number(Double("\(c.dropout)") ?? Double(c.dropout)),
            "modules_to_save": taskType == .sequenceClassification
                ? ["classifier", "score"] : .null,
            "peft_type": "LORA", "r": .integer(Int64(c.rank)), "rank_pattern": .object([:]),
            "revision": .null,
            "target_modules": .array(targets.names.map { .string($0) }),
            "task_type": .string(taskType.rawValue), "use_dora": .bool(c.usesDoRA),
            "use_rslora": .bool(c.usesRSLoRA),
        ])
    }

    /// The shortest list that makes PEFT target the same layers: last names where they mean just
    /// these layers among all that PEFT looks at (the head included), else whole names, which
    /// need no number of a layer beside them.
    static func targetNames(
        _ adapter: Adapter, model: some Model
    ) -> (names: [String], layers: JSONValue) {
        let heads = model.parameters.filter(\.isHead).map(\.name)
            .filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(".weight".count)) }
        let all = model.linearLayers.map(\.name) + heads
        let last = Set(
            adapter.orderedModules.map { String($0.split(separator: ".").last ?? "") }
        ).sorted()
        var short = adapter.configuration
        short.targets = .names(last)
        guard Set(all.filter { short.targets($0) }) == adapter.modules else {
            return (adapter.orderedModules, .null)
        }
        return (last, short.layers.map { .array($0.map { .integer(Int64($0)) }) } ?? .null)
    }

    /// The tensors of a model's adapter and head under PEFT's names.
    public static func tensors(of model: TaskModel) -> [String: Tensor] {
        Dictionary(
            uniqueKeysWithValues: model.checkpointNames.map {
                (prefix + $0, model.parameters.tensor($0))
            })
    }
}
