// SPDX-License-Identifier: Apache-2.0
/// The loop: losses, reports, saves, the monitor, options and presets.

import CairnFormats
import CairnTraining
import Foundation
import Testing

@Suite struct TrainerFitTests {
    @Test func `T1 a report has losses, rows, target and best, and hooks are told so`() throws {
        let run = try ScriptedRun()
        let rows = Box<[EpochRow]>([])
        run.trainer.hooks.on(.afterEpoch) { rows.value.append($0.row) }

        let report = try run.trainer.fitReport(perEpoch([[4, 2], [3, 1]])) { $0.epochs = 2 }

        #expect(report.losses == [4, 2, 3, 1])
        #expect(report.epochs.map(\.epochLoss) == [3, 2])
        #expect(report.epochsTarget == 2 && report.epochsCompleted == 2 && report.epochsRan == 2)
        #expect(report.bestMetric == 2 && report.status == .completed)
        #expect(rows.value == report.epochs)
        #expect(rows.value.map(\.batches) == [2, 2] && rows.value.map(\.improved) == [true, true])
    }

    @Test func `T2 only improving epochs are saved, with the user's metadata`() throws {
        let run = try ScriptedRun()

        try run.trainer.fit(perEpoch([[4, 2], [3, 1], [5]])) {
            $0.epochs = 3
            $0.saveBest = true
            $0.checkpointPath = run.path("best.bin")
            $0.metadata = ["tag": "mine", "epoch": "lost"]
        }

        #expect(run.learner.saves.map { $0.metadata["epoch"] } == [0, 1])
        #expect(run.learner.saves.allSatisfy { $0.metadata["tag"] == "mine" })
    }

    @Test func `T3 fit returns the losses`() throws {
        #expect(try ScriptedRun().trainer.fit(Feed([3, 2])) == [3, 2])
    }

    @Test func `T4 a template writes epoch and monitor`() throws {
        let run = try ScriptedRun()

        try run.trainer.fit(perEpoch([[3], [2]])) {
            $0.epochs = 2
            $0.checkpointPath = run.path("ep-%{epoch}-%{monitor}.bin")
        }

        #expect(run.exists("ep-0-3.0.bin") && run.exists("ep-1-2.0.bin"))
    }

    @Test func `T5 a template writes the next epoch`() throws {
        let run = try ScriptedRun()

        try run.trainer.fit(Feed([1])) {
            $0.epochs = 2
            $0.checkpointPath = run.path("%{next_epoch}.bin")
        }

        #expect(run.exists("1.bin") && run.exists("2.bin") && !run.exists("0.bin"))
    }

    @Test func `T6 a closure for the path sees all values, and its text is the path`() throws {
        let run = try ScriptedRun()
        let seen = Box<[PathContext]>([])

        try run.trainer.fit(Feed([3, 2]), validation: Feed([4])) {
            $0.checkpointPath = .chosen { context in
                seen.value.append(context)
                return run.folder.file("%{epoch}.bin").path
            }
        }

        var expected = PathContext(epoch: 0, step: 2, monitor: 2.5)
        (expected.epochLoss, expected.validationLoss, expected.improved) = (2.5, 4, true)
        #expect(seen.value == [expected] && seen.value[0].nextEpoch == 1)
        #expect(run.exists("%{epoch}.bin") && run.exists("checkpoints.json"))
    }

    @Test func `T7 a metric of one's own is monitored where more is better`() throws {
        let run = try ScriptedRun()
        run.trainer.metrics = [TrainerMetric("score") { 7 - $0.epochLoss! }]

        let report = try run.trainer.fitReport(perEpoch([[3], [4]])) {
            $0.epochs = 2
            ($0.monitor, $0.monitorMode) = (.metric("score"), .max)
        }

        #expect(report.bestMetric == 4 && report.monitorName == "score")
        #expect(report.epochs.map(\.monitorValue) == [4, 3])
    }

    @Test func `T8 metrics are found by their name and stand in every row`() throws {
        let run = try ScriptedRun()
        run.trainer.metrics = [
            TrainerMetric("score") { 7 - $0.epochLoss! }, TrainerMetric("none") { _ in nil },
            .accuracy, .validationAccuracy,
        ]

        let report = try run.trainer.fitReport(Feed([3]), validation: Feed([1])) {
            ($0.monitor, $0.monitorMode) = (.metric("score"), .max)
        }

        #expect(report.epochs[0].metrics == ["score": 4, "accuracy": 0.5, "val_accuracy": 0.25])
    }

    @Test func `T9 patience 0 stops at the first epoch that does not improve`() throws {
        let report = try ScriptedRun().trainer.fitReport(perEpoch([[3], [4], [1]])) {
            ($0.epochs, $0.patience) = (3, 0)
        }

        #expect(report.status == .stoppedEarly && report.epochsRan == 2 && report.bestMetric == 3)
    }

