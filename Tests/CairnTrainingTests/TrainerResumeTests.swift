// SPDX-License-Identifier: Apache-2.0
/// Resuming: every source, what it restores, what is refused.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TrainerResumeTests {
    /// mlx-ruby's counters: epoch 1 done, best 1.5.
    static let foreign: JSONObject = [
        "epoch": 1, "best_metric": 1.5, "stale_epochs": 0, "monitor_name": "epoch_loss",
        "next_epoch": 2, "monitor_value": 1.5, "epoch_loss": 1.5,
    ]

    /// A checkpoint file with such metadata, as an earlier learner wrote it.
    private func checkpoint(
        in folder: TemporaryDirectory, _ name: String = "ep-1.bin",
        metadata: JSONObject = foreign, holdsOptimizer: Bool = true
    ) throws -> URL {
        let learner = ScriptedLearner()
        learner.holdsOptimizer = holdsOptimizer
        _ = learner.update(learningRate: 0)
        learner.weight = 42
        return try learner.save(to: folder.file(name), metadata: metadata)[0]
    }

    private func bundle(_ path: String?, _ metadata: JSONObject = foreign) -> JSONObject {
        var checkpoint: JSONObject = [
            "epoch": 1, "monitor_name": "epoch_loss", "metadata": .object(metadata),
        ]
        if let path { checkpoint["path"] = .string(path) }
        return [
            "format": "mlx_dsl_run_bundle_v1", "generated_at": "2026-02-13T00:00:00Z",
            "trainer": [:], "config": [:], "report": [:], "checkpoint": .object(checkpoint),
        ]
    }

    // MARK: Sources

    @Test func `R1 a path restores weights, optimizer and counters`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)

        let report = try run.trainer.fitReport(perEpoch([[], [], [1.25], [1]])) {
            ($0.epochs, $0.resumeFrom) = (4, .path(path))
        }

        #expect(run.learner.loads == [path])
        #expect(report.epochs.map(\.epoch) == [2, 3] && report.epochsRan == 2)
        #expect(report.epochsTarget == 4 && report.epochsCompleted == 4 && report.bestMetric == 1)
        #expect(report.resumeFrom == path.path && report.resumedFromEpoch == 1)
        // The optimizer had taken one step.
        #expect(report.startEpoch == 2 && report.steps == 3 && report.stepsRan == 2)
    }

    @Test func `a trainer that resumes is a trainer of its own`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)

        let resuming = run.trainer.resuming(from: .path(path))

        #expect(try resuming.fitReport(Feed([1])) { $0.epochs = 3 }.startEpoch == 2)
        #expect(try run.trainer.fitReport(Feed([1])).startEpoch == 0)
    }

    @Test func `R2 stale epochs go on counting`() throws {
        let run = try ScriptedRun()
        var metadata = Self.foreign
        (metadata["best_metric"], metadata["stale_epochs"]) = (3.0, 1)
        let path = try checkpoint(in: run.folder, metadata: metadata)

        let report = try run.trainer.fitReport(Feed([3.1])) {
            ($0.epochs, $0.patience, $0.resumeFrom) = (9, 1, .path(path))
        }

        #expect(report.epochsRan == 1 && report.status == .stoppedEarly)
        #expect(report.epochs[0].stale == 2)
    }

    @Test func `R3 weakness 11: another monitor is refused before anything is loaded`() throws {
        let run = try ScriptedRun()
        var metadata = Self.foreign
        metadata["monitor_name"] = "val_loss"
        let path = try checkpoint(in: run.folder, metadata: metadata)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(path) } }

        #expect(text.contains("its monitor_name is 'val_loss', this fit's is 'epoch_loss'"))
        #expect(run.learner.loads.isEmpty && run.learner.weight == 1)
    }

    @Test func `R4 weakness 1: a bundle at hand restores the checkpoint that it names`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)
        let bundle = try RunBundle(json: bundle(path.path))

        let report = try run.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (3, .bundle(bundle))
        }

        #expect(run.learner.loads == [path])
        #expect(report.startEpoch == 2 && report.resumeFrom == nil)
        #expect(report.resumedFromEpoch == 1)
    }

    @Test func `R4 counters alone, asked for by name, load nothing`() throws {
        let run = try ScriptedRun()
        var metadata = Self.foreign
        metadata["epoch"] = 0
        let bundle = try RunBundle(json: bundle(nil, metadata))

        let report = try run.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (2, .countersOnly(.bundle(bundle)))
        }

        #expect(run.learner.loads.isEmpty)
        #expect(report.startEpoch == 1 && report.resumedFromEpoch == 0 && report.resumeFrom == nil)
    }

    @Test func `R5 a bundle's path restores its checkpoint, relative to the bundle`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)
        let file = run.folder.file("run.json")
        try JSONValue.object(bundle("ep-1.bin")).serialized().write(to: file)

        let report = try run.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (3, .path(file))
        }

        #expect(run.learner.loads.map(\.path) == [path.path])
        #expect(report.startEpoch == 2 && report.resumeFrom == file.path)
    }

    @Test func `R6 weakness 1: counters given by hand need the word for it`() throws {
        let run = try ScriptedRun()

        let text = message {
            try run.trainer.fit(Feed([1])) { $0.resumeFrom = .metadata(Self.foreign) }
        }
        let report = try run.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (3, .countersOnly(.metadata(Self.foreign)))
        }

        #expect(text.contains("names no checkpoint") && text.contains(".countersOnly"))
        #expect(run.learner.loads.isEmpty && report.startEpoch == 2)
    }

    @Test func `R7 a loader is told the monitor and gives any other source`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)
        let asked = Box<[String]>([])

        let report = try run.trainer.fitReport(Feed([1.25])) {
            $0.epochs = 3
            $0.resumeFrom = .loader { request in
                asked.value.append("\(request.monitorName) \(request.epochs)")
                return .path(path)
            }
        }

        #expect(asked.value == ["epoch_loss 3"])
        #expect(report.bestMetric == 1.25 && report.epochsRan == 1)
        #expect(report.resumeFrom == path.path)
    }

    @Test func `a loader that gives nothing starts afresh, and one that gives another is refused`()
        throws
    {
        let run = try ScriptedRun()

        let report = try run.trainer.fitReport(Feed([1])) { $0.resumeFrom = .loader { _ in nil } }
        let text = message {
            try run.trainer.fit(Feed([1])) {
                $0.resumeFrom = .loader { _ in .loader { _ in nil } }
            }
        }

        #expect(report.startEpoch == 0 && report.resumedFromEpoch == nil)
        #expect(text.contains("it gave another loader"))
    }

    @Test func `R8 a bundle's payload is a source`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder)
        let file = run.folder.file("run.json")
        try JSONValue.object(bundle(path.path)).serialized().write(to: file)

        let payload = try run.trainer.resumePayload(fromBundle: file)
        let report = try run.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (3, .payload(payload))
        }

        #expect(payload.metadata["epoch"] == 1 && payload.checkpoint == path)
        #expect(report.startEpoch == 2 && run.learner.loads == [path])
    }

    @Test func `weights alone begin a new run`() throws {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder, holdsOptimizer: false)

        let report = try run.trainer.fitReport(Feed([Double]())) {
            $0.resumeFrom = .weightsOnly(.path(path))
        }

        #expect(report.startEpoch == 0 && report.steps == 0 && run.learner.weight == 42)
    }

    // MARK: Refusals

    @Test
    func `weakness 5: a checkpoint without optimizer state is refused, with the way out named`()
        throws
    {
        let run = try ScriptedRun()
        let path = try checkpoint(in: run.folder, holdsOptimizer: false)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(path) } }

        #expect(text.contains("holds no optimizer state; ask for .weightsOnly"))
        #expect(run.learner.loads.isEmpty)
    }

    @Test(arguments: [
        ("epoch", JSONValue.null, "'metadata.epoch' must be the last epoch that was finished"),
        ("epoch", "one", "'metadata.epoch' must be a whole number"),
        ("epoch", -3, "'metadata.epoch' must be a whole number of at least 0"),
        ("best_metric", "low", "'metadata.best_metric' must be a number"),
        ("stale_epochs", -1, "'metadata.stale_epochs' must be a whole number of at least 0"),
        ("monitor_name", 7, "'metadata.monitor_name' must be a string"),
    ])
    func `weakness 5: counters that are no counters are refused by place`(
        key: String, value: JSONValue, reason: String
    ) throws {
        let run = try ScriptedRun()
        var metadata = Self.foreign
        metadata[key] = value
        let path = try checkpoint(in: run.folder, metadata: metadata)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(path) } }

        #expect(text.contains(reason), "\(text)")
        #expect(run.learner.loads.isEmpty)
    }

    @Test func `a bundle whose checkpoint is gone is refused`() throws {
        let run = try ScriptedRun()
        let bundle = try RunBundle(json: bundle("gone.bin"), directory: run.folder.url)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .bundle(bundle) } }

        #expect(text.contains("gone.bin"))
        #expect(run.learner.step == 0)
    }

    @Test func `a bundle without a checkpoint or without metadata is refused`() throws {
        var without = bundle("a.bin")
        without["checkpoint"] = .null
        var bare = bundle("a.bin")
        bare["checkpoint"] = ["path": "a.bin"]

        #expect(
            message { _ = try RunBundle(json: without).payload() }
                .contains("'checkpoint' must be a checkpoint, found none"))
        #expect(
            message { _ = try RunBundle(json: bare).payload() }
                .contains("'checkpoint.metadata' must be an object, found nothing"))
    }

    @Test func `weakness 21: a bundle of another format is refused`() {
        var other = bundle("a.bin")
        other["format"] = "v999"

        #expect(
            message { _ = try RunBundle(json: other) }.contains(
                "'format' must be mlx_dsl_run_bundle_v1, found 'v999'"))
    }

    @Test func `weakness 36: a bundle and a checkpoint at different epochs are refused`() throws {
        let run = try ScriptedRun()
        var later = Self.foreign
        later["epoch"] = 5
        let path = try checkpoint(in: run.folder, metadata: later)
        let bundle = try RunBundle(json: bundle(path.path))

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .bundle(bundle) } }

        #expect(text.contains("it stands at epoch 1, its checkpoint \(path.path) at epoch 5"))
    }

    @Test func `JSON that is no bundle is refused, however it is named`() throws {
        let run = try ScriptedRun()
        let file = run.folder.file("x.bin")
        try Data(" { \"a\": 1 }".utf8).write(to: file)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(file) } }

        #expect(text.contains("it is JSON, but no run bundle"))
    }

    // MARK: Same bits

    /// Runs `epochs` in one go, or stopped after `steps` steps and resumed; what is left at the end.
    private func outcome(
        stoppedAfter steps: Int?, in folder: TemporaryDirectory
    ) throws -> (digest: String, report: FitReport, heard: [Int]) {
        let heard = Box<[Int]>([])
        func run(_ source: ResumeSource?, stop: Int?) throws -> (ScriptedRun, FitReport) {
            let run = try ScriptedRun(in: folder)
            let trainer = run.trainer
            trainer.metrics = [.accuracy]
            trainer.hooks
                .on(.afterBatch, every: 3) { heard.value.append($0.step) }
                .on(.afterEpoch, every: 2) { heard.value.append(1000 + $0.row.epoch) }
                .on(.checkpoint, once: true) { _ in heard.value.append(2000) }
            let items = (0..<7).map { 1 / Double($0 + 3) }
            let train = Feed(Pipeline(items).shuffle(seed: 5))
            let report = try trainer.fitReport(train, validation: Feed([0.5, 0.25])) {
                $0.epochs = 3
                $0.accumulation = 2
                $0.minDelta = 0.001
                $0.patience = 5
                $0.checkpointPath = run.path("ep-%{epoch}.bin")
                $0.shouldStop = { stop.map { run.learner.step >= $0 } ?? false }
                $0.resumeFrom = source
            }
            return (run, report)
        }
        guard let steps else {
            let (run, report) = try run(nil, stop: nil)
            return (run.learner.stateDigest, report, heard.value)
        }
        let (_, first) = try run(nil, stop: steps)
        #expect(first.status == (steps > 12 ? .completed : .interrupted))
        let source = first.checkpoints.last!.path
        let (second, report) = try run(.path(source), stop: nil)
        return (second.learner.stateDigest, report, heard.value)
    }

    /// The numbers of a row, without times.
    private func numbers(_ rows: [EpochRow]) -> [EpochRow] {
        rows.map { row in
            var row = row
            (row.trainSeconds, row.validationSeconds) = (0, 0)
            return row
        }
    }

    @Test(arguments: 0...13)
    func `weakness 4: a run stopped after any step and resumed ends as one that was not`(steps: Int)
        throws
    {
        let whole = try outcome(stoppedAfter: nil, in: TemporaryDirectory())

        let parts = try outcome(stoppedAfter: steps, in: TemporaryDirectory())

        #expect(parts.digest == whole.digest)
        #expect(numbers(parts.report.history) == numbers(whole.report.history))
        #expect(parts.report.bestMetric == whole.report.bestMetric)
        #expect(parts.report.steps == whole.report.steps && parts.report.status == .completed)
        let same = whole.heard.filter { $0 != 2000 }
        #expect(parts.heard.filter { $0 != 2000 } == same)
        #expect(parts.heard.count { $0 == 2000 } == 1)
    }

    @Test func `a state read back is the state that was written`() throws {
        var state = TrainerState(monitor: Monitor.Rule(name: "m", patience: 2), dataKey: "key")
        (state.step, state.position.epoch, state.position.index) = (7, 1, 3)
        (state.losses, state.weights) = ([0.1, .nan, -.infinity, -0.0], [1, 2, 3, 4])
        state.hooks.occurrences = ["after_batch/0": 4]
        state.hooks.done = ["checkpoint/0"]
        state.settings = [.clip: 1.5, .data: "key"]
        state.seconds = 1.25

        let json = try JSONValue.object(state.metadata(adding: [:])).serialized()
        let object = try JSONValue.parse(json, file: "x").object!
        let read = try #require(try TrainerState(metadata: object, file: "x"))

        #expect(read.losses.map(\.bitPattern) == state.losses.map(\.bitPattern))
        var copy = read
        (copy.losses, state.losses) = ([], [])
        #expect(copy == state)
    }

    @Test func `weakness 21: a state of a newer schema is refused`() throws {
        let state = TrainerState(monitor: Monitor.Rule(name: "m"), dataKey: "key")
        var metadata = state.metadata(adding: [:])
        var inner = metadata["cairn_trainer"]!
        inner["schema"] = 2
        metadata["cairn_trainer"] = inner

        let text = message { _ = try TrainerState(metadata: metadata, file: "x.bin") }

        #expect(text == "x.bin: key 'cairn_trainer.schema' must be 1, found 2")
    }
}
