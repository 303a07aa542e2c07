// SPDX-License-Identifier: Apache-2.0
/// A transformer's config.json, in the spellings of transformers 4 and 5.

import CairnFormats
import CairnGraph

/// The model families that Cairn computes.
public enum ModelFamily: String, CaseIterable, Sendable {
    /// The name in config.json's `model_type`; Qwen2.5 is `qwen2`.
    case qwen2, qwen3, llama, mistral, bert, roberta

    /// Encoders see both ways and pool the first token; decoders see back and pool the last.
    public var isEncoder: Bool { self == .bert || self == .roberta }

    /// The name under which Hugging Face files the body of the model.
    var prefix: String { isEncoder ? rawValue : "model" }
}

/// Frequencies of rotary position embedding.
public struct RopeConfiguration: Sendable, Equatable {
    /// How positions beyond the trained ones are squeezed in.
    public enum Scaling: Sendable, Equatable {
        /// Not at all.
        case none
        /// Positions divided by a factor.
        case linear(factor: Double)
        /// Llama 3.1: low frequencies divided, high ones kept, those between interpolated.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalPositions: Double)
    }

    /// The base of the wavelengths.
    public var theta: Double
    /// How they are stretched.
    public var scaling: Scaling

    /// Rotary positions of a base and a scaling.
    public init(theta: Double, scaling: Scaling) {
        self.theta = theta
        self.scaling = scaling
    }
}

/// What config.json says of the function that the weights compute.
public struct ModelConfiguration: Sendable {
    /// Which family the model is of.
    public let family: ModelFamily
    /// Columns of a hidden row.
    public let hiddenSize: Int
    /// Blocks.
    public let layerCount: Int
    /// Query heads per block.
    public let headCount: Int
    /// Key and value heads per block; a divisor of the query heads.
    public let keyValueHeadCount: Int
    /// Columns per head.
    public let headDimension: Int
    /// Columns between the two halves of the feed-forward part.
    public let intermediateSize: Int
    /// Rows of the embedding table.
    public let vocabularySize: Int
    /// The longest sequence that the model has positions for.
    public let maximumPositions: Int
    /// What is added to the variance in a normalization.
    public let normEpsilon: Float
    /// The token that pads, where the file names one.
    public let padTokenID: Int32?
    package let activation: Activation

    // Decoders.
    /// Rotary positions.
    public let rope: RopeConfiguration
    /// Whether the language-model head is the embedding table.
    public let tiesEmbeddings: Bool
    /// Whether queries, keys and values have a bias.
    public let hasQueryBias: Bool
    /// Whether attention's output has a bias.
    public let hasOutputBias: Bool
    /// Whether the feed-forward part has biases.
    public let hasFeedForwardBias: Bool
    /// Per layer: how many keys back a query sees; 0 means all.
    public let windows: [Int]

    // Encoders.
    /// Rows of the segment table.
    public let typeVocabularySize: Int

    /// Standard deviation of the weights of a model that starts from nothing.
    public let initializerRange: Float

    /// Label names by id, where the file has them.
    public let labels: [String]?
    /// The whole object, from which a checkpoint's config.json is made.
    public let json: JSONValue
    /// The file that was read, as errors call it.
    public let file: String

    /// Reads a configuration; `file` is what errors call it.
    public init(_ json: JSONValue, file: String) throws(ModelError) {
        let config = ConfigReader(json, file: file)
        let families = ModelFamily.allCases.map(\.rawValue).joined(separator: ", ")
        guard let type = try config.string("model_type") else {
            throw .missingKey(file: file, key: "model_type", expected: "one of \(families)")
        }
        guard let family = ModelFamily(rawValue: type) else {
            throw .unsupported(
                file: file, key: "model_type", value: "'\(type)'", supported: families)
        }
        try Self.refuseUnsupported(config, family)
        self.json = json
        self.file = file
        self.family = family
        hiddenSize = try config.size("hidden_size")
        layerCount = try config.size("num_hidden_layers")
        headCount = try config.size("num_attention_heads")
        keyValueHeadCount = try Self.keyValueHeads(config, family, headCount)
        intermediateSize = try config.size("intermediate_size")
        vocabularySize = try config.size("vocab_size")
        maximumPositions = try config.size("max_position_embeddings")
        headDimension = try Self.headDimension(config, family, hiddenSize, headCount)
        guard headCount % keyValueHeadCount == 0 else {
            throw .badValue(
                file: file, key: "num_key_value_heads",
                expected: "a divisor of num_attention_heads (\(headCount))",
                found: "\(keyValueHeadCount)")
        }
        let epsilonKey = family.isEncoder ? "layer_norm_eps" : "rms_norm_eps"
        let epsilon = try config.number(epsilonKey) ?? (family.isEncoder ? 1e-12 : 1e-6)
        guard epsilon > 0 else {
            throw .badValue(
                file: file, key: epsilonKey, expected: "a positive number", found: "\(epsilon)")
        }
        normEpsilon = Float(epsilon)
        padTokenID = try Self.padToken(config)
        activation = try Self.activation(config, family)
        if family.isEncoder {
            rope = RopeConfiguration(theta: 1, scaling: .none)
        } else {
            rope = try Self.rope(config)
        }
        // Encoders tie only a language head that classification leaves out; Llama unties.
        tiesEmbeddings = try config.bool(
            "tie_word_embeddings", default: family.isEncoder)
        let attentionBias = try config.bool("attention_bias", default: false)
        hasQueryBias = family == .qwen2 || family.isEncoder || attentionBias
        hasOutputBias = family.isEncoder || (attentionBias && family != .qwen2)
        let feedForwardBias = try config.bool("mlp_bias", default: false)
        hasFeedForwardBias = family.isEncoder || feedForwardBias
        windows = try Self.windows(config, family, layerCount)
        typeVocabularySize = family.isEncoder ? try config.size("type_vocab_size", default: 2) : 0
        initializerRange = try Self.initializerRange(config)
        labels = try Self.labels(config)
    }

