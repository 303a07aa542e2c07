// SPDX-License-Identifier: Apache-2.0
/// A Hugging Face model directory, checked against what its config.json describes.

import CairnFormats
import CairnGraph
import CairnTensor
import Foundation

/// Where the numbers of a base come from.
public enum BaseWeights: String, Sendable, CaseIterable {
    /// The directory's safetensors files.
    case pretrained
    /// The seed: a model that was never trained, of which the directory has no weights.
    case random
}

/// Weights and configuration of a pretrained model, with every name, shape and type checked.
public struct BaseModel: Sendable {
    /// Where it was read.
    public let directory: URL
    /// What config.json says.
    public let configuration: ModelConfiguration
    /// The function, with the head that was asked for.
    public let model: any Model
    /// What the file calls each tensor of the model.
    private let names: [String: String]
    /// Nil for a model that starts from the seed.
    private let weights: SafetensorsDirectory?
    /// Tensors of the head that the file has in the right shape.
    public let headTensors: Set<String>

    /// Opens a directory of `config.json` and safetensors files for a task; with `random` weights
    /// one of `config.json` alone.
    ///
    /// - Throws: `FormatError` for a file that cannot be read; `ModelError` for an unknown family
    ///   or setting, a missing or unexpected tensor, a wrong shape or type, weights that would be
    ///   passed over.
    public init(
        contentsOf directory: URL, head: Head, weights: BaseWeights = .pretrained
    ) throws {
        try Self.requireDirectory(directory)
        let file = directory.appendingPathComponent("config.json")
        let json = try JSONValue.parse(contentsOf: file)
        guard json.object != nil else {
            throw FormatError.entry(
                file: file.path, entry: "the document", expected: "an object", found: json.kind)
        }
        let configuration = try ModelConfiguration(json, file: file.path)
        let model: any Model =
            configuration.family.isEncoder
            ? Encoder(configuration, labels: try Self.labels(head, configuration))
            : Decoder(configuration, head: head)
        switch weights {
        case .pretrained:
            try self.init(directory: directory, configuration: configuration, model: model)
        case .random:
            try Self.requireNoWeights(directory)
            self.init(untrained: directory, configuration: configuration, model: model)
        }
    }

    private init(untrained directory: URL, configuration: ModelConfiguration, model: any Model) {
        self.directory = directory
        self.configuration = configuration
        self.model = model
        (names, weights, headTensors) = ([:], nil, [])
    }

    private static func requireNoWeights(_ directory: URL) throws {
        let names = ["model.safetensors", "model.safetensors.index.json"]
        let found = names.first {
            FileManager.default.fileExists(atPath: directory.appendingPathComponent($0).path)
        }
        if let found { throw ModelError.weightsPassedOver(directory: directory.path, found: found) }
    }

    private static func requireDirectory(_ url: URL) throws(ModelError) {
        var isDirectory: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory)
        guard !exists || !isDirectory.boolValue else { return }
        throw .noDirectory(path: url.path, found: exists ? "a file" : "nothing")
    }

    private init(directory: URL, configuration: ModelConfiguration, model: any Model) throws {
        self.directory = directory
        self.configuration = configuration
        self.model = model
        let weights = try SafetensorsDirectory(contentsOf: directory)
        self.weights = weights
        let found = Set(weights.names)
        var names: [String: String] = [:]
        var missing: [String] = []
        for parameter in model.parameters {
            if let name = Self.spellings(parameter.name, configuration.family)
                .first(where: found.contains)
            {
                names[parameter.name] = name
            } else if !parameter.isHead {
                missing.append(parameter.name)
            }
        }
        guard missing.isEmpty else {
            throw ModelError.missingTensors(directory: directory.path, names: missing)
        }
        let used = Set(names.values)
        let extra = weights.names.filter { !used.contains($0) && !Self.mayIgnore($0) }
        guard extra.isEmpty else {
            throw ModelError.unexpectedTensors(directory: directory.path, names: extra)
        }
        var heads = Set<String>()
        for parameter in model.parameters {
            guard let name = names[parameter.name], let tensor = weights.tensor(named: name) else {
                continue
            }
            let file = weights.file(of: name)?.path ?? directory.path
            guard tensor.dtype.isWeight else {
                throw ModelError.dtypeUnsupported(
                    file: file, tensor: name, found: tensor.dtype.rawValue)
            }
            if tensor.shape.dimensions == parameter.dimensions {
                if parameter.isHead { heads.insert(parameter.name) }
            } else if parameter.isHead {
                // A head for other labels: replaced by a fresh one, which the caller reports.
                names[parameter.name] = nil
            } else {
                throw ModelError.shapeMismatch(
                    file: file, tensor: name, expected: parameter.dimensions,
                    found: tensor.shape.dimensions)
            }
        }
        self.names = names
        headTensors = heads
    }

    /// A tensor of the model by its name in the model, as the file has it.
    public func tensor(named name: String) -> Tensor? {
        names[name].flatMap { weights?.tensor(named: $0) }
    }

    /// Lets a tensor's bytes leave memory until they are read again.
    package func release(_ name: String) {
        if let name = names[name] { weights?.release(tensorNamed: name) }
    }

    /// The file that holds a tensor of the model; nil for one that no file has.
    public func file(of name: String) -> URL? { names[name].flatMap { weights?.file(of: $0) } }

    /// The weight files, for digests.
    public var weightFiles: [URL] { weights?.files ?? [] }

    /// Whether the numbers come from the directory and not from a seed.
    public var isPretrained: Bool { weights != nil }

    /// Numbers in the base, without the task's head.
    public var parameterCount: Int {
        model.parameters.filter { !$0.isHead }.reduce(0) { $0 + $1.dimensions.reduce(1, *) }
    }

    /// The longest sequence that has a position for every token.
    public var maximumLength: Int {
        (model as? Encoder)?.maximumLength ?? configuration.maximumPositions
    }

    // MARK: Names

    /// How files spell a tensor: as the task's model does; without its prefix, as a bare body is
    /// saved; with TensorFlow's names of the norms' parameters, as the first BERTs were.
    private static func spellings(_ name: String, _ family: ModelFamily) -> [String] {
        var spellings = [name]
        let prefix = family.prefix + "."
        if name.hasPrefix(prefix) { spellings.append(String(name.dropFirst(prefix.count))) }
        for spelling in spellings {
            if spelling.hasSuffix("LayerNorm.weight") {
                spellings.append(
                    spelling.replacingOccurrences(of: "LayerNorm.weight", with: "LayerNorm.gamma"))
            } else if spelling.hasSuffix("LayerNorm.bias") {
                spellings.append(
                    spelling.replacingOccurrences(of: "LayerNorm.bias", with: "LayerNorm.beta"))
            }
        }
        return spellings
    }

    /// Heads of other tasks and buffers that are computed, which bases carry and no task here reads.
    private static func mayIgnore(_ name: String) -> Bool {
        let heads = [
            "lm_head.", "cls.", "score.", "classifier.", "qa_outputs.", "pooler.",
            "roberta.pooler.",
        ]
        return heads.contains(where: name.hasPrefix) || name.hasSuffix("rotary_emb.inv_freq")
            || name.hasSuffix("embeddings.position_ids")
            || name.hasSuffix("embeddings.token_type_ids")
    }

    private static func labels(
        _ head: Head, _ configuration: ModelConfiguration
    ) throws(ModelError) -> Int {
        guard case .classification(let labels) = head else {
            throw .predictsNoNextToken(
                file: configuration.file, family: configuration.family.rawValue)
        }
        return labels
    }
}

