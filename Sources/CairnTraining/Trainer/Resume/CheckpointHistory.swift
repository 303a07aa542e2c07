// SPDX-License-Identifier: Apache-2.0
/// The checkpoints of a run's directory: an index on disk, checked against the files.

import CairnFormats
import Foundation

/// A checkpoint that was committed.
public struct CheckpointRecord: Sendable, Equatable {
    /// The file to load from; what the save returned, not what it was asked for.
    public var path: URL
    /// All files of it, with sizes and SHA-256; names relative to the directory.
    public var files: [CommittedFile]
    /// From 0.
    public var epoch: Int
    /// Optimizer steps taken.
    public var step: Int
    /// What the monitored value is called.
    public var monitorName: String
    /// The monitored value, where there was one.
    public var monitorValue: Double?
    /// The epoch's training loss, where it was over.
    public var epochLoss: Double?
    /// What stands beside the weights.
    public var metadata: JSONObject
    /// Whether it is the end of an epoch: one within an epoch has no monitor value of its own.
    public var isEpochEnd: Bool
    /// What the names of `files` are relative to.
    public var directory: URL

    func url(of file: CommittedFile) -> URL { RelativePath.resolve(file.name, in: directory) }

    /// What must go when the checkpoint goes: its path, and files that do not lie in it.
    var places: [URL] {
        [path]
            + files.map(url(of:)).filter {
                $0.path != path.path && !$0.path.hasPrefix(path.path + "/")
            }
    }
}

/// The index `checkpoints.json` of a directory, and what may be deleted there.
struct CheckpointHistory {
    static let fileName = "checkpoints.json"
    private static let schema = 1

    let directory: URL
    private(set) var records: [CheckpointRecord] = []

    init(directory: URL) { self.directory = directory }

    /// Reads the index; records whose file is gone are left out. No index is an empty history.
    init(reading directory: URL) throws {
        self.directory = directory
        let file = directory.appendingPathComponent(Self.fileName)
        guard FileManager.default.fileExists(atPath: file.path) else { return }
        let json = try JSONValue.parse(contentsOf: file)
        let reader = try DocumentReader(json, file: file.path)
        let schema = try reader.count("schema")
        guard schema == Self.schema else {
            throw reader.failure("schema", "\(Self.schema)", found: "\(schema)")
        }
        records = try reader.readers("checkpoints").map { entry in
            try CheckpointRecord(entry, in: directory)
        }.filter { FileManager.default.fileExists(atPath: $0.path.path) }
    }

    /// The history of a folder that may be any; nil without an index that can be read.
    init?(readable directory: URL) {
        guard let history = try? CheckpointHistory(reading: directory) else { return nil }
        self = history
    }

    /// What lies in the directory under a checkpoint's name and not in the index, as after a crash
    /// between the two: sorted by name.
    func strangers(_ learner: any Learner) -> [URL] {
        let known = Set(records.flatMap { $0.places.map(\.lastPathComponent) } + [Self.fileName])
        let entries = try? FileManager.default.contentsOfDirectory(
            at: directory, includingPropertiesForKeys: [.isDirectoryKey],
            options: .skipsHiddenFiles)
        return (entries ?? []).filter { entry in
            guard !known.contains(entry.lastPathComponent) else { return false }
            if entry.hasDirectoryPath { return DirectoryCheckpoint.isOne(entry) }
            return !entry.pathExtension.isEmpty
                && (try? learner.check(path: entry.path)) != nil
        }.sorted { $0.path < $1.path }
    }

    /// Adds a checkpoint, in place of an earlier one with its path.
    mutating func add(_ record: CheckpointRecord) {
        records.removeAll { $0.path.path == record.path.path }
        records.append(record)
    }

    /// Writes the index durably.
    func write() throws {
        let json: JSONValue = .object([
            "schema": .whole(Self.schema),
            "checkpoints": .array(records.map { $0.json(in: directory) }),
        ])
        try DurableFile.write(
            try json.serialized(), to: directory.appendingPathComponent(Self.fileName))
    }

    /// The best by the monitor, first the best; only ends of epochs with a finite value, and of
    /// the monitor of this run.
    func best(_ rule: Monitor.Rule) -> [CheckpointRecord] {
        let candidates = records.filter {
            $0.isEpochEnd && $0.monitorName == rule.name && ($0.monitorValue?.isFinite ?? false)
        }
        return candidates.sorted {
            rule.mode == .min
                ? $0.monitorValue! < $1.monitorValue! : $0.monitorValue! > $1.monitorValue!
        }
    }

