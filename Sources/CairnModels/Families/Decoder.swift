// SPDX-License-Identifier: Apache-2.0
/// The decoder graph of Qwen2, Qwen3, Llama and Mistral; config.json says which.

import CairnGraph

/// A causal transformer: pre-norm blocks of attention and a gated feed-forward layer.
///
///     x <- x + attention(norm(x)),   x <- x + down(f(gate(norm(x))) * up(norm(x)))
public struct Decoder: Model {
    /// What config.json says.
    public let configuration: ModelConfiguration
    /// What it gives.
    public let head: Head
    private let layers: [DecoderLayer]

    /// A decoder of the family that the configuration names.
    public init(_ configuration: ModelConfiguration, head: Head) {
        precondition(!configuration.family.isEncoder, "\(configuration.family) is no decoder")
        self.configuration = configuration
        self.head = head
        layers = (0..<configuration.layerCount).map { DecoderLayer($0, configuration) }
    }

    private var embedding: Embedding {
        Embedding(
            name: "model.embed_tokens", vocabulary: configuration.vocabularySize,
            width: configuration.hiddenSize, index: .tokens,
            deviation: configuration.initializerRange)
    }

    private var norm: RMSNorm {
        RMSNorm(
            "model.norm", width: configuration.hiddenSize, epsilon: configuration.normEpsilon)
    }

    /// The classifier; nil for a language model, whose head is part of the base.
    private var classifier: Linear? {
        guard case .classification(let labels) = head else { return nil }
        return Linear(
            "score", configuration.hiddenSize, labels, bias: false,
            weight: .normal(deviation: 0.02), isHead: true)
    }

    private var languageHead: Linear? {
        guard head == .languageModel, !configuration.tiesEmbeddings else { return nil }
        return Linear(
            "lm_head", configuration.hiddenSize, configuration.vocabularySize, bias: false,
            weight: .normal(deviation: configuration.initializerRange))
    }

    public var parameters: [ParameterSpecification] {
        [embedding.specification] + layers.flatMap(\.parameters) + norm.parameters
            + (classifier?.parameters ?? []) + (languageHead?.parameters ?? [])
    }

    /// Everything but the output head, as PEFT's all-linear has it.
    public var linearLayers: [Linear] { layers.flatMap(\.linearLayers) }

    public func record(_ recorder: inout Recorder) -> Value {
        var x = embedding(&recorder)
        for layer in layers { x = layer(x, &recorder) }
        x = norm(x, &recorder)
        if let classifier {
            let logits = classifier(x, &recorder)
            return recorder.graph.selectRows(logits, .sequences)
        }
        let logits: Value
        if let languageHead {
            logits = languageHead(x, &recorder)
        } else {
            let table = recorder.reference(embedding.specification)
            logits = recorder.graph.linear(x, weight: table)
        }
        return recorder.graph.selectRows(logits, .targets)
    }
}

/// One block of a decoder.
struct DecoderLayer: Layer {
    private let configuration: ModelConfiguration
    private let query, key, value, output: Linear
    private let gate, up, down: Linear
    private let attentionNorm, feedForwardNorm: RMSNorm
    private let queryNorm, keyNorm: RMSNorm?
    private let window: Int

    init(_ index: Int, _ c: ModelConfiguration) {
        configuration = c
        window = c.windows[index]
        let path = "model.layers.\(index)."
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, _ bias: Bool) -> Linear {
            Linear(
                path + name, inputs, outputs, bias: bias,
                weight: .normal(deviation: c.initializerRange))
        }
        let wide = c.headCount * c.headDimension
        let narrow = c.keyValueHeadCount * c.headDimension
        query = linear("self_attn.q_proj", c.hiddenSize, wide, c.hasQueryBias)
        key = linear("self_attn.k_proj", c.hiddenSize, narrow, c.hasQueryBias)
        value = linear("self_attn.v_proj", c.hiddenSize, narrow, c.hasQueryBias)
        output = linear("self_attn.o_proj", wide, c.hiddenSize, c.hasOutputBias)
        gate = linear("mlp.gate_proj", c.hiddenSize, c.intermediateSize, c.hasFeedForwardBias)
        up = linear("mlp.up_proj", c.hiddenSize, c.intermediateSize, c.hasFeedForwardBias)
        down = linear("mlp.down_proj", c.intermediateSize, c.hiddenSize, c.hasFeedForwardBias)
        func norm(_ name: String, _ width: Int) -> RMSNorm {
            RMSNorm(path + name, width: width, epsilon: c.normEpsilon)
        }
        attentionNorm = norm("input_layernorm", c.hiddenSize)
        feedForwardNorm = norm("post_attention_layernorm", c.hiddenSize)
        let hasHeadNorms = c.family == .qwen3
        queryNorm = hasHeadNorms ? norm("self_attn.q_norm", c.headDimension) : nil
        keyNorm = hasHeadNorms ? norm("self_attn.k_norm", c.headDimension) : nil
    }

    var linearLayers: [Linear] { [query, key, value, output, gate, up, down] }

    var parameters: [ParameterSpecification] {
        attentionNorm.parameters + [query, key, value].flatMap(\.parameters)
            + (queryNorm?.parameters ?? []) + (keyNorm?.parameters ?? []) + output.parameters
            + feedForwardNorm.parameters + [gate, up, down].flatMap(\.parameters)
    }

    func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        let c = configuration
        let h = attentionNorm(x, &recorder)
        var q = query(h, &recorder)
        var k = key(h, &recorder)
        let v = value(h, &recorder)
        if let queryNorm, let keyNorm {
            q = queryNorm(q, &recorder)
            k = keyNorm(k, &recorder)
        }
        let half = c.headDimension / 2
        q = recorder.rope(
            q, heads: c.headCount, half: half, positions: c.maximumPositions, c.rope)
        k = recorder.rope(
            k, heads: c.keyValueHeadCount, half: half, positions: c.maximumPositions, c.rope)
        let attended = recorder.graph.attention(
            AttentionLayout(
                heads: c.headCount, keyValueHeads: c.keyValueHeadCount,
                headDimension: c.headDimension, scale: 1 / Float(c.headDimension).squareRoot(),
                isCausal: true, window: window), q: q, k: k, v: v)
        let y = recorder.graph.add(x, output(attended, &recorder))
        let n = feedForwardNorm(y, &recorder)
        let gated = recorder.graph.gated(
            c.activation, gate: gate(n, &recorder), up: up(n, &recorder))
        return recorder.graph.add(y, down(gated, &recorder))
    }
}
