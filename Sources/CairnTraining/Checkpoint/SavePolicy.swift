// SPDX-License-Identifier: Apache-2.0
/// When checkpoints are made besides the best one, and which are removed again.

/// None of this changes what is computed, so a resume may change it.
public struct SavePolicy: Sendable, Equatable {
    /// Every so many epochs `epoch-N` is saved, and after the last one.
    public var epochs = 5
    /// Every so many optimizer steps `step-N` is saved; nil never.
    public var steps: Int?
    /// After so many minutes without a checkpoint `step-N` is saved; nil never.
    public var minutes: Double?
    /// How many of the newest `epoch-N` and `step-N` stay; nil keeps all.
    public var keepLast: Int?
    /// How many of the best `epoch-N` stay besides those; nil keeps none for that reason.
    public var keepBest: Int?
    /// Whether the gradients of every step stay on the disk until a checkpoint holds what they led
    /// to, so that a run that is killed loses no step.
    public var journal = false

    /// Everything at its default.
    public init() {}
}
