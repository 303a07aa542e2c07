// SPDX-License-Identifier: Apache-2.0
/// A run's directory as it lies on the disk: its checkpoints, newest first, and which can be used.

import CairnFormats
import Foundation

/// The checkpoints of a directory, found by what they hold and not by any index.
public struct RunDirectory: Sendable {
    /// A directory with a manifest and a state.
    public struct Entry: Sendable {
        /// The checkpoint's directory.
        public let url: URL
        /// Its name in the run's directory.
        public let name: String
        /// Which run wrote it.
        public let runID: String
        /// Optimizer steps taken when it was made.
        public let step: Int
        /// How the run stood.
        public let status: RunStatus
    }

    /// The run's directory.
    public let url: URL
    /// Newest first: by step, then those that say more of how the run ended, then by name.
    public let entries: [Entry]
    /// What looks like a checkpoint and cannot be read: its name, and a sentence.
    public let unreadable: [(name: String, reason: String)]

    /// The step that a resume reaches without computing any: that of the newest checkpoint, and of
    /// the journal behind it.
    public var reachedStep: Int {
        get throws {
            try StepJournal.last(ofRun: url, after: entries.first?.step ?? 0)
        }
    }

    /// Looks at every entry of `url`; reads no tensor.
    ///
    /// Hidden entries, files, links and directories without a manifest are none of a run's.
    public init(_ url: URL) throws {
        self.url = url
        var entries: [Entry] = []
        var unreadable: [(name: String, reason: String)] = []
        let names = try FileManager.default.contentsOfDirectory(atPath: url.path).sorted()
        for name in names where !name.hasPrefix(".") {
            let place = url.appendingPathComponent(name)
            let type = try FileManager.default.attributesOfItem(atPath: place.path)[.type]
            let manifest = place.appendingPathComponent(Manifest.fileName)
            guard type as? FileAttributeType == .typeDirectory,
                FileManager.default.fileExists(atPath: manifest.path)
            else { continue }
            do {
                let runID = try Manifest(of: place).runID
                let file = place.appendingPathComponent(TrainingFiles.stateFile)
                let saved = try SavedRun(try JSONValue.parse(contentsOf: file), file: file.path)
                entries.append(
                    Entry(
                        url: place, name: name, runID: runID, step: saved.state.step,
                        status: saved.state.status))
            } catch {
                unreadable.append((name, "\(error)"))
            }
        }
        self.entries = entries.sorted { a, b in
            if a.step != b.step { return a.step > b.step }
            if a.status.isFinal != b.status.isFinal { return a.status.isFinal }
            return a.name < b.name
        }
        self.unreadable = unreadable
    }

    /// The newest checkpoint whose every byte is as it was committed, and a sentence for each that
    /// was passed over.
    public func newestVerified() throws -> (entry: Entry, skipped: [String]) {
        var skipped = unreadable.map { "\($0.name): \($0.reason)" }
        for entry in entries {
            guard let problem = Manifest.check(entry.url).problems.first else {
                return (entry, skipped)
            }
            skipped.append("\(entry.name) is damaged: \(problem)")
        }
        throw TrainingError.noCheckpoint(directory: url.path, skipped: skipped)
    }

    /// The checkpoint that a path means: itself, or the newest of a run's directory.
    public static func checkpoint(at url: URL) throws -> (url: URL, skipped: [String]) {
        let state = url.appendingPathComponent(TrainingFiles.stateFile)
        if FileManager.default.fileExists(atPath: state.path) {
            if let problem = Manifest.check(url).problems.first {
                throw TrainingError.damaged(path: url.path, problem: "\(problem)")
            }
            return (url, [])
        }
        let (entry, skipped) = try RunDirectory(url).newestVerified()
        return (entry.url, skipped)
    }
}
