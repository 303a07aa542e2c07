// SPDX-License-Identifier: Apache-2.0
/// What the loop asks of those around it: saves, stops, the ledger.

/// How a run is watched and stopped from outside.
public struct RunControls {
    /// Takes a copy of the state, once, and sees to it that it is saved under the name; an error
    /// ends the run.
    public var save:
        (_ name: String, _ reason: String, _ snapshot: () -> RunSnapshot) throws -> Void
    /// Asked between micro-batches: a reason ends the run after the last whole step.
    public var stop: () -> StopReason?
    /// Asked after every step: true saves and goes on.
    public var wantsSave: () -> Bool
    /// Takes what every step did; gives the ledger's new end.
    public var record: ((LedgerEntry) throws -> LedgerPosition)?
    /// Told what happens.
    public var report: (FineTuneEvent) -> Void
    /// Whether there is a checkpoint of that name with the state after that step.
    public var hasSaved: (_ name: String, _ step: Int) -> Bool

    /// The steps that were taken before, and where those to come are kept.
    var journal: StepJournal?

    /// Controls of which each may be left out.
    public init(
        save: @escaping (String, String, () -> RunSnapshot) throws -> Void = { _, _, _ in },
        hasSaved: @escaping (String, Int) -> Bool = { _, _ in false },
        stop: @escaping () -> StopReason? = { nil }, wantsSave: @escaping () -> Bool = { false },
        record: ((LedgerEntry) throws -> LedgerPosition)? = nil,
        report: @escaping (FineTuneEvent) -> Void = { _ in }
    ) {
        self.save = save
        self.hasSaved = hasSaved
        self.stop = stop
        self.wantsSave = wantsSave
        self.record = record
        self.report = report
    }
}
