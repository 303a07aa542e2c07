// SPDX-License-Identifier: Apache-2.0
/// Every step kept until a checkpoint holds it: a run that is killed loses none.

import CairnEngine
import CairnFormats
import Foundation

/// The gradients of the steps behind a run's newest checkpoint, a file for each.
///
/// A checkpoint holds parameters and slots in every format that its readers want; the gradients
/// alone, from which the optimizer makes the same bits again, are a third to a fifth of that. So
/// keeping every step costs a small part of saving at every step. A step's file is made beside the
/// next step, and is there in full or not at all; one that was damaged later fails its fingerprint,
/// and that step is computed again.
final class StepJournal: @unchecked Sendable {
    // Unchecked: the numbers of the files, the failure and the notes are behind the lock; the memory
    // of a step goes from the thread that trains to the queue and back, by way of `room`; the rest
    // belongs to the thread that trains.

    /// The last step that can be taken again from here.
    let last: Int
    /// Whether the run must save a checkpoint first, for the steps to follow one.
    var needsCheckpoint: Bool
    /// Whether steps are kept from here on.
    private let keeps: Bool
    private let directory: URL
    private let files: any FileOperations
    private let lock = NSLock()
    private var kept: Set<Int>
    /// A checkpoint holds the steps up to this one.
    private var forgotten = 0
    private var failure: String?
    private var waitingNotes: [String] = []
    private let queue = DispatchQueue(label: "cairn.journal", qos: .utility)
    /// The step that is on its way to the medium; the next one waits for it.
    private let staged = StagedFile()
    private let room = DispatchSemaphore(value: 1)

    /// - Parameters:
    ///   - step: where the state stands.
    ///   - keeps: whether steps are to be kept.
    ///   - hasCheckpoint: whether the state is that of a checkpoint in the directory.
    ///   - recalls: whether the steps to come must be those that were kept; else these are removed.
    init(
        run directory: URL, after step: Int, keeps: Bool, hasCheckpoint: Bool, recalls: Bool,
        files: some FileOperations = SystemFiles()
    ) throws {
        self.directory = directory.appendingPathComponent(TrainingFiles.journalFolder)
        self.files = files
        self.keeps = keeps
        needsCheckpoint = keeps && !hasCheckpoint
        try Self.sweep(self.directory, files)
        let found = try Self.steps(in: self.directory, files)
        last = recalls ? Self.last(found, after: step) : step
        kept = found
        // What stands behind a gap belongs to no state that this run will have.
        for other in found where other > last || other <= step { remove(other) }
    }

    private static let (prefix, suffix) = ("step-", ".safetensors")

    private static func step(of name: String) -> Int? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        return Int(name.dropFirst(prefix.count).dropLast(suffix.count))
    }

    /// Removes the step that a kill came upon in the making.
    private static func sweep(_ directory: URL, _ files: some FileOperations) throws {
        guard try files.kind(of: directory.path) == .directory else { return }
        for name in try files.names(in: directory.path) where name.hasPrefix(".") {
            try files.removeFile(directory.appendingPathComponent(name).path)
        }
    }

    /// The steps that a run's journal has.
    private static func steps(
        in directory: URL, _ files: some FileOperations
    ) throws -> Set<Int> {
        guard try files.kind(of: directory.path) == .directory else { return [] }
        return Set(try files.names(in: directory.path).compactMap(step(of:)))
    }

    /// The last of those that follow one another behind a step.
    private static func last(_ steps: Set<Int>, after step: Int) -> Int {
        var last = step
        while steps.contains(last + 1) { last += 1 }
        return last
    }

    /// The step up to which the journal in a run's directory leads from a checkpoint at `step`.
    static func last(ofRun directory: URL, after step: Int) throws -> Int {
        let folder = directory.appendingPathComponent(TrainingFiles.journalFolder)
        return last(try steps(in: folder, SystemFiles()), after: step)
    }

    private func file(of step: Int) -> URL {
        directory.appendingPathComponent("\(Self.prefix)\(step)\(Self.suffix)")
    }

    // MARK: Taking steps again

    /// A step that was kept; nil when its file is damaged or not of this model, and then it and
    /// what came behind it are computed again.
    func record(of step: Int, parameters: [String: [Int]]) -> StepRecord? {
        guard step <= last, lock.withLock({ kept.contains(step) }) else { return nil }
        do {
            let record = try StepRecord(contentsOf: file(of: step))
            guard record.entry.step == step, record.fits(parameters) else {
                throw FormatError.entry(
                    file: file(of: step).path, entry: "the gradients",
                    expected: "those of step \(step) of this model", found: "others")
            }
            return record
        } catch {
            say("\(error); the steps from \(step) on are computed again")
            for other in lock.withLock({ kept }) where other >= step { remove(other) }
            return nil
        }
    }

    // MARK: Keeping steps

    /// Keeps a step that was taken, unless it is there already. A failure ends the keeping and
    /// never the run.
    func keep(
        _ entry: LedgerEntry, _ totals: StepTotals, _ gradients: [String: Floats],
        dimensions: (String) -> [Int], context: Context
    ) {
        guard keeps, lock.withLock({ failure == nil && !kept.contains(entry.step) }) else { return }
        // The last step has left the memory for its file.
        room.wait()
        do {
            try makeDirectory()
            try staged.fill { sink in
                try StepRecord.write(
                    entry, totals, gradients, dimensions: dimensions, context: context, to: &sink)
            }
        } catch {
            room.signal()
            return fail(entry.step, error)
        }
        queue.async { [self] in
            defer { room.signal() }
            do {
                try staged.write(to: file(of: entry.step), files: files)
                let isHeld = lock.withLock {
                    kept.insert(entry.step)
                    return entry.step <= forgotten
                }
                if isHeld { remove(entry.step) }
            } catch {
                fail(entry.step, error)
            }
        }
    }

    private func makeDirectory() throws {
        guard try files.kind(of: directory.path) == .none else { return }
        let parent = directory.deletingLastPathComponent().path
        if try files.kind(of: parent) == .none { try files.makeDirectory(parent) }
        try files.makeDirectory(directory.path)
        try files.synchronizeDirectory(parent)
    }

    private func fail(_ step: Int, _ error: any Error) {
        lock.withLock { failure = "\(error)" }
        say("no step is kept from step \(step) on, and the run goes on: \(error)")
    }

    // MARK: Letting go

    /// Removes the steps that a checkpoint holds.
    func forget(through step: Int) {
        let known = lock.withLock {
            forgotten = max(forgotten, step)
            return kept
        }
        for other in known where other <= step { remove(other) }
    }

    private func remove(_ step: Int) {
        lock.withLock { _ = kept.remove(step) }
        do {
            try files.removeFile(file(of: step).path)
        } catch {
            say("\(error); it may be removed")
        }
    }

    /// Returns when every step that was kept is on the medium; an empty journal leaves no folder.
    func close() {
        queue.sync {}
        guard lock.withLock({ kept.isEmpty }) else { return }
        // One that is not empty, or not there, stays as it is.
        try? files.removeDirectory(directory.path)
    }

    private func say(_ note: String) { lock.withLock { waitingNotes.append(note) } }

    /// What a user should know that was not told yet.
    func takeNotes() -> [String] {
        lock.withLock {
            defer { waitingNotes = [] }
            return waitingNotes
        }
    }
}
