// SPDX-License-Identifier: Apache-2.0
/// Learning rates as functions of the step: no state, so a resume needs none.

import CairnGraph

/// How the learning rate moves over a run.
public struct Schedule: Sendable, Equatable {
    public enum Shape: String, Sendable, CaseIterable {
        case constant, linear, cosine
    }

    public let shape: Shape
    public let peak: Double
    public let warmupSteps: Int
    public let totalSteps: Int

    /// - Parameter warmup: the share of the steps over which the rate rises, in [0, 1].
    public init(_ shape: Shape, peak: Double, warmup: Double, totalSteps: Int) {
        precondition(warmup >= 0 && warmup <= 1, "warmup is a share in [0, 1], got \(warmup)")
        self.shape = shape
        self.peak = peak
        self.totalSteps = totalSteps
        warmupSteps = Int((warmup * Double(totalSteps)).rounded(.up))
    }

    /// The rate of optimizer step `step`, counted from 0.
    ///
    /// Over the warm-up the rate rises linearly and reaches the peak on its last step; then it
    /// falls to 0 after the last step: linearly, or as (1 + cos(pi x)) / 2.
    public func learningRate(at step: Int) -> Double {
        if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
        let rest = Double(max(totalSteps - warmupSteps, 1))
        let progress = min(Double(step - warmupSteps) / rest, 1)
        switch shape {
        case .constant: return peak
        case .linear: return peak * (1 - progress)
        case .cosine: return peak * 0.5 * (1 + Graph.cosine(ofTurns: progress / 2))
        }
    }
}
