// SPDX-License-Identifier: Apache-2.0
/// Writes a run's ledger, and holds every step that was done before against what it says.

import CairnFormats
import Foundation

/// The ledger of a run that goes on.
///
/// A run that was killed has lines for steps behind its last checkpoint. They stay: as those steps
/// are taken again each is compared with its line, and the first that differs ends the run. So
/// every resume proves itself for as far as the old run had come.
final class LedgerRecorder: @unchecked Sendable {
    // Unchecked: the file is behind `fileLock`, the waiting lines behind `lineLock`, and the rest
    // belongs to the thread that trains.
    private let url: URL
    private let file: AppendFile
    private let fileLock = NSLock()
    private let lineLock = NSLock()
    /// Lines that are not in the file yet.
    private var waiting: [Data] = []
    private var position: LedgerPosition
    /// Entries behind the position, oldest first.
    private var known: ArraySlice<(entry: LedgerEntry, position: LedgerPosition)>
    /// What a user should know of what was found.
    let note: String?

    /// - Parameters:
    ///   - position: where the resumed state stands; a fresh run stands at the beginning.
    ///   - compares: whether the steps to come must be those of the lines behind it; otherwise
    ///     these lines are cut off.
    init(
        run directory: URL, from position: LedgerPosition, compares: Bool,
        files: some FileOperations = SystemFiles()
    ) throws {
        url = Ledger.url(ofRun: directory)
        self.position = position
        var known: [(entry: LedgerEntry, position: LedgerPosition)] = []
        var note: String?
        var length = 0
        if FileManager.default.fileExists(atPath: url.path) {
            let ledger = try Ledger(ofRun: directory)
            let before =
                position.lines == 0 ? LedgerPosition() : ledger.position(at: position.lines)
            if before == position {
                length = position.bytes
                if compares {
                    known = ledger.entries(after: position.lines)
                    length = known.last?.position.bytes ?? length
                }
                note = ledger.damage.map { "\($0); it is cut off there" }
            } else {
                note =
                    "\(url.path) does not lead to this checkpoint; it is begun anew at step "
                    + "\(position.lines + 1)"
            }
        } else if position.lines > 0 {
            note = "\(url.path) is missing; it is begun anew at step \(position.lines + 1)"
        }
        self.note = note
        self.known = known[...]
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        file = try AppendFile(url, files: files)
        try file.truncate(to: length)
        if length == 0, position.lines > 0 {
            // A ledger that begins in the middle chains to the head that the state had.
            self.position = LedgerPosition(lines: position.lines, bytes: 0, head: position.head)
        }
    }

    /// Takes what a step did; the ledger's end behind it.
    ///
    /// - Throws: `TrainingError.ledger` when the step was done before and differed.
    func record(_ entry: LedgerEntry) throws -> LedgerPosition {
        if let next = known.popFirst() {
            if let difference = next.entry.difference(from: entry) {
                throw TrainingError.ledger(
                    file: url.path, step: entry.step, key: difference.key,
                    expected: difference.own, found: difference.other)
            }
            position = next.position
            return position
        }
        let (line, next) = try position.line(of: entry)
        lineLock.withLock { waiting.append(line.dropLast()) }
        position = next
        // While the lines before are on their way to the medium, this one waits for the next.
        if fileLock.try() {
            defer { fileLock.unlock() }
            try writeLines()
        }
        return position
    }

    private func writeLines() throws {
        let lines = lineLock.withLock {
            defer { waiting = [] }
            return waiting
        }
        for line in lines { try file.append(line) }
    }

    /// How many steps behind the position were done before.
    var knownCount: Int { known.count }

    /// Returns when every line so far is on the medium; from any thread.
    func synchronize() throws {
        try fileLock.withLock {
            try writeLines()
            try file.synchronize()
        }
    }
}

extension Ledger {
    /// The position after a number of lines; nil when there are fewer good ones.
    func position(at lines: Int) -> LedgerPosition? {
        positions.first { $0.lines == lines }
    }

    func entries(after lines: Int) -> [(entry: LedgerEntry, position: LedgerPosition)] {
        zip(entries, positions).filter { $0.1.lines > lines }.map { ($0, $1) }
    }
}
