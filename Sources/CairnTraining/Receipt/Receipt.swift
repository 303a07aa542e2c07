// SPDX-License-Identifier: Apache-2.0
/// `receipt.json`: what a model gave on a few held-out rows when it was saved.

import CairnEngine
import CairnFormats
import Foundation

/// Logits and labels, or a language model's losses, by which anyone who has the rows can tell that
/// a directory is the model that was trained.
///
///     {"schema_version": 1, "problem_type": "...", "labels": [...], "precision": "bf16",
///      "tolerance": 0, "max_length": 512, "base_sha256": "64 digits" or null,
///      "rows": [{"tokens": 17, "logits": [...], "label": "sport" or [...] or null}, ...]}
///
/// A row of a language model is `{"tokens": 17, "loss": 3.25}`: the mean of -log p over the tokens
/// that it predicts. The losses of single tokens would spell the text out: with the model at hand
/// each of them names its token.
///
/// **It holds no text, no token ids and no digest of either**: ids spell the text out, and a short
/// text is found from its digest by trying. The rows are the user's; which ones they are stands
/// under `training/`, which is never published.
///
/// The numbers are fp32, every digit of them. `tolerance` is the largest difference that is the
/// same model, in units of max(1, |number|): 0 for a checkpoint, whose bits depend on no machine.
public struct Receipt: Equatable, Sendable {
    /// The receipt's name in its directory.
    public static let fileName = "receipt.json"
    static let schemaVersion = 1
    /// Rows of a receipt; all there are where the validation rows are fewer.
    static let rowCount = 8

    /// What the model gives for a row that is not named.
    public struct Row: Equatable, Sendable {
        /// How many token ids the row has, special ones included.
        public let tokens: Int
        /// A logit per label; of a language model one number, the mean loss of a token.
        public let values: [Float]
    }

    /// What the model was trained for, with its labels.
    public let task: Task
    /// How the matrix products were rounded; logits are fp32 either way.
    public let precision: Precision
    /// The largest difference, in units of max(1, |logit|), that is the same model.
    public let tolerance: Double
    /// Rows lose their ends beyond so many tokens.
    public let maximumLength: Int
    /// Of the build that made it: another one may give other bits.
    public let numericsVersion: Int
    /// As `InputDigests` has it; nil for a model that is its own base.
    public let base: String?
    /// The rows, in the order in which they are kept under `training/`.
    public let rows: [Row]

    /// What a difference may be where another build's numerics are to give the same model.
    static let foreignTolerance = 1e-3

    /// The bound that a check of this build keeps.
    var bound: Double {
        numericsVersion == CairnVersion.numerics
            ? tolerance : max(tolerance, Self.foreignTolerance)
    }

    /// The same rows for weights that were rounded since.
    func loosened(to tolerance: Double) -> Receipt {
        Receipt(
            task: task, precision: precision, tolerance: max(tolerance, self.tolerance),
            maximumLength: maximumLength, numericsVersion: numericsVersion, base: nil, rows: rows)
    }

    /// The names of what a row's values say: one, any number, or none for numbers and losses.
    func labels(of values: [Float]) -> [String] {
        Prediction(logits: values, task: task).labelIDs.map { task.labels[$0] }
    }

    /// How many values a row has.
    static func width(of task: Task) -> Int { task == .causal ? 1 : task.labels.count }

    /// What a row of a receipt holds, for every row that was evaluated.
    static func values(_ evaluation: Evaluation) -> [[Float]] {
        guard let losses = evaluation.tokenLosses else { return evaluation.logits }
        return losses.map { row in
            [Float(row.reduce(0.0) { $0 + Double($1) } / Double(max(row.count, 1)))]
        }
    }
}

// MARK: The file

