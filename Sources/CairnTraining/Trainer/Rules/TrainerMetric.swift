// SPDX-License-Identifier: Apache-2.0
/// Numbers that an epoch is judged by, besides its losses.

import Foundation

/// What a metric is computed from.
public struct MetricContext: Sendable {
    public let epoch: Int
    /// Losses of the epoch's training batches.
    public let epochLosses: [Double]
    public let epochLoss: Double?
    public let validationLosses: [Double]
    public let validationLoss: Double?
    /// The share of rows whose best class is the target; nil where there is nothing to judge.
    public let accuracy: Double?
    public let validationAccuracy: Double?
    /// Optimizer steps taken.
    public let step: Int

    public var batches: Int { epochLosses.count }
    public var validationBatches: Int { validationLosses.count }
}

/// A named function of an epoch.
///
///     trainer.metrics.append(TrainerMetric("gap") { ($0.validationLoss ?? 0) - ($0.epochLoss ?? 0) })
public struct TrainerMetric {
    public let name: String
    public let value: (MetricContext) throws -> Double?

    public init(_ name: String, _ value: @escaping (MetricContext) throws -> Double?) {
        self.name = name
        self.value = value
    }

    /// e to the training loss.
    public static var perplexity: TrainerMetric {
        TrainerMetric("perplexity") { $0.epochLoss.map { exp($0) } }
    }

    public static var accuracy: TrainerMetric { TrainerMetric("accuracy") { $0.accuracy } }

    public static var validationAccuracy: TrainerMetric {
        TrainerMetric("val_accuracy") { $0.validationAccuracy }
    }
}

/// Which number of an epoch is monitored.
public enum MonitorSource: Sendable, Equatable {
    case epochLoss
    case validationLoss
    /// One of the trainer's metrics, by its name.
    case metric(String)

    public var name: String {
        switch self {
        case .epochLoss: "epoch_loss"
        case .validationLoss: "val_loss"
        case .metric(let name): name
        }
    }
}
