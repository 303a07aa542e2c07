// SPDX-License-Identifier: Apache-2.0
/// The settings of a run in a state document, under the names of their flags.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import Foundation

extension FineTuneSettings {
    /// Everything that the trajectory depends on.
    func json() -> JSONObject {
        [
            "epochs": JSONValue(epochs), "batch_size": JSONValue(batchSize),
            "learning_rate": .number(learningRate), "schedule": .string(schedule.rawValue),
            "power": .number(scheduleOptions.power), "cycles": JSONValue(scheduleOptions.cycles),
            "min_ratio": .number(scheduleOptions.minimumRatio),
            "warmup": .number(warmup), "weight_decay": .number(weightDecay),
            "decay_scope": .string(decayScope.rawValue),
            "clip": .optional(clip), "class_weights": .string(classWeights.rawValue),
            "precision": .string(precision.rawValue), "seed": .integer(Int64(bitPattern: seed)),
            "groups": JSONValue(groups), "shared_prompt": .bool(sharesPrompts),
            "monitor": .string(monitor.rawValue),
            "min_delta": .number(minimumDelta), "patience": patience.map { JSONValue($0) } ?? .null,
        ]
    }

    init(_ reader: DocumentReader) throws {
        self.init()
        epochs = try reader.count("epochs", atLeast: 1)
        batchSize = try reader.count("batch_size", atLeast: 1)
        learningRate = try reader.number("learning_rate")
        schedule = try reader.choice("schedule", Schedule.Shape.self)
        let (power, cycles) = (try reader.number("power"), try reader.count("cycles", atLeast: 1))
        let ratio = try reader.number("min_ratio")
        try Self.require(power > 0 && power.isFinite, "power", "a positive number", power)
        try Self.require(ratio >= 0 && ratio <= 1, "min_ratio", "a share between 0 and 1", ratio)
        try Self.require(
            Schedule.Options.cycleRange.contains(cycles), "cycles",
            "in \(Schedule.Options.cycleRange)", Double(cycles))
        scheduleOptions = Schedule.Options(minimumRatio: ratio, power: power, cycles: cycles)
        warmup = try reader.number("warmup")
        weightDecay = try reader.number("weight_decay")
        decayScope = try reader.choice("decay_scope", DecayScope.self)
        clip = try reader.optional("clip") { try $0.number($1) }
        classWeights = try reader.choice("class_weights", ClassWeights.self)
        precision = try reader.choice("precision", Precision.self)
        seed = try reader.bits("seed")
        groups = try reader.count("groups", atLeast: 1)
        // Runs of before there was a choice shared nothing.
        sharesPrompts = try reader.optional("shared_prompt") { try $0.bool($1) } ?? false
        monitor = try reader.choice("monitor", MonitoredFigure.self)
        minimumDelta = try reader.number("min_delta")
        patience = try reader.optional("patience") { try $0.count($1) }
        try requireSensible()
    }
}

extension Method {
    func json() -> JSONValue {
        guard case .lora(let c) = self else { return ["kind": "full"] }
        let targets: JSONValue =
            switch c.targets {
            case .allLinear: "all-linear"
            case .names(let names): .array(names.map { .string($0) })
            case .pattern(let pattern): ["pattern": .string(pattern)]
            }
        return [
            "kind": "lora", "rank": JSONValue(c.rank), "alpha": .number(c.alpha),
            "use_rslora": .bool(c.usesRSLoRA), "use_dora": .bool(c.usesDoRA),
            "dropout": .number(Double("\(c.dropout)") ?? Double(c.dropout)),
            "target_modules": targets,
            "layers": c.layers.map { .array($0.map { JSONValue($0) }) } ?? .null,
        ]
    }

    init(_ reader: DocumentReader) throws {
        guard try reader.string("kind") == "lora" else {
            self = .full
            return
        }
        let targets: TargetModules
        if let names = reader.object["target_modules"]?.array {
            targets = .names(names.compactMap(\.string))
        } else if let pattern = reader.object["target_modules"]?["pattern"]?.string {
            targets = .pattern(pattern)
        } else {
            _ = try reader.string("target_modules")
            targets = .allLinear
        }
        self = .lora(
            AdapterConfiguration(
                rank: try reader.count("rank", atLeast: 1), alpha: try reader.number("alpha"),
                usesRSLoRA: try reader.bool("use_rslora"), usesDoRA: try reader.bool("use_dora"),
                dropout: Float(try reader.number("dropout")), targets: targets,
                layers: try reader.optional("layers") { try $0.counts($1) }))
    }
}

extension FineTuneOptions {
    /// Where the inputs lie and how they are read; threads and instruction set are the machine's.
    func json() -> JSONObject {
        [
            "model": .string(model.standardizedFileURL.path),
            "data": .string(data.standardizedFileURL.path),
            "eval_data": .optional(evaluationData?.standardizedFileURL.path),
            "test_data": .optional(testData?.standardizedFileURL.path),
            "problem": .string(problem.rawValue), "max_length": JSONValue(maximumLength),
            "val_split": .number(validationShare), "base_model": .optional(baseID),
            "token_budget": JSONValue(settings.tokenBudget), "method": method.json(),
            "init": .string(weights.rawValue), "base_storage": .string(storage.rawValue),
        ]
    }

