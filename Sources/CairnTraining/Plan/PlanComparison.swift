// SPDX-License-Identifier: Apache-2.0
/// A plan beside what the run then took: how far the predictions were off.

import CairnFormats
import Foundation

/// Predicted and measured figures of one run.
public struct PlanComparison: Sendable {
    /// A figure as it was predicted and as it was measured.
    public struct Row: Sendable, Equatable {
        /// `peak_rss_bytes`, `disk_bytes`, and seconds by what they were spent on.
        public let key: String
        /// What the plan said.
        public let predicted: Double
        /// What the run took.
        public let measured: Double

        package init(key: String, predicted: Double, measured: Double) {
            self.key = key
            self.predicted = predicted
            self.measured = measured
        }

        /// By how much the prediction is above the measurement, in percent of it; nil when that
        /// is 0.
        public var errorPercent: Double? {
            measured == 0 ? nil : 100 * (predicted - measured) / measured
        }
    }

    /// The figures that both have.
    public let rows: [Row]
    /// What makes the comparison less than it seems.
    public let notes: [String]

    /// Reads a run's directory and a plan that was written before it.
    ///
    /// - Throws: `TrainingError.otherPlan` when the plan is of other inputs or settings than the run.
    public init(run directory: URL, plan file: URL) throws {
        let reader = try DocumentReader(try JSONValue.parse(contentsOf: file), file: file.path)
        let version = try reader.count("plan_version", atLeast: 1)
        guard version <= FineTunePlan.schemaVersion else {
            throw TrainingError.newerSchema(
                file: file.path, found: version, known: FineTunePlan.schemaVersion)
        }
        let (entry, _) = try RunDirectory(directory).newestVerified()
        let saved = try SavedRun(ofCheckpoint: entry.url)
        try Self.requireSame(reader, saved)
        let measured = try MeasuredRun(ofRun: directory)
        let planned = try RunSeconds(try reader.reader("seconds"))
        let (before, after) = (planned, measured.seconds)
        rows = [
            Row(
                key: "peak_rss_bytes",
                predicted: Double(try reader.reader("memory").count("peak_rss_bytes")),
                measured: Double(measured.peakBytes)),
            Row(
                key: "disk_bytes",
                predicted: Double(try reader.reader("disk").count("final_bytes")),
                measured: Double(try Self.bytes(below: directory))),
            Row(
                key: "training_seconds", predicted: before.training, measured: after.training),
            Row(
                key: "validation_seconds", predicted: before.validation,
                measured: after.validation),
            Row(key: "saving_seconds", predicted: before.saving, measured: after.saving),
            Row(key: "total_seconds", predicted: before.total, measured: after.total),
        ]
        let steps = try reader.count("steps")
        notes =
            (saved.state.step == steps
                ? [] : ["the run took \(saved.state.step) of the \(steps) steps planned"])
            + (measured.firstStep == 0
                ? []
                : [
                    "the run was resumed after step \(measured.firstStep): peak memory and total "
                        + "time are those of its last start"
                ])
    }

    private static func requireSame(_ plan: DocumentReader, _ run: SavedRun) throws {
        let planned = try InputDigests(try plan.reader("inputs"))
        if let inputs = run.inputs, let key = inputs.differences(from: planned).first {
            throw TrainingError.otherPlan(
                file: plan.file, key: key,
                expected: inputs.values[key].map { "SHA-256 \($0)" } ?? "none",
                found: planned.values[key].map { "SHA-256 \($0)" } ?? "none")
        }
        let settings = run.settings.json()
        let found = try FineTuneSettings(try plan.reader("settings")).json()
        for (key, value) in settings where found[key] != value {
            func text(_ value: JSONValue?) throws -> String {
                String(decoding: try (value ?? .null).serialized(pretty: false), as: UTF8.self)
            }
            throw TrainingError.otherPlan(
                file: plan.file, key: key, expected: try text(value), found: try text(found[key]))
        }
    }

    /// Bytes of all files in a directory; links count for nothing.
    private static func bytes(below directory: URL) throws -> Int {
        try FileManager.default.subpathsOfDirectory(atPath: directory.path).reduce(0) {
            let attributes = try FileManager.default.attributesOfItem(
                atPath: directory.appendingPathComponent($1).path)
            guard attributes[.type] as? FileAttributeType == .typeRegular else { return $0 }
            return $0 + (attributes[.size] as? Int ?? 0)
        }
    }

    /// The comparison as a document.
    public var json: JSONValue {
        .object([
            "figures": .object(
                JSONObject(
                    rows.map { row in
                        (
                            row.key,
                            [
                                "predicted": .number(row.predicted),
                                "measured": .number(row.measured),
                                "error_percent": .optional(row.errorPercent),
                            ] as JSONValue
                        )
                    })),
            "notes": .array(notes.map { .string($0) }),
        ])
    }
}