extension Receipt {
    var json: JSONValue {
        [
            "schema_version": JSONValue(Self.schemaVersion),
            "cairn_version": .string(CairnVersion.string),
            "numerics_version": JSONValue(numericsVersion),
            "problem_type": .string(task.problemType),
            "labels": .array(task.labels.map { .string($0) }),
            "precision": .string(precision.rawValue), "tolerance": .number(tolerance),
            "max_length": JSONValue(maximumLength), "base_sha256": .optional(base),
            "rows": .array(rows.map(json)),
        ]
    }

    private func json(_ row: Row) -> JSONValue {
        if task == .causal {
            return ["tokens": JSONValue(row.tokens), "loss": .number(Double(row.values[0]))]
        }
        let names = labels(of: row.values).map { JSONValue.string($0) }
        let label: JSONValue =
            switch task {
            case .singleLabel: names[0]
            case .multiLabel: .array(names)
            case .regression, .causal: .null
            }
        return [
            "tokens": JSONValue(row.tokens),
            "logits": .array(row.values.map { .number(Double($0)) }), "label": label,
        ]
    }

    /// Reads the receipt of a directory.
    ///
    /// - Throws: `ReceiptError.none` where there is none.
    public init(of directory: URL) throws {
        let file = directory.appendingPathComponent(Self.fileName)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw ReceiptError.none(
                directory: directory.path, instead: Self.siblings(of: directory))
        }
        try self.init(try JSONValue.parse(contentsOf: file), file: file.path)
    }

    /// Checkpoints beside a directory that have a receipt, the newest epoch and `best` first.
    private static func siblings(of directory: URL) -> [String] {
        let run = directory.standardizedFileURL.deletingLastPathComponent()
        let entries = ((try? RunDirectory(run))?.entries ?? []).filter {
            FileManager.default.fileExists(
                atPath: $0.url.appendingPathComponent(fileName).path)
        }
        return (entries.filter { $0.name == "best" } + entries.filter { $0.name != "best" })
            .prefix(2).map(\.url.path)
    }

    /// - Parameter file: what errors call the document.
    public init(_ json: JSONValue, file: String) throws {
        let reader = try DocumentReader(json, file: file)
        let version = try reader.count("schema_version", atLeast: 1)
        guard version <= Self.schemaVersion else {
            throw TrainingError.newerSchema(
                file: file, found: version, known: Self.schemaVersion)
        }
        let labels = try reader.strings("labels")
        let type = try reader.string("problem_type")
        guard
            let task = type == Task.causal.problemType
                ? .causal : Task(problemType: type, labels: labels)
        else {
            throw TrainingError.badMetadata(
                file: file, key: "problem_type",
                expected: "single_label_classification, multi_label_classification, regression "
                    + "or \(Task.causal.problemType)", found: "'\(type)'")
        }
        self.task = task
        precision = try reader.choice("precision", Precision.self)
        tolerance = try reader.number("tolerance")
        maximumLength = try reader.count("max_length", atLeast: 1)
        numericsVersion = try reader.count("numerics_version")
        base = try reader.optional("base_sha256") { try $0.string($1) }
        rows = try reader.array("rows").enumerated().map { index, json in
            let row = try DocumentReader(json, file: file, place: "rows[\(index)].")
            return Row(
                tokens: try row.count("tokens"),
                values: task == .causal
                    ? [Float(try row.number("loss"))] : try Self.logits(row, labels.count))
        }
        guard !rows.isEmpty, tolerance >= 0 else {
            throw TrainingError.badMetadata(
                file: file, key: rows.isEmpty ? "rows" : "tolerance",
                expected: rows.isEmpty ? "at least one row" : "0 or more",
                found: rows.isEmpty ? "none" : "\(tolerance)")
        }
    }

    private static func logits(_ row: DocumentReader, _ count: Int) throws -> [Float] {
        let all = try row.array("logits")
        let logits = all.compactMap { $0.number.map { Float($0) } }
        guard logits.count == count, all.count == count else {
            throw TrainingError.badMetadata(
                file: row.file, key: row.place + "logits",
                expected: "\(count) numbers, one per label", found: "\(logits.count)")
        }
        return logits
    }
}
