// SPDX-License-Identifier: Apache-2.0
/// The main job through the executable: its report, its checkpoints, and what they predict.

import Cairn
import Foundation
import Testing

/// A finished run on the golden rows, with the report that it printed.
struct FinishedRun: Sendable {
    let job: Job
    let report: JSONValue
    let testData: URL

    static let epochs = 4

    /// Done once for all tests.
    static let shared = Result {
        let job = try Job()
        let dataset = Job.fixtures.appendingPathComponent("dataset")
        let testData = dataset.appendingPathComponent("test.jsonl")
        let result = try CairnProcess.run(
            [
                "finetune", job.model.path, "--task", "classify", "--data",
                dataset.appendingPathComponent("train.jsonl").path, "--test-data", testData.path,
                "-o", job.output.path, "--epochs", "\(epochs)", "--learning-rate", "2e-3",
                "--batch-size", "8", "--json",
            ], in: job.url)
        guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
        let report = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
        return FinishedRun(job: job, report: report, testData: testData)
    }

    var best: URL { job.output.appendingPathComponent("best") }
}

@Suite struct FinetuneTests {
    private let run: FinishedRun

    init() throws { run = try FinishedRun.shared.get() }

    static let reportKeys: Set<String> = [
        "status", "epochs_completed", "steps", "best_epoch", "best_val_loss", "epochs", "test",
        "tokens_per_second", "peak_rss_bytes", "checkpoint_dir", "state_digest",
    ]
    static let epochKeys: Set<String> = [
        "epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate",
        "seconds",
    ]
    static let checkpointFiles: Set<String> = [
        "adapter_model.safetensors", "adapter_config.json", "model.safetensors", "config.json",
        "tokenizer.json", "tokenizer_config.json", "metadata.json", "README.md", "manifest.json",
    ]

    @Test func `the report has every key of the contract`() throws {
        let report = try #require(run.report.object)
        let epochs = try #require(run.report["epochs"]?.array)

        #expect(Self.reportKeys.isSubset(of: report.keys))
        #expect(run.report["status"]?.string == "completed")
        #expect(run.report["epochs_completed"]?.integer == FinishedRun.epochs)
        #expect(epochs.map { $0["epoch"]?.integer } == Array(1...FinishedRun.epochs))
        for epoch in epochs { #expect(Self.epochKeys.isSubset(of: epoch.object?.keys ?? [])) }
        #expect(run.report["state_digest"]?.string?.count == 64)
        let directory = try #require(run.report["checkpoint_dir"]?.string)
        #expect(
            URL(fileURLWithPath: directory).standardizedFileURL
                == run.job.output.standardizedFileURL)
    }

    @Test func `the run learns, and the best epoch is the one with the lowest validation loss`()
        throws
    {
        let losses = try #require(run.report["epochs"]?.array).compactMap {
            $0["val_loss"]?.number
        }
        let lowest = try #require(losses.min())