    @Test func `T10 less than min_delta is no improvement`() throws {
        let report = try ScriptedRun().trainer.fitReport(perEpoch([[3], [2.95], [1]])) {
            ($0.epochs, $0.patience, $0.minDelta) = (3, 0, 0.1)
        }

        #expect(report.status == .stoppedEarly && report.epochsRan == 2 && report.bestMetric == 3)
    }

    @Test func `T11 the validation loss is monitored, its data made for each epoch`() throws {
        let report = try ScriptedRun().trainer.fitReport(
            Feed([9]), validation: perEpoch([[1, 3], [2, 4]])
        ) { ($0.epochs, $0.monitor) = (2, .validationLoss) }

        #expect(report.epochs.map(\.validationLoss) == [2, 3])
        #expect(report.bestMetric == 2 && report.epochs.map(\.validationBatches) == [2, 2])
    }

    @Test func `T12 weakness 31: losses that are not kept leave the epoch's loss right`() throws {
        let report = try ScriptedRun().trainer.fitReport(Feed([4, 2])) { $0.keepLosses = false }

        #expect(report.losses.isEmpty && !report.lossesKept && report.epochs[0].epochLoss == 3)
    }

    @Test(arguments: [("mean", 2.5), ("sum", 5), ("last", 1), ("custom", 4)])
    func `losses are reduced as asked for`(name: String, expected: Double) throws {
        let reductions: [String: Reduction] = [
            "mean": .mean, "sum": .sum, "last": .last, "custom": .custom { $0.max() },
        ]

        let report = try ScriptedRun().trainer.fitReport(Feed([4, 1])) {
            $0.reduce = reductions[name]!
        }

        #expect(report.epochs[0].epochLoss == expected)
    }

    @Test func `an epoch without a batch has no loss`() throws {
        let report = try ScriptedRun().trainer.fitReport(Feed([Double]()))

        #expect(report.epochs[0].epochLoss == nil && report.bestMetric == nil)
    }

