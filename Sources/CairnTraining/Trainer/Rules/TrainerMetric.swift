// SPDX-License-Identifier: Apache-2.0
/// Numbers that an epoch is judged by, besides its losses.

import Foundation

/// What a metric is computed from.
public struct MetricContext: Sendable {
    /// From 0.
    public let epoch: Int
    /// Losses of the epoch's training batches.
    public let epochLosses: [Double]
    /// The epoch's reduced loss; nil without a batch.
    public let epochLoss: Double?
    /// Losses of the epoch's validation batches.
    public let validationLosses: [Double]
    /// The validation's reduced loss; nil without a batch.
    public let validationLoss: Double?
    /// The share of rows whose best class is the target; nil where there is nothing to judge.
    public let accuracy: Double?
    /// The same of the validation's rows.
    public let validationAccuracy: Double?
    /// Optimizer steps taken.
    public let step: Int

    /// Training batches used.
    public var batches: Int { epochLosses.count }
    /// Validation batches used.
    public var validationBatches: Int { validationLosses.count }
}

/// A named function of an epoch.
///
///     trainer.metrics.append(TrainerMetric("gap") { ($0.validationLoss ?? 0) - ($0.epochLoss ?? 0) })
public struct TrainerMetric {
    /// What reports call it.
    public let name: String
    /// Its value; nil where the epoch gives none.
    public let value: (MetricContext) throws -> Double?

    /// A metric of a name.
    public init(_ name: String, _ value: @escaping (MetricContext) throws -> Double?) {
        self.name = name
        self.value = value
    }

    /// e to the training loss.
    public static var perplexity: TrainerMetric {
        TrainerMetric("perplexity") { $0.epochLoss.map { exp($0) } }
    }

    /// The share of the epoch's rows that were right.
    public static var accuracy: TrainerMetric { TrainerMetric("accuracy") { $0.accuracy } }

    /// The share of the validation's rows that were right.
    public static var validationAccuracy: TrainerMetric {
        TrainerMetric("val_accuracy") { $0.validationAccuracy }
    }
}

/// Which number of an epoch is monitored.
public enum MonitorSource: Sendable, Equatable {
    /// The epoch's training loss.
    case epochLoss
    /// The epoch's validation loss.
    case validationLoss
    /// One of the trainer's metrics, by its name.
    case metric(String)

    /// What reports call the value.
    public var name: String {
        switch self {
        case .epochLoss: "epoch_loss"
        case .validationLoss: "val_loss"
        case .metric(let name): name
        }
    }
}