    /// Deletes what the policy does not keep: never the newest, the best or `protected`, and
    /// nothing outside of the directory.
    ///
    /// - Returns: a sentence for each file that could not be deleted.
    mutating func prune(
        _ retention: ArtifactPolicy.Retention, rule: Monitor.Rule, protected: Set<String>
    ) -> [String] {
        guard let keepLast = retention.keepLast else { return [] }
        let kept = Set(
            records.suffix(max(1, keepLast)).map(\.path.path)
                + best(rule).prefix(max(1, retention.keepBest)).map(\.path.path)
        ).union(protected)
        var notes: [String] = []
        for record in records where !kept.contains(record.path.path) {
            for path in record.places {
                guard isInside(path) else {
                    notes.append("\(path.path) lies outside of \(directory.path) and stays")
                    continue
                }
                do {
                    try Self.remove(path)
                } catch {
                    notes.append("\(path.path) could not be deleted: \(error)")
                }
            }
        }
        records = records.filter { FileManager.default.fileExists(atPath: $0.path.path) }
        return notes
    }

    /// Removes a file or a checkpoint's directory durably; nothing there is no error.
    private static func remove(_ path: URL) throws(FormatError) {
        let files = SystemFiles()
        switch try files.kind(of: path.path) {
        case .none: return
        case .directory:
            try Removal.remove(path.lastPathComponent, in: path.deletingLastPathComponent())
        case .file, .link, .other:
            try files.remove(path.path)
            try files.synchronizeDirectory(path.deletingLastPathComponent().path)
        }
    }

    /// Whether a path, with its links followed, lies in the directory.
    private func isInside(_ path: URL) -> Bool {
        let root = directory.resolvingSymlinksInPath().standardizedFileURL.path
        let parent = path.deletingLastPathComponent().resolvingSymlinksInPath()
        return (parent.standardizedFileURL.path + "/").hasPrefix(root == "/" ? "/" : root + "/")
    }
}

extension CheckpointRecord {
    /// Describes files that a save returned, hashing them where they lie.
    init(
        files: [URL], in directory: URL, context: PathContext, metadata: JSONObject,
        isEpochEnd: Bool
    ) throws {
        precondition(!files.isEmpty, "a save returned no file")
        self.directory = directory
        path = files[0]
        self.files = try files.map { file in
            // The manifest of a directory covers all that is in it.
            let file =
                DirectoryCheckpoint.isOne(file)
                ? file.appendingPathComponent(Manifest.fileName) : file
            return CommittedFile(
                name: RelativePath.from(directory, to: file),
                size: (try FileManager.default.attributesOfItem(atPath: file.path)[.size]
                    as? NSNumber)?.intValue ?? 0,
                sha256: try SHA256.hex(ofFile: file))
        }
        epoch = context.epoch
        step = context.step
        monitorName = context.monitorName
        monitorValue = context.monitor
        epochLoss = context.epochLoss
        self.metadata = metadata
        self.isEpochEnd = isEpochEnd
    }

    func json(in directory: URL) -> JSONValue {
        .object([
            "path": .string(RelativePath.from(directory, to: path)),
            "files": .array(
                files.map {
                    .object([
                        "name": .string($0.name), "size": .whole($0.size),
                        "sha256": .string($0.sha256),
                    ])
                }),
            "epoch": .whole(epoch), "step": .whole(step), "monitor_name": .string(monitorName),
            "monitor_value": .real(monitorValue), "epoch_loss": .real(epochLoss),
            "is_epoch_end": .bool(isEpochEnd),
        ])
    }

    /// The metadata is in the checkpoint itself.
    init(_ reader: DocumentReader, in directory: URL) throws(TrainingError) {
        self.directory = directory
        path = RelativePath.resolve(try reader.string("path"), in: directory)
        files = try reader.readers("files").map { file throws(TrainingError) in
            CommittedFile(
                name: try file.string("name"), size: try file.count("size"),
                sha256: try file.string("sha256"))
        }
        epoch = try reader.count("epoch")
        step = try reader.count("step")
        monitorName = try reader.string("monitor_name")
        monitorValue = try reader.optionalReal("monitor_value")
        epochLoss = try reader.optionalReal("epoch_loss")
        metadata = [:]
        isEpochEnd = try reader.bool("is_epoch_end")
    }

    /// - Throws: `TrainerError.damaged` for the first file that is not what was committed.
    func verify() throws {
        for file in files {
            let url = url(of: file)
            let found = try SHA256.hex(ofFile: url)
            guard found == file.sha256 else {
                throw TrainerError.damaged(path: url.path, expected: file.sha256, found: found)
            }
        }
    }
}

/// Paths as they are kept in files: relative to the file, so that a run's folder can move.
enum RelativePath {
    /// The way from a directory to a file; up through `..` where it must be.
    static func from(_ directory: URL, to file: URL) -> String {
        let base = parts(directory)
        let target = parts(file)
        var common = 0
        while common < min(base.count, target.count - 1), base[common] == target[common] {
            common += 1
        }
        return
            (Array(repeating: "..", count: base.count - common) + target[common...])
            .joined(separator: "/")
    }

    static func resolve(_ path: String, in directory: URL) -> URL {
        path.hasPrefix("/")
            ? URL(fileURLWithPath: path)
            : directory.appendingPathComponent(path).standardizedFileURL
    }

    private static func parts(_ url: URL) -> [String] {
        url.standardizedFileURL.path.split(separator: "/").map(String.init)
    }
}
