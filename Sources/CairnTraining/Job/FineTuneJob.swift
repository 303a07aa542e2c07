// SPDX-License-Identifier: Apache-2.0
/// The main job, from files to checkpoints: everything is read and checked before a byte is written.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import Foundation

/// A fine-tuning job whose inputs have been read and found good.
public final class FineTuneJob {
    public let options: FineTuneOptions
    public let base: BaseModel
    public let task: Task
    public let tuner: FineTuner
    public let description: RunDescription
    /// What a user should know before the run: truncation, duplicates, a fresh head.
    public let notes: [String]
    private let test: DataSet?
    private let pooling: Pooling

    /// Reads model and corpora, checks them against each other, and prepares the run.
    public init(_ options: FineTuneOptions) throws {
        self.options = options
        try Self.requireWritable(options.output)
        let parts = try CorpusParts(options)
        var space: LabelSpace?
        task = try Task(parts.train, space: &space)
        base = try BaseModel(
            contentsOf: options.model, head: .classification(labels: task.labels.count))
        if let size = options.modelSize {
            try size.check(
                against: base.parameterCount,
                file: options.model.appendingPathComponent("config.json").path)
        }
        let tokenizer = try Tokenizer(
            contentsOf: options.model.appendingPathComponent("tokenizer.json"))
        let length = min(options.maximumLength, base.maximumLength)
        let pad = try PadToken.find(
            options.model, configured: base.configuration.padTokenID,
            config: base.configuration.json, tokenizer: tokenizer)
        pooling = base.configuration.family.isEncoder ? .first : .last(padTokenID: pad)

        var notes = Self.notes(parts.train, base, options, length)
        var sets: [DataSet] = []
        for corpus in [parts.train, parts.validation] + [parts.test].compactMap({ $0 }) {
            let (data, truncated) = try DataSet.encoded(
                corpus, tokenizer: tokenizer, maximumLength: length,
                targets: try task.targets(corpus, space: space))
            try data.requireVocabulary(base.configuration.vocabularySize, corpus: corpus)
            if truncated > 0 {
                notes.append(
                    "\(corpus.file): \(truncated) of \(data.count) rows are longer than \(length) "
                        + "tokens and lose their ends")
            }
            sets.append(data)
        }
        self.notes = notes
        test = sets.count > 2 ? sets[2] : nil

        let context = try Context(isa: options.isa, threads: options.threads)
        let model = try TaskModel(
            base, method: options.method, seed: options.settings.seed,
            parameters: Parameters(context: context))
        tuner = try FineTuner(
            model, task: task, pooling: pooling, train: sets[0], validation: sets[1],
            settings: options.settings)
        let digest = try SHA256.hex(ofFile: options.data)
        description = RunDescription(
            task: task, settings: options.settings, maximumLength: length, padTokenID: pad,
            baseName: options.baseID ?? options.model.standardizedFileURL.path,
            dataDigest: digest, runID: UUID().uuidString.lowercased(), trainRows: sets[0].count,
            validationRows: sets[1].count)
    }

    /// Trains, and writes checkpoints into the output directory.
    public func run(
        shouldStop: () -> Bool = { false }, report: (FineTuneEvent) -> Void = { _ in }
    ) throws -> FineTuneReport {
        try FileManager.default.createDirectory(
            at: options.output, withIntermediateDirectories: true)
        let writer = CheckpointWriter(tuner.model, description, in: options.output)
        return try tuner.run(
            save: { [tuner] name, epoch in
                try writer.write(name, epoch: epoch, step: Int(tuner.optimizer.step))
            }, shouldStop: shouldStop, report: report)
    }

    /// The best checkpoint on the test rows; nil when there are none or nothing was saved.
    public func evaluateTest() throws -> Evaluation? {
        let best = options.output.appendingPathComponent("best")
        guard let test, FileManager.default.fileExists(atPath: best.path) else { return nil }
        let checkpoint = try Checkpoint(
            contentsOf: best, base: options.method == .full ? nil : options.model,
            context: tuner.model.parameters.context)
        return try Evaluator(
            checkpoint.model, task: task, pooling: pooling, precision: options.settings.precision,
            tokenBudget: options.settings.tokenBudget
        ).evaluate(test)
    }

    // MARK: Checks

    /// Refuses an output that cannot be made, before anything is read or written.
    private static func requireWritable(_ output: URL) throws {
        var isDirectory: ObjCBool = false
        var place = output.standardizedFileURL
        if FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory),
            !isDirectory.boolValue
        {
            throw TrainingError.unwritable(
                path: output.path, reason: "expected a directory, found a file")
        }
        while !FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory) {
            place.deleteLastPathComponent()
        }
        guard isDirectory.boolValue else {
            throw TrainingError.unwritable(
                path: output.path, reason: "'\(place.path)' is a file, not a directory")
        }
        guard FileManager.default.isWritableFile(atPath: place.path) else {
            throw TrainingError.unwritable(
                path: output.path, reason: "no permission to write in '\(place.path)'")
        }
    }

    private static func notes(
        _ train: Corpus, _ base: BaseModel, _ options: FineTuneOptions, _ length: Int
    ) -> [String] {
        var notes: [String] = []
        let report = CorpusReport(train)
        if report.superfluousRows > 0 {
            notes.append(
                "\(train.file): \(report.superfluousRows) training rows repeat another row")
        }
        if let first = report.conflicts.first {
            notes.append(
                "\(train.file): \(report.conflicts.count) texts carry two labels, first on lines "
                    + first.lines.map(String.init).joined(separator: ", "))
        }
        if length < options.maximumLength {
            notes.append(
                "the model has positions for \(length) tokens, fewer than --max-length "
                    + "\(options.maximumLength)")
        }
        let heads = base.model.parameters.filter(\.isHead).map(\.name)
        let kept = heads.filter(base.headTensors.contains)
        notes.append(
            kept.isEmpty
                ? "the head (\(heads.joined(separator: ", "))) starts fresh from the seed"
                : "the head starts from the base's own \(kept.joined(separator: ", "))")
        return notes
    }
}
