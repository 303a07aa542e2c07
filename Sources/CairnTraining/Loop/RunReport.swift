// SPDX-License-Identifier: Apache-2.0
/// What a run says of itself, while it goes and at its end.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor

/// What a run did in one epoch.
public struct EpochReport: Sendable, Equatable {
    /// From 1.
    public let epoch: Int
    /// Optimizer steps of the run at its end.
    public let step: Int
    /// The mean loss of the epoch's rows, each at the step that took it.
    public let trainLoss: Double
    /// The share that was right, where the task has one; so in the next ones.
    public let trainAccuracy: Double?
    /// The mean loss of the validation rows.
    public let validationLoss: Double
    /// The share of the validation rows that was right.
    public let validationAccuracy: Double?
    /// The mean of the classes' or labels' F1.
    public let validationMacroF1: Double?
    /// Of the last step.
    public let learningRate: Double
    /// Seconds of training steps, without validation and saving.
    public let seconds: Double
    /// Seconds of the validation.
    public let validationSeconds: Double
    /// Rows trained on.
    public let rows: Int
    /// Real tokens trained on.
    public let tokens: Int
}

/// What one optimizer step did.
public struct StepReport: Sendable {
    /// From 1.
    public let step: Int
    /// Steps of the whole run.
    public let totalSteps: Int
    /// From 1.
    public let epoch: Int
    /// Rows of the step.
    public let rows: Int
    /// Real tokens of the step.
    public let tokens: Int
    /// The mean loss of the step's rows.
    public let loss: Double
    /// The rate of the step.
    public let learningRate: Double
    /// Of the gradient before clipping.
    public let norm: Double
    /// Seconds of the step.
    public let seconds: Double
    /// Real tokens over the time of training steps, since the run began.
    public let tokensPerSecond: Double
}

/// What a run reports while it goes.
public enum FineTuneEvent: Sendable {
    /// A step was taken.
    case step(StepReport)
    /// An epoch and its validation are over.
    case epoch(EpochReport)
    /// A checkpoint is in place.
    case saved(name: String, reason: String)
    /// A checkpoint could not be made; the run goes on, and earlier ones are as they were.
    case saveFailed(name: String, reason: String)
    /// A checkpoint was removed, as the policy asks.
    case removed(name: String)
    /// What a user should know.
    case note(String)
}

/// Why a run was asked to stop.
public enum StopReason: Sendable, Equatable {
    /// Somebody asked for it.
    case signal
    /// `--max-minutes` are over.
    case deadline
    /// The process grew beyond the memory that it was allowed.
    case memory
}

/// A run's result.
public struct FineTuneReport: Sendable {
    /// How the run ended.
    public let status: RunStatus
    /// The epochs of the whole run.
    public let epochs: [EpochReport]
    /// Optimizer steps of the whole run.
    public let steps: Int
    /// The epoch that `best` holds.
    public let best: BestEpoch?
    /// Seconds by what they were spent on.
    public let timing: RunTiming
    /// Seconds of this start that went into the ledger.
    public let recordingSeconds: Double
    /// Rows and real tokens trained on.
    public let rows: Int
    /// Real tokens trained on.
    public let tokens: Int
    /// SHA-256 over every trainable parameter, optimizer slot and counter.
    public let stateDigest: String
    /// The checkpoints that could not be made, with the reasons.
    public var failedSaves: [FailedSave] = []

    /// The number of the best epoch.
    public var bestEpoch: Int? { best?.epoch }

    /// The best epoch's validation loss.
    public var bestValidationLoss: Double? {
        best.flatMap { best in epochs.first { $0.epoch == best.epoch }?.validationLoss }
    }

    /// Real tokens over the time of training steps alone.
    public var tokensPerSecond: Double {
        timing.training > 0 ? Double(tokens) / timing.training : 0
    }

    /// Rows over the time of training steps alone.
    public var rowsPerSecond: Double {
        timing.training > 0 ? Double(rows) / timing.training : 0
    }
}

/// A checkpoint that could not be made.
public struct FailedSave: Sendable, Equatable {
    /// The checkpoint's name.
    public let name: String
    /// Why.
    public let reason: String
}

/// The figure of an epoch by which a run is judged.
public enum MonitoredFigure: String, Sendable, CaseIterable {
    /// The validation loss; less is better.
    case validationLoss = "val-loss"
    /// The share that was right.
    case validationAccuracy = "val-accuracy"
    /// The mean of the classes' F1.
    case macroF1 = "macro-f1"

    /// Not a number where the task has no such figure.
    func value(_ epoch: EpochReport) -> Double {
        switch self {
        case .validationLoss: epoch.validationLoss
        case .validationAccuracy: epoch.validationAccuracy ?? .nan
        case .macroF1: epoch.validationMacroF1 ?? .nan
        }
    }

    /// Whether a figure beats the best so far by more than `delta`; NaN never does.
    func isBetter(_ value: Double, than best: Double?, by delta: Double) -> Bool {
        guard !value.isNaN else { return false }
        guard let best else { return true }
        return self == .validationLoss ? value < best - delta : value > best + delta
    }
}

/// A copy of everything that a checkpoint holds, taken between two steps.
public struct RunSnapshot: Sendable {
    /// What trains, under the model's own names.
    public let parameters: [String: Tensor]
    /// What the model's files hold besides and does not train: parameters that were frozen.
    public let frozen: [String: Tensor]
    /// The optimizer's slots and counters.
    public let optimizer: OptimizerState
    /// Where the run stands.
    public var state: RunState
    /// What the rows gave that a receipt is about, where they are known for this state.
    let receipt: [[Float]]?

    /// Copies parameters and slots from the device; frozen ones are left out.
    public init(
        _ parameters: Parameters, optimizer: Optimizer, state: RunState,
        receipt: [[Float]]? = nil
    ) {
        self.receipt = receipt
        self.parameters = parameters.tensors(parameters.trainableNames)
        frozen = [:]
        self.optimizer = optimizer.state
        self.state = state
    }

    /// Copies everything that files of `model` hold, and the slots.
    public init(
        _ model: some TrainableModel, optimizer: Optimizer, state: RunState,
        receipt: [[Float]]? = nil
    ) {
        let (parameters, trained) = (model.parameters, Set(model.parameters.trainableNames))
        self.receipt = receipt
        self.parameters = parameters.tensors(trained)
        frozen = parameters.tensors(model.checkpointNames.filter { !trained.contains($0) })
        self.optimizer = optimizer.state
        self.state = state
    }

    init(parameters: [String: Tensor], optimizer: OptimizerState, state: RunState) {
        receipt = nil
        frozen = [:]
        self.parameters = parameters
        self.optimizer = optimizer
        self.state = state
    }

    /// What the model's files hold: what trains, and what was frozen.
    var weights: [String: Tensor] { parameters.merging(frozen) { own, _ in own } }

    /// What `StateDigest` gives for it.
    public var digest: String { besideDigest.hex }

    /// The digest, to be taken while the state is written to files.
    var besideDigest: SideDigest {
        StateDigest.beside(parameters: parameters, optimizer: optimizer)
    }
}

extension Parameters {
    /// Copies of some of the parameters in memory of their own.
    fileprivate func tensors(_ names: some Sequence<String>) -> [String: Tensor] {
        Dictionary(uniqueKeysWithValues: names.map { ($0, tensor($0)) })
    }
}
