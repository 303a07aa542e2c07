// SPDX-License-Identifier: Apache-2.0
/// Checkpoints: what is written opens again with the same bits, and what is broken is not written.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct CheckpointTests {
    /// A job that ran for an epoch on few rows.
    private static func trained(
        _ model: String, _ method: Method, rows: Int = 45
    ) throws -> (golden: GoldenJob, job: FineTuneJob) {
        var golden = try GoldenJob(model, rows: rows)
        golden.options.method = method
        golden.options.settings.epochs = 1
        let job = try golden.job()
        _ = try job.run()
        return (golden, job)
    }

    private func logits(_ model: TaskModel, _ task: Task, _ pooling: Pooling) throws -> [Float] {
        let rows = DataSet(
            ids: [[3, 9, 27, 81], [5, 25, 125], [7]],
            typeIDs: [[0, 0, 0, 0], [0, 0, 0], [0]], targets: .none)
        return try Evaluator(
            model, task: task, pooling: pooling, precision: .fp32, tokenBudget: 6,
            hasTargets: false
        ).evaluate(rows)!.logits.flatMap { $0 }
    }

    @Test(arguments: ["qwen2", "bert"], 0..<FineTuneTests.methods.count)
    func `a checkpoint opens with the same bits`(model: String, method: Int) throws {
        let (golden, job) = try Self.trained(model, FineTuneTests.methods[method].1)
        let directory = golden.options.output.appendingPathComponent("epoch-1")

        let checkpoint = try Checkpoint(
            contentsOf: directory, context: try Context(isa: .scalar, threads: 1))

        #expect(checkpoint.task == job.task)
        #expect(checkpoint.precision == .fp32)
        #expect(checkpoint.maximumLength == job.description.maximumLength)
        #expect(checkpoint.padTokenID == job.description.padTokenID)
        let expected = try logits(job.tuner.model, job.task, checkpoint.pooling)
        #expect(
            bitMismatch(try logits(checkpoint.model, job.task, checkpoint.pooling), expected)
                == nil)
        #expect(Set(expected).count > 3)
    }

    @Test func `every file of a checkpoint is in the manifest with its digest`() throws {
        let golden = try Self.trained("qwen2", FineTuneTests.methods[0].1).golden

        let manifest = try JSONValue.parse(
            contentsOf: golden.best.appendingPathComponent("manifest.json"))

        let files = try #require(manifest["files"]?.object)
        let found = try FileManager.default.subpathsOfDirectory(atPath: golden.best.path)
        #expect(Set(files.keys).union(["manifest.json", "training"]) == Set(found))
        #expect(
            Set(found).isSuperset(of: [
                "adapter_model.safetensors", "adapter_config.json", "model.safetensors",
                "config.json", "tokenizer.json", "tokenizer_config.json", "metadata.json",
                "README.md", "training/state.json", "training/optimizer.safetensors",
            ]))
        for (name, entry) in files {
            let file = golden.best.appendingPathComponent(name)
            #expect(entry["sha256"]?.string == (try SHA256.hex(ofFile: file)), "\(name)")
            #expect(entry["size"]?.integer == (try Data(contentsOf: file)).count, "\(name)")
        }
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            #expect(
                try Data(contentsOf: golden.best.appendingPathComponent(name))
                    == Data(contentsOf: golden.options.model.appendingPathComponent(name)))
        }
    }

    @Test func `config.json speaks to transformers 4 and 5`() throws {
        let golden = try Self.trained("qwen2", FineTuneTests.methods[0].1).golden

        let config = try JSONValue.parse(
            contentsOf: golden.best.appendingPathComponent("config.json"))

        #expect(config["dtype"]?.string == "float32" && config["torch_dtype"]?.string == "float32")
        #expect(config["rope_theta"]?.number == 1e6)
        #expect(config["rope_scaling"] == .null)
        #expect(config["rope_parameters"]?["rope_theta"]?.number == 1e6)
        #expect(config["rope_parameters"]?["rope_type"]?.string == "default")
        #expect(config["problem_type"]?.string == "single_label_classification")
        #expect(config["architectures"] == ["Qwen2ForSequenceClassification"])
        #expect(config["pad_token_id"]?.integer == 575)
        // The classes of the data, not those of the base's own head.
        #expect(config["id2label"] == ["0": "0", "1": "1", "2": "2"])
        #expect(config["label2id"] == ["0": 0, "1": 1, "2": 2])
    }

    @Test(arguments: [("full", "float32"), ("lora", "bfloat16")])
    func `a full model is written in fp32 and says so`(method: String, type: String) throws {
        var golden = try GoldenJob("qwen2", rows: 45)
        let base = golden.directory.file("base")
        try FileManager.default.copyItem(at: golden.options.model, to: base)
        let file = base.appendingPathComponent("config.json")
        var config = try JSONValue.parse(contentsOf: file).object!
        config["dtype"] = "bfloat16"
        try JSONValue.object(config).serialized().write(to: file)
        golden.options.model = base
        golden.options.settings.epochs = 1
        if method == "full" { golden.options.method = .full }

        _ = try golden.job().run()

        let written = try JSONValue.parse(
            contentsOf: golden.best.appendingPathComponent("config.json"))
        #expect(written["dtype"]?.string == type && written["torch_dtype"]?.string == type)
    }

    /// transformers would take the directory for a base and go on with random weights.
    @Test func `model.safetensors of an adapter stops a reader of bases`() throws {
        let golden = try Self.trained("qwen2", FineTuneTests.methods[0].1).golden

        let file = try SafetensorsFile(
            contentsOf: golden.best.appendingPathComponent("model.safetensors"))

        #expect(file.tensor(named: "model.embed_tokens.weight")?.shape == [1])
        #expect(file.tensor(named: "base_model.model.score.weight")?.shape == [3, 64])
    }

    @Test(arguments: [Float.nan, .infinity])
    func `weights that are not finite are refused and the old checkpoint stays`(
        bad: Float
    ) throws {
        let (golden, job) = try Self.trained("qwen2", FineTuneTests.methods[0].1)
        let before = try Data(contentsOf: golden.best.appendingPathComponent("manifest.json"))
        let found = try FileManager.default.contentsOfDirectory(atPath: golden.options.output.path)
        let model = job.tuner.model
        var numbers = model.parameters.tensor("score.weight").floats()
        numbers[7] = bad
        model.parameters.set("score.weight", to: numbers)
        let writer = CheckpointWriter(model, job.description, in: golden.options.output)

        #expect(
            throws: TrainingError.nonFiniteWeights(
                tensor: "base_model.model.score.weight", element: 7)
        ) {
            try writer.write(
                "best",
                RunSnapshot(model.parameters, optimizer: job.tuner.optimizer, state: job.tuner.state))
        }

        #expect(
            try Data(contentsOf: golden.best.appendingPathComponent("manifest.json")) == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: golden.options.output.path)
        #expect(names.sorted() == found.sorted())
        _ = try Checkpoint(contentsOf: golden.best, context: try Context(threads: 1))
    }

    // MARK: What cannot be opened

    private func refusal(_ directory: URL, base: URL? = nil) -> String? {
        do {
            _ = try Checkpoint(
                contentsOf: directory, base: base, context: try Context(threads: 1))
            return nil
        } catch { return "\(error)".replacingOccurrences(of: directory.path, with: "DIR") }
    }

    @Test func `a directory that is no checkpoint says what it holds`() throws {
        let directory = try TemporaryDirectory()
        let expected =
            "DIR: expected a checkpoint directory with adapter_config.json, or "
            + "config.json and model.safetensors; found "

        #expect(refusal(directory.url) == expected + "an empty directory")
        try Data().write(to: directory.file("notes.txt"))
        #expect(refusal(directory.url) == expected + "notes.txt")
        #expect(
            refusal(directory.file("gone"))?.hasSuffix("found no such directory") == true)
    }

    @Test func `another base, a missing base and broken metadata are refused`() throws {
        let golden = try Self.trained("qwen2", FineTuneTests.methods[0].1).golden
        let llama = Golden.directory.appendingPathComponent("models/llama")

        #expect(
            refusal(golden.best, base: llama)
                == "\(llama.path)/config.json: key 'model_type' must be qwen2, as in the "
                + "checkpoint, found llama")
        let metadata = golden.best.appendingPathComponent("metadata.json")
        var json = try JSONValue.parse(contentsOf: metadata).object!
        json["precision"] = "int8"
        try JSONValue.object(json).serialized().write(to: metadata)
        #expect(
            refusal(golden.best)
                == "DIR/metadata.json: key 'precision' must be fp32 or bf16, found 'int8'")
        let adapter = golden.best.appendingPathComponent("adapter_config.json")
        var config = try JSONValue.parse(contentsOf: adapter).object!
        config["base_model_name_or_path"] = "some/where"
        try JSONValue.object(config).serialized().write(to: adapter)
        #expect(
            refusal(golden.best)
                == "DIR/adapter_config.json: the base model is 'some/where', which is no directory "
                + "here; name one with --base")
    }
}
