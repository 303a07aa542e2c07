// SPDX-License-Identifier: Apache-2.0
/// What transformers' Trainer left behind: a checkpoint, its run, and the order of parameters.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation

/// The files that `Tests/Fixtures/hf-trainer/make_fixtures.py` wrote.
enum TransformersFixture {
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures")
    static let checkpoint = fixtures.appendingPathComponent("hf-trainer/checkpoint-3")

    static func json(_ name: String) throws -> JSONValue {
        try JSONValue.parse(contentsOf: fixtures.appendingPathComponent("hf-trainer/\(name)"))
    }

    static func base(_ name: String) throws -> BaseModel {
        let golden = ["qwen2", "llama", "bert"].contains(name)
        return try BaseModel(
            contentsOf: fixtures.appendingPathComponent(
                (golden ? "golden/models/" : "families/") + name),
            head: .classification(labels: 3))
    }

    static func model(_ name: String, method: Method) throws -> TaskModel {
        try TaskModel(
            base(name), method: method, seed: 1,
            parameters: Parameters(context: try Context(threads: 1)))
    }

    /// The model of the checkpoint, its weights not yet applied.
    static func checkpointModel() throws -> (TransformersCheckpoint, TaskModel) {
        let checkpoint = try TransformersCheckpoint(contentsOf: checkpoint)
        return (checkpoint, try model("bert", method: .lora(checkpoint.adapter!.configuration)))
    }

    /// A copy of the checkpoint that a test may change.
    static func copy(to directory: URL) throws -> URL {
        let copy = directory.appendingPathComponent("checkpoint-3")
        try FileManager.default.copyItem(at: checkpoint, to: copy)
        return copy
    }

    /// The rows of one step of the run, four in order.
    static func batch(step: Int) throws -> Batch {
        let run = try json("run.json")
        let rows = (0..<4).map { 4 * (step % 2) + $0 }
        let ids = run["input_ids"]!.array!.map { $0.array!.map { Int32($0.integer!) } }
        var batch = Batch(sequences: rows.map { ids[$0] })
        batch.pooledRows = Array(batch.offsets.dropLast())
        batch.classTargets = rows.map { Int32(run["labels"]!.array![$0].integer!) }
        batch.lossScale = 1 / Float(rows.count)
        return batch
    }
}