        #expect(run.report["best_val_loss"]?.number == lowest)
        #expect(run.report["best_epoch"]?.integer == losses.firstIndex(of: lowest)! + 1)
        // Three classes of equal size: 0.5 is beyond chance on 90 rows (0.33 ± 0.10).
        let accuracy = try #require(run.report["test"]?["accuracy"]?.number)
        #expect(accuracy > 0.5)
    }

    @Test(arguments: ["best", "epoch-\(FinishedRun.epochs)"])
    func `a checkpoint has its files, and the manifest has their sizes and digests`(
        name: String
    ) throws {
        let directory = run.job.output.appendingPathComponent(name)
        let names = Set(try FileManager.default.subpathsOfDirectory(atPath: directory.path))

        let manifest = try JSONValue.parse(
            contentsOf: directory.appendingPathComponent("manifest.json"))

        #expect(Self.checkpointFiles.isSubset(of: names))
        let files = try #require(manifest["files"]?.object)
        #expect(Set(files.keys) == names.subtracting(["manifest.json", "training"]))
        for (file, entry) in files {
            let url = directory.appendingPathComponent(file)
            let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
            #expect(entry["size"]?.integer == attributes[.size] as? Int, "\(file)")
            #expect(entry["sha256"]?.string == (try SHA256.hex(ofFile: url)), "\(file)")
        }
    }

    @Test func `tokenizer files are the base's, byte for byte`() throws {
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let own = try Data(contentsOf: run.best.appendingPathComponent(name))
            #expect(own == (try Data(contentsOf: run.job.model.appendingPathComponent(name))))
        }
    }

    @Test func `evaluate gives the report's test figures`() throws {
        let result = try CairnProcess.run(
            ["evaluate", run.best.path, "--data", run.testData.path, "--json"], in: run.job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let document = try JSONValue.parse(Data(result.output.utf8), file: "evaluate")
        #expect(document["rows"]?.integer == 90)
        for key in ["accuracy", "loss", "macro_f1"] {
            let expected = try #require(run.report["test"]?[key]?.number)
            #expect(document[key]?.number == expected, "\(key)")
        }
        let confusion = try #require(document["confusion_matrix"]?.array)
        let counts = confusion.map { $0.array?.compactMap(\.integer) ?? [] }
        let right = counts.indices.reduce(0) { $0 + counts[$1][$1] }
        #expect(counts.joined().reduce(0, +) == 90)
        #expect(document["accuracy"]?.number == Double(right) / 90)
        // Unweighted cross-entropy is the log loss, up to the engine's fp32.
        let loss = try #require(document["loss"]?.number)
        #expect(abs(try #require(document["log_loss"]?.number) - loss) <= 1e-5 * max(1, loss))
        #expect(document["confidence_intervals_95"]?["resamples"]?.integer == 1000)
        #expect(result.errors.contains("weighted mean"))
        #expect(document["errors"] == nil)
    }

    @Test func `evaluate shows rows of the confusions when asked`() throws {
        let result = try CairnProcess.run(
            [
                "evaluate", run.best.path, "--data", run.testData.path, "--errors", "2", "--json",
            ], in: run.job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let document = try JSONValue.parse(Data(result.output.utf8), file: "evaluate")
        let groups = try #require(document["errors"]?.array)
        let confusions = try #require(document["top_confusions"]?.array)
        #expect(groups.map { $0["count"] } == confusions.map { $0["count"] })
        for group in groups {
            let rows = try #require(group["rows"]?.array)
            #expect(rows.count == min(2, group["count"]?.integer ?? 0))
            for row in rows {
                let line = try #require(row["line"]?.integer)
                #expect(result.errors.contains("  line \(line)  "))
            }
        }
    }

    @Test func `predict labels the rows as evaluate counts them`() throws {
        let result = try CairnProcess.run(
            ["predict", run.best.path, "--data", run.testData.path, "--json"], in: run.job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let document = try JSONValue.parse(Data(result.output.utf8), file: "predict")
        let labels = try #require(document["labels"]?.array).compactMap(\.string)
        let rows = try #require(document["rows"]?.array)
        let truths = try Corpus(contentsOf: run.testData).examples.map(\.target)
        #expect(rows.count == truths.count)
        var right = 0
        for (row, truth) in zip(rows, truths) {
            let logits = try #require(row["logits"]?.array).compactMap(\.number)
            let probabilities = try #require(row["probabilities"]?.array).compactMap(\.number)
            let id = try #require(row["label_id"]?.integer)
            #expect(logits[id] == logits.max())
            #expect(row["label"]?.string == labels[id])
            #expect(abs(probabilities.reduce(0, +) - 1) <= 1e-6)
            if truth == .classID(id) { right += 1 }
        }
        #expect(Double(right) / 90 == run.report["test"]?["accuracy"]?.number)
    }

    @Test func `two runs with other threads, instruction sets and budgets end in the same state`()
        throws
    {
        let digests = try [
            ["--isa", "scalar", "--token-budget", "64"], ["--token-budget", "4096"],
        ].map { flags in
            let job = try Job()
            let result = try CairnProcess.run(job.finetune(["--json"] + flags), in: job.url)
            #expect(result.exitCode == 0, "\(result.errors)")
            let report = try JSONValue.parse(Data(result.output.utf8), file: "finetune")
            return report["state_digest"]?.string
        }

        #expect(digests[0] != nil)
        #expect(digests[0] == digests[1])
    }
}

@Suite struct InterruptTests {
    /// Enough that the run cannot end before the signal comes.
    private static let manyEpochs = "1000000"

    @Test(arguments: [SIGINT, SIGTERM])
    func `a signal ends a run with exit code 0 and a checkpoint that can be used`(
        signal: Int32
    ) throws {
        let job = try Job()
        let process = try CairnProcess.prepared(
            job.finetune(without: "--epochs", then: ["--epochs", Self.manyEpochs, "--keep-last", "1", "--json"]),
            in: job.url)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors

        try process.run()
        var log = try read(errors, until: "saved best")
        kill(process.processIdentifier, signal)
        log += String(
            decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()

        #expect(process.exitCode == 0, "\(log)")
        let report = try JSONValue.parse(text, file: "finetune")
        #expect(report["status"]?.string == "interrupted")
        let checkpoint = job.output.appendingPathComponent("interrupted")
        let result = try CairnProcess.run(
            ["evaluate", checkpoint.path, "--data", job.evaluationData.path, "--json"],
            in: job.url)
        #expect(result.exitCode == 0, "\(result.errors)")
    }

    /// What comes through the pipe until `mark`, or until the process ends.
    private func read(_ pipe: Pipe, until mark: String) throws -> String {
        var text = ""
        while !text.contains(mark) {
            let data = pipe.fileHandleForReading.availableData
            guard !data.isEmpty else {
                throw Job.Failure(description: "expected '\(mark)', found '\(text)'")
            }
            text += String(decoding: data, as: UTF8.self)
        }
        return text
    }
}

@Suite struct QuickstartTests {
    #if DEBUG
        static let isOptimized = false
    #else
        static let isOptimized = true
    #endif

    @Test(.enabled(if: isOptimized, "a debug build takes minutes"))
    func `quickstart runs on what ships, and learns`() throws {
        let job = try Job()

        let result = try CairnProcess.run(
            ["quickstart", "--output", job.output.path, "--json"], in: job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let report = try JSONValue.parse(Data(result.output.utf8), file: "quickstart")
        // Six classes of equal size: chance is 0.17, the model alone reaches about 0.85.
        let accuracy = try #require(report["test"]?["accuracy"]?.number)
        #expect(accuracy > 0.7)
        let prediction = try CairnProcess.run(
            [
                "predict", job.output.appendingPathComponent("best").path, "--text",
                "a small tree with white flowers",
            ], in: job.url)
        #expect(prediction.exitCode == 0, "\(prediction.errors)")
        #expect(prediction.output.hasPrefix("plant\t"), "\(prediction.output)")
    }
}
