// SPDX-License-Identifier: Apache-2.0
/// `save` and `load` of one model: what goes in comes out, in every format.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

/// Names C1 to C9 are those of the checklist of mlx-ruby's own tests.
@Suite struct ModelFileTests {
    static let names = ["m.bin", "m.marshal", "m.npz", "m.safetensors", "m.apr"]
    static let groups = [
        ParameterGroup("bias", .suffix(".bias"), .sgd(momentum: 0.9)),
        ParameterGroup("rest", .everything, .adamW(weightDecay: 0.1), learningRateFactor: 0.5),
    ]
    static let metadata: JSONObject = [
        "epoch": 3, "epoch_loss": 0.1, "tag": "first", "nested": ["list": [1, .null, true, "x"]],
    ]

    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    /// Without the order of the members, which APR does not keep.
    static func text(_ metadata: JSONObject) throws -> Data {
        try JSONValue.object(metadata).serialized(sortedKeys: true)
    }

    /// Saved after three steps and loaded into another network, whose next four steps must be those
    /// that the first one would have taken.
    private func goesOn(_ name: String, format: CheckpointFormat? = nil) throws -> LoadedPayload {
        let (one, other) = (try SmallRun(), try SmallRun(seed: 9))
        let first = try Optimizer(groups: Self.groups, parameters: one.parameters)
        try one.train(first, steps: 3)
        let url = try one.network.save(
            to: directory.file(name), optimizer: first, metadata: Self.metadata, format: format)
        #expect(FileManager.default.fileExists(atPath: url.path))

        let second = try Optimizer(groups: Self.groups, parameters: other.parameters)
        let payload = try other.network.load(
            from: directory.file(name), optimizer: second, format: format)
        #expect(one.digest(first) == other.digest(second))
        #expect(second.state.learningRate == 0.1)

        try one.train(first, steps: 4)
        try other.train(second, steps: 4)
        #expect(one.digest(first) == other.digest(second))
        return payload
    }

    @Test(arguments: names)
    func `a saved model goes on with the same bits in every format`(name: String) throws {
        let payload = try goesOn(name)

        #expect(try Self.text(payload.metadata) == Self.text(Self.metadata))
        #expect(payload.missing.isEmpty && payload.unexpected.isEmpty)
        #expect(payload.changes.isEmpty && payload.remarks.isEmpty)
        #expect(payload.optimizer?.groups.map(\.kind) == ["sgd", "adamw"])
    }

    @Test(arguments: OptimizerGroupTests.rules, names)
    func `every rule's state comes back from every format`(rule: UpdateRule, name: String) throws {
        let (one, other) = (try SmallRun(), try SmallRun(seed: 9))
        let first = try Optimizer(rule, parameters: one.parameters)
        try one.train(first, steps: 2)

        try one.network.save(to: directory.file(name), optimizer: first)
        let second = try Optimizer(rule, parameters: other.parameters)
        try other.network.load(from: directory.file(name), optimizer: second)

        #expect(one.digest(first) == other.digest(second))
    }

    @Test func `C1 a marshal file holds its format, metadata, weights and optimizer`() throws {
        _ = try goesOn("run.bin")

        let value = try MarshalReader.value(contentsOf: directory.file("run.bin"))
        guard case .hash(let payload) = value else { Issue.record("no hash"); return }
        let members = Dictionary(uniqueKeysWithValues: payload.pairs.map { ($0.key, $0.value) })
        #expect(members[.text("format")] == .text("mlx_dsl_checkpoint_v1"))
        #expect(members[.text("model")] != nil && members[.text("optimizer")] != nil)
        guard case .hash(let metadata)? = members[.text("metadata")] else {
            Issue.record("no metadata")
            return
        }
        #expect(metadata.pairs.contains { $0 == (.text("tag"), .text("first")) })
    }

    @Test(arguments: ["npz", "safetensors"])
    func `C2 the native form is weights and a sidecar of mlx-ruby's keys`(word: String) throws {
        let payload = try goesOn("run.\(word)")

        let sidecar = directory.file("run.\(word).mlxmeta.json")
        let json = try JSONValue.parse(contentsOf: sidecar)
        #expect(json["format"]?.string == "mlx_dsl_checkpoint_v2_native")
        #expect(json["weights_format"]?.string == word)
        #expect(json["metadata"]?.object == Self.metadata)
        #expect(json["optimizer"]?["states"]?.array?.first?["step"]?.integer == 3)
        #expect(json["weights_sha256"]?.string == (try SHA256.hex(ofFile: payload.url)))
        #expect(json["weights_bytes"]?.integer == (try Data(contentsOf: payload.url).count))
        #expect(json["schema_version"]?.integer == 1)
    }

