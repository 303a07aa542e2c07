// SPDX-License-Identifier: Apache-2.0
/// `cairn inspect`: what a file or a directory of tensors is, and what is in it.

import Cairn
import Foundation

struct Inspect: Command {
    static let name = "inspect"
    static let summary = "Shows what a file or directory is: tensors, metadata, what is missing."
    static let positionals = ["PATH"]
    static let example = "cairn inspect checkpoints/best --json"
    static let flags = [Flag(switch: "--json", "print one JSON document")]

    private let arguments: Arguments
    private let url: URL

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        url = URL(fileURLWithPath: arguments.positionals[0])
    }

    func run() throws {
        let inspection = try Inspection(url)
        for remark in inspection.remarks { Terminal.error(remark) }
        if arguments.has("--json") {
            try inspection.document.printed()
        } else {
            print(inspection.text)
        }
    }
}

/// What there is to tell of a path.
private struct Inspection {
    struct Row {
        let entry: TensorFile.Entry
        let sha256: String
        let statistics: TensorStatistics?
    }

    let kind: String
    var rows: [Row] = []
    var metadata: JSONValue = [:]
    var remarks: [String] = []
    /// Of a directory.
    var report: DirectoryReport?
    /// Of a checkpoint: computed from its tensors when no file is missing, else as it is stated.
    var stateDigest: String?

    init(_ url: URL) throws {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        {
            let report = try DirectoryReport(url)
            self.report = report
            kind = report.kind.rawValue
            stateDigest =
                report.kind == .checkpoint && report.missing.isEmpty
                ? try ResumableRun(contentsOf: url).saved.stateDigest : report.stateDigest
            try report.weights.map { try read(TensorFile(contentsOf: $0)) }
            if let description = report.description {
                let json = try JSONValue.parse(contentsOf: description, allowNonFinite: true)
                let (value, places) = json.withoutNonFinite()
                metadata = value
                remarks += places.map {
                    "\(description.lastPathComponent): '\($0)' is not finite and is shown as null"
                }
            }
        } else if let header = try APRVersion1(ifAt: url) {
            kind = "apr_v1"
            metadata = header.document
            remarks = ["of APR v1 only the header is read"]
        } else {
            let file = try TensorFile(contentsOf: url)
            kind = file.format.rawValue
            metadata = file.metadata
            try read(file)
        }
    }

    private mutating func read(_ file: TensorFile) throws {
        remarks += file.remarks
        for entry in file.entries {
            let (sha256, statistics) = try file.summary(of: entry)
            rows.append(Row(entry: entry, sha256: sha256, statistics: statistics))
        }
    }

    // MARK: As JSON

    var document: JSONValue {
        var document: JSONObject = [
            "kind": .string(kind), "tensors": .array(rows.map(\.document)), "metadata": metadata,
        ]
        if let report {
            func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
            document["missing"] = strings(report.missing)
            if report.kind == .run { document["checkpoints"] = strings(report.checkpoints) }
            if report.kind == .checkpoint {
                document["state_digest"] = stateDigest.map { .string($0) } ?? .null
            }
        }
        return .object(document)
    }

    // MARK: As text

    var text: String {
        var lines = [kind]
        if let report {
            if let digest = stateDigest { lines.append("state digest \(digest)") }
            lines += report.checkpoints.map { "checkpoint \($0)" }
            lines += report.missing.map { "missing \($0)" }
        }
        for (key, value) in metadata.object ?? [:] {
            let text = (try? value.serialized(pretty: false)) ?? Data()
            lines.append("\(key): \(Self.shortened(String(decoding: text, as: UTF8.self)))")
        }
        lines += table
        let bytes = rows.reduce(0) { $0 + $1.entry.byteCount }
        lines.append("\(rows.count) tensors, \(bytes) bytes")
        return lines.joined(separator: "\n")
    }

    private static func shortened(_ text: String) -> String {
        text.count > 100 ? text.prefix(100) + "..." : text
    }

    private var table: [String] {
        let head = ["name", "dtype", "shape", "bytes", "min", "max", "mean", "nan/inf", "sha256"]
        let cells = rows.isEmpty ? [] : [head] + rows.map(\.cells)
        let widths = head.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
                .joined(separator: "  ")
        }
    }
}

extension Inspection.Row {
    /// `min`, `max` and `mean` are of the finite elements; `nan` and `inf` count the others. All
    /// are null for a type that has no numbers here.
    fileprivate var document: JSONValue {
        [
            "name": .string(entry.name), "dtype": .string(entry.type),
            "shape": .array(entry.shape.dimensions.map { .integer($0) }),
            "bytes": .integer(entry.byteCount), "sha256": .string(sha256),
            "min": .optional(statistics?.minimum), "max": .optional(statistics?.maximum),
            "mean": .optional(statistics?.mean),
            "nan": statistics.map { .integer($0.nanCount) } ?? .null,
            "inf": statistics.map { .integer($0.infinityCount) } ?? .null,
        ]
    }

    fileprivate var cells: [String] {
        func figure(_ value: Double?) -> String { value.map { String(format: "%.6g", $0) } ?? "-" }
        return [
            entry.name, entry.type, entry.shape.description, "\(entry.byteCount)",
            figure(statistics?.minimum), figure(statistics?.maximum), figure(statistics?.mean),
            statistics.map { "\($0.nanCount)/\($0.infinityCount)" } ?? "-",
            String(sha256.prefix(12)),
        ]
    }
}

extension APRVersion1 {
    fileprivate var document: JSONValue {
        [
            "model_type": .string(modelTypeName), "model_type_id": .integer(Int(modelType)),
            "metadata_size": .integer(metadataSize), "payload_size": .integer(payloadSize),
            "uncompressed_size": .integer(uncompressedSize), "compression": .string(compression),
            "flags": .array(flags.map { .string($0) }), "quality_score": .integer(qualityScore),
        ]
    }
}
