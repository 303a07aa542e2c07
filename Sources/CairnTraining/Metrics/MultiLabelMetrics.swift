// SPDX-License-Identifier: Apache-2.0
/// What a classifier of any number of labels per row got right.

/// Figures over rows that carry a set of labels; a figure without a denominator is 0.
public struct MultiLabelMetrics: Sendable, Equatable {
    /// Every label on its own, as a yes-or-no question.
    public let perLabel: [ClassScore]
    /// The scores of all row-label pairs together.
    public let micro: AverageScore
    /// The share of rows whose whole set of labels is right.
    public let subsetAccuracy: Double
    /// The share of row-label pairs that are right.
    public let pairAccuracy: Double
    /// How many rows there are.
    public let count: Int

    /// - Precondition: `truths` and `predictions` are [rows][labels].
    public init(labels: [String], truths: [[Bool]], predictions: [[Bool]]) {
        precondition(
            truths.count == predictions.count
                && (truths + predictions).allSatisfy { $0.count == labels.count },
            "\(truths.count) truths and \(predictions.count) predictions of \(labels.count) labels")
        count = truths.count
        perLabel = labels.indices.map { id in
            ClassScore(
                label: labels[id], right: zip(truths, predictions).count { $0[id] && $1[id] },
                truths: truths.count { $0[id] }, predictions: predictions.count { $0[id] })
        }
        let pairs = zip(truths.joined(), predictions.joined())
        let all = ClassScore(
            label: "", right: pairs.count { $0 && $1 }, truths: truths.joined().count { $0 },
            predictions: predictions.joined().count { $0 })
        micro = AverageScore([all], weights: [1])
        subsetAccuracy = ratio(zip(truths, predictions).count(where: ==), count)
        pairAccuracy = ratio(pairs.count(where: ==), count * labels.count)
    }

    /// Every label counts the same.
    public var macro: AverageScore { .macro(perLabel) }
    /// A label counts by its rows.
    public var weighted: AverageScore { .weighted(perLabel) }
}
