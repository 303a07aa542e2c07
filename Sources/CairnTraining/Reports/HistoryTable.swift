// SPDX-License-Identifier: Apache-2.0
/// The history of a run as a table: history.csv.

import Foundation

extension RunHistory {
    /// The columns of `history.csv`; new ones may be added at the end.
    public static let columns = [
        "kind", "epoch", "step", "train_loss", "learning_rate", "gradient_norm", "rows", "tokens",
        "train_seconds", "rows_per_second", "tokens_per_second", "train_accuracy",
        "validation_loss", "validation_accuracy", "validation_macro_f1", "validation_seconds",
    ]

    /// A line per step and, behind its steps, one per epoch: `kind` says which.
    ///
    /// Comma-separated with line ends CR LF. A field that a line has not is empty. Numbers have as
    /// many digits as bring the same double back; those that are not finite are `nan`, `inf`, `-inf`.
    ///
    /// Source: RFC 4180.
    public var csv: Data {
        var lines = [Self.columns]
        var pending = epochs[...]
        for step in steps {
            while let epoch = pending.first, epoch.number < step.epoch {
                lines.append(Self.fields(epoch))
                pending.removeFirst()
            }
            lines.append(Self.fields(step))
        }
        lines += pending.map(Self.fields)
        return Data(lines.map { $0.joined(separator: ",") + "\r\n" }.joined().utf8)
    }

    private static func fields(_ step: Step) -> [String] {
        ["step", "\(step.epoch)", "\(step.number)"]
            + [step.loss, step.learningRate, step.gradientNorm].map(number)
            + fields(step.throughput) + [String](repeating: "", count: 5)
    }

    private static func fields(_ epoch: Epoch) -> [String] {
        ["epoch", "\(epoch.number)", "\(epoch.step)"]
            + [epoch.trainLoss, epoch.learningRate, nil].map(number) + fields(epoch.throughput)
            + [
                epoch.trainAccuracy, epoch.validationLoss, epoch.validationAccuracy,
                epoch.validationMacroF1, epoch.validationSeconds,
            ].map(number)
    }

    private static func fields(_ work: Throughput?) -> [String] {
        guard let work else { return [String](repeating: "", count: 5) }
        return ["\(work.rows)", "\(work.tokens)"]
            + [work.seconds, work.rowsPerSecond, work.tokensPerSecond].map(number)
    }

    private static func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
}
