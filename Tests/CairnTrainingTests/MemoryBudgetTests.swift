// SPDX-License-Identifier: Apache-2.0
/// A run fits into the memory it is allowed, at a cost that is known, and ends with the same bits.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct MemoryBudgetTests {
    @Test(arguments: [
        ("950M", 950_000_000), ("1.2G", 1_200_000_000), ("64k", 64_000), ("1234", 1234),
        ("1.5", nil), ("", nil), ("M", nil), ("-1M", nil), ("0", nil), ("nanM", nil),
        ("infG", nil), ("12X", nil), ("1e30G", nil),
    ])
    func `amounts are read with K, M and G`(text: String, count: Int?) {
        #expect(ByteSize(text)?.count == count)
    }

    @Test(arguments: [(1, "1M"), (1_000_000, "1M"), (1_000_001, "2M"), (950_000_000, "950M")])
    func `what is printed as needed is enough`(count: Int, text: String) {
        #expect("\(ByteSize(count))" == text)
        #expect((ByteSize(text)?.count ?? 0) >= count)
    }

    // MARK: Bits

    static let choices = [
        (16, Recompute()), (64, Recompute(segments: .max, elementwise: true)),
        (1, Recompute(segments: 2, elementwise: true)), (2048, Recompute(elementwise: true)),
    ]

    @Test(arguments: RunVariant.all)
    func `a run ends with the same bits however its memory is cut`(variant: RunVariant) throws {
        let plain = try variant.golden()
        let expected = try plain.job().run()
        for (tokens, choice) in Self.choices {
            var golden = try variant.golden()
            golden.options.isa = .scalar
            golden.options.threads = 2
            let job = try golden.job()
            job.tuner.setMemory(tokenBudget: tokens, choice)

            let report = try job.run()

            #expect(report.stateDigest == expected.stateDigest, "\(tokens) tokens, \(choice)")
            #expect(
                report.epochs.map(\.validationLoss.bitPattern)
                    == expected.epochs.map(\.validationLoss.bitPattern))
        }
    }

    @Test func `a resume may be cut in another way`() throws {
        let variant = RunVariant.all[0]
        let expected = try variant.golden().job().run()
        let golden = try variant.golden()
        let first = try golden.job()
        first.tuner.setMemory(tokenBudget: 16, Recompute(segments: .max))
        var steps = 0
        _ = try first.run(
            stop: { steps > 2 ? .signal : nil },
            report: { if case .step = $0 { steps += 1 } })
        let point = try ResumableRun(
            contentsOf: golden.options.output.appendingPathComponent("interrupted"))
        let second = try FineTuneJob(golden.options, start: .resumed(point))
        second.tuner.setMemory(tokenBudget: 64, Recompute(elementwise: true))

        let report = try second.run()

        #expect(report.stateDigest == expected.stateDigest)
    }

    @Test func `test rows are judged as the saved checkpoint judges them`() throws {
        var golden = try GoldenJob("qwen2", rows: 40)
        golden.options.settings.epochs = 2
        let job = try golden.job()
        let digest = try job.run().stateDigest

        let evaluation = try #require(try job.evaluateTest())

        let inference = try Inference(
            golden.best, base: golden.options.model, context: try Context(threads: 1))
        let corpus = try inference.labelledCorpus(try #require(golden.options.testData))
        let judged = try inference.evaluate(
            inference.labelledRows(corpus), precision: golden.options.settings.precision)
        #expect(evaluation.logits == judged.logits)
        #expect(job.tuner.report.stateDigest == digest, "the run's own parameters are back")
    }

    @Test func `a run that grows beyond its memory is saved and can go on`() throws {
        let variant = RunVariant.all[0]
        let expected = try variant.golden().job().run()
        let golden = try variant.golden()
        let job = try golden.job()
        job.memory = MemoryBudget(
            limit: 1, tokenBudget: 64, recompute: Recompute(), segmentCount: 0, repeatedShare: 0,
            peak: 1)

        let error = #expect(throws: TrainingError.self) { try job.run() }

        guard case .memoryExceeded(1, let found, golden.options.output.path) = error else {
            Issue.record("expected memoryExceeded, found \(String(describing: error))")
            return
        }
        #expect(found > 1_000_000)
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        #expect(point.saved.state.status == .interrupted)
        let report = try FineTuneJob(golden.options, start: .resumed(point)).run()
        #expect(report.stateDigest == expected.stateDigest)
    }

    // MARK: Choosing

    private func planner(_ change: (inout FineTuneOptions) -> Void = { _ in }) throws -> (
        MemoryPlanner, FineTuneJob, GoldenJob
    ) {
        var golden = try RunVariant.all[0].golden()
        golden.options.settings.tokenBudget = 2048
        golden.options.settings.batchSize = 40
        change(&golden.options)
        let job = try golden.job()
        return (MemoryPlanner(job, rest: 1_000_000, earlierPeak: 0), job, golden)
    }

    @Test func `what fits costs nothing, and less memory costs more`() throws {
        let (planner, job, golden) = try planner()
        defer { withExtendedLifetime(golden) {} }
        let free = try planner.choice(within: .max)
        #expect(free.recompute == Recompute() && free.tokenBudget == 2048)
        #expect(free.repeatedShare == 0)
        var previous = (peak: Int.max, share: 0.0, tokens: Int.max)
        for limit in stride(from: free.peak, to: 1_000_000, by: -free.peak / 60) {
            guard let budget = try? planner.choice(within: limit) else { break }
            #expect(budget.peak <= limit)
            #expect(budget.tokenBudget <= previous.tokens || budget.repeatedShare <= previous.share)
            previous = (budget.peak, budget.repeatedShare, budget.tokenBudget)
            job.tuner.setMemory(tokenBudget: budget.tokenBudget, budget.recompute)
        }
        #expect(previous.peak < free.peak / 2)
        #expect(previous.tokens < 2048)
    }

    @Test func `what cannot be kept is refused with the smallest that would do`() throws {
        let (planner, _, golden) = try planner()
        defer { withExtendedLifetime(golden) {} }

        let error = #expect(throws: TrainingError.self) { try planner.choice(within: 900_000) }

        guard case .memoryTooSmall(900_000, let needed) = error else {
            Issue.record("expected memoryTooSmall, found \(String(describing: error))")
            return
        }
        #expect(needed > 1_000_000)
        #expect(try planner.choice(within: needed).peak <= needed)
        // Without what is added for the next process, a hundredth and 4 MB, it is too little.
        #expect(throws: TrainingError.self) {
            try planner.choice(within: (needed - 4_000_000) * 49 / 50)
        }
        #expect(
            "\(error!)"
                == "the run does not fit into 1M: with a row per micro-batch and all of the forward "
                + "pass done twice it needs --memory \(ByteSize(needed))")
    }

    @Test func `memory that was needed before counts too`() throws {
        let (_, job, golden) = try planner()
        defer { withExtendedLifetime(golden) {} }
        let planner = MemoryPlanner(job, rest: 0, earlierPeak: 50_000_000)

        #expect(throws: TrainingError.self) { try planner.choice(within: 49_000_000) }
        #expect(try planner.choice(within: 50_000_000).peak == 50_000_000)
    }
}
