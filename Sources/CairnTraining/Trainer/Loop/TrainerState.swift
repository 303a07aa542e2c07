// SPDX-License-Identifier: Apache-2.0
/// Everything of a run that changes, besides what the learner holds.

import CairnFormats
import Foundation

/// Where a run stands; with weights and optimizer it is all that the next step depends on.
public struct TrainerState: Sendable, Equatable {
    /// Which run this is, through all of its resumes.
    public var runID = UUID().uuidString.lowercased()
    /// Optimizer steps taken.
    public var step = 0
    /// Where the run stands in its data.
    public var position: DataPosition
    /// Losses and weights of the steps of the epoch in progress, and what they got right.
    public var losses: [Double] = []
    /// What the mean over each of those steps divides by.
    public var weights: [Double] = []
    /// Rows of those steps whose best class is the target.
    public var right = 0
    /// Rows of those steps that have a target class.
    public var judged = 0
    /// Seconds that those steps took.
    public var epochSeconds = 0.0
    /// Of the last step.
    public var learningRate: Double?
    /// The epochs that are over.
    public var rows: [EpochRow] = []
    /// The best value and how long ago it was.
    public var monitor: Monitor
    /// What hooks remember.
    public var hooks = Hooks.Counters()
    /// Seconds of the run, all calls together.
    public var seconds = 0.0
    /// What the trajectory depends on.
    public var settings: [RunSetting: JSONValue] = [:]

    /// The state of a run that has taken no step.
    public init(monitor: Monitor.Rule, dataKey: String) {
        self.monitor = Monitor(monitor)
        position = DataPosition(epoch: 0, index: 0, key: dataKey)
    }

    /// The last epoch that is over; nil before the first.
    public var lastEpoch: Int? { position.epoch > 0 ? position.epoch - 1 : nil }

    mutating func add(_ score: BatchScore, batches: Int, step: Int, seconds: Double) {
        losses.append(score.loss)
        weights.append(score.weight)
        right += score.right
        judged += score.judged
        position.index += batches
        self.step = step
        epochSeconds += seconds
        self.seconds += seconds
    }

    /// Closes the epoch in progress with its row.
    mutating func close(_ row: EpochRow) {
        rows.append(row)
        position.epoch += 1
        position.index = 0
        (losses, weights, right, judged, epochSeconds) = ([], [], 0, 0, 0)
    }
}

// MARK: Files

extension TrainerState {
    /// The member of a checkpoint's metadata that holds a state.
    static let key = "cairn_trainer"
    static let schema = 1

    /// A checkpoint's metadata: the user's entries, under mlx-ruby's names what it reads, and the
    /// whole state. What the trainer knows wins over entries of the same name.
    package func metadata(adding user: JSONObject) -> JSONObject {
        var object = JSONValue.object(user).withFiniteNumbers.object!
        let row = rows.last
        object["epoch"] = .whole(lastEpoch)
        object["epoch_loss"] = .real(row?.epochLoss)
        object["monitor_name"] = .string(monitor.rule.name)
        object["monitor_value"] = .real(row?.monitorValue)
        object["stale_epochs"] = .whole(monitor.stale)
        object["best_metric"] = .real(monitor.best)
        object["next_epoch"] = .whole(position.epoch)
        object[Self.key] = json
        return object
    }

    private var json: JSONValue {
        .object([
            "schema": .whole(Self.schema), "run_id": .string(runID), "step": .whole(step),
            "position": .object([
                "epoch": .whole(position.epoch), "index": .whole(position.index),
                "data": .string(position.key),
            ]),
            "losses": .array(losses.map { .real($0) }),
            "weights": .array(weights.map { .real($0) }), "right": .whole(right),
            "judged": .whole(judged), "epoch_seconds": .real(epochSeconds),
            "rows": .array(rows.map(\.json)),
            "monitor": .object([
                "name": .string(monitor.rule.name), "mode": .string(monitor.rule.mode.rawValue),
                "min_delta": .real(monitor.rule.minDelta),
                "patience": .whole(monitor.rule.patience), "best": .real(monitor.best),
                "stale": .whole(monitor.stale), "stopped_early": .bool(monitor.stoppedEarly),
            ]),
            "hooks": .object([
                "occurrences": .object(
                    JSONObject(
                        hooks.occurrences.sorted { $0.key < $1.key }
                            .map { ($0.key, .whole($0.value)) })),
                "done": .array(hooks.done.sorted().map { .string($0) }),
            ]),
            "seconds": .real(seconds), "learning_rate": .real(learningRate),
            "settings": settings.json,
        ])
    }

