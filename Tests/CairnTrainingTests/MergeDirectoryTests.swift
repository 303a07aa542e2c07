// SPDX-License-Identifier: Apache-2.0
/// What a merged directory holds, and which checkpoints and places are refused.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct MergeDirectoryTests {
    private static let lora = MergeTests.methods[0].1

    private static func written(_ family: String = "qwen2") throws -> WrittenCheckpoint {
        try WrittenCheckpoint(WrittenCheckpoint.base(family), lora)
    }

    private func read(_ name: String, of directory: URL) throws -> Data {
        try Data(contentsOf: directory.appendingPathComponent(name))
    }

    // MARK: The directory

    @Test func `the directory holds a model, and nothing of the adapter or the run`() throws {
        let written = try Self.written()

        let report = try written.merge()

        let names = try FileManager.default.subpathsOfDirectory(atPath: written.output.path)
        #expect(
            names.sorted() == [
                "README.md", "config.json", "manifest.json", "metadata.json",
                "model.safetensors", "tokenizer.json", "tokenizer_config.json",
            ])
        #expect(report.files.map(\.name).sorted() == names.sorted())
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            #expect(
                try read(name, of: written.output)
                    == read(name, of: WrittenCheckpoint.base("qwen2")))
        }
        let weights = try SafetensorsFile(
            contentsOf: written.output.appendingPathComponent("model.safetensors"))
        #expect(weights.metadata == ["format": "pt"])
        #expect(weights.names == written.model.base.model.parameters.map(\.name).sorted())
        #expect(Manifest.check(written.output).isWhole)
        #expect(try written.strays == ["merged"])
    }

    @Test func `config.json and metadata are the checkpoint's`() throws {
        let written = try Self.written()

        _ = try written.merge(.fp16)

        let config = try JSONValue.parse(
            contentsOf: written.output.appendingPathComponent("config.json"))
        var own = try JSONValue.parse(
            contentsOf: written.best.appendingPathComponent("config.json"))
        (own["dtype"], own["torch_dtype"]) = ("float16", "float16")
        #expect(config == own)
        #expect(config["id2label"]?["2"]?.string == written.labels[2])
        #expect(config["problem_type"]?.string == "single_label_classification")
        #expect(config["pad_token_id"]?.integer == 575)
        #expect(config["architectures"] == ["Qwen2ForSequenceClassification"])
        let metadata = try JSONValue.parse(
            contentsOf: written.output.appendingPathComponent("metadata.json"))
        #expect(metadata["max_length"]?.integer == 64)
        #expect(metadata["merged"]?["checkpoint"]?.string == "best")
        #expect(metadata["merged"]?["layers"]?.integer == 14)
        #expect(try Manifest(of: written.output).parent == "best")
    }

    @Test func `the card tells what was merged and names the labels`() throws {
        let written = try Self.written()

        _ = try written.merge(.bf16)

        let card = String(decoding: try read("README.md", of: written.output), as: UTF8.self)
        #expect(card.hasPrefix("---\nlibrary_name: transformers\n"))
        #expect(card.contains("LoRA adapter (rank 4, alpha 12) was merged into 14 layers"))
        #expect(card.contains("BF16 weights"))
        #expect(card.contains("| 2 | odd \"names\" \\| too |"))
        #expect(!card.contains(written.directory.path))
        #expect(!card.contains(WrittenCheckpoint.fixtures.path))
    }

    @Test(arguments: [2, 3])
    func `a base in several files gives as many, under one index`(count: Int) throws {
        let directory = try TemporaryDirectory()
        let base = try Self.shards(count, in: directory.file("base"))
        let written = try WrittenCheckpoint(base, Self.lora)

        let report = try written.merge(.fp32)

        let shards = report.files.map(\.name).filter { $0.hasPrefix("model-") }
        #expect(
            shards
                == (1...count).map { "model-0000\($0)-of-0000\(count).safetensors" })
        let index = try JSONValue.parse(
            contentsOf: written.output.appendingPathComponent("model.safetensors.index.json"))
        #expect(index["weight_map"]?["score.weight"]?.string == shards.last)
        let weights = try SafetensorsDirectory(contentsOf: written.output)
        #expect(weights.unlisted.isEmpty)
        #expect(weights.names == written.model.base.model.parameters.map(\.name).sorted())
        let bytes = weights.names.reduce(0) { $0 + weights.tensor(named: $1)!.byteCount }
        #expect(index["metadata"]?["total_size"]?.integer == bytes)
        let expected = try WrittenCheckpoint.logits(written.best)
        #expect(
            firstMismatch(
                try WrittenCheckpoint.logits(written.output), expected, tolerance: 1e-5) == nil)
        #expect(CheckpointCheck(written.output).problems == [])
    }

    /// The tiny Qwen2 with every n-th tensor in the n-th file.
    private static func shards(_ count: Int, in base: URL) throws -> URL {
        let source = WrittenCheckpoint.base("qwen2")
        try FileManager.default.copyItem(at: source, to: base)
        let single = base.appendingPathComponent("model.safetensors")
        let tensors = try SafetensorsFile(contentsOf: single).tensors
        try FileManager.default.removeItem(at: single)
        var map = JSONObject()
        for shard in 0..<count {
            let names = tensors.keys.sorted().enumerated().filter { $0.offset % count == shard }
                .map(\.element)
            let file = "part-\(shard).safetensors"
            for name in names { map[name] = .string(file) }
            try SafetensorsWriter.data(tensors.filter { names.contains($0.key) })
                .write(to: base.appendingPathComponent(file))
        }
        try JSONValue.object(["weight_map": .object(map)]).serialized()
            .write(to: base.appendingPathComponent("model.safetensors.index.json"))
        return base
    }

    // MARK: Refusals

    @Test func `a directory that exists is left alone, and so is the checkpoint`() throws {
        let written = try Self.written()
        let manager = FileManager.default
        try manager.createDirectory(at: written.output, withIntermediateDirectories: false)

        #expect(
            written.refusal()
                == "DIR/merged exists already, and nothing is merged over it; name another "
                + "directory")
        #expect(try manager.contentsOfDirectory(atPath: written.output.path) == [])
        let inside = written.best.appendingPathComponent("merged")
        let refusal = #expect(throws: TrainingError.self) {
            _ = try ModelMerge(written.best, to: inside, context: try Context(threads: 1))
        }
        #expect("\(refusal!)".hasSuffix("it would lie inside of the checkpoint"))
    }

    @Test func `a run's directory, an empty one and a missing one are no checkpoints`() throws {
        let written = try Self.written()
        let empty = written.directory.file("empty")
        try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: false)
        func refusal(_ place: URL) -> String {
            do {
                _ = try ModelMerge(place, to: written.output, context: try Context(threads: 1))
                return "none"
            } catch { return "\(error)" }
        }

        #expect(
            refusal(written.directory.url).hasSuffix(
                "found a run's directory; name a checkpoint, as best in it"))
        #expect(refusal(empty).contains("expected config.json"))
        #expect(refusal(written.directory.file("gone")).hasSuffix("found no such directory"))
    }

    @Test func `damage of any file is found before anything is written`() throws {
        let written = try Self.written()
        for file in try Manifest(of: written.best).files {
            let place = written.best.appendingPathComponent(file.name)
            let good = try Data(contentsOf: place)
            var bad = good
            bad[bad.count / 2] ^= 1
            try bad.write(to: place)

            #expect(
                written.refusal()?.hasPrefix("DIR/best is damaged: \(file.name): ") == true,
                "\(file.name)")
            try good.write(to: place)
        }
        #expect(try written.strays == [])
        #expect(written.refusal() == nil)
    }

    @Test func `another base is refused, by its shape and by its digest`() throws {
        var golden = try GoldenJob("qwen2", rows: 45)
        let base = golden.directory.file("base")
        try FileManager.default.copyItem(at: golden.options.model, to: base)
        golden.options.model = base
        golden.options.settings.epochs = 1
        _ = try golden.job().run()
        let output = golden.directory.file("merged")
        func refusal(base: URL? = nil) -> String? {
            do {
                _ = try ModelMerge(
                    golden.best, base: base, to: output, context: try Context(threads: 1))
                return nil
            } catch { return "\(error)" }
        }

        #expect(refusal() == nil)
        #expect(
            refusal(base: WrittenCheckpoint.base("llama"))?.contains(
                "must be qwen2, as in the checkpoint") == true)
        let weights = base.appendingPathComponent("model.safetensors")
        var tensors = try SafetensorsFile(contentsOf: weights).tensors
        let norm = "model.norm.weight"
        tensors[norm] = Tensor(
            tensors[norm]!.floats().map { $0 + 0.5 }, shape: tensors[norm]!.shape)
        let bytes = try SafetensorsWriter.data(tensors)
        try FileManager.default.removeItem(at: weights)
        try bytes.write(to: weights)
        #expect(
            refusal()?.hasPrefix(
                "\(base.path) is not the base that the adapter was trained on: expected") == true)
        try FileManager.default.removeItem(at: base)
        #expect(refusal()?.contains("name one with --base") == true)
    }

    @Test func `an adapter that does not fit its settings is refused`() throws {
        let written = try Self.written()
        let file = written.best.appendingPathComponent(PEFTAdapter.configurationFile)
        let good = try JSONValue.parse(contentsOf: file)
        for (key, value, words) in [
            ("r", JSONValue.integer(8), "expected rank 8"),
            ("use_dora", true, "has no magnitude, and use_dora is true"),
            ("target_modules", ["q_proj"], "has a pair and is no target"),
        ] {
            var json = good
            json[key] = value
            try json.serialized().write(to: file)
            try written.listAnew()

            #expect(written.refusal()?.contains(words) == true, "\(key)")
        }
        #expect(try written.strays == [])
    }

    @Test func `a checkpoint that is replaced meanwhile is not merged half old, half new`() throws {
        let written = try Self.written()
        let merge = try ModelMerge(
            written.best, to: written.output, context: try Context(threads: 1))

        try written.replace(
            "score.weight",
            with: written.model.parameters.tensor("score.weight").floats().map { $0 + 1 })

        #expect(throws: TrainingError.replacedMeanwhile(path: written.best.path)) {
            _ = try merge.run()
        }
        #expect(try written.strays == [])
    }
}
