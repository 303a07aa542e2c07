// SPDX-License-Identifier: Apache-2.0
/// Weaknesses of the trainer that this one is modelled on, each with the test that it is cured.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TrainerWeaknessTests {
    /// A run of the given losses that was saved after each epoch.
    private func saved(
        _ losses: [Double], in folder: TemporaryDirectory? = nil,
        _ change: (inout FitOptions) -> Void = { _ in }
    ) throws -> ScriptedRun {
        let run = try ScriptedRun(in: folder)
        try run.trainer.fit(perEpoch(losses.map { [$0] })) {
            $0.epochs = losses.count
            $0.checkpointPath = run.path("ep-%{epoch}.bin")
            change(&$0)
        }
        return run
    }

    private func resumed(
        _ run: ScriptedRun, from name: String, _ losses: [Double] = [1, 1, 1, 1, 1],
        _ change: (inout FitOptions) -> Void = { _ in }
    ) throws -> FitReport {
        try ScriptedRun(in: run.folder).trainer.fitReport(perEpoch(losses.map { [$0] })) {
            $0.epochs = losses.count
            $0.resumeFrom = .path(run.folder.file(name))
            change(&$0)
        }
    }

    @Test(arguments: ["mode", "min_delta", "patience"])
    func `weakness 7: another rule of the monitor is refused unless allowed`(part: String) throws {
        let run = try saved([3])
        func change(_ options: inout FitOptions) {
            switch part {
            case "mode": options.monitorMode = .max
            case "min_delta": options.minDelta = 0.5
            default: options.patience = 9
            }
        }

        let text = message { _ = try resumed(run, from: "ep-0.bin") { change(&$0) } }
        let report = try resumed(run, from: "ep-0.bin", [1, 1]) {
            change(&$0)
            $0.allowedDifferences = [.monitor]
        }

        #expect(text.contains("its monitor is min of epoch_loss, min_delta 0.0, patience none"))
        // A best of another direction is none: the next value is.
        #expect(report.bestMetric == 1 && report.epochsRan == 1)
    }

    @Test func `weakness 8: an epoch without a finite value is no candidate for the best`() throws {
        let folder = try TemporaryDirectory()
        _ = try saved([.nan, 3, 4], in: folder) {
            ($0.stopsOnNonFinite, $0.monitorMode) = (false, .min)
        }
        let second = try ScriptedRun(in: folder)
        second.trainer.artifacts.resume = .best

        try second.trainer.fit(perEpoch([[], [], [1]])) {
            $0.epochs = 3
            $0.checkpointPath = second.path("ep-%{epoch}.bin")
        }

        #expect(second.learner.loads.map(\.lastPathComponent) == ["ep-1.bin"])
    }

    @Test func `weakness 8: a loss that is no number ends the run, with its place`() throws {
        let run = try ScriptedRun()

        let text = message { try run.trainer.fit(Feed([1, .nan])) }

        #expect(text.hasPrefix("train batch failed at epoch 0, batch 1, step 1: epoch 0, step 2"))
        #expect(text.contains("the training loss is not a finite number"))
        #expect(run.learner.step == 1)
    }

    @Test func `weakness 9: a run that had stopped early does nothing more unless told`() throws {
        let run = try saved([3, 4]) { $0.patience = 0 }

        let report = try resumed(run, from: "ep-1.bin") { $0.patience = 0 }
        let told = try resumed(run, from: "ep-1.bin") {
            ($0.patience, $0.continuesAfterEarlyStop) = (0, true)
        }

        #expect(report.status == .stoppedEarly && report.epochsRan == 0 && report.stepsRan == 0)
        #expect(report.epochsCompleted == 2 && !report.notes.isEmpty)
        #expect(told.epochs.map(\.epoch) == [2, 3])
    }

    @Test func `weakness 15: a checkpoint may be loaded and written over in place`() throws {
        let folder = try TemporaryDirectory()
        let path = CheckpointPath.template(folder.file("latest/").path + "/")
        try TrainerModelTests.trainer().fit(TrainerModelTests.train) { $0.checkpointPath = path }
        let trainer = try TrainerModelTests.trainer()

        try trainer.fit(TrainerModelTests.train) {
            ($0.epochs, $0.checkpointPath) = (2, path)
            $0.resumeFrom = .path(folder.file("latest"))
        }
        let digest = trainer.learner.stateDigest
        try trainer.learner.read(folder.file("latest"), withOptimizer: true).apply()

        #expect(trainer.learner.stateDigest == digest && trainer.learner.step == 12)
    }

    @Test func `weakness 19 and 20: slots are tensors of a file, scalars stand apart`() throws {
        let folder = try TemporaryDirectory()
        let trainer = try TrainerModelTests.trainer()
        try trainer.fit(TrainerModelTests.train) {
            $0.checkpointPath = .template(folder.file("ck").path + "/")
        }

        let file = folder.file("ck/training/optimizer.safetensors")
        let names = try SafetensorsFile(contentsOf: file).names
        let state = try JSONValue.parse(contentsOf: folder.file("ck/training/state.json"))

        #expect(names.contains("m/0.weight") && names.contains("v/3.bias"))
        #expect(state["optimizer"]!["step"] == 6)
    }

    @Test(arguments: [nil, ""] as [String?])
    func `weakness 25: a closure that gives no path skips the save`(path: String?) throws {
        let run = try ScriptedRun()

        let report = try run.trainer.fitReport(Feed([1])) {
            $0.checkpointPath = .chosen { _ in path }
        }

        #expect(run.learner.saves.isEmpty && report.checkpoints.isEmpty)
    }

    // MARK: Every exit

    @Test func `weakness 27: a stop finishes the step, saves, and says so`() throws {
        let run = try ScriptedRun()
        let ends = Box<[FitStatus]>([])
        run.trainer.hooks.on(.afterFit) { ends.value.append($0.report.status) }

        let report = try run.trainer.fitReport(Feed([1, 2, 3])) {
            $0.checkpointPath = run.path("ep-%{epoch}.bin")
            $0.shouldStop = { run.learner.step == 2 }
        }

        #expect(report.status == .interrupted && report.steps == 2 && ends.value == [.interrupted])
        #expect(run.exists("interrupted.bin") && !run.exists("ep-0.bin"))
    }

    @Test func `weakness 27: a stop in validation redoes the validation and nothing else`() throws {
        let run = try ScriptedRun()
        let stop = Box(false)
        run.trainer.hooks.on(.afterValidationBatch) { _ in stop.value = true }
        let feed = Feed([1.0, 2])
        let held = Feed([5.0, 7])
        func change(_ options: inout FitOptions) {
            options.monitor = .validationLoss
            options.checkpointPath = run.path("ep-%{epoch}.bin")
        }

        let first = try run.trainer.fitReport(feed, validation: held) {
            change(&$0)
            $0.shouldStop = { stop.value }
        }
        let second = try ScriptedRun(in: run.folder)
        let report = try second.trainer.fitReport(feed, validation: held) {
            change(&$0)
            $0.resumeFrom = .path(run.folder.file("interrupted.bin"))
        }

        #expect(first.status == .interrupted && first.epochsRan == 0)
        #expect(second.learner.inputs.isEmpty && report.steps == 2)
        #expect(report.epochs.map(\.validationLoss) == [6] && report.epochs[0].epochLoss == 1.5)
    }

    @Test func `weakness 27: a failure still gives the report, the bundle and after_fit`() throws {
        struct Broken: Error, CustomStringConvertible { let description = "broken" }
        let run = try ScriptedRun()
        let ends = Box<[FitReport]>([])
        run.trainer.hooks.on(.afterFit) { ends.value.append($0.report) }
        run.trainer.artifacts.runBundlePath = run.folder.file("run.json")
        let feed = Feed([1.0, 2, 3]).transformed { value, _ in
            if value == 3 { throw Broken() }
            return value
        }

        #expect(throws: BatchError.self) { try run.trainer.fit(feed) }

        let report = try #require(run.trainer.lastReport)
        #expect(report.status == .failed && report.losses == [1, 2])
        #expect(report.failure == "train batch failed at epoch 0, batch 2, step 2: broken")
        #expect(ends.value.map(\.status) == [.failed])
        let bundle = try RunBundle(contentsOf: run.folder.file("run.json"))
        #expect(bundle.json["report"]!["status"] == "failed")
    }

    @Test func `weakness 29: an unknown metric is refused with a suggestion`() throws {
        let run = try ScriptedRun()
        run.trainer.metrics = [TrainerMetric("accuracy") { _ in 1 }]

        let text = message {
            try run.trainer.fit(Feed([1])) { $0.monitor = .metric("acuracy") }
        }

        #expect(
            text == "no metric is called 'acuracy', did you mean 'accuracy'?; there are accuracy")
        #expect(run.learner.step == 0)
    }

    @Test func `weakness 33: any error is wrapped once, its type kept`() throws {
        struct Odd: Error, Equatable { let first: Int, second: String }
        let run = try ScriptedRun()
        run.learner.failure = Odd(first: 1, second: "x")

        do {
            try run.trainer.fit(Feed([1]))
            Issue.record("nothing was thrown")
        } catch let error as BatchError {
            #expect(error.underlying as? Odd == Odd(first: 1, second: "x"))
            #expect(error.kind == .train && error.epoch == 0 && error.batch == 0 && error.step == 0)
        }
    }

    @Test func `weakness 36: reports, history and bundles have the path that was committed`() throws
    {
        let run = try ScriptedRun()
        run.learner.suffix = ".npz"
        run.trainer.artifacts.runBundlePath = run.folder.file("run.json")

        let report = try run.trainer.fitReport(Feed([1])) {
            $0.checkpointPath = run.path("X.NPZ.bin")
        }

        let committed = run.folder.file("X.NPZ.bin.npz").path
        #expect(report.checkpoints.map(\.path.path) == [committed])
        #expect(
            try run.trainer.checkpointHistory(in: run.folder.url).map(\.path.path) == [committed])
        let bundle = try RunBundle(contentsOf: run.folder.file("run.json"))
        #expect(try bundle.payload().checkpoint?.path == committed)
    }

    @Test func `weakness 39: a large file that begins like JSON is never parsed`() throws {
        let run = try ScriptedRun()
        let file = run.folder.file("large.json")
        try Data("{\"a\": 1, ".utf8).write(to: file)
        let handle = try FileHandle(forWritingTo: file)
        try handle.truncate(atOffset: 80 << 20)
        try handle.close()

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(file) } }

        #expect(text.contains("a JSON file of 83886080 bytes is no run bundle"))
    }

    // MARK: What the first one's tests leave out

    @Test func `a checkpoint beyond the target runs nothing and says where it stands`() throws {
        let run = try saved([3, 2, 1])
        let events = Box<[String]>([])
        let second = try ScriptedRun(in: run.folder)
        second.trainer.hooks.on(.beforeFit) { _ in events.value.append("before") }
            .on(.afterFit) { _ in events.value.append("after") }

        let report = try second.trainer.fitReport(perEpoch([[9]])) {
            $0.resumeFrom = .path(run.folder.file("ep-2.bin"))
        }

        #expect(report.epochsRan == 0 && report.epochsCompleted == 3 && report.epochsTarget == 1)
        #expect(events.value == ["before", "after"])
    }

    @Test func `two fits of one trainer: the second begins with the trained weights`() throws {
        let run = try ScriptedRun()

        try run.trainer.fit(Feed([4]))
        let weight = run.learner.weight
        let report = try run.trainer.fitReport(Feed([2]))

        #expect(report.startEpoch == 0 && report.steps == 2 && report.stepsRan == 1)
        #expect(run.learner.weight == weight * 0.75 + 1)
    }

    @Test func `other data in its stages is refused unless allowed`() throws {
        let folder = try TemporaryDirectory()
        func fit(_ seed: UInt64, _ source: ResumeSource?, _ allowed: Set<RunSetting> = []) throws {
            let run = try ScriptedRun(in: folder)
            try run.trainer.fit(Feed(Pipeline([1.0, 2, 3]).shuffle(seed: seed))) {
                $0.epochs = source == nil ? 1 : 2
                $0.checkpointPath = run.path("ep-%{epoch}.bin")
                ($0.resumeFrom, $0.allowedDifferences) = (source, allowed)
            }
        }
        try fit(1, nil)
        let source = ResumeSource.path(folder.file("ep-0.bin"))

        let text = message { try fit(2, source) }

        #expect(text.contains("data was \"items(3) shuffle(1)\", is \"items(3) shuffle(2)\""))
        try fit(2, source, [.data])
    }

    @Test func `data that is shorter than what was used of it is refused`() throws {
        let folder = try TemporaryDirectory()
        let run = try ScriptedRun(in: folder)
        try run.trainer.fit(Feed(Pipeline { _ in [1.0, 2, 3] })) {
            $0.checkpointPath = run.path("ep-%{epoch}.bin")
            $0.shouldStop = { run.learner.step == 2 }
        }

        let text = message {
            try ScriptedRun(in: folder).trainer.fit(Feed(Pipeline { _ in [1.0] })) {
                $0.resumeFrom = .path(folder.file("interrupted.bin"))
            }
        }

        #expect(text.contains("had used 2 batches of epoch 0, whose data now ends after 1"))
    }

    @Test func `saves within an epoch go on from their step`() throws {
        let run = try ScriptedRun()
        let whole = try run.trainer.fitReport(Feed([1, 2, 3, 4, 5])) {
            $0.checkpointPath = run.path("s-%<step>02d.bin")
            $0.saveEverySteps = 2
        }
        #expect(
            whole.checkpoints.map(\.path.lastPathComponent) == ["s-02.bin", "s-04.bin", "s-05.bin"])

        for name in ["s-02.bin", "s-04.bin", "s-05.bin"] {
            let second = try ScriptedRun(in: run.folder)
            let report = try second.trainer.fitReport(Feed([1, 2, 3, 4, 5])) {
                $0.resumeFrom = .path(run.folder.file(name))
            }
            #expect(report.stateDigest == whole.stateDigest, "\(name)")
            #expect(report.history.map(\.epochLoss) == [3], "\(name)")
        }
    }
}
