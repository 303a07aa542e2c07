// SPDX-License-Identifier: Apache-2.0
/// How torch numbers the parameters of an optimizer, which knows no names.

import CairnModels

/// A generation of transformers, which the order of RoBERTa's parameters differs between.
public enum TransformersGeneration: Int, Sendable, CaseIterable {
    /// transformers 4.
    case four = 4
    /// transformers 5.
    case five = 5
}

/// The parameters that train, in the order of `named_parameters()`, and which of them decay.
///
/// transformers' Trainer gives its optimizer two groups: what weight decay moves, then the rest.
/// torch numbers parameters through the groups, so that a number means a name only together with
/// this order:
///
/// - an adapter: the layers in the model's order; of each A, B and DoRA's magnitudes; the head last;
/// - in full: the modules in the order in which transformers' classes make them, which is that of
///   no file: a decoder layer's norms follow its feed-forward layers.
///
/// Source: measured with transformers 5.23 and 4.57, peft 0.21 and 0.17
/// (`Tests/Fixtures/hf-trainer/order.json`).
package struct TorchParameterOrder: Equatable {
    /// In the order of `named_parameters()`.
    package let names: [String]

    /// Those with weight decay, then those without: the numbers of the optimizer.
    var numbered: [String] { decayed + plain }
    var decayed: [String] { names.filter(Self.decays) }
    var plain: [String] { names.filter { !Self.decays($0) } }

    /// The orders that versions of transformers have for the model, the newest first.
    package static func candidates(for model: TaskModel) -> [TorchParameterOrder] {
        TransformersGeneration.allCases.reversed().reduce(into: []) { orders, generation in
            let order = TorchParameterOrder(for: model, generation)
            if !orders.contains(order) { orders.append(order) }
        }
    }

    package init(for model: TaskModel, _ generation: TransformersGeneration) {
        let specifications = model.base.model.parameters
        if let adapter = model.adapter {
            let pairs = adapter.orderedModules.flatMap { layer in
                [layer + ".lora_A.weight", layer + ".lora_B.weight"]
                    + (adapter.configuration.usesDoRA ? [layer + ".lora_magnitude_vector"] : [])
            }
            let head = specifications.filter(\.isHead).map(\.name)
            self.init(names: pairs + head)
        } else {
            self.init(names: Self.sorted(specifications.map(\.name), generation))
        }
    }

    private init(names: [String]) { self.names = names }

    /// Whether the Trainer's weight decay moves a parameter: by its name alone.
    package static func decays(_ name: String) -> Bool {
        let name = name.lowercased()
        if ["bias", "layernorm", "rmsnorm"].contains(where: name.contains) { return false }
        return !name.split(separator: ".").contains { $0 == "norm" || $0.hasSuffix("_norm") }
    }

    // MARK: The order of modules

    private static let decoderParts = [
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "self_attn.q_norm", "self_attn.k_norm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
        "input_layernorm", "post_attention_layernorm",
    ]

    /// `embeddings.` of an encoder; transformers 5 makes RoBERTa's positions after its norm.
    private static func embeddingParts(
        isRoBERTa: Bool, _ generation: TransformersGeneration
    ) -> [String] {
        isRoBERTa && generation == .five
            ? ["word_embeddings", "token_type_embeddings", "LayerNorm", "position_embeddings"]
            : ["word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm"]
    }

    /// Names whose specifications are in the order of layers, with the parts of each in torch's.
    private static func sorted(
        _ names: [String], _ generation: TransformersGeneration
    ) -> [String] {
        let isRoBERTa = names.contains { $0.hasPrefix("roberta.") }
        let embeddings = embeddingParts(isRoBERTa: isRoBERTa, generation)
        var blocks: [(key: Substring, members: [(rank: Int, name: String)])] = []
        for name in names {
            let (key, rank) = place(of: name, embeddings: embeddings)
            if blocks.last?.key != key { blocks.append((key, [])) }
            blocks[blocks.count - 1].members.append((rank, name))
        }
        // Stable: a weight stays before its bias.
        return blocks.flatMap { block in
            block.members.enumerated().sorted {
                ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset)
            }.map(\.element.name)
        }
    }

    /// The block that a name belongs to, and its part's rank there.
    private static func place(
        of name: String, embeddings: [String]
    ) -> (block: Substring, rank: Int) {
        if let end = name.range(of: "embeddings.")?.upperBound, !name.hasPrefix("model.") {
            return (name[..<end], rank(of: name[end...], among: embeddings))
        }
        if name.hasPrefix("model.layers."), let dot = name.dropFirst(13).firstIndex(of: ".") {
            return (name[...dot], rank(of: name[name.index(after: dot)...], among: decoderParts))
        }
        return (name[...], 0)
    }

    private static func rank(of name: Substring, among parts: [String]) -> Int {
        guard let rank = parts.firstIndex(where: { name.hasPrefix($0 + ".") }) else {
            preconditionFailure("'\(name)' has no place in torch's order")
        }
        return rank
    }
}
