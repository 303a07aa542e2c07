// SPDX-License-Identifier: Apache-2.0
/// The encoder graph of BERT and RoBERTa.

import CairnGraph

/// A bidirectional transformer: post-norm blocks, the first token pooled.
///
///     x <- norm(x + attention(x)),   x <- norm(x + out(f(in(x))))
///
/// The base's own dropout (`hidden_dropout_prob`) is not applied in training: the base is frozen,
/// and LoRA has a dropout of its own.
public struct Encoder: Model {
    /// What config.json says.
    public let configuration: ModelConfiguration
    private let labels: Int
    private let layers: [EncoderLayer]

    /// An encoder with a head of so many labels.
    public init(_ configuration: ModelConfiguration, labels: Int) {
        precondition(configuration.family.isEncoder, "\(configuration.family) is no encoder")
        self.configuration = configuration
        self.labels = labels
        layers = (0..<configuration.layerCount).map { EncoderLayer($0, configuration) }
    }

    private var prefix: String { configuration.family.prefix + "." }
    private var isRoBERTa: Bool { configuration.family == .roberta }

    private func table(_ name: String, _ rows: Int, _ index: IndexInput) -> Embedding {
        Embedding(
            name: prefix + "embeddings." + name, vocabulary: rows,
            width: configuration.hiddenSize, index: index)
    }

    private var embeddings: [Embedding] {
        // RoBERTa numbers positions from pad_token_id + 1.
        let first = isRoBERTa ? Int(configuration.padTokenID ?? 1) + 1 : 0
        return [
            table("word_embeddings", configuration.vocabularySize, .tokens),
            table("token_type_embeddings", configuration.typeVocabularySize, .types),
            table(
                "position_embeddings", configuration.maximumPositions, .positions(offset: first)),
        ]
    }

    /// The longest sequence that has a position for every token.
    public var maximumLength: Int {
        configuration.maximumPositions
            - (isRoBERTa ? Int(configuration.padTokenID ?? 1) + 1 : 0)
    }

    private var embeddingNorm: LayerNorm {
        LayerNorm(
            prefix + "embeddings.LayerNorm", width: configuration.hiddenSize,
            epsilon: configuration.normEpsilon)
    }

    /// BERT's pooler, part of the base; RoBERTa has none.
    private var pooler: Linear? {
        isRoBERTa ? nil : linear(prefix + "pooler.dense", configuration.hiddenSize)
    }

    private func linear(_ name: String, _ outputs: Int, isHead: Bool = false) -> Linear {
        Linear(
            name, configuration.hiddenSize, outputs, bias: true, weight: .normal(deviation: 0.02),
            isHead: isHead)
    }

    private var head: [Linear] {
        isRoBERTa
            ? [
                linear("classifier.dense", configuration.hiddenSize, isHead: true),
                linear("classifier.out_proj", labels, isHead: true),
            ] : [linear("classifier", labels, isHead: true)]
    }

    public var parameters: [ParameterSpecification] {
        embeddings.map(\.specification) + embeddingNorm.parameters
            + layers.flatMap(\.parameters) + (pooler?.parameters ?? [])
            + head.flatMap(\.parameters)
    }

    public var linearLayers: [Linear] {
        layers.flatMap(\.linearLayers) + [pooler].compactMap { $0 }
    }

    public func record(_ recorder: inout Recorder) -> Value {
        let parts = embeddings.map { $0(&recorder) }
        // In the order of transformers: words + types, then positions.
        var x = recorder.graph.add(recorder.graph.add(parts[0], parts[1]), parts[2])
        x = embeddingNorm(x, &recorder)
        for layer in layers { x = layer(x, &recorder) }
        x = recorder.graph.selectRows(x, .sequences)
        if let pooler { x = recorder.graph.activation(.tanh, pooler(x, &recorder)) }
        for (index, layer) in head.enumerated() {
            x = layer(x, &recorder)
            if index + 1 < head.count { x = recorder.graph.activation(.tanh, x) }
        }
        return x
    }
}

/// One block of an encoder.
struct EncoderLayer: Layer {
    private let configuration: ModelConfiguration
    private let query, key, value, output, intermediate, final: Linear
    private let attentionNorm, finalNorm: LayerNorm

    init(_ index: Int, _ c: ModelConfiguration) {
        configuration = c
        let path = "\(c.family.prefix).encoder.layer.\(index)."
        func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> Linear {
            Linear(path + name, inputs, outputs, bias: true, weight: .normal(deviation: 0.02))
        }
        query = linear("attention.self.query", c.hiddenSize, c.hiddenSize)
        key = linear("attention.self.key", c.hiddenSize, c.hiddenSize)
        value = linear("attention.self.value", c.hiddenSize, c.hiddenSize)
        output = linear("attention.output.dense", c.hiddenSize, c.hiddenSize)
        intermediate = linear("intermediate.dense", c.hiddenSize, c.intermediateSize)
        final = linear("output.dense", c.intermediateSize, c.hiddenSize)
        func norm(_ name: String) -> LayerNorm {
            LayerNorm(path + name, width: c.hiddenSize, epsilon: c.normEpsilon)
        }
        attentionNorm = norm("attention.output.LayerNorm")
        finalNorm = norm("output.LayerNorm")
    }

    var linearLayers: [Linear] { [query, key, value, output, intermediate, final] }

    var parameters: [ParameterSpecification] {
        [query, key, value, output].flatMap(\.parameters) + attentionNorm.parameters
            + [intermediate, final].flatMap(\.parameters) + finalNorm.parameters
    }

    func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        let c = configuration
        let q = query(x, &recorder)
        let k = key(x, &recorder)
        let v = value(x, &recorder)
        let attended = recorder.graph.attention(
            AttentionLayout(
                heads: c.headCount, keyValueHeads: c.headCount, headDimension: c.headDimension,
                scale: 1 / Float(c.headDimension).squareRoot(), isCausal: false),
            q: q, k: k, v: v)
        let a = attentionNorm(recorder.graph.add(output(attended, &recorder), x), &recorder)
        let h = recorder.graph.activation(c.activation, intermediate(a, &recorder))
        return finalNorm(recorder.graph.add(final(h, &recorder), a), &recorder)
    }
}
