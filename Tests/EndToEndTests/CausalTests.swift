// SPDX-License-Identifier: Apache-2.0
/// A language model through the executable: trained, judged, asked, resumed, started from nothing.

import Cairn
import Foundation
import Testing

/// A job on lines of text, some blank, and what a run of it left.
struct CausalJob {
    let job: Job

    /// 40 training lines, a blank one and one of a single token among them; 10 test lines.
    init() throws {
        job = try Job()
        // The fixture has no lm_head: its table is the head.
        try job.set("tie_word_embeddings", true)
        try job.write(
            try Self.lines("train", 38).joined(separator: "\n") + "\n\n\na\n", to: lines)
        try job.write(try Self.lines("test", 10).joined(separator: "\n") + "\n", to: testLines)
    }

    var lines: URL { job.url.appendingPathComponent("lines.txt") }
    var testLines: URL { job.url.appendingPathComponent("test.txt") }

    private static func lines(_ name: String, _ count: Int) throws -> [String] {
        let file = Job.fixtures.appendingPathComponent("dataset/\(name).jsonl")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").prefix(count)
            .map { try #require(try JSONValue.parse(Data($0.utf8), file: name)["text"]?.string) }
    }

    func finetune(_ more: String...) -> [String] {
        [
            "finetune", job.model.path, "--task", "causal", "--data", lines.path, "-o",
            job.output.path, "--epochs", "3", "--batch-size", "8", "--learning-rate", "5e-3",
            "--threads", "1", "--json",
        ] + more
    }

    func run(_ arguments: [String]) throws -> JSONValue {
        let result = try CairnProcess.run(arguments, in: job.url)
        guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
        return try JSONValue.parse(Data(result.output.utf8), file: "standard output")
    }

    func refusal(_ arguments: [String]) throws -> (code: Int32, errors: String) {
        let result = try CairnProcess.run(arguments, in: job.url)
        return (result.exitCode, result.errors)
    }

    /// Takes the weights away: what is left is a plan of a model.
    func removeWeights() throws { try job.remove(job.weights) }
}

@Suite struct CausalTests {
    @Test(arguments: [["--use-rslora"], ["--use-dora"], ["--method", "full"]])
    func `a run learns, and its checkpoint is a language model's`(method: [String]) throws {
        let causal = try CausalJob()
        let best = causal.job.output.appendingPathComponent("best")

        let report = try causal.run(
            causal.finetune("--test-data", causal.testLines.path) + method)

        let losses = try #require(report["epochs"]?.array).compactMap { $0["val_loss"]?.number }
        #expect(losses.count == 3 && losses[2] < losses[0])
        #expect(report["epochs"]?.array?.allSatisfy { $0["val_accuracy"]?.isNull == true } == true)
        let (loss, perplexity) = (report["test"]?["loss"]?.number, report["test"]?["perplexity"])
        #expect(perplexity?.number == loss.map { exp($0) })
        let config = try JSONValue.parse(contentsOf: best.appendingPathComponent("config.json"))
        #expect(config["architectures"]?.array?.compactMap(\.string) == ["Qwen2ForCausalLM"])
        #expect(config["problem_type"] == nil)
        if method != ["--method", "full"] {
            let adapter = try JSONValue.parse(
                contentsOf: best.appendingPathComponent("adapter_config.json"))
            #expect(adapter["task_type"]?.string == "CAUSAL_LM")
            #expect(adapter["modules_to_save"]?.isNull == true)
        }
    }

    @Test func `evaluate and predict agree on every token`() throws {
        let causal = try CausalJob()
        _ = try causal.run(causal.finetune())
        let asked = [causal.job.output.appendingPathComponent("best").path, "--json"]

        let evaluation = try causal.run(
            ["evaluate"] + asked + ["--data", causal.testLines.path, "--token-budget", "64"])
        let prediction = try causal.run(["predict"] + asked + ["--data", causal.testLines.path])

        let rows = try #require(prediction["rows"]?.array)
        let tokens = rows.flatMap {
            ($0["token_log_likelihoods"]?.array ?? []).compactMap(\.number)
        }
        #expect(rows.count == 10 && evaluation["rows"]?.integer == 10)
        for row in rows {
            let ids = try #require(row["token_ids"]?.array)
            #expect(row["token_log_likelihoods"]?.array?.count == ids.count - 1)
        }
        #expect(evaluation["tokens"]?.integer == tokens.count)
        let loss = try #require(evaluation["loss"]?.number)
        let mean = -tokens.reduce(0, +) / Double(tokens.count)
        // The mean's factor 1 / n is an fp32 number.
        #expect(abs(loss - mean) <= 1e-6 * mean)
        #expect(evaluation["perplexity"]?.number == exp(loss))
        #expect(evaluation["accuracy"]?.isNull == true)
    }

    @Test func `a run resumed from a step ends with its own bits`() throws {
        let causal = try CausalJob()
        let report = try causal.run(causal.finetune("--save-steps", "5", "--dropout", "0.1"))
        for name in ["best", "epoch-3", "step-10", "step-15"] {
            let place = causal.job.output.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: place.path) { try causal.job.remove(place) }
        }

        let resumed = try causal.run(
            ["resume", causal.job.output.path, "--threads", "2", "--json"])

        #expect(resumed["state_digest"]?.string?.count == 64)
        #expect(resumed["state_digest"] == report["state_digest"])
    }

    @Test func `a random start is asked for, seeded, and knows nothing`() throws {
        let digests = try ["1", "1", "2"].map { seed in
            let causal = try CausalJob()
            try causal.removeWeights()
            let report = try causal.run(
                causal.finetune("--method", "full", "--init", "random", "--seed", seed))
            // 600 tokens, none more likely than another: ln 600 = 6.4 before the first step.
            let loss = try #require(report["epochs"]?.array?.first?["train_loss"]?.number)
            #expect(loss > 4.5 && loss < 7)
            return try #require(report["state_digest"]?.string)
        }

        #expect(digests[0] == digests[1])
        #expect(digests[0] != digests[2])
    }

    @Test func `no base is random unasked, and no weights are passed over`() throws {
        let causal = try CausalJob()
        let weights = try causal.refusal(
            causal.finetune("--method", "full", "--init", "random"))
        try causal.removeWeights()
        let none = try causal.refusal(causal.finetune("--method", "full"))

        #expect(weights.code == 1 && weights.errors.contains("found model.safetensors"))
        #expect(none.code == 1 && none.errors.contains("model.safetensors"))
        #expect(!FileManager.default.fileExists(atPath: causal.job.output.path))
    }

    @Test func `rows without a token to predict are left out, and said so`() throws {
        let causal = try CausalJob()
        let result = try CairnProcess.run(causal.finetune(), in: causal.job.url)

        #expect(result.exitCode == 0)
        #expect(result.errors.contains("fewer than 2 tokens") == true)
    }

    @Test func `an encoder is refused`() throws {
        let causal = try CausalJob()
        try causal.job.set("model_type", "bert")

        let refusal = try causal.refusal(causal.finetune())

        #expect(refusal.code == 1)
        #expect(
            refusal.errors.contains(
                "config.json: 'model_type' is bert, an encoder: each of its tokens sees those "
                    + "behind it, so it predicts no next token; give --task causal a decoder "
                    + "(qwen2, qwen3, llama, mistral), or use this model with --task classify"),
            "\(refusal.errors)")
    }
}