    // MARK: Parts

    private static func refuseUnsupported(_ config: ConfigReader, _ family: ModelFamily)
        throws(ModelError)
    {
        try config.refuse(
            "quantization_config", unless: { _ in false },
            supported: "weights stored as F32, BF16 or F16")
        try config.refuse("is_decoder", unless: { $0.bool == false }, supported: "false")
        try config.refuse("add_cross_attention", unless: { $0.bool == false }, supported: "false")
        try config.refuse("pretraining_tp", unless: { $0.integer == 1 }, supported: "1")
        try config.refuse("partial_rotary_factor", unless: { $0.number == 1 }, supported: "1")
        try config.refuse(
            "position_embedding_type", unless: { $0.string == "absolute" }, supported: "absolute")
        try config.refuse("is_encoder_decoder", unless: { $0.bool == false }, supported: "false")
        if family == .qwen2 || family == .mistral {
            try config.refuse(
                "attention_bias", unless: { $0.bool == (family == .qwen2) },
                supported: family == .qwen2 ? "true" : "false")
        }
        if family != .llama {
            try config.refuse("mlp_bias", unless: { $0.bool == false }, supported: "false")
        }
    }

    /// null means as many as query heads; so does an absent key with Llama, where the others'
    /// defaults in transformers fit one size of model only.
    private static func keyValueHeads(
        _ config: ConfigReader, _ family: ModelFamily, _ heads: Int
    ) throws(ModelError) -> Int {
        if family.isEncoder { return heads }
        let mayBeAbsent = family == .llama || config.object["num_key_value_heads"] != nil
        return mayBeAbsent
            ? try config.size("num_key_value_heads", default: heads)
            : try config.size("num_key_value_heads")
    }

    private static func headDimension(
        _ config: ConfigReader, _ family: ModelFamily, _ hidden: Int, _ heads: Int
    ) throws(ModelError) -> Int {
        // transformers gives Qwen3 128 when the key is absent; the others divide.
        if let given = try config.integer("head_dim"), !family.isEncoder {
            guard given > 0, given % 2 == 0 else {
                throw config.bad("head_dim", "a positive even number", .integer(Int64(given)))
            }
            return given
        }
        if family == .qwen3 { return 128 }
        guard hidden % heads == 0, family.isEncoder || (hidden / heads) % 2 == 0 else {
            throw .badValue(
                file: config.file, key: "num_attention_heads",
                expected: "a divisor of hidden_size (\(hidden)) that gives an even head size",
                found: "\(heads)")
        }
        return hidden / heads
    }

    private static func padToken(_ config: ConfigReader) throws(ModelError) -> Int32? {
        guard let id = try config.integer("pad_token_id") else { return nil }
        guard let small = Int32(exactly: id) else {
            throw config.bad("pad_token_id", "a token id", .integer(Int64(id)))
        }
        return small
    }

    private static func initializerRange(_ config: ConfigReader) throws(ModelError) -> Float {
        let range = try config.number("initializer_range") ?? 0.02
        guard range >= 0, range.isFinite else {
            throw config.bad("initializer_range", "a number of at least 0", .number(range))
        }
        return Float(range)
    }

    private static func activation(_ config: ConfigReader, _ family: ModelFamily)
        throws(ModelError) -> Activation
    {
        let name = try config.string("hidden_act") ?? (family.isEncoder ? "gelu" : "silu")
        switch name {
        case "silu", "swish": return .silu
        case "gelu": return .gelu
        case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .geluTanh
        case "relu": return .relu
        case "tanh": return .tanh
        default:
            throw .unsupported(
                file: config.file, key: "hidden_act", value: "'\(name)'",
                supported: "silu, gelu, gelu_new, gelu_pytorch_tanh, relu, tanh")
        }
    }

