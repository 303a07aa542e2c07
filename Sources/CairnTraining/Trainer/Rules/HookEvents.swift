// SPDX-License-Identifier: Apache-2.0
/// The events of a fit and what hooks are told at each. Epochs and batches count from 0.

import Foundation

/// A fit is about to run; weights and counters of a resume are in place.
public struct FitStart: Sendable {
    /// The total that is aimed at.
    public let epochs: Int
    /// The epoch that is first.
    public let startEpoch: Int
    /// The last epoch that the source had finished; nil for a fresh start.
    public let resumedFromEpoch: Int?
    /// The path that was resumed from.
    public let resumeFrom: String?
    /// The best monitored value so far.
    public let best: Double?
    /// Epochs since the best one.
    public let stale: Int
    /// Items of the training data, where it knows.
    public let datasetSize: Int?
    /// Items of the validation data, where it knows.
    public let validationSize: Int?
}

/// An epoch is about to begin.
public struct EpochStart: Sendable {
    /// Its number.
    public let epoch: Int
}

/// A training step is about to begin.
public struct StepStart: Sendable {
    /// The epoch.
    public let epoch: Int
    /// The step's first batch in its epoch.
    public let batchIndex: Int
    /// Optimizer steps taken before this one.
    public let step: Int
    /// The rate that it will have.
    public let learningRate: Double
}

/// The gradients are there, unclipped; nothing has moved.
public struct StepBackward: Sendable {
    /// Optimizer steps taken before this one.
    public let step: Int
    /// The loss of the step's batches.
    public let loss: Double
}

/// The parameters have moved.
public struct StepEnd: Sendable {
    /// Its number, from 0.
    public let step: Int
    /// The loss of its batches.
    public let loss: Double
    /// The rate that it had.
    public let learningRate: Double
    /// Norm of all gradients, before clipping.
    public let gradientNorm: Double
}

/// A batch is done, in training or in validation.
public struct BatchEnd: Sendable {
    /// The epoch.
    public let epoch: Int
    /// Its place in the epoch.
    public let batchIndex: Int
    /// Optimizer steps taken.
    public let step: Int
    /// The batch's loss.
    public let loss: Double
}

/// An epoch's validation is about to begin.
public struct ValidationStart: Sendable {
    /// The epoch.
    public let epoch: Int
    /// What the monitored value is called.
    public let monitorName: String
}

/// An epoch's validation is over.
public struct ValidationEnd: Sendable {
    /// The epoch.
    public let epoch: Int
    /// Nil when there was no batch.
    public let loss: Double?
    /// How many batches there were.
    public let batches: Int
}

/// A checkpoint is in place.
public struct CheckpointSaved: Sendable {
    /// The path that was committed.
    public let path: URL
    /// The epoch.
    public let epoch: Int
    /// Optimizer steps taken.
    public let step: Int
    /// What the monitored value is called.
    public let monitorName: String
    /// The monitored value, where there was one.
    public let monitorValue: Double?
    /// The epoch's training loss, where it is over.
    public let epochLoss: Double?
    /// Whether the epoch is the best so far.
    public let improved: Bool
}

/// An epoch is over, its checkpoint included.
public struct EpochEnd: Sendable {
    /// What it did.
    public let row: EpochRow
    /// What the monitored value is called.
    public let monitorName: String
    /// The best monitored value so far.
    public let best: Double?
    /// Whether a checkpoint is made at its end; it may still be under way, unless hooks of
    /// `checkpoint` wait for it.
    public let checkpointSaved: Bool
}

/// A fit is over, however it ended.
public struct FitEnd: Sendable {
    /// What the fit did.
    public let report: FitReport
}

extension HookEvent where Context == FitStart {
    /// Once per fit, before its first epoch.
    public static var beforeFit: Self { Self("before_fit") }
}
extension HookEvent where Context == EpochStart {
    /// Before the first batch of an epoch.
    public static var beforeEpoch: Self { Self("before_epoch") }
}
extension HookEvent where Context == StepStart {
    /// Before the first batch of an optimizer step.
    public static var beforeStep: Self { Self("before_step") }
}
extension HookEvent where Context == StepBackward {
    /// After the gradients of a step and before its update.
    public static var afterBackward: Self { Self("after_backward") }
}
extension HookEvent where Context == StepEnd {
    /// After the update of a step.
    public static var afterStep: Self { Self("after_step") }
}
extension HookEvent where Context == BatchEnd {
    /// After every training batch.
    public static var afterBatch: Self { Self("after_batch") }
    /// After every validation batch.
    public static var afterValidationBatch: Self { Self("after_validation_batch") }
}
extension HookEvent where Context == ValidationStart {
    /// Before the first batch of a validation.
    public static var beforeValidation: Self { Self("before_validation") }
}
extension HookEvent where Context == ValidationEnd {
    /// After the last batch of a validation.
    public static var afterValidation: Self { Self("after_validation") }
}
extension HookEvent where Context == CheckpointSaved {
    /// After a checkpoint was committed.
    public static var checkpoint: Self { Self("checkpoint") }
}
extension HookEvent where Context == EpochEnd {
    /// After an epoch's checkpoint.
    public static var afterEpoch: Self { Self("after_epoch") }
}
extension HookEvent where Context == FitEnd {
    /// Runs on every exit of a fit: completed, stopped early, interrupted, failed.
    public static var afterFit: Self { Self("after_fit") }
}
