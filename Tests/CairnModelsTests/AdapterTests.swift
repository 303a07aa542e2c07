// SPDX-License-Identifier: Apache-2.0
/// Adapters: which layers are meant, and how new tensors start.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation
import TestSupport
import Testing

@Suite struct TargetTests {
    static let model: any Model = {
        let config = ModelFiles.config(.qwen2)
        // ModelFiles's own configuration, which ConfigurationTests reads.
        return try! Decoder(
            ModelConfiguration(.object(config), file: "config.json"),
            head: .classification(labels: 2))
    }()

    private func modules(_ targets: TargetModules) throws -> [String] {
        try Adapter(AdapterConfiguration(targets: targets), for: Self.model).orderedModules
    }

    @Test func `all-linear means every layer but the head`() throws {
        let names = try modules(.allLinear)

        #expect(names.count == 14)
        #expect(names == Self.model.linearLayers.map(\.name))
        #expect(!names.contains("score"))
    }

    @Test func `an entry is a whole name or its end after a dot`() throws {
        #expect(
            try modules(.names(["q_proj"])) == [
                "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj",
            ])
        #expect(
            try modules(.names(["model.layers.1.mlp.up_proj"])) == ["model.layers.1.mlp.up_proj"])
        #expect(try modules(.names(["self_attn.q_proj", "v_proj"])).count == 4)
        // Not the end of a word, not a part in the middle.
        #expect(!TargetModules.names(["proj"]).matches("model.layers.0.self_attn.q_proj"))
        #expect(!TargetModules.names(["self_attn"]).matches("model.layers.0.self_attn.q_proj"))
    }

    @Test func `a pattern must match the whole name, as re.fullmatch`() throws {
        #expect(try modules(.pattern(#".*\.(q|v)_proj"#)).count == 4)
        #expect(
            try modules(.pattern(#"model\.layers\.1\.mlp\.down_proj"#)) == [
                "model.layers.1.mlp.down_proj"
            ])
        #expect(!TargetModules.pattern("q_proj").matches("model.layers.0.self_attn.q_proj"))
        #expect(!TargetModules.pattern(".*q_").matches("model.layers.0.self_attn.q_proj"))
        // The first alternative matches a part; only the second matches all.
        #expect(TargetModules.pattern("ab|abc").matches("abc"))
        // Both ends hold for every alternative.
        #expect(!TargetModules.pattern("ab|c").matches("abc"))
        #expect(!TargetModules.pattern("(").matches("("))
    }

    @Test func `an entry that matches nothing is a misspelling`() {
        let kinds = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"

        #expect(
            sentence("") { try modules(.names(["q_proj", "value"])) }
                == "--target-modules value matches no linear layer; the model has \(kinds)")
        #expect(
            sentence("") { try modules(.pattern("q_proj")) }
                == "--target-modules q_proj matches no linear layer; the model has \(kinds)")
        #expect(
            sentence("") { try modules(.names([])) }?.contains("matches no linear layer") == true)
    }

    @Test func `layers are chosen by number, as PEFT's layers_to_transform`() throws {
        func modules(_ targets: TargetModules, _ layers: [Int]?) throws -> [String] {
            try Adapter(AdapterConfiguration(targets: targets, layers: layers), for: Self.model)
                .orderedModules
        }
        #expect(try modules(.names(["q_proj"]), [1]) == ["model.layers.1.self_attn.q_proj"])
        #expect(try modules(.allLinear, [0]).count == 7)
        #expect(try modules(.allLinear, [0, 1]).count == 14)
        // A whole name is meant wherever it lies.
        #expect(
            try modules(.names(["model.layers.0.mlp.up_proj", "q_proj"]), [1]) == [
                "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj",
            ])
        #expect(
            sentence("") { try modules(.allLinear, [1, 2]) }
                == "an adapter in layer 2 was asked for; the model has the layers 0 to 1")
        let encoder = Encoder(
            try ModelConfiguration(.object(ModelFiles.config(.bert)), file: "c"), labels: 2)
        let names = try Adapter(
            AdapterConfiguration(targets: .names(["dense"]), layers: [1]), for: encoder
        ).orderedModules
        #expect(names.count == 3 && names.allSatisfy { $0.hasPrefix("bert.encoder.layer.1.") })
    }

    @Test func `an encoder's layers`() throws {
        let model = Encoder(
            try ModelConfiguration(.object(ModelFiles.config(.bert)), file: "c"), labels: 2)

        let adapter = try Adapter(AdapterConfiguration(targets: .names(["dense"])), for: model)

        // Three dense layers per block and the pooler.
        #expect(adapter.modules.count == 7)
        #expect(model.linearLayers.count == 13)
    }

    @Test func `scaling is alpha over rank, or over its root`() {
        #expect(AdapterConfiguration(rank: 16, alpha: 8).scaling == 0.5)
        #expect(AdapterConfiguration(rank: 16, alpha: 8, usesRSLoRA: true).scaling == 2)
    }
}

