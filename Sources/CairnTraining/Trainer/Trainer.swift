// SPDX-License-Identifier: Apache-2.0
/// Trains any learner on any data: fits, reports, checkpoints, resumes.

import CairnFormats
import Foundation

/// The trainer of a learner.
///
///     let trainer = try Trainer(network, loss: .crossEntropy, learningRate: .constant(3e-3))
///     let report = try trainer.fitReport(train, validation: held) {
///         $0.epochs = 10
///         $0.checkpointPath = "ck/ep-%<epoch>03d.safetensors"
///     }
///
/// A fit checks all of its options first, then restores what it resumes from, then runs epochs:
/// training steps, validation, monitor, checkpoint. `afterFit` hooks and the run's bundle come on
/// every exit. A resumed run goes on with the bits of one that was never stopped, from any step.
public final class Trainer<Input> {
    /// What is driven.
    public let learner: any Learner<Input>
    /// The rate of each step.
    public var learningRate: LearningRate
    /// What is called while a fit runs.
    public let hooks = Hooks()
    /// What each epoch's row reports, and what a monitor may name.
    public var metrics: [TrainerMetric] = []
    /// What fits start from before presets and their own options.
    public var defaults = FitOptions()
    /// Defaults for the files of fits.
    public var artifacts = ArtifactPolicy()
    /// Of the last fit, failed ones included.
    public internal(set) var lastReport: FitReport?

    /// A trainer of a learner of one's own.
    public init(_ learner: any Learner<Input>, learningRate: LearningRate) {
        self.learner = learner
        self.learningRate = learningRate
    }

    /// A trainer of the same learner, with the same hooks and other defaults; this one stays as it
    /// is.
    public func with(_ change: (inout FitOptions) -> Void) -> Trainer {
        let copy = Trainer(learner, learningRate: learningRate)
        copy.hooks.adopt(hooks)
        (copy.metrics, copy.defaults, copy.artifacts) = (metrics, defaults, artifacts)
        change(&copy.defaults)
        return copy
    }

    /// A trainer as this one, whose fits take up from a source.
    ///
    ///     try trainer.resuming(from: .path("ck/ep-9.safetensors")).fit(train) { $0.epochs = 20 }
    public func resuming(from source: ResumeSource) -> Trainer { with { $0.resumeFrom = source } }

    // MARK: Fits

    /// Trains and returns the losses of this call's steps; none where they are not kept.
    @discardableResult
    public func fit(
        _ train: Feed<Input>, validation: Feed<Input>? = nil, _ presets: FitPreset...,
        options change: (inout FitOptions) -> Void = { _ in }
    ) throws -> [Double] {
        try report(SplitPlan(train: train, validation: validation), presets, change).losses
    }

    /// Trains and reports.
    @discardableResult
    public func fitReport(
        _ train: Feed<Input>, validation: Feed<Input>? = nil, _ presets: FitPreset...,
        options change: (inout FitOptions) -> Void = { _ in }
    ) throws -> FitReport {
        try report(SplitPlan(train: train, validation: validation), presets, change)
    }

    /// Trains on the parts of a plan and reports.
    @discardableResult
    public func fitReport(
        _ plan: SplitPlan<Input>, _ presets: FitPreset...,
        options change: (inout FitOptions) -> Void = { _ in }
    ) throws -> FitReport {
        try report(plan, presets, change)
    }

    func report(
        _ plan: SplitPlan<Input>, _ presets: [FitPreset], _ change: (inout FitOptions) -> Void
    ) throws -> FitReport {
        var options = defaults
        if let path = artifacts.checkpointPath, options.checkpointPath == nil {
            options.checkpointPath = path
        }
        for preset in presets { preset.change(&options) }
        change(&options)
        let known =
            metrics
            + presets.flatMap(\.metrics).filter { preset in
                !metrics.contains { $0.name == preset.name }
            }
        let run = try FitRun(self, plan, options, metrics: known)
        return try run.run()
    }

    // MARK: Checkpoints

    /// The checkpoints of a directory, oldest first, from its index on disk.
    public func checkpointHistory(in directory: URL) throws -> [CheckpointRecord] {
        try CheckpointHistory(reading: directory).records
    }

    // MARK: Bundles

    /// A run bundle of a report, with the checkpoint that the report ends with; its paths are
    /// relative to the directory.
    public func runBundle(
        report: FitReport, config: JSONValue = [:], schemaVersion: RunBundle.Schema = .v1,
        in directory: URL = URL(fileURLWithPath: ".", isDirectory: true)
    ) -> RunBundle {
        RunBundle(report: report, config: config, schema: schemaVersion, in: directory)
    }

    /// Writes a run bundle durably, folders included; returns its path.
    @discardableResult
    public func saveRunBundle(
        _ path: URL, report: FitReport, config: JSONValue = [:],
        schemaVersion: RunBundle.Schema = .v1
    ) throws -> URL {
        let directory = path.deletingLastPathComponent()
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true)
        let bundle = runBundle(
            report: report, config: config, schemaVersion: schemaVersion, in: directory)
        try DurableFile.write(try JSONValue.object(bundle.json).serialized(), to: path)
        return path
    }

    /// What a bundle resumes from: counters and the checkpoint that it names.
    public func resumePayload(fromBundle bundle: RunBundle) throws -> ResumePayload {
        try bundle.payload()
    }

    /// What a bundle's file resumes from.
    public func resumePayload(fromBundle path: URL) throws -> ResumePayload {
        try RunBundle(contentsOf: path).payload()
    }
}
