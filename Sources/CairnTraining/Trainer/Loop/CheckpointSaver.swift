// SPDX-License-Identifier: Apache-2.0
/// Writes a fit's checkpoints, keeps the directory's index, and deletes what need not stay.

import CairnFormats
import Foundation

/// The checkpoints of one fit.
final class CheckpointSaver<Input> {
    private let learner: any Learner<Input>
    private let hooks: Hooks
    private let policy: ArtifactPolicy
    private let options: FitOptions
    private var plan: CheckpointPlan
    private var protected: Set<String> = []
    /// The checkpoints of this call, in order.
    private(set) var written: [CheckpointRecord] = []
    private(set) var notes: [String] = []
    private(set) var seconds = 0.0
    private var locks: [String: RunLock] = [:]

    /// Checks the path; nil when the fit saves nothing.
    init?(_ trainer: Trainer<Input>, _ options: FitOptions) throws {
        guard let path = options.checkpointPath else { return nil }
        learner = trainer.learner
        hooks = trainer.hooks
        policy = trainer.artifacts
        self.options = options
        plan = try CheckpointPlan(
            path, directory: options.checkpointDirectory, monitorName: options.monitorRule.name,
            overwrites: options.saveBest || trainer.artifacts.strategy == .best,
            bySteps: options.saveEverySteps != nil,
            check: { [learner] path in try learner.check(path: path) })
    }

    /// Takes the directory for this fit: no other may write into it meanwhile.
    func takeDirectory() throws {
        if let directory = plan.directory { try take(directory) }
    }

    private func take(_ folder: URL) throws {
        guard locks[folder.path] == nil else { return }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let lock = try RunLock(folder)
        if let note = lock.note { notes.append(note) }
        locks[folder.path] = lock
    }

    func releaseDirectories() {
        for lock in locks.values { lock.release() }
        locks = [:]
    }

    /// Never deletes this checkpoint.
    func protect(_ checkpoint: URL?) {
        if let checkpoint { protected.insert(checkpoint.path) }
    }

    /// What the policy resumes from: nothing where the directory has no checkpoint.
    func history(_ resume: ArtifactPolicy.Resume, _ rule: Monitor.Rule) throws -> ResumeSource? {
        guard let directory = plan.directory else {
            throw TrainerError.option(
                "checkpoint_directory",
                expected: "given where the policy resumes and a closure "
                    + "names the paths", found: "none")
        }
        let history = try CheckpointHistory(reading: directory)
        if case .latest = resume {
            let isEmpty = history.records.isEmpty && history.strangers(learner).isEmpty
            return isEmpty ? nil : .path(directory)
        }
        guard let best = history.best(rule).first else { return nil }
        try best.verify()
        return .path(best.path)
    }

    // MARK: Saving

    /// The end of an epoch; false when there was nothing to save.
    func saveEpoch(_ run: FitRun<Input>, _ row: EpochRow) throws -> Bool {
        guard policy.saves(epoch: row.epoch, improved: row.improved, options) else { return false }
        let context = PathContext(
            epoch: row.epoch, step: row.steps, monitor: row.monitorValue,
            monitorName: run.state.monitor.rule.name, epochLoss: row.epochLoss,
            validationLoss: row.validationLoss, improved: row.improved)
        guard let path = try plan.next(context) else { return false }
        // The state of a run that has left this epoch behind: its hooks have been told.
        return try save(run, to: path, context, row)
    }

    /// Within an epoch, after a step.
    func saveStep(_ run: FitRun<Input>) throws {
        let context = context(within: run.state)
        guard let path = try plan.next(context) else { return }
        _ = try save(run, to: path, context, nil)
    }

    /// Where a run was stopped, beside its other checkpoints, never in place of one.
    func saveInterrupted(_ run: FitRun<Input>) throws {
        let context = context(within: run.state)
        guard let path = try plan.interrupted(context) else {
            notes.append("nothing was saved, for checkpoint_path names no path")
            return
        }
        _ = try save(run, to: path, context, nil)
    }

    private func context(within state: TrainerState) -> PathContext {
        let last = state.rows.last
        return PathContext(
            epoch: state.position.epoch, step: state.step, monitor: last?.monitorValue,
            monitorName: state.monitor.rule.name, epochLoss: last?.epochLoss,
            validationLoss: last?.validationLoss, improved: false)
    }

    private func save(
        _ run: FitRun<Input>, to path: URL, _ context: PathContext, _ row: EpochRow?
    ) throws -> Bool {
        let clock = ContinuousClock()
        let start = clock.now
        defer { seconds += (clock.now - start).inSeconds }
        try FileManager.default.createDirectory(
            at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        let folder = plan.directory ?? path.deletingLastPathComponent()
        try take(folder)
        let metadata = stateAfter(run, path, context, row).metadata(adding: options.metadata)
        let files = try learner.save(to: path, metadata: metadata)
        let record = try CheckpointRecord(
            files: files, in: folder, context: context, metadata: metadata,
            isEpochEnd: row != nil)
        written.removeAll { $0.path == record.path }
        written.append(record)
        updateIndex(adding: record)
        if policy.runBundlePath != nil {
            // What it says until the next one: that the run goes no further than this.
            let report = run.withBundle { run.report(.interrupted, nil) }
            if report.runBundlePath == nil, let note = report.notes.last { notes.append(note) }
        }
        try hooks.emit(.checkpoint, event(path: record.path, context))
        if row == nil { run.state.hooks = hooks.counters }
        return true
    }

    /// The state to save: the run's, its hooks told what they are told right after the save.
    private func stateAfter(
        _ run: FitRun<Input>, _ path: URL, _ context: PathContext, _ row: EpochRow?
    ) -> TrainerState {
        var state = run.state
        if row != nil { state.hooks = hooks.counters }
        hooks.count(.checkpoint, event(path: path, context), into: &state.hooks)
        if let row { hooks.count(.afterEpoch, run.epochEnd(row, saved: true), into: &state.hooks) }
        return state
    }

    private func event(path: URL, _ context: PathContext) -> CheckpointSaved {
        CheckpointSaved(
            path: path, epoch: context.epoch, step: context.step,
            monitorName: context.monitorName, monitorValue: context.monitor,
            epochLoss: context.epochLoss, improved: context.improved)
    }

    /// The checkpoint is committed: neither the index nor what is deleted may undo that.
    private func updateIndex(adding record: CheckpointRecord) {
        do {
            var history = try CheckpointHistory(reading: record.directory)
            history.add(record)
            try history.write()
            let count = history.records.count
            notes += history.prune(
                policy.retention, rule: options.monitorRule, protected: protected)
            if history.records.count != count { try history.write() }
        } catch {
            notes.append("the index of \(record.directory.path) was not written: \(error)")
        }
    }
}