@Suite struct InitialTensorTests {
    private func tensors(
        seed: UInt64 = 1, dora: Bool = false
    ) throws -> (base: BaseModel, tensors: [String: Tensor]) {
        let files = try ModelFiles(.qwen2)
        try files.write()
        let base = try files.open()
        let model = try TaskModel(
            base, method: .lora(AdapterConfiguration(rank: 4, usesDoRA: dora)), seed: seed,
            parameters: Parameters(context: try Context(threads: 1)))
        let names = model.parameters.trainableNames
        return (
            base,
            Dictionary(uniqueKeysWithValues: names.map { ($0, model.parameters.tensor($0)) })
        )
    }

    @Test func `A is uniform within one over the root of its inputs, B is zero`() throws {
        let tensors = try tensors().tensors

        for (name, tensor) in tensors where name.hasSuffix("lora_A.weight") {
            let numbers = tensor.floats()
            let bound = 1 / Float(tensor.shape[1]).squareRoot()
            #expect(numbers.allSatisfy { abs($0) <= bound }, "\(name)")
            // 32 numbers or more: one in the outer quarter fails to come once in 10^9.
            #expect(numbers.contains { abs($0) > bound / 2 }, "\(name)")
            #expect(numbers.contains { $0 < 0 } && numbers.contains { $0 > 0 }, "\(name)")
        }
        for (name, tensor) in tensors where name.hasSuffix("lora_B.weight") {
            #expect(tensor.floats().allSatisfy { $0 == 0 }, "\(name)")
        }
        #expect(tensors.keys.count { $0.contains("lora_") } == 28)
    }

    @Test func `magnitudes start at the row norms of the weights`() throws {
        let (base, tensors) = try tensors(dora: true)

        for (name, tensor) in tensors where name.hasSuffix("lora_magnitude_vector") {
            let layer = name.replacingOccurrences(of: ".lora_magnitude_vector", with: ".weight")
            let weight = base.tensor(named: layer)!
            let (rows, columns) = (weight.shape[0], weight.shape[1])
            let numbers = weight.doubles()
            let norms = (0..<rows).map { row in
                let part = Array(numbers[row * columns..<(row + 1) * columns])
                return dot(part, part).squareRoot()
            }
            #expect(firstMismatch(tensor.floats(), norms, tolerance: 1e-6) == nil, "\(name)")
        }
        #expect(tensors.keys.count { $0.hasSuffix("lora_magnitude_vector") } == 14)
    }

    @Test func `the same seed gives the same numbers, another name or seed gives others`() throws {
        let (first, again, other) = (
            try tensors().tensors, try tensors().tensors, try tensors(seed: 2).tensors
        )
        let (q0, q1) = (
            "model.layers.0.self_attn.q_proj.lora_A.weight",
            "model.layers.1.self_attn.q_proj.lora_A.weight"
        )

        for (name, tensor) in first {
            #expect(bitMismatch(tensor.floats(), again[name]!.floats()) == nil)
        }
        #expect(first[q0]!.floats() != first[q1]!.floats())
        #expect(first[q0]!.floats() != other[q0]!.floats())
        #expect(first["score.weight"]!.floats() != other["score.weight"]!.floats())
    }

    /// B = 0 and m = ||W||: before the first step an adapter changes nothing.
    @Test func `a fresh adapter leaves the logits as they are`() throws {
        let files = try ModelFiles(.qwen2)
        try files.write()
        let base = try files.open()
        let batch = Batch(sequences: [[2, 3, 4], [5, 6]])

        let plain = try base.logits(batch, method: .full)

        #expect(bitMismatch(try base.logits(batch), plain) == nil)
        let dora = try base.logits(
            batch, method: .lora(AdapterConfiguration(rank: 2, usesDoRA: true)))
        #expect(relativeError(dora, plain) <= 1e-6)
    }
}
