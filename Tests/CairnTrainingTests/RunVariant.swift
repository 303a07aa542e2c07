// SPDX-License-Identifier: Apache-2.0
/// Kinds of runs that must resume without a trace, and what they are compared by.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

/// A kind of run whose resume must leave no trace.
struct RunVariant: Sendable, CustomTestStringConvertible {
    let name: String
    var model = "qwen2"
    var method = Method.lora(AdapterConfiguration(rank: 4, alpha: 8, dropout: 0.2))
    var storage = BaseStorage.stored
    var hasPrompt = false
    var change: @Sendable (inout FineTuneSettings) -> Void = { _ in }

    var testDescription: String { name }

    static let all = [
        RunVariant(name: "dropout"),
        RunVariant(name: "bf16", change: { $0.precision = .bf16 }),
        RunVariant(name: "class weights", change: { $0.classWeights = .balanced }),
        RunVariant(
            name: "DoRA",
            method: .lora(AdapterConfiguration(rank: 4, alpha: 8, usesDoRA: true, dropout: 0.1))),
        RunVariant(name: "full", model: "bert", method: .full),
        // At this rate the second epoch is worse than the first.
        RunVariant(
            name: "early stopping",
            change: {
                $0.learningRate = 0.2
                $0.epochs = 9
                $0.patience = 0
            }),
        RunVariant(name: "int8", storage: .int8),
        RunVariant(
            name: "nf4", method: .lora(AdapterConfiguration(rank: 4, alpha: 8, usesDoRA: true)),
            storage: .nf4, change: { $0.precision = .bf16 }),
        RunVariant(
            name: "shared prompt", method: .lora(AdapterConfiguration(rank: 4, alpha: 8)),
            hasPrompt: true,
            change: {
                $0.precision = .bf16
                $0.groups = 2
                $0.sharesPrompts = true
            }),
    ]

    /// The job of a run whose checkpoints go to `out`.
    func golden() throws -> GoldenJob {
        var golden = try GoldenJob(model, rows: 40)
        if hasPrompt { try golden.addPrompt() }
        golden.options.testData = nil
        golden.options.method = method
        golden.options.storage = storage
        golden.options.settings.epochs = 2
        golden.options.settings.tokenBudget = 64
        golden.options.threads = 1
        change(&golden.options.settings)
        return golden
    }
}

/// What an undisturbed run ends with, apart from the time it took.
struct Outcome: Equatable {
    let digest: String
    let status: RunStatus
    let steps: Int
    let losses: [UInt64]
    let best: BestEpoch?

    init(_ report: FineTuneReport) {
        digest = report.stateDigest
        status = report.status
        steps = report.steps
        losses = report.epochs.flatMap {
            [$0.trainLoss.bitPattern, $0.validationLoss.bitPattern]
        }
        best = report.best
    }
}

extension GoldenJob {
    /// What a run that saved every step can go on from, in the order of its steps.
    func points(_ steps: Int) throws -> [ResumableRun] {
        try (1...steps).map { step in
            let point = try ResumableRun(
                contentsOf: options.output.appendingPathComponent("step-\(step)"))
            #expect(point.saved.state.step == step)
            return point
        }
    }

    /// Goes on from a point in a directory of its own, on `threads` threads.
    func resumed(
        _ point: ResumableRun, in name: String, threads: Int = 2, isa: ISA = .best
    ) throws -> Outcome {
        var options = try point.options(output: directory.file(name))
        options.threads = threads
        options.isa = isa
        return Outcome(try FineTuneJob(options, start: .resumed(point)).run())
    }
}
