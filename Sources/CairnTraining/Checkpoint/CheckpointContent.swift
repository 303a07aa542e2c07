// SPDX-License-Identifier: Apache-2.0
/// What goes into a checkpoint besides the weights.

import CairnFormats
import CairnModels
import Foundation

/// The facts of a run that its checkpoints carry.
public struct RunDescription: Sendable {
    /// What is learned.
    public var task: Task
    /// What the trajectory depends on.
    public var settings: FineTuneSettings
    /// Longest row in tokens; longer ones were truncated.
    public var maximumLength: Int
    /// The token that pads.
    public var padTokenID: Int32?
    /// What `base_model_name_or_path` says: the absolute path of the base, or its Hub id.
    public var baseName: String
    /// SHA-256 of the training file.
    public var dataDigest: String
    /// Which run this is, through all of its resumes.
    public var runID: String
    /// Rows that are trained on.
    public var trainRows: Int
    /// Rows that are validated on.
    public var validationRows: Int
    /// When checkpoints are made, and which stay.
    public var policy = SavePolicy()
    /// What the job was asked to do, and the digests of what it read: nil for a run of rows that
    /// came from no file, which only its own program can resume.
    public var options: FineTuneOptions?
    /// Digests of what the job read.
    public var inputs: InputDigests?
    /// Which validation rows a receipt is about: nil, and no receipt, where they are in no file.
    var receiptRows: ReceiptRows?

    /// The facts of a run.
    public init(
        task: Task, settings: FineTuneSettings, maximumLength: Int, padTokenID: Int32?,
        baseName: String, dataDigest: String, runID: String, trainRows: Int, validationRows: Int
    ) {
        self.task = task
        self.settings = settings
        self.maximumLength = maximumLength
        self.padTokenID = padTokenID
        self.baseName = baseName
        self.dataDigest = dataDigest
        self.runID = runID
        self.trainRows = trainRows
        self.validationRows = validationRows
    }
}

extension RunDescription {
    /// The base's config.json turned into that of the task, for transformers 4 and 5 alike:
    /// labels, problem type, pad token, both spellings of rotary settings and of the type.
    ///
    /// A model that trained in full is written in fp32, and its type says so: transformers 5 would
    /// otherwise round the weights to the base's type.
    func configuration(of base: BaseModel, method: Method) -> JSONValue {
        var config = base.configuration.json.object ?? [:]
        config["architectures"] = [.string(base.configuration.family.className(for: task))]
        if task != .causal { addLabels(to: &config) }
        let stored = config["dtype"] ?? config["torch_dtype"]
        if let dtype = method == .full ? "float32" : stored {
            config["dtype"] = dtype
            config["torch_dtype"] = dtype
        }
        if !base.configuration.family.isEncoder {
            addRope(base.configuration.rope, to: &config)
        }
        return .object(config)
    }

    private func addLabels(to config: inout JSONObject) {
        let labels = task.labels
        config["id2label"] = .object(
            JSONObject(labels.enumerated().map { ("\($0)", .string($1)) }))
        config["label2id"] = .object(
            JSONObject(labels.enumerated().map { ($1, .integer(Int64($0))) }))
        config["num_labels"] = nil
        config["problem_type"] = .string(task.problemType)
        config["pad_token_id"] = padTokenID.map { .integer(Int64($0)) } ?? .null
    }

    private func addRope(_ rope: RopeConfiguration, to config: inout JSONObject) {
        var scaling: JSONObject
        switch rope.scaling {
        case .none: scaling = ["rope_type": "default"]
        case .linear(let factor): scaling = ["rope_type": "linear", "factor": .number(factor)]
        case .llama3(let factor, let low, let high, let original):
            scaling = [
                "rope_type": "llama3", "factor": .number(factor),
                "low_freq_factor": .number(low), "high_freq_factor": .number(high),
                "original_max_position_embeddings": .integer(Int64(original)),
            ]
        }
        config["rope_theta"] = .number(rope.theta)
        config["rope_scaling"] = rope.scaling == .none ? .null : .object(scaling)
        scaling["rope_theta"] = .number(rope.theta)
        config["rope_parameters"] = .object(scaling)
    }

    /// The receipt of a checkpoint; nil where the rows are in no file or their values not known.
    func receipt(_ values: [[Float]]?, isAdapter: Bool) -> Receipt? {
        guard let values, let receiptRows, !values.isEmpty,
            values.allSatisfy({ $0.allSatisfy(\.isFinite) })
        else { return nil }
        return Receipt(
            task: task, precision: settings.precision, tolerance: 0,
            maximumLength: maximumLength, numericsVersion: CairnVersion.numerics,
            base: isAdapter ? inputs?.values["base"] : nil,
            rows: zip(receiptRows.rows, values).map { .init(tokens: $0.tokens, values: $1) })
    }

