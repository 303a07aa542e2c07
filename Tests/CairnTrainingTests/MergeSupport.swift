// SPDX-License-Identifier: Apache-2.0
/// Checkpoints of tiny models of every family, written without a run.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport

/// A checkpoint whose every trained number is random, so that no part of it can be left out unseen.
struct WrittenCheckpoint {
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures")

    static func base(_ family: String) -> URL {
        let folder = ["qwen2", "bert"].contains(family) ? "golden/models" : "families"
        return fixtures.appendingPathComponent(folder).appendingPathComponent(family)
    }

    let directory: TemporaryDirectory
    let model: TaskModel
    let labels = ["rivers", "letters", "odd \"names\" | too"]

    var best: URL { directory.file("best") }
    var output: URL { directory.file("merged") }

    init(_ base: URL, _ method: Method) throws {
        directory = try TemporaryDirectory()
        let labels = self.labels
        model = try TaskModel(
            BaseModel(contentsOf: base, head: .classification(labels: labels.count)),
            method: method, seed: 3, parameters: Parameters(context: try Context(threads: 1)))
        var stream = RandomStream(seed: 11, name: "merge")
        for name in model.parameters.trainableNames.sorted() {
            let old = model.parameters.tensor(name).floats()
            // Magnitudes and full weights stay near what they are; B, which is zero, gets numbers.
            let noise = [Float].random(old.count, in: -0.05...0.05, using: &stream)
            model.parameters.set(name, to: zip(old, noise).map(+))
        }
        try write()
    }

    private func write() throws {
        var settings = FineTuneSettings()
        settings.precision = .fp32
        let optimizer = try Optimizer(parameters: model.parameters)
        var state = RunState(runID: "a-run")
        state.status = .running
        let description = RunDescription(
            task: .singleLabel(labels: labels), settings: settings, maximumLength: 64,
            padTokenID: model.base.configuration.padTokenID ?? 0,
            baseName: model.base.directory.path, dataDigest: "", runID: "a-run", trainRows: 1,
            validationRows: 1)
        try CheckpointWriter(model, description, in: directory.url).write(
            "best", RunSnapshot(model.parameters, optimizer: optimizer, state: state))
    }

    /// Logits of a few rows, from the directory alone.
    static func logits(_ directory: URL, base: URL? = nil) throws -> [Float] {
        let checkpoint = try Checkpoint(
            contentsOf: directory, base: base, context: try Context(threads: 1))
        let rows = DataSet(
            ids: [[3, 9, 27, 14], [5, 25, 11], [7]],
            typeIDs: [[0, 0, 0, 0], [0, 0, 0], [0]], targets: .none)
        return try Evaluator(
            checkpoint.model, task: checkpoint.task, pooling: checkpoint.pooling,
            precision: .fp32, tokenBudget: 64, hasTargets: false
        ).evaluate(rows)!.logits.flatMap { $0 }
    }

    func merge(
        _ type: MergeType = .keep, base: URL? = nil, isa: ISA = .best, threads: Int = 1
    ) throws -> MergeReport {
        try ModelMerge(
            best, base: base, to: output, type: type,
            context: try Context(isa: isa, threads: threads)
        ).run()
    }

    /// Puts other numbers into a trained tensor and commits the checkpoint anew.
    func replace(_ name: String, with numbers: [Float]) throws {
        model.parameters.set(name, to: numbers)
        try write()
    }

    /// Writes the manifest of the checkpoint's files as they are now.
    func listAnew() throws {
        let old = try Manifest(of: best)
        let files = try old.files.map { file in
            let bytes = try Data(contentsOf: best.appendingPathComponent(file.name))
            return CommittedFile(
                name: file.name, size: bytes.count, sha256: SHA256.hex(of: bytes))
        }
        try Manifest(runID: old.runID, name: old.name, parent: old.parent, files: files)
            .serialized().write(to: best.appendingPathComponent(Manifest.fileName))
    }

    /// What lies beside the checkpoint, hidden entries too.
    var strays: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
                .filter { $0 != "best" }
        }
    }

    /// The sentence of what a merge throws; nil when it throws nothing.
    func refusal(_ type: MergeType = .keep, base: URL? = nil) -> String? {
        do {
            _ = try merge(type, base: base)
            return nil
        } catch {
            return "\(error)".replacingOccurrences(of: directory.path, with: "DIR")
        }
    }
}
