// SPDX-License-Identifier: Apache-2.0
/// What a trainer drives: something that takes optimizer steps and can be written to files.

import CairnFormats
import Foundation

/// What a batch, or the batches of one step, gave.
public struct BatchScore: Sendable, Equatable {
    /// The mean over the rows.
    public var loss: Double
    /// What the mean divides by: rows, or the sum of their weights.
    public var weight: Double
    /// Rows whose best class is the target, of those that have one.
    public var right: Int
    /// Rows that have a target class.
    public var judged: Int

    /// What a batch gave.
    public init(loss: Double, weight: Double = 1, right: Int = 0, judged: Int = 0) {
        self.loss = loss
        self.weight = weight
        self.right = right
        self.judged = judged
    }
}

/// A checkpoint that was read and checked in full, and not yet applied.
public struct ReadCheckpoint {
    /// What stands beside the weights.
    public let metadata: JSONObject
    /// Whether it holds the optimizer's state; without it there is no resume.
    public let hasOptimizer: Bool
    /// What of it was not used or could not be known, a sentence each.
    public let remarks: [String]
    /// Replaces the weights, and the optimizer's state where it was read with it.
    public let apply: () -> Void

    /// A checkpoint that was checked.
    public init(
        metadata: JSONObject, hasOptimizer: Bool, remarks: [String] = [],
        apply: @escaping () -> Void
    ) {
        self.metadata = metadata
        self.hasOptimizer = hasOptimizer
        self.remarks = remarks
        self.apply = apply
    }
}

/// A setting that a run's trajectory depends on: a resume with another one is refused unless
/// allowed by name.
public enum RunSetting: String, Sendable, CaseIterable {
    /// What the settings of a learner and of a fit fall into.
    case optimizer, clip, loss, precision, accumulation, data, monitor, hooks
    /// The learning rate, constant or by a schedule.
    case learningRate = "learning_rate"
}

/// A model with its optimizer, as a trainer sees it.
///
/// `Trainer` drives `GraphLearner` for the models of this library; anything else that conforms is
/// driven in the same way.
public protocol Learner<Input>: AnyObject {
    /// What a batch is.
    associatedtype Input

    /// Optimizer steps taken.
    var step: Int { get }

    /// Computes the gradients of one step's batches from zero; nil when stopped between two.
    func backward(_ inputs: [Input], shouldStop: () -> Bool) throws -> BatchScore?

    /// Moves the parameters; returns the norm of the gradients before clipping. Where that is not
    /// finite nothing was moved.
    func update(learningRate: Double) throws -> Double

    /// The loss of a batch, as for prediction: no dropout, no gradient.
    func score(_ input: Input) throws -> BatchScore

    /// What the trajectory depends on, of what the learner knows.
    var settings: [RunSetting: JSONValue] { get }

    /// Equal for two learners that go on alike.
    var stateDigest: String { get }

    /// Throws unless a checkpoint can be written under this path: its format, its extension.
    func check(path: String) throws

    /// Writes weights, optimizer and metadata durably; returns the files that are there now, the
    /// one to load from first.
    func save(to url: URL, metadata: JSONObject) throws -> [URL]

    /// Copies what `save` would write, and returns what writes it: called once, on any thread,
    /// while the learner goes on. Nil, as it is unless a learner has its own, saves by `save`
    /// while the fit waits.
    func saving(
        to url: URL, metadata: JSONObject
    ) throws -> (@Sendable () throws -> [URL])?

    /// Reads a checkpoint and checks that all of it fits, the optimizer's state if asked for.
    func read(_ url: URL, withOptimizer: Bool) throws -> ReadCheckpoint
}

extension Learner {
    /// Nil: the fit waits for `save`.
    public func saving(
        to url: URL, metadata: JSONObject
    ) throws -> (@Sendable () throws -> [URL])? { nil }
}