    /// Metrics and settings of the epoch that a checkpoint holds.
    ///
    /// `base_storage` and `base_storage_sha256` are there where the base's matrices are kept in codes.
    func metadata(_ epoch: EpochReport?, step: Int, method: Method) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        let seconds = epoch?.seconds ?? 0
        var object: JSONObject = [
            "epoch": .integer(Int64(epoch?.epoch ?? 0)), "step": .integer(Int64(step)),
            "train_loss": number(epoch?.trainLoss), "val_loss": number(epoch?.validationLoss),
            "train_accuracy": number(epoch?.trainAccuracy),
            "val_accuracy": number(epoch?.validationAccuracy),
            "learning_rate": number(epoch?.learningRate), "epoch_time_seconds": .number(seconds),
            "samples_per_second": .number(seconds > 0 ? Double(epoch!.rows) / seconds : 0),
            "tokens_per_second": .number(seconds > 0 ? Double(epoch!.tokens) / seconds : 0),
            "seed": .integer(Int64(bitPattern: settings.seed)), "data_sha256": .string(dataDigest),
            "run_id": .string(runID), "problem_type": .string(task.problemType),
            "labels": .array(task.labels.map { .string($0) }),
            "max_length": .integer(Int64(maximumLength)),
            "precision": .string(settings.precision.rawValue),
            "method": method == .full ? "full" : "lora",
            "epochs": .integer(Int64(settings.epochs)),
            "batch_size": .integer(Int64(settings.batchSize)),
            "peak_learning_rate": .number(settings.learningRate),
            "schedule": .string(settings.schedule.rawValue), "warmup": .number(settings.warmup),
            "weight_decay": .number(settings.weightDecay), "clip": number(settings.clip),
            "class_weights": .string(settings.classWeights.rawValue),
            "train_rows": .integer(Int64(trainRows)),
            "validation_rows": .integer(Int64(validationRows)),
            "base_model": .string(baseName), "cairn_version": .string(CairnVersion.string),
            "schema_version": 1,
        ]
        if let options, options.storage.isQuantized {
            object["base_storage"] = .string(options.storage.rawValue)
            object["base_storage_sha256"] = .optional(inputs?.values["coded-base"])
        }
        return .object(object)
    }
}

// MARK: For other readers

extension RunDescription {
    /// What model.apr says of itself: the keys that its readers know, and the run's place.
    func aprMetadata(
        _ model: ModelConfiguration, _ adapter: Adapter?, _ state: RunState
    ) -> JSONObject {
        var object: JSONObject = [
            "model_type": .string(
                adapter != nil ? "adapter" : task == .causal ? "causal-lm" : "classifier"),
            "name": "cairn-checkpoint", "version": .string(CairnVersion.string),
            "architecture": .string(model.family.rawValue),
            "hf_architecture": .string(model.family.className(for: task)),
            "hf_model_type": .string(model.family.rawValue),
            "hidden_size": JSONValue(model.hiddenSize), "num_layers": JSONValue(model.layerCount),
            "vocab_size": JSONValue(model.vocabularySize),
            "__checkpoint__.schema_version": "1.3.0",
            "data_hash": .string("sha256:" + dataDigest), "epoch": JSONValue(state.epochs.count),
            "step": JSONValue(state.step),
        ]
        if task != .causal { object["num_classes"] = JSONValue(task.labels.count) }
        if let adapter {
            object["lora_rank"] = JSONValue(adapter.configuration.rank)
            object["lora_alpha"] = .number(adapter.configuration.alpha)
        }
        if let epoch = state.epochs.last {
            object["val_loss"] = .number(epoch.validationLoss)
            object["val_accuracy"] = .optional(epoch.validationAccuracy)
        }
        return object
    }

    /// Rows of the log that trainer_state.json holds at most: of longer runs every n-th step.
    private static let loggedSteps = 1000

    /// The run's history as transformers' Trainer would have logged it.
    func transformersState(_ state: RunState, steps: [RunHistory.Step]) -> TransformersState {
        var result = TransformersState()
        let stepsPerEpoch = max((trainRows + settings.batchSize - 1) / settings.batchSize, 1)
        let stride = max((steps.count + Self.loggedSteps - 1) / Self.loggedSteps, 1)
        result.globalStep = state.step
        result.maxSteps = stepsPerEpoch * settings.epochs
        result.epochs = settings.epochs
        result.epoch = Double(state.step) / Double(stepsPerEpoch)
        result.batchSize = settings.batchSize
        result.loggingSteps = Double(stride)
        result.evaluationSteps = Double(stepsPerEpoch)
        result.savingSteps = Double(policy.steps ?? policy.epochs * stepsPerEpoch)
        result.tokensSeen = state.trainedTokens
        result.bestMetric = state.best?.value
        result.bestStep = state.best?.step
        result.history = TransformersState.history(
            steps: steps.filter { $0.number % stride == 0 },
            epochs: state.epochs.map(RunHistory.Epoch.init), stepsPerEpoch: stepsPerEpoch)
        return result
    }
}

/// The version that files and `--version` state.
public enum CairnVersion {
    /// The version of this library.
    public static let string = "0.1.0"
    /// Changes whenever the same run gives other bits than before.
    public static let numerics = 2
}

extension ModelFamily {
    /// The class of transformers that a checkpoint for a task opens as.
    func className(for task: Task) -> String {
        guard task == .causal else { return classifierClass }
        return classifierClass.replacingOccurrences(
            of: "ForSequenceClassification", with: "ForCausalLM")
    }

    /// The class of transformers that classifies with this family.
    public var classifierClass: String {
        switch self {
        case .qwen2: "Qwen2ForSequenceClassification"
        case .qwen3: "Qwen3ForSequenceClassification"
        case .llama: "LlamaForSequenceClassification"
        case .mistral: "MistralForSequenceClassification"
        case .bert: "BertForSequenceClassification"
        case .roberta: "RobertaForSequenceClassification"
        }
    }
}