    @Test func `weakness 34: the report in JSON has mlx-ruby's keys and ours`() throws {
        let json = try ScriptedRun().trainer.fitReport(Feed([3])).json

        let keys = Set(json.object!.keys)
        #expect(
            keys.isSuperset(of: [
                "losses", "losses_kept", "epochs", "monitor_name", "epochs_target",
                "epochs_completed", "epochs_ran", "stopped_early", "best_metric", "resume_from",
                "resumed_from_epoch", "start_epoch", "artifact_policy", "status", "seconds",
                "learning_rate", "steps", "checkpoints",
            ]))
        #expect(
            Set(json["epochs"]!.array![0].object!.keys).isSuperset(of: [
                "epoch", "batches", "epoch_loss", "val_loss", "validation_batches",
                "monitor_value", "stale_epochs", "improved",
            ]))
    }

    @Test func `batches accumulate into one step with the mean of their losses`() throws {
        let run = try ScriptedRun()

        let report = try run.trainer.fitReport(Feed([1, 3, 5])) { $0.accumulation = 2 }

        #expect(report.losses == [2, 5] && report.steps == 2)
    }

    // MARK: Presets

    @Test func `P1 a preset changes a fit`() throws {
        let preset = FitPreset("long") { $0.epochs = 3 }

        #expect(try ScriptedRun().trainer.fitReport(Feed([1]), preset).epochsRan == 3)
    }

    @Test func `P2 a call's options win over presets, presets over defaults`() throws {
        let trainer = try ScriptedRun().trainer
        trainer.defaults.epochs = 1
        trainer.defaults.patience = 9
        let preset = FitPreset("p") { ($0.epochs, $0.keepLosses) = (2, false) }

        let report = try trainer.fitReport(Feed([1]), preset) { $0.epochs = 3 }

        #expect(report.epochsRan == 3 && !report.lossesKept)
        #expect(try trainer.fitReport(Feed([1]), preset).epochsRan == 2)
        #expect(try trainer.fitReport(Feed([1])).epochsRan == 1)
    }

    @Test func `P3 weakness 35: a trainer with other defaults leaves the original as it is`() throws
    {
        let run = try ScriptedRun()
        let heard = Box(0)
        run.trainer.hooks.on(.afterEpoch) { _ in heard.value += 1 }

        let other = run.trainer.with { $0.epochs = 3 }

        #expect(try other.fitReport(Feed([1])).epochsRan == 3 && heard.value == 3)
        #expect(try run.trainer.fitReport(Feed([1])).epochsRan == 1)
    }

    @Test func `P4 classification watches the training loss`() throws {
        let report = try ScriptedRun().trainer.fitReport(Feed([2]), .classification)

        #expect(report.monitorName == "epoch_loss" && report.bestMetric == 2)
    }

    @Test func `P5 a call's options beat the task`() throws {
        let report = try ScriptedRun().trainer.fitReport(
            Feed([2]), validation: Feed([5]), .classification
        ) { $0.monitor = .validationLoss }

        #expect(report.monitorName == "val_loss" && report.bestMetric == 5)
    }

    @Test func `P6 language modelling watches perplexity`() throws {
        let report = try ScriptedRun().trainer.fitReport(Feed([2]), .languageModeling)

        #expect(report.monitorName == "perplexity")
        #expect(!(abs(report.bestMetric! - 7.38905609893065) > 1e-12))
    }

    @Test func `P7 weakness 29: an unknown task is refused with a suggestion`() {
        let text = message { _ = try FitPreset.named("clasification") }

        #expect(text.contains("did you mean 'classification'?"))
    }

    // MARK: Plans and experiments

    @Test func `Q1 a plan is taken, its validation and its test data used`() throws {
        let plan = SplitPlan(train: Feed([1.0]), validation: Feed([3, 5]), test: Feed([7]))

        let report = try ScriptedRun().trainer.fitReport(plan)

        #expect(report.epochs[0].validationLoss == 4 && report.testLoss == 7)
    }

    @Test func `Q2 what is shared applies to each part that does not bring its own`() throws {
        let plan = SplitPlan(
            train: Feed([1.0]), validation: Feed([3]), test: Feed([5]),
            shared: { $0.transformed { value, _ in value * 10 } },
            ownValidation: { $0.transformed { value, _ in value * 100 } })

        let report = try ScriptedRun().trainer.fitReport(plan)

        #expect(report.losses == [10] && report.epochs[0].validationLoss == 300)
    }

    @Test func `Q3 data without a plan is taken as it is`() throws {
        #expect(try ScriptedRun().trainer.fit(Feed(Pipeline(1...2).map(Double.init))) == [1, 2])
    }

    @Test func `E1 B5 an experiment runs and writes its bundle`() throws {
        let run = try ScriptedRun()
        let experiment = Experiment("digits", trainer: { run.trainer }) {
            SplitPlan(train: Feed([2.0]))
        }.options { $0.epochs = 2 }

        let report = try experiment.report { $0.keepLosses = false }
        let path = try experiment.saveRunBundle(run.folder.file("a/bundle.json"))

        #expect(report.epochsRan == 2 && !report.lossesKept)
        let bundle = try RunBundle(contentsOf: path)
        #expect(bundle.json["config"] == ["experiment": "digits"])
        #expect(bundle.json["report"]!["epochs_ran"] == 2)
    }

    @Test func `E2 the trainer is made once, and a run's own data and options win`() throws {
        let made = Box(0)
        let experiment = Experiment("x") { () throws -> Trainer<Double> in
            made.value += 1
            return try ScriptedRun().trainer
        } data: {
            SplitPlan(train: Feed([2.0]))
        }.options { $0.epochs = 2 }

        let report = try experiment.report(on: SplitPlan(train: Feed([5.0]))) { $0.epochs = 1 }
        try experiment.report()

        #expect(report.losses == [5] && made.value == 1)
    }

    // MARK: Options

    @Test(arguments: [
        "epochs", "accumulation", "save_every_steps", "train limit", "validation limit",
        "min_delta", "patience", "monitor", "checkpoint_path", "keep_last", "checkpoint every",
        "save_best",
    ])
    func `weakness 28: an option outside of its range is refused before anything runs`(name: String)
        throws
    {
        let run = try ScriptedRun()
        let heard = Box(false)
        run.trainer.hooks.on(.beforeFit) { _ in heard.value = true }
        if name == "keep_last" { run.trainer.artifacts.retention.keepLast = 0 }
        if name == "checkpoint every" { run.trainer.artifacts.strategy = .every(0) }
        if name == "save_best" { run.trainer.artifacts.strategy = .latest }

        let text = message {
            try run.trainer.fit(Feed([1])) { options in
                options.checkpointPath = run.path("%{epoch}.bin")
                switch name {
                case "epochs": options.epochs = -1
                case "accumulation": options.accumulation = 0
                case "save_every_steps": options.saveEverySteps = 0
                case "train limit": options.limit = .batches(-1)
                case "validation limit": options.validationLimit = .batches(-1)
                case "min_delta": options.minDelta = -1
                case "patience": options.patience = -1
                case "monitor": options.monitor = .validationLoss
                case "checkpoint_path": (options.checkpointPath, options.saveBest) = (nil, true)
                case "save_best": options.saveBest = true
                default: break
                }
            }
        }

        #expect(text.contains("option '\(name)' must be"), "\(text)")
        #expect(!heard.value && run.learner.step == 0)
    }
}
