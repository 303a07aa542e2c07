// SPDX-License-Identifier: Apache-2.0
/// Proof of a run: its steps taken again, each compared with its line in the ledger.

import CairnEngine
import CairnFormats
import Foundation

/// Takes steps of a run again from one of its checkpoints, or from its beginning, and writes
/// nothing.
public struct Replay {
    /// How a replay ended.
    public struct Result: Sendable {
        /// The first and the last step that were compared; nil when there was none.
        public let steps: ClosedRange<Int>?
        /// What was not as the ledger says; nil when all was.
        public let difference: Difference?
        /// What a user should know: damage of the ledger, settings that changed on the way.
        public let notes: [String]
    }

    /// The first figure that is not what the ledger says.
    public struct Difference: Sendable, Equatable {
        /// The step that has it.
        public let step: Int
        /// `batch`, `loss`, `learning_rate`, `norm` or `state`.
        public let key: String
        /// What the ledger says.
        public let expected: String
        /// What the replay gave.
        public let found: String
    }

    private let ledger: Ledger
    private let job: FineTuneJob
    private let last: Int
    private var notes: [String]

    /// What the replay begins with: `nil` for the run's own beginning.
    public let start: (name: String, step: Int)?

    /// Prepares the replay of `steps` steps (of all there are without it) behind the newest
    /// checkpoint at or before step `from`. The last closure may change where the inputs lie and
    /// what computes them.
    ///
    /// - Throws: as `FineTuneJob`; `TrainingError.nothingToReplay`.
    public init(
        run directory: URL, from: Int = 0, steps: Int? = nil,
        options change: (inout FineTuneOptions) throws -> Void = { _ in }
    ) throws {
        let url = Ledger.url(ofRun: directory)
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw TrainingError.missingFile(
                directory: directory.path, name: "\(Ledger.folder)/\(Ledger.file)",
                purpose: "what the steps of the run are compared with")
        }
        let ledger = try Ledger(ofRun: directory)
        let run = try RunDirectory(directory)
        var notes = run.unreadable.map { "passed over \($0.name): \($0.reason)" }
        notes += [ledger.damage].compactMap { $0 }
        let whole = run.entries.filter { Manifest.check($0.url).isWhole }
        guard let newest = whole.first else {
            throw TrainingError.noCheckpoint(directory: directory.path, skipped: notes)
        }
        let newestPoint = try ResumableRun(contentsOf: newest.url)
        let begun = whole.first { $0.step <= from }
        // A run that began with another's state has no beginning of its own to start from.
        let isRoot = newestPoint.saved.state.parent == nil
        let entry = begun ?? (isRoot ? nil : whole.last)
        let point = try entry.map { try ResumableRun(contentsOf: $0.url) }
        let startStep = entry?.step ?? 0
        // Settings hold up to the first amendment behind the start.
        let amendment = newestPoint.saved.state.amendments.first { $0.step > startStep }
        var options = try (point ?? newestPoint).options(output: directory)
        options.settings = amendment?.settings ?? newestPoint.saved.settings
        options.settings.tokenBudget = try newestPoint.options(output: directory)
            .settings.tokenBudget
        try change(&options)
        let end = min(ledger.entries.last?.step ?? 0, amendment?.step ?? .max)
        last = min(end, steps.map { startStep + $0 } ?? end)
        if let amendment, amendment.step <= (ledger.entries.last?.step ?? 0) {
            notes.append(
                "the run's settings changed at step \(amendment.step); the steps behind it are "
                    + "replayed from a checkpoint there ('--from \(amendment.step)')")
        }
        guard last > startStep else {
            throw TrainingError.nothingToReplay(
                file: url.path, from: startStep, last: ledger.entries.last?.step ?? 0)
        }
        job = try FineTuneJob(
            options, start: point.map { .resumed($0, allowing: []) } ?? .fresh)
        if point != nil { job.tuner.reopen() }
        self.ledger = ledger
        self.notes = notes
        start = entry.map { ($0.name, $0.step) }
    }

    /// Takes the steps.
    public func run(report: @escaping (FineTuneEvent) -> Void = { _ in }) throws -> Result {
        struct Stop: Error { let difference: Difference? }
        let first = job.tuner.state.step + 1
        let expected = Dictionary(
            ledger.entries.map { ($0.step, $0) }, uniquingKeysWith: { $1 })
        var compared: Int?
        var difference: Difference?
        do {
            _ = try job.tuner.run(
                RunControls(
                    record: { [last] entry in
                        guard let line = expected[entry.step] else { throw Stop(difference: nil) }
                        compared = entry.step
                        if let found = line.difference(from: entry) {
                            throw Stop(
                                difference: Difference(
                                    step: entry.step, key: found.key, expected: found.own,
                                    found: found.other))
                        }
                        if entry.step == last { throw Stop(difference: nil) }
                        return LedgerPosition()
                    }, report: report))
        } catch let stop as Stop {
            difference = stop.difference
        }
        return Result(steps: compared.map { first...$0 }, difference: difference, notes: notes)
    }
}
