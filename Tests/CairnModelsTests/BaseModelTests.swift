// SPDX-License-Identifier: Apache-2.0
/// Model directories: names, shapes and types of every tensor are checked before anything runs.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation
import TestSupport
import Testing

@Suite struct BaseModelTests {
    static let batch = Batch(sequences: [[2, 3, 4], [5, 6]])

    @Test(arguments: ModelFamily.allCases)
    func `a directory of each family opens and runs`(family: ModelFamily) throws {
        let files = try ModelFiles(family)
        try files.write()
        let base = try files.open()

        let logits = try base.logits(Self.batch)

        #expect(base.configuration.family == family)
        #expect(logits.count == 6)
        #expect(logits.allSatisfy { $0.isFinite })
        #expect(base.headTensors.isEmpty)
        #expect(base.parameterCount == files.tensors.values.reduce(0) { $0 + $1.elementCount })
    }

    @Test func `RoBERTa counts positions from pad + 1, which shortens its sequences`() throws {
        let roberta = try ModelFiles(.roberta)
        let bert = try ModelFiles(.bert)
        try roberta.write()
        try bert.write()

        #expect(try roberta.open().maximumLength == 14)
        #expect(try bert.open().maximumLength == 16)
    }

    @Test func `weights in several files are the same model`() throws {
        let (one, three) = (try ModelFiles(.qwen2), try ModelFiles(.qwen2))
        try one.write()
        try three.write(shards: 3)

        let base = try three.open()

        #expect(base.weightFiles.count == 3)
        #expect(
            bitMismatch(try base.logits(Self.batch), try one.open().logits(Self.batch)) == nil)
    }

    @Test func `a bare BERT without prefix, its norms named gamma and beta`() throws {
        let (plain, bare) = (try ModelFiles(.bert), try ModelFiles(.bert))
        for (name, tensor) in plain.tensors {
            bare.tensors[name] = nil
            let short = String(name.dropFirst("bert.".count))
                .replacingOccurrences(of: "LayerNorm.weight", with: "LayerNorm.gamma")
                .replacingOccurrences(of: "LayerNorm.bias", with: "LayerNorm.beta")
            bare.tensors[short] = tensor
        }
        try plain.write()
        try bare.write()

        let expected = try plain.open().logits(Self.batch)

        #expect(bitMismatch(try bare.open().logits(Self.batch), expected) == nil)
    }

    @Test func `a bare decoder without prefix`() throws {
        let (plain, bare) = (try ModelFiles(.qwen2), try ModelFiles(.qwen2))
        bare.tensors = Dictionary(
            uniqueKeysWithValues: plain.tensors.map {
                (String($0.key.dropFirst("model.".count)), $0.value)
            })
        try plain.write()
        try bare.write()

        #expect(
            bitMismatch(
                try bare.open().logits(Self.batch), try plain.open().logits(Self.batch)) == nil)
    }

    @Test func `heads of other tasks and computed buffers are left out`() throws {
        let files = try ModelFiles(.llama)
        files.tensors["lm_head.weight"] = Tensor(zeros: [12, 8])
        files.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = Tensor(zeros: [2])
        try files.write()

        #expect(try files.open().tensor(named: "lm_head.weight") == nil)
    }

    @Test func `a head of the right shape is kept, another is started afresh`() throws {
        let files = try ModelFiles(.qwen2)
        let head = ParameterSpecification("score.weight", [3, 8], .normal(deviation: 1))
            .initialTensor(seed: 9)
        files.tensors["score.weight"] = head
        try files.write()

        let same = try files.open()
        let other = try files.open(head: .classification(labels: 5))

        #expect(same.headTensors == ["score.weight"])
        #expect(same.tensor(named: "score.weight")?.floats() == head.floats())
        #expect(other.headTensors.isEmpty)
        #expect(other.tensor(named: "score.weight") == nil)
    }

    @Test func `missing and superfluous tensors are named`() throws {
        let missing = try ModelFiles(.qwen2)
        missing.tensors["model.norm.weight"] = nil
        let several = try ModelFiles(.qwen2)
        for layer in 0..<2 { several.tensors["model.layers.\(layer).mlp.up_proj.weight"] = nil }
        let extra = try ModelFiles(.llama)
        extra.tensors["model.layers.0.self_attn.q_proj.bias"] = Tensor(zeros: [8])

        #expect(
            try missing.refusal()
                == "DIR: tensor 'model.norm.weight' is missing from the weight files")
        #expect(
            try several.refusal()
                == "DIR: 2 tensors, 'model.layers.0.mlp.up_proj.weight', "
                + "'model.layers.1.mlp.up_proj.weight' are missing from the weight files")
        #expect(
            try extra.refusal()
                == "DIR: tensor 'model.layers.0.self_attn.q_proj.bias' is in the weight files but "
                + "not in the model that config.json describes")
    }

    @Test func `a wrong shape and a wrong type are named with both sides`() throws {
        let shape = try ModelFiles(.qwen2)
        shape.tensors["model.embed_tokens.weight"] = Tensor(zeros: [11, 8])
        let type = try ModelFiles(.qwen2)
        type.tensors["model.norm.weight"] = Tensor([Int32](repeating: 1, count: 8), shape: [8])

        #expect(
            try shape.refusal()
                == "DIR/model.safetensors: tensor 'model.embed_tokens.weight' has shape [11, 8], "
                + "its configuration makes it [12, 8]")
        #expect(
            try type.refusal()
                == "DIR/model.safetensors: tensor 'model.norm.weight' is I32; weights must be F32, "
                + "BF16 or F16")
    }

    @Test func `an encoder is no language model`() throws {
        let files = try ModelFiles(.bert)
        try files.write()

        #expect(
            sentence(files.directory.path) { try files.open(head: .languageModel) }
                == "DIR/config.json: 'model_type' is bert, an encoder: each of its tokens sees those "
                + "behind it, so it predicts no next token; give --task causal a decoder (qwen2, "
                + "qwen3, llama, mistral), or use this model with --task classify")
    }

    @Test func `a random start needs a directory without weights, and asks the seed`() throws {
        let files = try ModelFiles(.llama, ["initializer_range": 0.5], head: .languageModel)
        try files.write()
        func open() throws -> BaseModel {
            try BaseModel(
                contentsOf: files.directory.url, head: .languageModel, weights: .random)
        }
        let refusal = sentence(files.directory.path) { try open() }
        try FileManager.default.removeItem(at: files.directory.file("model.safetensors"))
        let (pretrained, random) = (
            sentence(files.directory.path) { try files.open(head: .languageModel) }, try open()
        )

        #expect(
            refusal == "DIR: a random start needs a directory without weights, found "
                + "model.safetensors")
        #expect(pretrained?.contains("model.safetensors") == true)
        #expect(!random.isPretrained && random.weightFiles.isEmpty)
        let first = random.model.parameters[0]
        #expect(random.tensor(named: first.name) == nil)
        #expect(first.initialization == .normal(deviation: 0.5))
    }

    @Test func `a directory without files says which is missing`() throws {
        let directory = try TemporaryDirectory()

        let sentence = sentence(directory.path) {
            try BaseModel(contentsOf: directory.url, head: .languageModel)
        }

        #expect(sentence?.contains("DIR/config.json") == true)
    }

    @Test func `an untied language model reads its own head, a tied one the table`() throws {
        let tied = try ModelFiles(.llama, ["tie_word_embeddings": true], head: .languageModel)
        let untied = try ModelFiles(.llama, head: .languageModel)
        try tied.write()
        try untied.write()
        var batch = Self.batch
        batch.targetRows = [0, 4]
        batch.targetOffsets = [0, 1, 2]

        #expect(tied.tensors["lm_head.weight"] == nil)
        #expect(untied.tensors["lm_head.weight"] != nil)
        let a = try tied.open(head: .languageModel).logits(batch)
        let b = try untied.open(head: .languageModel).logits(batch)
        #expect(a.count == 24 && b.count == 24)
        #expect(bitMismatch(a, b) != nil)
    }
}
