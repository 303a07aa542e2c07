// SPDX-License-Identifier: Apache-2.0
/// A run described in one place: learner, trainer, data, files.

import CairnFormats
import Foundation

/// Wires a trainer to data and options, each made when it is first needed.
///
///     let experiment = Experiment("digits", trainer: { try digitsTrainer() }) { digits }
///         .options { $0.epochs = 10 }
///     let report = try experiment.report()
public final class Experiment<Input> {
    /// What the experiment is called.
    public let name: String
    private let makeTrainer: () throws -> Trainer<Input>
    private let data: () throws -> SplitPlan<Input>
    private var changes: [(inout FitOptions) -> Void] = []
    private var made: Trainer<Input>?
    /// The report of the last run.
    public private(set) var lastReport: FitReport?

    /// An experiment whose trainer and data are made when first needed.
    public init(
        _ name: String, trainer: @escaping () throws -> Trainer<Input>,
        data: @escaping () throws -> SplitPlan<Input>
    ) {
        self.name = name
        makeTrainer = trainer
        self.data = data
    }

    /// Adds options; later ones win, those of a run last.
    @discardableResult
    public func options(_ change: @escaping (inout FitOptions) -> Void) -> Experiment {
        changes.append(change)
        return self
    }

    /// The trainer, made once: a second report goes on with the trained weights.
    public func trainer() throws -> Trainer<Input> {
        if let made { return made }
        let trainer = try makeTrainer()
        made = trainer
        return trainer
    }

    /// Runs the experiment on its data, or on that given.
    @discardableResult
    public func report(
        on other: SplitPlan<Input>? = nil, options change: (inout FitOptions) -> Void = { _ in }
    ) throws -> FitReport {
        let plan = try other ?? data()
        let report = try trainer().fitReport(plan) { options in
            for earlier in changes { earlier(&options) }
            change(&options)
        }
        lastReport = report
        return report
    }

    /// Writes the bundle of the last report, running the experiment if there is none; the name
    /// goes into its config.
    @discardableResult
    public func saveRunBundle(_ path: URL, config: JSONObject = [:]) throws -> URL {
        let report = try lastReport ?? report()
        var config = config
        config["experiment"] = .string(name)
        return try trainer().saveRunBundle(path, report: report, config: .object(config))
    }
}