    /// The options of a run whose checkpoints go to `output`.
    init(_ reader: DocumentReader, settings: FineTuneSettings, output: URL) throws {
        func url(_ key: String) throws -> URL? {
            try reader.optional(key) { URL(fileURLWithPath: try $0.string($1)) }
        }
        self.init(
            model: URL(fileURLWithPath: try reader.string("model")),
            data: URL(fileURLWithPath: try reader.string("data")), output: output)
        evaluationData = try url("eval_data")
        testData = try url("test_data")
        problem = try reader.choice("problem", Problem.self)
        maximumLength = try reader.count("max_length", atLeast: 1)
        validationShare = try reader.number("val_split")
        baseID = try reader.optional("base_model") { try $0.string($1) }
        method = try Method(try reader.reader("method"))
        // Runs of before there was a choice had pretrained bases.
        weights = try reader.optional("init") { try $0.choice($1, BaseWeights.self) } ?? .pretrained
        storage =
            try reader.optional("base_storage") { try $0.choice($1, BaseStorage.self) } ?? .stored
        self.settings = settings
        self.settings.tokenBudget = try reader.count("token_budget", atLeast: 1)
    }
}

extension SavePolicy {
    func json() -> JSONValue {
        [
            "save_every": JSONValue(epochs), "save_steps": steps.map { JSONValue($0) } ?? .null,
            "save_minutes": .optional(minutes),
            "keep_last": keepLast.map { JSONValue($0) } ?? .null,
            "keep_best": keepBest.map { JSONValue($0) } ?? .null, "journal": .bool(journal),
        ]
    }

    init(_ reader: DocumentReader) throws {
        self.init()
        epochs = try reader.count("save_every", atLeast: 1)
        steps = try reader.optional("save_steps") { try $0.count($1, atLeast: 1) }
        minutes = try reader.optional("save_minutes") { try $0.number($1) }
        keepLast = try reader.optional("keep_last") { try $0.count($1) }
        keepBest = try reader.optional("keep_best") { try $0.count($1) }
        // Runs of before there was one have none.
        journal = try reader.optional("journal") { try $0.bool($1) } ?? false
    }
}

// MARK: Changing one

/// A setting that cannot be changed to what was asked for.
public struct SettingError: Error, CustomStringConvertible {
    public let description: String
    /// Whether there is no setting of that name.
    public let isUnknown: Bool
}

extension FineTuneSettings {
    /// The settings that a branch may change, under their names in state.json.
    ///
    /// The seed, the size of a batch and the groups are not among them: what was done before the
    /// branch would not be a part of the run that it leads to.
    public static let changeableKeys = [
        "epochs", "learning_rate", "schedule", "power", "cycles", "min_ratio", "warmup",
        "weight_decay", "clip", "class_weights", "precision", "shared_prompt", "monitor",
        "min_delta", "patience",
    ]

    /// A copy with one setting changed; `none` stands for no value.
    public func changed(_ key: String, to text: String) throws -> FineTuneSettings {
        guard Self.changeableKeys.contains(key) else {
            throw SettingError(
                description: "knows no '\(key)' that could change; expected one of "
                    + Self.changeableKeys.joined(separator: ", "), isUnknown: true)
        }
        var members = json()
        let data = Data((text == "none" ? "null" : text).utf8)
        let value = (try? JSONValue.parse(data, file: key)) ?? .string(text)
        members[key] = text == "none" && key == "class_weights" ? "none" : value
        do {
            var settings = try FineTuneSettings(
                try DocumentReader(.object(members), file: "--set"))
            settings.tokenBudget = tokenBudget
            try settings.requireSensible()
            return settings
        } catch let error as TrainingError {
            guard case .badMetadata(_, let key, let expected, let found) = error else {
                throw error
            }
            throw SettingError(
                description: "\(key) must be \(expected), found \(found)", isUnknown: false)
        }
    }

    /// Refuses numbers outside of their ranges, which a document may hold and a flag does not.
    func requireSensible() throws(TrainingError) {
        try Self.require(
            learningRate > 0 && learningRate.isFinite, "learning_rate", "a positive number",
            learningRate)
        try Self.require(
            warmup >= 0 && warmup <= 1, "warmup", "a share between 0 and 1", warmup)
        try Self.require(weightDecay >= 0, "weight_decay", "at least 0", weightDecay)
        try Self.require(clip ?? 1 > 0, "clip", "a positive number or none", clip ?? 1)
        try Self.require(minimumDelta >= 0, "min_delta", "at least 0", minimumDelta)
    }

    private static func require(
        _ isGood: Bool, _ key: String, _ expected: String, _ found: Double
    ) throws(TrainingError) {
        if isGood { return }
        throw .badMetadata(file: "settings", key: key, expected: expected, found: "\(found)")
    }
}