    /// Reads what `metadata(adding:)` wrote; nil when there is no state in it.
    ///
    /// - Throws: `TrainingError.badMetadata` for a newer schema, and for a part that is missing or not
    ///   what it must be.
    package init?(metadata: JSONObject, file: String) throws(TrainingError) {
        guard let json = metadata[Self.key] else { return nil }
        let reader = try DocumentReader(json, file: file, place: Self.key + ".")
        let schema = try reader.count("schema")
        guard schema == Self.schema else {
            throw reader.failure("schema", "\(Self.schema)", found: "\(schema)")
        }
        let place = try reader.reader("position")
        let watch = try reader.reader("monitor")
        guard let mode = Monitor.Mode(rawValue: try watch.string("mode")) else {
            throw watch.failure("mode", "min or max")
        }
        let rule = Monitor.Rule(
            name: try watch.string("name"), mode: mode, minDelta: try watch.real("min_delta"),
            patience: try watch.optionalCount("patience"))
        self.init(monitor: rule, dataKey: try place.string("data"))
        runID = try reader.string("run_id")
        step = try reader.count("step")
        position.epoch = try place.count("epoch")
        position.index = try place.count("index")
        losses = try reader.reals("losses")
        weights = try reader.reals("weights")
        right = try reader.count("right")
        judged = try reader.count("judged")
        epochSeconds = try reader.real("epoch_seconds")
        seconds = try reader.real("seconds")
        learningRate = try reader.optionalReal("learning_rate")
        rows = try reader.readers("rows").map(EpochRow.init)
        monitor = Monitor(
            rule, best: try watch.optionalReal("best"), stale: try watch.count("stale"),
            stoppedEarly: try watch.bool("stopped_early"))
        hooks = try Self.counters(try reader.reader("hooks"))
        for (name, value) in try reader.members("settings") {
            guard let setting = RunSetting(rawValue: name) else {
                throw reader.failure(
                    "settings.\(name)", "a known setting", found: "an unknown one")
            }
            settings[setting] = value
        }
    }

    private static func counters(_ reader: DocumentReader) throws(TrainingError) -> Hooks.Counters {
        var counters = Hooks.Counters()
        let occurrences = try reader.reader("occurrences")
        for name in try reader.members("occurrences").keys {
            counters.occurrences[name] = try occurrences.count(name)
        }
        for value in try reader.array("done") {
            guard let name = value.string else {
                throw reader.failure("done", "names", found: value.kind)
            }
            counters.done.insert(name)
        }
        return counters
    }
}

extension EpochRow {
    init(_ reader: DocumentReader) throws(TrainingError) {
        epoch = try reader.count("epoch")
        batches = try reader.count("batches")
        epochLoss = try reader.optionalReal("epoch_loss")
        validationLoss = try reader.optionalReal("val_loss")
        validationBatches = try reader.count("validation_batches")
        monitorValue = try reader.optionalReal("monitor_value")
        stale = try reader.count("stale_epochs")
        improved = try reader.bool("improved")
        metrics = [:]
        let values = try reader.reader("metrics")
        for name in try reader.members("metrics").keys { metrics[name] = try values.real(name) }
        learningRate = try reader.optionalReal("learning_rate")
        steps = try reader.count("steps")
        trainSeconds = try reader.real("train_seconds")
        validationSeconds = try reader.real("validation_seconds")
    }
}
