// SPDX-License-Identifier: Apache-2.0
/// Fine-tuning jobs from files to checkpoints, on the models and sentences of the references.

import CairnEngine
import CairnFormats
import CairnModels
import CairnText
import CairnTraining
import Foundation
import TestSupport
import Testing

/// A job's options on the golden data, its output in a directory of its own.
struct GoldenJob {
    let directory: TemporaryDirectory
    var options: FineTuneOptions

    /// - Parameter rows: how many of the 240 training rows to take; nil takes them all.
    init(_ model: String, rows: Int? = nil) throws {
        directory = try TemporaryDirectory()
        let data = Golden.directory.appendingPathComponent("dataset")
        var train = data.appendingPathComponent("train.jsonl")
        if let rows {
            let lines = try String(contentsOf: train, encoding: .utf8).split(separator: "\n")
            train = directory.file("train.jsonl")
            try Data(lines.prefix(rows).joined(separator: "\n").utf8).write(to: train)
        }
        options = FineTuneOptions(
            model: Golden.directory.appendingPathComponent("models/\(model)"), data: train,
            output: directory.file("out"))
        options.testData = data.appendingPathComponent("test.jsonl")
        options.threads = 2
        options.settings.learningRate = 5e-3
        options.settings.epochs = 4
        options.settings.precision = .fp32
        options.method = .lora(AdapterConfiguration(rank: 8, alpha: 16))
    }

    func job() throws -> FineTuneJob { try FineTuneJob(options) }

    var best: URL { options.output.appendingPathComponent("best") }
}

@Suite struct FineTuneTests {
    static let methods: [(String, Method, Double)] = [
        ("lora", .lora(AdapterConfiguration(rank: 8, alpha: 16, dropout: 0.05)), 5e-3),
        ("rslora", .lora(AdapterConfiguration(rank: 8, alpha: 8, usesRSLoRA: true)), 5e-3),
        ("dora", .lora(AdapterConfiguration(rank: 8, alpha: 16, usesDoRA: true)), 5e-3),
        ("full", .full, 1e-3),
    ]

    @Test(arguments: 0..<methods.count, ["qwen2", "bert"])
    func `every method learns the topics of sentences`(method: Int, model: String) throws {
        let (name, configuration, rate) = Self.methods[method]
        var golden = try GoldenJob(model)
        golden.options.method = configuration
        golden.options.settings.learningRate = rate
        let job = try golden.job()

        let report = try job.run()

        #expect(report.status == .completed)
        #expect(report.epochs.map(\.epoch) == [1, 2, 3, 4])
        // 192 rows in steps of 16.
        #expect(report.steps == 4 * 12)
        #expect(report.epochs[3].trainLoss < report.epochs[0].trainLoss)
        let test = try #require(try job.evaluateTest())
        #expect(test.logits.count == 90)
        #expect((test.accuracy ?? 0) >= 0.9, "\(model), \(name): \(test.accuracy ?? 0)")
        #expect(test.accuracy == test.metrics?.accuracy)
        let losses = report.epochs.map(\.validationLoss)
        #expect(report.bestValidationLoss == losses.min())
        #expect(report.bestEpoch == losses.firstIndex(of: losses.min()!)! + 1)
    }

    /// The contract: instruction set, threads and the cut into micro-batches leave no trace.
    @Test(arguments: ["qwen2", "bert"], Precision.allCases)
    func `every build, thread count and token budget ends in the same state`(
        model: String, precision: Precision
    ) throws {
        var digests = Set<String>()
        func run(_ isa: ISA, threads: Int, budget: Int, seed: UInt64 = 42) throws -> String {
            var golden = try GoldenJob(model, rows: 60)
            golden.options.method = .lora(
                AdapterConfiguration(rank: 4, alpha: 8, usesDoRA: true, dropout: 0.2))
            golden.options.settings.epochs = 1
            golden.options.settings.precision = precision
            golden.options.settings.tokenBudget = budget
            golden.options.settings.seed = seed
            golden.options.isa = isa
            golden.options.threads = threads
            return try golden.job().run().stateDigest
        }

        for isa in ISA.supported {
            for (threads, budget) in [(1, 2048), (3, 40)] {
                digests.insert(try run(isa, threads: threads, budget: budget))
            }
        }
        digests.insert(try run(.best, threads: 3, budget: 1))

        #expect(digests.count == 1)
        #expect(try run(.best, threads: 1, budget: 2048, seed: 43) != digests.first)
    }

    @Test func `what a user should know is said before the run`() throws {
        var golden = try GoldenJob("qwen2", rows: 30)
        golden.options.maximumLength = 5

        let notes = try golden.job().notes

        #expect(notes.contains { $0.contains("are longer than 5 tokens and lose their ends") })
        #expect(
            notes.contains { $0.contains("the head (score.weight) starts fresh from the seed") }
                || notes.contains {
                    $0.contains("the head starts from the base's own score.weight")
                })
    }

    @Test func `nothing is written before the inputs are found good`() throws {
        var golden = try GoldenJob("qwen2")
        golden.options.method = .lora(AdapterConfiguration(targets: .names(["nowhere"])))

        #expect(throws: ModelError.self) { try golden.job() }

        #expect(!FileManager.default.fileExists(atPath: golden.options.output.path))
    }

    @Test func `a stop in the middle saves the last whole step`() throws {
        let golden = try GoldenJob("qwen2", rows: 60)
        let job = try golden.job()
        var steps = 0
        var saved: [String] = []

        let report = try job.run(
            stop: { steps >= 2 ? .signal : nil },
            report: { event in
                if case .step = event { steps += 1 }
                if case .saved(let name, _) = event { saved.append(name) }
            })

        #expect(report.status == .interrupted)
        #expect(report.steps == 2)
        #expect(report.epochs.isEmpty)
        #expect(saved == ["interrupted"])
        #expect(
            report.stateDigest == StateDigest.of(job.tuner.optimizer))
        let checkpoint = try Checkpoint(
            contentsOf: golden.options.output.appendingPathComponent("interrupted"),
            base: golden.options.model, context: try Context(threads: 1))
        for name in job.tuner.model.parameters.trainableNames {
            #expect(
                bitMismatch(
                    checkpoint.model.parameters.tensor(name).floats(),
                    job.tuner.model.parameters.tensor(name).floats()) == nil, "\(name)")
        }
    }

    @Test func `a stop before the first step leaves the starting state`() throws {
        let golden = try GoldenJob("qwen2", rows: 60)
        let job = try golden.job()
        let start = StateDigest.of(job.tuner.optimizer)

        let report = try job.run(stop: { .signal })

        #expect(report.status == .interrupted && report.steps == 0)
        #expect(report.stateDigest == start)
    }

    @Test func `a learning rate that diverges stops with the step named`() throws {
        var golden = try GoldenJob("qwen2", rows: 60)
        golden.options.settings.learningRate = 1e30
        golden.options.settings.warmup = 0
        let job = try golden.job()

        #expect {
            try job.run()
        } throws: { error in
            guard case TrainingError.nonFinite(_, let step, 1) = error else { return false }
            return step >= 1
        }

        #expect(!FileManager.default.fileExists(atPath: golden.best.path))
    }
}
