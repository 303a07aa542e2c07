// SPDX-License-Identifier: Apache-2.0
/// The checkpoints of a run while it goes: saved beside the training, named, and removed again.

import CairnFormats
import Foundation

/// Makes checkpoints in a run's directory and keeps as many as the policy says.
///
/// A save is: the checkpoint, committed; `latest` moved to it; then what the policy does not keep
/// removed. Each step is durable before the next begins, so that a crash leaves the newest
/// checkpoint or the one before, and `latest` never names what is not there.
public final class CheckpointStore {
    private let writer: CheckpointWriter
    private let policy: SavePolicy
    private let monitor: MonitoredFigure
    private let resumedFrom: String?
    private let files: any FileOperations
    private let saver = SaveQueue()
    private let shelf = Shelf()
    /// The newest checkpoint, which the next one follows.
    private var last: String?
    /// The saves that failed so far.
    public private(set) var failures: [FailedSave] = []

    /// A store of what `writer` writes.
    public convenience init(
        _ writer: CheckpointWriter, policy: SavePolicy, monitor: MonitoredFigure,
        resumedFrom: String? = nil
    ) {
        self.init(
            writer, policy: policy, monitor: monitor, resumedFrom: resumedFrom,
            files: SystemFiles())
    }

    package init(
        _ writer: CheckpointWriter, policy: SavePolicy, monitor: MonitoredFigure,
        resumedFrom: String? = nil, files: some FileOperations
    ) {
        self.writer = writer
        self.policy = policy
        self.monitor = monitor
        self.resumedFrom = resumedFrom
        self.files = files
    }

    /// Starts a save of the state that `snapshot` copies, once an earlier one is over.
    ///
    /// - Parameters:
    ///   - prepare: runs before the commit, as bringing the ledger to the medium.
    ///   - finish: runs once the checkpoint is committed and named by `latest`.
    func save(
        _ name: String, reason: String, snapshot: () -> RunSnapshot,
        steps: () -> [RunHistory.Step] = { [] },
        prepare: @escaping @Sendable () throws -> Void = {},
        finish: @escaping @Sendable (RunSnapshot) throws -> Void = { _ in }
    ) {
        saver.wait()
        let (snapshot, steps) = (snapshot(), steps())
        let (writer, files, shelf) = (writer, files, shelf)
        let (policy, monitor, resumedFrom) = (policy, monitor, resumedFrom)
        let parent = last ?? resumedFrom
        last = name
        saver.start(name, reason: reason) {
            try prepare()
            try writer.write(name, snapshot, after: parent, steps: steps)
            shelf.add(name)
            try CurrentLink("latest", in: writer.directory, files: files).move(to: name)
            var result = SaveResult()
            do {
                try finish(snapshot)
            } catch {
                // The checkpoint is there; what goes with it is no reason to call it off.
                result.notes.append("\(error)")
            }
            result.removed = try Self.prune(
                writer.directory, snapshot.state, policy, monitor, shelf,
                keeping: [name, resumedFrom].compactMap { $0 }, files)
            return result
        }
    }

    /// Does work beside the training, in order with the saves; its errors are for it to report.
    func perform(_ body: @escaping @Sendable () -> Void) { saver.perform(body) }

    /// Says what became of the saves since this was called last; at the end `wait` first.
    func report(_ report: (FineTuneEvent) -> Void) {
        for outcome in saver.takeOutcomes() {
            switch outcome {
            case .saved(let name, let reason, let result):
                report(.saved(name: name, reason: reason))
                for name in result.removed { report(.removed(name: name)) }
                for note in result.notes { report(.note(note)) }
            case .failed(let name, let reason):
                failures.append(FailedSave(name: name, reason: reason))
                report(.saveFailed(name: name, reason: reason))
            }
        }
    }

    /// Returns when every save is durable or has failed.
    func wait() { saver.wait() }

    // MARK: Retention

    /// Removes the periodic checkpoints of this run that the policy does not keep.
    ///
    /// - Returns: their names.
    private static func prune(
        _ directory: URL, _ state: RunState, _ policy: SavePolicy, _ monitor: MonitoredFigure,
        _ shelf: Shelf, keeping kept: [String], _ files: any FileOperations
    ) throws -> [String] {
        guard policy.keepLast != nil || policy.keepBest != nil else { return [] }
        let own = try shelf.names(in: directory, of: state.runID)
        let newest = own.prefix(max(policy.keepLast ?? 1, 1))
        let best = ranked(state.epochs, by: monitor).prefix(policy.keepBest ?? 0)
            .map { "epoch-\($0)" }
        let latest = try? CurrentLink("latest", in: directory, files: files).destination()
        let all = Set(kept + newest + best + [latest].compactMap { $0 })
        let removed = own.filter { !all.contains($0) }
        for name in removed {
            _ = try Removal.remove(name, in: directory, files: files)
            shelf.remove(name)
        }
        return removed
    }

    /// The periodic checkpoints of the run, newest first: looked up once, and then kept in mind,
    /// as nobody else writes there while the run has the lock.
    private final class Shelf: @unchecked Sendable {
        // Unchecked: only the save queue, which does one thing at a time, touches it.
        private var found: [String]?

        func names(in directory: URL, of runID: String) throws -> [String] {
            if let found { return found }
            let names = try RunDirectory(directory).entries.filter {
                $0.runID == runID && CheckpointStore.isPeriodic($0.name)
            }.map(\.name)
            found = names
            return names
        }

        /// Notes a checkpoint that was just committed, which is the newest.
        func add(_ name: String) {
            guard CheckpointStore.isPeriodic(name), let before = found else { return }
            found = [name] + before.filter { $0 != name }
        }

        func remove(_ name: String) { found?.removeAll { $0 == name } }
    }

    /// Whether a name is `epoch-N` or `step-N`; the others are never removed.
    private static func isPeriodic(_ name: String) -> Bool {
        ["epoch-", "step-"].contains { name.hasPrefix($0) && Int(name.dropFirst($0.count)) != nil }
    }

    /// Epoch numbers, best first; an epoch without a figure is no candidate.
    private static func ranked(_ epochs: [EpochReport], by monitor: MonitoredFigure) -> [Int] {
        epochs.filter { !monitor.value($0).isNaN }.sorted { a, b in
            let (x, y) = (monitor.value(a), monitor.value(b))
            return x == y ? a.epoch < b.epoch : monitor.isBetter(x, than: y, by: 0)
        }.map(\.epoch)
    }
}

extension SavePolicy {
    /// How many checkpoints may lie in the directory at once, the one in the making included.
    func mostCheckpoints(epochs total: Int, steps totalSteps: Int) -> Int {
        let byEpoch = (total + epochs - 1) / epochs + 1
        let bySteps = steps.map { totalSteps / $0 } ?? 0
        // A journal begins with one more.
        let periodic = byEpoch + bySteps + (journal ? 1 : 0)
        let kept =
            keepLast == nil && keepBest == nil
            ? periodic : min(periodic, max(keepLast ?? 1, 1) + (keepBest ?? 0))
        // best, interrupted, and the one that is being written.
        return kept + 3
    }
}
