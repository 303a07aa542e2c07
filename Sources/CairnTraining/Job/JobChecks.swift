// SPDX-License-Identifier: Apache-2.0
/// What a job looks at before it trains: the output, the room on the disk, what a user should know.

import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import Foundation

extension FineTuneJob {
    /// Refuses an output that cannot be made, before anything is read or written.
    static func requireWritable(_ output: URL) throws {
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

    static func notes(
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
        return notes
    }

    /// What of the model starts where; nil when all of it is the base's.
    static func startNote(_ base: BaseModel) -> String? {
        guard base.isPretrained else { return "every weight starts from the seed, as asked" }
        let heads = base.model.parameters.filter(\.isHead).map(\.name)
        guard !heads.isEmpty else { return nil }
        let kept = heads.filter(base.headTensors.contains)
        return kept.isEmpty
            ? "the head (\(heads.joined(separator: ", "))) starts fresh from the seed"
            : "the head starts from the base's own \(kept.joined(separator: ", "))"
    }

    /// Refuses a run whose checkpoints would not fit on the disk.
    func requireSpace() throws {
        let most = options.policy.mostCheckpoints(
            epochs: options.settings.epochs, steps: tuner.schedule.totalSteps)
        let (needed, overflow) = checkpointBytes.multipliedReportingOverflow(by: most)
        let free = try Volume.freeBytes(at: options.output)
        guard !overflow, needed <= free else {
            throw TrainingError.noSpace(
                path: options.output.path, needed: overflow ? .max : needed, free: free)
        }
        guard needed + journalBytes <= free else {
            throw TrainingError.noJournalSpace(
                path: options.output.path, needed: journalBytes, free: free - needed)
        }
    }

    /// What the journal may come to, from one checkpoint to the next but one, which may be in the
    /// making while the steps behind the first still lie there.
    var journalBytes: Int {
        guard options.policy.journal else { return 0 }
        let parameters = tuner.model.parameters
        let step = parameters.trainableNames.reduce(4096) {
            $0 + parameters.dimensions(of: $1).reduce(4, *) + 150
        }
        let total = tuner.schedule.totalSteps
        let perEpoch = total / max(options.settings.epochs, 1)
        let apart = min(options.policy.steps ?? .max, options.policy.epochs * perEpoch)
        return step * min(2 * apart, total)
    }

    /// The size of a checkpoint to within some thousand bytes: the weights in each of their files,
    /// the optimizer's slots, the tokenizer.
    var checkpointBytes: Int {
        let parameters = tuner.model.parameters
        let numbers = parameters.trainableNames.reduce(0) {
            $0 + parameters.dimensions(of: $1).reduce(1, *)
        }
        let copies = tuner.model.adapter == nil ? 2 : 3
        let slots = tuner.optimizer.groups.map(\.rule.slotNames.count).max() ?? 0
        let tokenizer = CheckpointWriter.tokenizerFiles.reduce(0) { sum, name in
            let file = options.model.appendingPathComponent(name).path
            let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
            return sum + (size ?? 0)
        }
        // A tensor's line in a header; a logged step in trainer_state.json; the other documents.
        let headers = parameters.trainableNames.count * (copies + slots) * 150
        let log = min(tuner.schedule.totalSteps, 1000) * 200
        return numbers * 4 * (copies + slots) + tokenizer + headers + log + 16384
    }
}