/// Which parameters a fine-tuning run trains.
public enum Method: Sendable, Equatable {
    /// LoRA pairs on the targeted layers, and the head.
    case lora(AdapterConfiguration)
    /// Every parameter.
    case full
}

/// A base made ready for a task: its adapter, and every tensor on the device.
public struct TaskModel {
    /// The base.
    public let base: BaseModel
    /// What trains: LoRA pairs and head, or everything.
    public let method: Method
    /// The pairs; nil when everything trains.
    public let adapter: Adapter?
    /// The numbers on the device.
    public let parameters: Parameters
    /// What fresh parameters and dropout are drawn from.
    public let seed: UInt64
    /// The matrices of the base that are kept in fewer bits; nil where all are as stored.
    public let quantized: QuantizedBase?

    /// Puts the base's tensors on the device and starts what trains: the head from the file where
    /// it has one in the right shape, everything new from `seed`.
    ///
    /// - Parameter quantized: matrices of `base` to read instead of the stored ones.
    /// - Precondition: what does not train was trained before, and what trains is as stored.
    public init(
        _ base: BaseModel, method: Method, seed: UInt64, parameters: Parameters,
        quantized: QuantizedBase? = nil
    ) throws {
        precondition(base.isPretrained || method == .full, "an adapter needs a pretrained base")
        precondition(quantized == nil || method != .full, "weights in codes do not train")
        self.quantized = quantized
        self.base = base
        self.method = method
        self.seed = seed
        self.parameters = parameters
        switch method {
        case .lora(let configuration): adapter = try Adapter(configuration, for: base.model)
        case .full: adapter = nil
        }
        for specification in base.model.parameters {
            if let weight = quantized?.weights[specification.name] {
                parameters.addFrozen(specification.name, weight)
                continue
            }
            let tensor =
                base.tensor(named: specification.name) ?? specification.initialTensor(seed: seed)
            if specification.isHead || method == .full {
                try parameters.addTrainable(specification.name, tensor)
            } else {
                try parameters.addFrozen(specification.name, tensor)
            }
        }
        if let adapter {
            for specification in adapter.parameters(of: base.model) {
                try parameters.addTrainable(
                    specification.name, specification.initialTensor(seed: seed))
            }
        }
        try startMagnitudes()
    }

    /// DoRA's magnitudes start at the row norms of the weights, so that B = 0 changes nothing.
    private func startMagnitudes() throws {
        guard let adapter, adapter.configuration.usesDoRA else { return }
        for layer in base.model.linearLayers where adapter.modules.contains(layer.name) {
            guard let weight = base.tensor(named: layer.name + ".weight") else {
                preconditionFailure("\(layer.name) was checked to have a weight")
            }
            let numbers =
                try quantized?.weights[layer.name + ".weight"]?.floats() ?? weight.floats()
            let norms = (0..<layer.outputs).map { row in
                let squares = numbers[row * layer.inputs..<(row + 1) * layer.inputs].reduce(0.0) {
                    $0 + Double($1) * Double($1)
                }
                return Float(squares.squareRoot())
            }
            parameters.set(layer.name + ".lora_magnitude_vector", to: norms)
        }
    }

    /// Records the model: with everything that trains, or for prediction.
    public func recorded(isTraining: Bool) -> (graph: Graph, logits: Value) {
        var recorder = Recorder(
            adapter: adapter, training: .names(Set(parameters.trainableNames)), seed: seed,
            drops: isTraining)
        let logits = base.model.record(&recorder)
        return (recorder.graph, logits)
    }
}
