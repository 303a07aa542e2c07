// SPDX-License-Identifier: Apache-2.0
/// The events of a fit and what hooks are told at each. Epochs and batches count from 0.

import Foundation

/// A fit is about to run; weights and counters of a resume are in place.
public struct FitStart: Sendable {
    /// The total that is aimed at.
    public let epochs: Int
    public let startEpoch: Int
    public let resumedFromEpoch: Int?
    public let resumeFrom: String?
    public let best: Double?
    public let stale: Int
    /// Items of the training data, where it knows.
    public let datasetSize: Int?
    public let validationSize: Int?
}

public struct EpochStart: Sendable {
    public let epoch: Int
}

/// A training step is about to begin.
public struct StepStart: Sendable {
    public let epoch: Int
    public let batchIndex: Int
    /// Optimizer steps taken before this one.
    public let step: Int
    public let learningRate: Double
}

/// The gradients are there, unclipped; nothing has moved.
public struct StepBackward: Sendable {
    public let step: Int
    public let loss: Double
}

/// The parameters have moved.
public struct StepEnd: Sendable {
    public let step: Int
    public let loss: Double
    public let learningRate: Double
    /// Norm of all gradients, before clipping.
    public let gradientNorm: Double
}

/// A batch is done, in training or in validation.
public struct BatchEnd: Sendable {
    public let epoch: Int
    public let batchIndex: Int
    /// Optimizer steps taken.
    public let step: Int
    public let loss: Double
}

public struct ValidationStart: Sendable {
    public let epoch: Int
    public let monitorName: String
}

public struct ValidationEnd: Sendable {
    public let epoch: Int
    /// Nil when there was no batch.
    public let loss: Double?
    public let batches: Int
}

/// A checkpoint is in place.
public struct CheckpointSaved: Sendable {
    /// The path that was committed.
    public let path: URL
    public let epoch: Int
    public let step: Int
    public let monitorName: String
    public let monitorValue: Double?
    public let epochLoss: Double?
    public let improved: Bool
}

public struct EpochEnd: Sendable {
    public let row: EpochRow
    public let monitorName: String
    public let best: Double?
    public let checkpointSaved: Bool
}

/// A fit is over, however it ended.
public struct FitEnd: Sendable {
    public let report: FitReport
}

extension HookEvent where Context == FitStart {
    public static var beforeFit: Self { Self("before_fit") }
}
extension HookEvent where Context == EpochStart {
    public static var beforeEpoch: Self { Self("before_epoch") }
}
extension HookEvent where Context == StepStart {
    public static var beforeStep: Self { Self("before_step") }
}
extension HookEvent where Context == StepBackward {
    public static var afterBackward: Self { Self("after_backward") }
}
extension HookEvent where Context == StepEnd {
    public static var afterStep: Self { Self("after_step") }
}
extension HookEvent where Context == BatchEnd {
    public static var afterBatch: Self { Self("after_batch") }
    public static var afterValidationBatch: Self { Self("after_validation_batch") }
}
extension HookEvent where Context == ValidationStart {
    public static var beforeValidation: Self { Self("before_validation") }
}
extension HookEvent where Context == ValidationEnd {
    public static var afterValidation: Self { Self("after_validation") }
}
extension HookEvent where Context == CheckpointSaved {
    public static var checkpoint: Self { Self("checkpoint") }
}
extension HookEvent where Context == EpochEnd {
    public static var afterEpoch: Self { Self("after_epoch") }
}
extension HookEvent where Context == FitEnd {
    /// Runs on every exit of a fit: completed, stopped early, interrupted, failed.
    public static var afterFit: Self { Self("after_fit") }
}
