// SPDX-License-Identifier: Apache-2.0
/// Every source that a fine-tuning run can go on from, and single files of its state.

import CairnFormats
import CairnModels
import Foundation

extension ResumableRun {
    /// The member of a single file's metadata that holds the state document.
    static let metadataKey = "cairn_run"

    /// The state that a source leads to; nil when a loader gives nothing.
    ///
    /// A path may be a checkpoint directory, a run's directory (of which the newest checkpoint that
    /// verifies is taken), a single file of any format, or a run bundle. Whatever names a
    /// checkpoint gives weights, optimizer and counters together. `note` hears what was passed
    /// over, and why.
    public static func found(
        from source: ResumeSource, note: (String) -> Void = { _ in }
    ) throws -> ResumableRun? {
        switch source {
        case .path(let url): return try found(at: url, note: note)
        case .bundle(let bundle): return try found(try bundle.payload(), note)
        case .payload(let payload): return try found(payload, note)
        case .countersOnly, .weightsOnly:
            throw TrainerError.resume(
                source: "a part of a run",
                reason: "a fine-tuning run goes on with all of its state; 'continue' begins a new "
                    + "one with its weights")
        case .loader(let load):
            let request = ResumeRequest(monitorName: "val-loss", epochs: 0)
            guard let inner = try load(request) else { return nil }
            if case .loader = inner {
                throw TrainerError.resume(
                    source: "a loader", reason: "it gave another loader, which is not called")
            }
            return try found(from: inner, note: note)
        }
    }

    /// The state that a path leads to.
    public static func found(at source: URL, note: (String) -> Void) throws -> ResumableRun {
        switch try PathContent(of: source) {
        case .bundle(let bundle): return try found(try bundle.payload(), note)
        case .directory:
            let (url, skipped) = try RunDirectory.checkpoint(at: source)
            for sentence in skipped { note("passed over \(sentence)") }
            return try ResumableRun(contentsOf: url)
        case .checkpoint: return try ResumableRun(file: source)
        case .missing: throw TrainingError.noRun(path: source.path, found: "nothing")
        }
    }

    private static func found(
        _ payload: ResumePayload, _ note: (String) -> Void
    ) throws -> ResumableRun {
        guard let checkpoint = payload.checkpoint else {
            throw TrainerError.resume(
                source: payload.origin,
                reason: "it names no checkpoint, and counters alone are no run to go on with")
        }
        for file in payload.files {
            let found = try SHA256.hex(ofFile: file.url)
            guard found == file.sha256 else {
                throw TrainerError.damaged(
                    path: file.url.path, expected: file.sha256, found: found)
            }
        }
        let run = try found(at: checkpoint, note: note)
        if let step = payload.metadata["step"]?.integer, step != run.saved.state.step {
            throw TrainerError.resume(
                source: payload.origin,
                reason: "it stands at step \(step), its checkpoint \(checkpoint.path) at step "
                    + "\(run.saved.state.step)")
        }
        return run
    }

    /// Reads a single file that `FineTuneJob.save(to:format:)` wrote.
    public init(file url: URL) throws {
        let path = try ModelFilePath(loadingFrom: url)
        let content = try ModelFileContent(contentsOf: path)
        guard let document = content.metadata[Self.metadataKey] else {
            throw TrainingError.noRun(
                path: url.path, found: "a file of weights without the state of a run")
        }
        guard let optimizer = content.optimizer else {
            throw TrainingError.noRun(
                path: url.path, found: "a file without the state of an optimizer")
        }
        try self.init(
            source: path.url, saved: try SavedRun(document, file: path.url.path),
            tensors: content.tensors, slots: optimizer.slots)
    }
}

extension FineTuneJob {
    /// Writes the run's whole state into one file, of which `cairn resume` takes it up.
    ///
    /// The formats and their rules are those of `TrainableModel.save`. Checkpoint directories, which
    /// `run` writes, serve other readers too; this is for those who want one file.
    ///
    /// - Returns: the path that was written.
    @discardableResult
    public func save(to url: URL, format: CheckpointFormat? = nil) throws -> URL {
        let snapshot = RunSnapshot(
            tuner.model, optimizer: tuner.optimizer, state: tuner.state)
        return try tuner.model.save(
            to: url, optimizer: tuner.optimizer,
            metadata: [
                ResumableRun.metadataKey: TrainingFiles.document(
                    snapshot, description, digest: snapshot.digest),
                "epoch": JSONValue(tuner.state.epochs.count - 1),
                "step": JSONValue(tuner.state.step),
            ], format: format)
    }
}