    /// transformers 5 writes `rope_parameters`, 4 writes `rope_theta` and `rope_scaling`; where
    /// both stand, the newer wins, as in transformers.
    private static func rope(_ config: ConfigReader) throws(ModelError) -> RopeConfiguration {
        let parameters = try config.nested("rope_parameters")
        var scaling = parameters
        if scaling == nil { scaling = try config.nested("rope_scaling") }
        var given = try parameters?.number("rope_theta")
        if given == nil { given = try config.number("rope_theta") }
        let theta = given ?? 10_000
        guard theta > 0 else {
            throw .badValue(
                file: config.file, key: "rope_theta", expected: "a positive number",
                found: "\(theta)")
        }
        guard let scaling else { return RopeConfiguration(theta: theta, scaling: .none) }
        try scaling.refuse("partial_rotary_factor", unless: { $0.number == 1 }, supported: "1")
        var named = try scaling.string("rope_type")
        if named == nil { named = try scaling.string("type") }
        let type = named ?? "default"
        func required(_ key: String) throws(ModelError) -> Double {
            guard let number = try scaling.number(key), number > 0 else {
                throw .missingKey(
                    file: scaling.file, key: key,
                    expected: "a positive number, for rope type '\(type)'")
            }
            return number
        }
        switch type {
        case "default":
            return RopeConfiguration(theta: theta, scaling: .none)
        case "linear":
            return RopeConfiguration(theta: theta, scaling: .linear(factor: try required("factor")))
        case "llama3":
            return RopeConfiguration(
                theta: theta,
                scaling: .llama3(
                    factor: try required("factor"),
                    lowFrequencyFactor: try required("low_freq_factor"),
                    highFrequencyFactor: try required("high_freq_factor"),
                    originalPositions: try required("original_max_position_embeddings")))
        default:
            throw .unsupported(
                file: scaling.file, key: "rope_type", value: "'\(type)'",
                supported: "default, linear, llama3")
        }
    }

    private static func windows(
        _ config: ConfigReader, _ family: ModelFamily, _ layers: Int
    ) throws(ModelError) -> [Int] {
        let none = [Int](repeating: 0, count: layers)
        guard !family.isEncoder else { return none }
        let window = try windowSize(config, family)
        if let types = try config.strings("layer_types") {
            guard types.count == layers else {
                throw .badValue(
                    file: config.file, key: "layer_types", expected: "\(layers) entries",
                    found: "\(types.count)")
            }
            return try types.map { type throws(ModelError) in
                switch type {
                case "full_attention": return 0
                case "sliding_attention" where window > 0: return window
                default:
                    throw .unsupported(
                        file: config.file, key: "layer_types", value: "'\(type)'",
                        supported: "full_attention, and sliding_attention with sliding_window")
                }
            }
        }
        guard family != .mistral else { return [Int](repeating: window, count: layers) }
        let first = try config.integer("max_window_layers") ?? 28
        return (0..<layers).map { $0 >= first ? window : 0 }
    }

    /// How many keys a layer with a window sees; 0 where the family or the file uses none.
    private static func windowSize(_ config: ConfigReader, _ family: ModelFamily)
        throws(ModelError) -> Int
    {
        let isUsed: Bool =
            switch family {
            case .mistral: true
            case .qwen2, .qwen3: try config.bool("use_sliding_window", default: false)
            default: false
            }
        guard isUsed else { return 0 }
        // null means none; where the key is absent, transformers takes 4096.
        guard let window = try config.integer("sliding_window") else {
            return config.object["sliding_window"] == nil ? 4096 : 0
        }
        guard window > 0 else {
            throw config.bad("sliding_window", "a positive number or null", .integer(Int64(window)))
        }
        return window
    }

    private static func labels(_ config: ConfigReader) throws(ModelError) -> [String]? {
        guard let map = config.value("id2label") else {
            guard let count = try config.integer("num_labels") else { return nil }
            return (0..<max(count, 0)).map { "LABEL_\($0)" }
        }
        guard let object = map.object else {
            throw config.bad("id2label", "an object of label names by id", map)
        }
        var names: [Int: String] = [:]
        for (key, value) in object {
            guard let id = Int(key), let name = value.string else {
                throw config.bad("id2label", "an object of label names by id", map)
            }
            names[id] = name
        }
        guard names.keys.sorted() == Array(0..<names.count) else {
            throw config.bad("id2label", "ids 0 to \(names.count - 1)", map)
        }
        return (0..<names.count).map { names[$0]! }
    }
}
