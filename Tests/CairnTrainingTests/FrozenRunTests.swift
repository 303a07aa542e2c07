// SPDX-License-Identifier: Apache-2.0
/// Frozen parameters in the checkpoints of a run: there, and no part of what trains.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct FrozenRunTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A model with a part of it frozen, some steps trained, and its checkpoint `epoch-1`.
    private func run(
        _ method: Method, frozen selector: ParameterSelector
    ) throws -> (model: TaskModel, names: [String]) {
        let base = try BaseModel(
            contentsOf: WrittenCheckpoint.base("qwen2"), head: .classification(labels: 2))
        let model = try TaskModel(
            base, method: method, seed: 3, parameters: Parameters(context: try Context(threads: 1)))
        let names = try model.freeze(selector)
        let rows = DataSet(
            ids: [[3, 9, 27], [5, 25, 11], [7, 8], [1, 2, 3, 4]],
            typeIDs: [[0, 0, 0], [0, 0, 0], [0, 0], [0, 0, 0, 0]], targets: .classes([0, 1, 0, 1]))
        var settings = FineTuneSettings()
        settings.precision = .fp32
        settings.epochs = 1
        settings.batchSize = 2
        let task = Task.singleLabel(labels: ["a", "b"])
        let tuner = try FineTuner(
            model, task: task, pooling: .last(padTokenID: 0), train: rows, validation: rows,
            settings: settings, runID: "frozen")
        let description = RunDescription(
            task: task, settings: settings, maximumLength: 8, padTokenID: 0,
            baseName: base.directory.path, dataDigest: "", runID: "frozen", trainRows: 4,
            validationRows: 4)
        let writer = CheckpointWriter(model, description, in: directory.url)
        _ = try tuner.run(
            RunControls(save: { name, _, snapshot in try writer.write(name, snapshot()) }))
        return (model, names)
    }

    private var saved: URL { directory.file("epoch-1") }

    @Test(arguments: [Method.lora(AdapterConfiguration(rank: 2, alpha: 4)), .full])
    func `a checkpoint holds what was frozen, and its digest is of what trained`(
        method: Method
    ) throws {
        let (model, names) = try run(
            method, frozen: method == .full ? .prefix("model.layers.0.") : .prefix("score"))

        #expect(!names.isEmpty)
        #expect(CheckpointCheck(saved).problems == [])
        let checkpoint = try Checkpoint(contentsOf: saved, context: try Context(threads: 1))
        for name in model.checkpointNames {
            #expect(
                bitMismatch(
                    checkpoint.model.parameters.tensor(name).floats(),
                    model.parameters.tensor(name).floats()) == nil, "\(name)")
        }
        let point = try ResumableRun(contentsOf: saved)
        #expect(point.frozen.keys.sorted() == names)
        #expect(Set(point.parameters.keys) == Set(model.parameters.trainableNames))
    }

    @Test func `frozen numbers that differ are damage, and a model that trains them does not fit`()
        throws
    {
        let (model, names) = try run(.full, frozen: .prefix("model.layers.0."))
        let optimizer = try Optimizer(parameters: model.parameters)
        let point = try ResumableRun(contentsOf: saved)

        #expect(point.problems(model.parameters, optimizer) == [])
        try model.unfreeze(.prefix("model.layers.0."))
        let problems = point.problems(model.parameters, nil)
        #expect(problems == names.map { "'\($0)' was frozen" })
        let weights = saved.appendingPathComponent("model.safetensors")
        var bytes = try Data(contentsOf: weights)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: weights)
        #expect(!CheckpointCheck(saved).problems.isEmpty)
    }
}