    @Test(arguments: [CheckpointFormat.npz, .safetensors, .apr])
    func `C3 a base without extension gets one and is found again`(format: CheckpointFormat) throws
    {
        let run = try SmallRun()

        let url = try run.network.save(to: directory.file("base"), format: format)

        #expect(url.lastPathComponent == "base.\(format.rawValue)")
        #expect(try run.network.load(from: directory.file("base")).url.path == url.path)
    }

    @Test(arguments: names)
    func `C4 C5 parent directories are made`(name: String) throws {
        _ = try goesOn("a/b/c/\(name)")

        let found = try FileManager.default.contentsOfDirectory(
            atPath: directory.file("a/b/c").path)
        let sidecar = name.hasSuffix("npz") || name.hasSuffix("safetensors") ? 1 : 0
        #expect(found.count == 1 + sidecar, "\(found)")
    }

    @Test(arguments: names)
    func `C8 every bit of a slot survives`(name: String) throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(.lion(), parameters: run.parameters)
        var state = optimizer.state
        let odd: [Float] = [-0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.1]
        state.slots["0.bias"]!["m"] = Tensor(odd, shape: [4])
        optimizer.restore(state)

        try run.network.save(to: directory.file(name), optimizer: optimizer)
        let other = try Optimizer(.lion(), parameters: run.parameters)
        try run.network.load(from: directory.file(name), optimizer: other)

        #expect(bitMismatch(other.state.slots["0.bias"]!["m"]!.floats(), odd) == nil)
    }

    /// In Ruby a declaration must not touch the native library. Here a declaration is a value that
    /// knows no context, so that the compiler sees to it.
    @Test func `C9 a model is declared without an engine`() {
        let model = Sequential(inputs: 3) { Dense(2) }

        #expect(model.parameters.map(\.name).sorted() == ["0.bias", "0.weight"])
    }

    @Test(arguments: names)
    func `the same model and metadata give the same bytes`(name: String) throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(groups: Self.groups, parameters: run.parameters)
        try run.train(optimizer, steps: 2)

        let files = try (0..<2).map { index in
            try run.network.save(
                to: directory.file("\(index)/\(name)"), optimizer: optimizer,
                metadata: Self.metadata)
        }

        #expect(try Data(contentsOf: files[0]) == Data(contentsOf: files[1]))
    }

    @Test(arguments: names)
    func `W15 a file can be loaded and written again in its place`(name: String) throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(parameters: run.parameters)
        try run.network.save(to: directory.file(name), optimizer: optimizer)
        try run.network.load(from: directory.file(name), optimizer: optimizer)

        try run.train(optimizer, steps: 1)
        let digest = run.digest(optimizer)
        try run.network.save(to: directory.file(name), optimizer: optimizer)
        try run.train(optimizer, steps: 1)
        try run.network.load(from: directory.file(name), optimizer: optimizer)

        #expect(run.digest(optimizer) == digest)
    }

    @Test(arguments: names, [Method.full, .lora(AdapterConfiguration(rank: 2, alpha: 4))])
    func `a model on a base is saved by what trains`(name: String, method: Method) throws {
        let base = try GoldenCase("qwen2-seqcls").base
        func model(seed: UInt64) throws -> TaskModel {
            try TaskModel(
                base, method: method, seed: seed, parameters: Parameters(context: Context()))
        }
        let (one, other) = (try model(seed: 1), try model(seed: 2))
        let optimizer = try Optimizer(parameters: one.parameters)

        try one.save(to: directory.file(name), optimizer: optimizer)
        let second = try Optimizer(parameters: other.parameters)
        try other.load(from: directory.file(name), optimizer: second)

        #expect(one.checkpointNames == one.parameters.trainableNames)
        #expect(
            StateDigest.of(optimizer) == StateDigest.of(second))
    }
}
