// SPDX-License-Identifier: Apache-2.0
/// What the bits of a fine-tuning run depend on, besides its inputs.

import CairnEngine

/// The settings that a run's trajectory depends on.
public struct FineTuneSettings: Sendable, Equatable {
    /// Passes over the training rows.
    public var epochs = 3
    /// Rows per optimizer step.
    public var batchSize = 16
    /// Tokens per micro-batch; changes memory and speed, never the result.
    public var tokenBudget = 2048
    /// The peak of the schedule.
    public var learningRate = 2e-4
    /// How the rate moves after the warm-up.
    public var schedule = Schedule.Shape.cosine
    /// What the shape needs besides.
    public var scheduleOptions = Schedule.Options()
    /// The part of all steps over which the rate rises.
    public var warmup = 0.1
    /// Decoupled decay per step, times the rate.
    public var weightDecay = 0.01
    /// Which parameters decay.
    public var decayScope = DecayScope.all
    /// Largest norm of the gradient; nil never clips.
    public var clip: Double? = 1.0
    /// How much a row of each class counts.
    public var classWeights = ClassWeights.none
    /// How matmuls are computed.
    public var precision = Precision.bf16
    /// What order, fresh parameters and dropout are drawn from.
    public var seed: UInt64 = 42
    /// Rows of a step fall into so many gradient groups.
    public var groups = 8
    /// Rows of a group that begin with the same tokens compute them once. Forward it changes no bit;
    /// gradients are summed in another order.
    public var sharesPrompts = false
    /// What makes an epoch the best.
    public var monitor = MonitoredFigure.validationLoss
    /// By how much a figure must be better to count.
    public var minimumDelta = 0.0
    /// The run stops early after more than so many epochs without a better one; nil never.
    public var patience: Int?

    /// Everything at its default.
    public init() {}
}
