// SPDX-License-Identifier: Apache-2.0
/// Writes a fit's checkpoints, keeps the directory's index, and deletes what need not stay.

import CairnFormats
import Foundation

/// The checkpoints of one fit.
///
/// A learner that can copy what it saves is saved beside the training, one checkpoint at a time; the
/// fit hears at its next step that it is there, or what kept it from being written. Where hooks wait
/// for the event, the fit waits with them.
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
    private let queue = SaveQueue()
    private var pending: PendingSave?

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
        try heed(run, waiting: true)
        let clock = ContinuousClock()
        let start = clock.now
        defer { seconds += (clock.now - start).inSeconds }
        try FileManager.default.createDirectory(
            at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        let folder = plan.directory ?? path.deletingLastPathComponent()
        try take(folder)
        let metadata = stateAfter(run, path, context, row).metadata(adding: options.metadata)
        let isEpochEnd = row != nil
        let record: @Sendable ([URL]) throws -> CheckpointRecord = {
            try CheckpointRecord(
                files: $0, in: folder, context: context, metadata: metadata,
                isEpochEnd: isEpochEnd)
        }
        // What the bundle says until the next one: that the run goes no further than this.
        let report = policy.runBundlePath == nil ? nil : run.report(.interrupted, nil)
        if !hooks.listen(to: .checkpoint),
            let write = try learner.saving(to: path, metadata: metadata)
        {
            let save = PendingSave(report)
            pending = save
            queue.start(path.lastPathComponent, reason: "") {
                save.end(Result { try record(write()) })
                return SaveResult()
            }
            return true
        }
        let saved = try record(learner.save(to: path, metadata: metadata))
        note(saved, report, run)
        try hooks.emit(.checkpoint, event(path: saved.path, context))
        if row == nil { run.state.hooks = hooks.counters }
        return true
    }

    /// Takes note of the save that is under way, if it has ended, or once it has.
    ///
    /// - Throws: what kept the checkpoint from being written.
    func heed(_ run: FitRun<Input>, waiting: Bool = false) throws {
        guard let save = pending else { return }
        if waiting {
            let clock = ContinuousClock()
            let start = clock.now
            queue.wait()
            seconds += (clock.now - start).inSeconds
        }
        guard let result = save.result else { return }
        pending = nil
        note(try result.get(), save.report, run)
    }

    /// A checkpoint is there: the index, what need not stay, the bundle.
    private func note(_ record: CheckpointRecord, _ report: FitReport?, _ run: FitRun<Input>) {
        written.removeAll { $0.path == record.path }
        written.append(record)
        updateIndex(adding: record)
        guard var report else { return }
        report.checkpoints = written
        let done = run.withBundle { report }
        if done.runBundlePath == nil, let note = done.notes.last { notes.append(note) }
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

/// A save that another thread does, with the report that its bundle is to have.
private final class PendingSave: @unchecked Sendable {
    // Unchecked: `end` and `result` are behind the lock, and the report never changes.
    let report: FitReport?
    private let lock = NSLock()
    private var outcome: Result<CheckpointRecord, any Error>?

    init(_ report: FitReport?) { self.report = report }

    /// Nil while the save is under way.
    var result: Result<CheckpointRecord, any Error>? { lock.withLock { outcome } }

    func end(_ result: Result<CheckpointRecord, any Error>) { lock.withLock { outcome = result } }
}
