// SPDX-License-Identifier: Apache-2.0
/// A plan says what the run does, changes nothing, and is compared with what the run took.

import CairnFormats
import CairnModels
import CairnText
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct PlanTests {
    private func golden(_ change: (inout GoldenJob) -> Void = { _ in }) throws -> GoldenJob {
        var golden = try RunVariant.all[0].golden()
        change(&golden)
        return golden
    }

    /// The plan of a job, whose files must live until then.
    private func plan(_ golden: GoldenJob) throws -> FineTunePlan {
        try withExtendedLifetime(golden) { try FineTunePlan(golden.job()) }
    }

    private static let otherRows = Golden.directory.appendingPathComponent("dataset/test.jsonl")

    /// Rows of a text with a label, as a file beside the job's own.
    private func rows(_ texts: [(String, Int)], _ name: String, _ golden: GoldenJob) throws -> URL {
        let file = golden.options.output.deletingLastPathComponent().appendingPathComponent(name)
        let lines = texts.map { #"{"text": "\#($0.0)", "label": \#($0.1)}"# }
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: file)
        return file
    }

    // MARK: Rows

    @Test(arguments: [
        ([4], 4.0, 4, 4, 4), ([1, 2, 3, 10], 4, 2, 10, 10), ([3, 1, 2], 2, 2, 3, 3),
        (Array(1...100), 50.5, 50, 95, 100), ([], 0, 0, 0, 0),
    ])
    func `lengths are ranked`(
        lengths: [Int], mean: Double, median: Int, p95: Int, longest: Int
    ) {
        let statistics = LengthStatistics(lengths)

        #expect(statistics.rows == lengths.count)
        #expect(statistics.mean == mean)
        #expect(statistics.median == median)
        #expect(statistics.p95 == p95)
        #expect(statistics.maximum == longest)
    }

    @Test func `rows, classes, duplicates, leaks and truncation are counted`() throws {
        var golden = try golden { $0.options.maximumLength = 4 }
        let train = [("one two three four five six", 0), ("a", 1), ("a", 1), ("b", 0), ("b", 1)]
        golden.options.data = try rows(train, "small.jsonl", golden)
        golden.options.evaluationData = try rows([("c", 0), ("a", 0), ("b", 1)], "v.jsonl", golden)
        golden.options.testData = try rows([("d", 1), ("e", 0)], "t.jsonl", golden)

        let plan = try FineTunePlan(golden.job())

        let (first, second) = (try #require(plan["train"]), try #require(plan["validation"]))
        #expect(first.lengths.rows == 5)
        #expect(first.truncatedRows == 1)
        #expect(first.lengths.maximum > 4)
        #expect(first.report.classCounts.map(\.rows) == [2, 3])
        #expect(first.report.superfluousRows == 1)
        #expect(first.report.conflicts.count == 1)
        #expect(first.leakedLines == [])
        #expect(second.leakedLines == [2, 3])
        #expect(plan["test"]?.leakedLines == [])
        #expect(plan.json["rows"]?["validation"]?["leaked_rows"]?.integer == 2)
    }

    // MARK: Nothing happens

    @Test(arguments: RunVariant.all)
    func `planning leaves no trace in the job and none on the disk`(variant: RunVariant) throws {
        let (planned, plain) = (try variant.golden(), try variant.golden())
        let job = try planned.job()
        let before = job.tuner.report.stateDigest

        let plan = try FineTunePlan(job)

        #expect(job.tuner.report.stateDigest == before)
        #expect(job.tuner.state.step == 0 && job.tuner.state.epoch == 1)
        #expect(job.tuner.report.recordingSeconds == 0)
        #expect(!FileManager.default.fileExists(atPath: planned.options.output.path))
        #expect(plan.steps == job.tuner.schedule.totalSteps)
        let (report, expected) = (try job.run(), try plain.job().run())
        #expect(report.stateDigest == expected.stateDigest)
    }

    // MARK: Memory, disk, time

    @Test func `memory has a part for everything that a run holds`() throws {
        let small = try plan(golden()).memory
        let wide = try plan(golden { $0.options.settings.tokenBudget = 1024 }).memory
        let full = try plan(RunVariant.all[4].golden()).memory

        #expect(wide.activations > 2 * small.activations)
        #expect(small.validation == 0 && wide.validation == 0, "it has the memory of training")
        #expect(wide.gradients == small.gradients)
        #expect(small.optimizer + small.optimizer / 2 == small.savedCopy)
        #expect(small.weights > 0 && full.weights == 0)
        for memory in [small, wide, full] {
            let parts = [
                memory.weights, memory.parameters, memory.gradients, memory.optimizer,
                memory.activations, memory.validation, memory.savedCopy, memory.process,
            ]
            #expect(memory.peak >= parts.reduce(0, +))
        }
    }

    @Test func `test rows add the best checkpoint beside the run`() throws {
        let without = try plan(golden())
        let with = try plan(
            golden { $0.options.testData = Self.otherRows })

        #expect(without.memory.test == 0 && with.memory.test > 0)
        #expect(without.seconds.testing == 0 && with.seconds.testing > 0)
    }

    @Test func `time and disk grow with the epochs`() throws {
        let short = try plan(golden { $0.options.settings.epochs = 1 })
        let long = try plan(
            golden {
                $0.options.settings.epochs = 1000
                $0.options.policy.epochs = 1
            })
        let pruned = try plan(
            golden {
                $0.options.settings.epochs = 1000
                $0.options.policy.epochs = 1
                $0.options.policy.keepLast = 2
                $0.options.policy.keepBest = 3
            })

        #expect(long.steps == 1000 * short.steps)
        #expect(long.seconds.training > short.seconds.training)
        #expect(short.disk.kept == 2 && long.disk.kept == 1001 && pruned.disk.kept == 6)
        #expect(pruned.disk.final < long.disk.final)
        for plan in [short, long, pruned] {
            #expect(plan.disk.peak >= plan.disk.final)
            let seconds = plan.seconds
            let parts = [
                seconds.preparing, seconds.training, seconds.validation, seconds.saving,
                seconds.recording, seconds.testing,
            ]
            let sum = parts.reduce(0, +)
            #expect(abs(seconds.total - sum) <= 1e-9 * sum)
        }
    }

    // MARK: Afterwards

    /// A run with the plan that was written before it.
    private func planned() throws -> (golden: GoldenJob, plan: URL) {
        let golden = try golden { $0.options.policy.epochs = 1 }
        let file = golden.options.output.deletingLastPathComponent()
            .appendingPathComponent("plan.json")
        try FineTunePlan(golden.job()).write(to: file)
        _ = try golden.job().run()
        return (golden, file)
    }

    @Test func `a plan is compared with the run that follows`() throws {
        let (golden, plan) = try planned()

        let comparison = try PlanComparison(run: golden.options.output, plan: plan)

        #expect(comparison.notes == [])
        let rows = Dictionary(uniqueKeysWithValues: comparison.rows.map { ($0.key, $0) })
        #expect(
            Set(rows.keys) == [
                "peak_rss_bytes", "disk_bytes", "training_seconds", "validation_seconds",
                "saving_seconds", "total_seconds",
            ])
        for row in comparison.rows { #expect(row.measured > 0 && row.predicted > 0, "\(row.key)") }
        // The parts of a checkpoint are known to within its JSON files.
        #expect(abs(try #require(rows["disk_bytes"]?.errorPercent)) <= 10)
        let total = try #require(rows["total_seconds"]?.measured)
        #expect(total > (try #require(rows["training_seconds"]?.measured)))
    }

    @Test func `an error is in percent of what was measured`() {
        let row = PlanComparison.Row(key: "disk_bytes", predicted: 110, measured: 100)
        let none = PlanComparison.Row(key: "disk_bytes", predicted: 110, measured: 0)

        #expect(row.errorPercent == 10)
        #expect(none.errorPercent == nil)
    }

    @Test func `a plan of another run is refused by what differs`() throws {
        let (golden, _) = try planned()
        let other = golden.options.output.deletingLastPathComponent()
            .appendingPathComponent("other.json")
        for (key, change) in [
            ("learning_rate", { $0.options.settings.learningRate = 1 }),
            ("data", { $0.options.data = Self.otherRows }),
        ] as [(String, (inout GoldenJob) -> Void)] {
            var changed = golden
            change(&changed)
            changed.options.output = golden.options.output.appendingPathExtension("other")
            try FineTunePlan(changed.job()).write(to: other)

            let error = #expect(throws: TrainingError.self) {
                try PlanComparison(run: golden.options.output, plan: other)
            }

            guard case .otherPlan(let file, let found, _, _) = error else {
                Issue.record("expected otherPlan, found \(String(describing: error))")
                continue
            }
            #expect(file == other.path && found == key)
        }
    }

    @Test func `what is no plan, and a run without measurements, are refused by name`() throws {
        let (golden, plan) = try planned()
        let out = golden.options.output
        try Data("{}".utf8).write(to: plan)
        #expect(throws: TrainingError.self) { try PlanComparison(run: out, plan: plan) }
        try FineTunePlan(golden.job()).write(to: plan)
        try FileManager.default.removeItem(at: out.appendingPathComponent("measured.json"))

        let error = #expect(throws: TrainingError.self) {
            try PlanComparison(run: out, plan: plan)
        }

        #expect(error.map { "\($0)".contains("measured.json") } == true)
    }

    @Test func `a resumed run and one that stopped are said to be that`() throws {
        let golden = try golden { $0.options.policy.epochs = 1 }
        let file = golden.options.output.deletingLastPathComponent()
            .appendingPathComponent("plan.json")
        try FineTunePlan(golden.job()).write(to: file)
        var steps = 0
        _ = try golden.job().run(
            stop: { steps > 2 ? .signal : nil },
            report: { if case .step = $0 { steps += 1 } })
        let stopped = try PlanComparison(run: golden.options.output, plan: file)
        let point = try ResumableRun(
            contentsOf: golden.options.output.appendingPathComponent("interrupted"))
        _ = try FineTuneJob(golden.options, start: .resumed(point)).run()

        let resumed = try PlanComparison(run: golden.options.output, plan: file)

        #expect(stopped.notes.count == 1 && stopped.notes[0].contains("the run took 3 of the"))
        #expect(resumed.notes.count == 1 && resumed.notes[0].contains("resumed after step 3"))
    }
}
