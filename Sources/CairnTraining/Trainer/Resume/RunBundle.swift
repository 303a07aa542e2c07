// SPDX-License-Identifier: Apache-2.0
/// Run bundles: one JSON file with a run's report, its settings and the checkpoint it stands at.

import CairnFormats
import Foundation

/// What a resume needs: counters, and the checkpoint that weights and optimizer come from.
public struct ResumePayload: Sendable {
    /// Epoch, step, monitor and what else a checkpoint notes.
    public var metadata: JSONObject
    /// Where it is named, weights and optimizer are always restored from it.
    public var checkpoint: URL?
    /// SHA-256 of the checkpoint's files; checked where given.
    public var files: [(url: URL, sha256: String)] = []
    /// What errors call it.
    public var origin: String

    /// A payload of counters, and of the checkpoint they go with.
    public init(metadata: JSONObject, checkpoint: URL? = nil, origin: String = "the payload") {
        self.metadata = metadata
        self.checkpoint = checkpoint
        self.origin = origin
    }
}

/// A run bundle, as mlx-ruby lays it out: `format`, `generated_at`, `trainer`, `config`,
/// `report`, `checkpoint`.
///
/// In bundles of this library `checkpoint` also holds `files` with SHA-256, and its paths are
/// relative to the bundle's folder; `cairn_version` marks them. Numbers that are not finite are
/// the texts `nan`, `inf` and `-inf`.
public struct RunBundle: Sendable {
    /// Which layout a bundle has.
    public enum Schema: String, Sendable, CaseIterable {
        /// mlx-ruby's first, the only one.
        case v1 = "mlx_dsl_run_bundle_v1"
    }

    /// The document.
    public let json: JSONObject
    /// The folder that relative paths start from.
    public let directory: URL
    /// What errors call the bundle.
    let name: String

    /// A bundle at hand.
    ///
    /// - Throws: `TrainingError.badMetadata` for an unknown format, and for a part that is missing.
    public init(
        json: JSONObject, directory: URL = URL(fileURLWithPath: ".", isDirectory: true),
        name: String = "the run bundle"
    ) throws(TrainingError) {
        self.json = json
        self.directory = directory
        self.name = name
        let reader = try DocumentReader(.object(json), file: name)
        let format = try reader.string("format")
        guard Schema(rawValue: format) != nil else {
            let known = Schema.allCases.map(\.rawValue).joined(separator: ", ")
            throw reader.failure("format", known)
        }
        _ = try reader.members("report")
    }

    /// Reads a bundle.
    public init(contentsOf url: URL) throws {
        let json = try JSONValue.parse(contentsOf: url, allowNonFinite: true)
        guard let object = json.object else {
            throw TrainingError.badMetadata(
                file: url.path, key: "(document)", expected: "an object", found: json.kind)
        }
        try self.init(json: object, directory: url.deletingLastPathComponent(), name: url.path)
    }

    static func looksLike(_ json: JSONValue) -> Bool {
        json["checkpoint"] != nil && json["report"] != nil
    }

    /// What the bundle resumes from.
    ///
    /// - Throws: `TrainingError.badMetadata` when it names no checkpoint, or no metadata with it.
    public func payload() throws(TrainingError) -> ResumePayload {
        let reader = try DocumentReader(.object(json), file: name)
        guard let checkpoint = json["checkpoint"], checkpoint.object != nil else {
            throw reader.failure("checkpoint", "a checkpoint", found: "none")
        }
        let entry = try reader.reader("checkpoint")
        var payload = ResumePayload(metadata: try entry.members("metadata"), origin: name)
        if checkpoint["path"]?.isNull == false {
            payload.checkpoint = resolved(try entry.string("path"))
        }
        if checkpoint["files"] != nil {
            payload.files = try entry.readers("files").map { file throws(TrainingError) in
                (resolved(try file.string("name")), try file.string("sha256"))
            }
        }
        return payload
    }

    /// Ours are relative to the bundle; others may be to the directory of the run.
    private func resolved(_ path: String) -> URL {
        let beside = RelativePath.resolve(path, in: directory)
        let isOurs = json["cairn_version"] != nil
        if isOurs || path.hasPrefix("/") || Self.isThere(beside) { return beside }
        let here = URL(fileURLWithPath: path)
        return Self.isThere(here) ? here : beside
    }

    private static func isThere(_ url: URL) -> Bool {
        ["", ".npz", ".safetensors"].contains {
            FileManager.default.fileExists(atPath: url.path + $0)
        }
    }
}

extension RunBundle {
    /// Describes a run as it stands.
    ///
    /// - Parameter directory: the folder the bundle will lie in.
    init(
        report: FitReport, config: JSONValue, schema: Schema, in directory: URL
    ) {
        let json = report.json
        var trainer: JSONObject = [:]
        for key in [
            "monitor_name", "epochs_target", "epochs_completed", "resume_from",
            "resumed_from_epoch",
        ] {
            trainer[key] = json[key] ?? .null
        }
        self.json = [
            "format": .string(schema.rawValue),
            "generated_at": .string(Date().formatted(.iso8601)), "trainer": .object(trainer),
            "config": config.withFiniteNumbers, "report": json,
            "checkpoint": report.checkpoints.last.map { Self.snapshot($0, in: directory) } ?? .null,
            "cairn_version": .string(CairnVersion.string),
        ]
        self.directory = directory
        name = "the run bundle"
    }

    private static func snapshot(_ record: CheckpointRecord, in directory: URL) -> JSONValue {
        .object([
            "path": .string(RelativePath.from(directory, to: record.path)),
            "epoch": .whole(record.epoch), "monitor_name": .string(record.monitorName),
            "monitor_value": .real(record.monitorValue), "epoch_loss": .real(record.epochLoss),
            "metadata": JSONValue.object(record.metadata).withFiniteNumbers,
            "files": .array(
                record.files.map { file in
                    .object([
                        "name": .string(
                            RelativePath.from(directory, to: record.url(of: file))),
                        "size": .whole(file.size), "sha256": .string(file.sha256),
                    ])
                }),
        ])
    }
}

extension JSONValue {
    /// The value with every number that JSON cannot hold as a text.
    var withFiniteNumbers: JSONValue {
        switch self {
        case .number(let value): .real(value)
        case .array(let elements): .array(elements.map(\.withFiniteNumbers))
        case .object(let members):
            .object(JSONObject(members.map { ($0.key, $0.value.withFiniteNumbers) }))
        default: self
        }
    }
}
