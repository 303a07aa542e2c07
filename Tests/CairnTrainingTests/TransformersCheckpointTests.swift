// SPDX-License-Identifier: Apache-2.0
/// A checkpoint of transformers' Trainer: read by name, gone on from, written again, refused.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TransformersCheckpointTests {
    @Test func `the place in the run is that of the Trainer`() throws {
        let checkpoint = try TransformersCheckpoint(
            contentsOf: TransformersFixture.checkpoint)

        #expect(checkpoint.step == 3 && checkpoint.stepsPerEpoch == 2)
        #expect(checkpoint.epochsDone == 1 && checkpoint.stepInEpoch == 1)
        #expect(checkpoint.state.maxSteps == 6 && checkpoint.state.epochs == 3)
        #expect(checkpoint.state.batchSize == 4 && checkpoint.state.bestMetric == nil)
        #expect(checkpoint.state.steps.map(\.number) == [1, 2, 3])
        #expect(checkpoint.state.history.last?["eval_loss"]?.number != nil)
        #expect(
            checkpoint.scheduler
                == TorchScheduler(baseRates: [0.01, 0.01], lastRates: [0.005, 0.005], step: 3))
    }

    @Test func `of the schedules only the Trainer's fits the rates of the directory`() throws {
        let checkpoint = try TransformersCheckpoint(
            contentsOf: TransformersFixture.checkpoint)

        #expect(
            checkpoint.schedules
                == [Schedule(.linear, peak: 0.01, warmupSteps: 0, totalSteps: 6)])
    }

    static let rates: [(shape: Schedule.Shape, warmup: Int, logged: [Double], last: Double)] = [
        (.cosine, 2, [0, 0.005, 0.01], 0.008535533905932738),
        (.linear, 2, [0, 0.005, 0.01], 0.0075),
        (.linear, 0, [0.01, 0.01 * 5 / 6, 0.01 * 4 / 6], 0.005),
        (.constant, 0, [0.01, 0.01, 0.01], 0.01),
    ]

    @Test(arguments: rates.indices)
    func `a schedule is told by the rates that transformers has for it`(index: Int) {
        let (shape, warmup, logged, last) = Self.rates[index]
        let history = logged.enumerated().map { step, rate in
            RunHistory.Step(
                number: step + 1, epoch: 1, loss: 1, learningRate: rate, gradientNorm: 1,
                throughput: Throughput(rows: 1, tokens: 1, seconds: 1))
        }

        let schedules = TorchScheduler(baseRates: [0.01, 0.01], lastRates: [last, last], step: 3)
            .schedules(totalSteps: 6, history: history)

        #expect(
            schedules == [Schedule(shape, peak: 0.01, warmupSteps: warmup, totalSteps: 6)])
    }

    @Test func `the moments come under the names of their parameters`() throws {
        let (checkpoint, model) = try TransformersFixture.checkpointModel()
        let slots = try #require(try TransformersFixture.json("run.json")["slots"]?.object)

        let state = try #require(try checkpoint.optimizerState(for: model))

        #expect(state.step == 3 && state.slots.count == slots.count)
        for (name, expected) in slots {
            for (own, torch) in [("m", "exp_avg"), ("v", "exp_avg_sq")] {
                let numbers = expected[torch]!.array!.map { Float($0.number!) }
                let found = try #require(state.slots[name]?[own]).floats().prefix(3)
                #expect(Array(found) == numbers, "\(torch) of \(name)")
            }
        }
        #expect(state.groups.map(\.name) == ["decay", "no_decay"])
        #expect(state.groups.map { $0.hyperparameters["weight_decay"] } == [0.01, 0])
        #expect(state.groups[1].parameters == ["classifier.bias"])
    }

    /// The real Trainer logged the losses and norms of these steps; 1e-4 is what two fp32 engines
    /// may differ by.
    @Test func `the next three steps give the Trainer's losses`() throws {
        let (checkpoint, model) = try TransformersFixture.checkpointModel()
        let logged = try #require(try TransformersFixture.json("run.json")["steps"]?.array)
        try checkpoint.apply(to: model)
        let optimizer = try Optimizer(
            groups: TransformersCheckpoint.groups(
                for: model, rule: .adamW(weightDecay: 0.01)), parameters: model.parameters)
        let state = try #require(try checkpoint.optimizerState(for: model))
        #expect(optimizer.problems(restoring: state) == [])
        #expect(optimizer.changes(restoring: state) == [])
        optimizer.restore(state)
        let (graph, logits) = model.recorded(isTraining: true)
        let loss = Loss.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100)
        let program = try Program(
            graph, outputs: [logits], loss: (loss, logits), differentiates: true,
            parameters: model.parameters, precision: .fp32)

        for step in 3..<6 {
            program.zeroGradients()
            let batch = try TransformersFixture.batch(step: step)
            let result = try program.run(batch)
            let norm = try optimizer.update(
                gradientsOf: program,
                learningRate: checkpoint.schedules[0].learningRate(at: step), clip: 1)

            let found = result.losses.reduce(0) { $0 + Double($1) } * Double(batch.lossScale)
            let expected = try #require(logged[step]["loss"]?.number)
            #expect(abs(found - expected) <= 1e-4, "step \(step + 1): \(found), \(expected)")
            let expectedNorm = try #require(logged[step]["grad_norm"]?.number)
            #expect(abs(norm - expectedNorm) <= 1e-3 * expectedNorm, "\(norm), \(expectedNorm)")
        }
    }

    @Test func `what cannot be carried is told`() throws {
        let scratch = try TemporaryDirectory()
        let copy = try TransformersFixture.copy(to: scratch.url)
        for name in [TorchScheduler.fileName, "optimizer.pt"] {
            try FileManager.default.removeItem(at: copy.appendingPathComponent(name))
        }
        try Data().write(to: copy.appendingPathComponent("training_args.bin"))
        try edit(copy) { json in
            json["of_a_fork"] = 1
            json["stateful_callbacks"]!["EarlyStoppingCallback"] = [:]
        }

        let checkpoint = try TransformersCheckpoint(contentsOf: copy)

        #expect(!checkpoint.hasOptimizer && checkpoint.schedules.isEmpty)
        #expect(
            checkpoint.notCarried == [
                "The order of the rows is Cairn's from here on; torch's sampler is not continued.",
                "optimizer.pt is missing, so the optimizer's moments begin at zero.",
                "scheduler.pt is missing, so the schedule must be given.",
                "training_args.bin is an object of Python and is not read: what it held beyond "
                    + "trainer_state.json must be given, such as clipping and class weights.",
                "What these callbacks kept is not carried: EarlyStoppingCallback.",
                "These keys of trainer_state.json are unknown and were not read: of_a_fork.",
            ])
    }

    // MARK: Writing

    @Test func `a checkpoint that is written again reads back, with the same bytes`() throws {
        let scratch = try TemporaryDirectory()
        let (checkpoint, model) = try TransformersFixture.checkpointModel()
        let state = try #require(try checkpoint.optimizerState(for: model))
        let content = TransformersCheckpointWriter.Content(
            parameters: checkpoint.parameters, optimizer: state,
            schedule: checkpoint.schedules[0], state: checkpoint.state, base: "bert")
        let directory = scratch.file("checkpoint-3")

        try TransformersCheckpointWriter.write(content, of: model, to: directory)
        let read = try TransformersCheckpoint(contentsOf: directory)

        for name in ["trainer_state.json", "adapter_model.safetensors"] {
            let (written, original) = try (
                Data(contentsOf: directory.appendingPathComponent(name)),
                Data(contentsOf: TransformersFixture.checkpoint.appendingPathComponent(name))
            )
            #expect(written == original, "\(name)")
        }
        let again = try #require(try read.optimizerState(for: model))
        #expect(again.groups == state.groups && again.step == 3)
        #expect(
            StateDigest.of(parameters: read.parameters, optimizer: again)
                == StateDigest.of(parameters: checkpoint.parameters, optimizer: state))
        #expect(read.scheduler == checkpoint.scheduler)
    }

    @Test func `an optimizer that torch's AdamW cannot go on from is not written`() throws {
        let scratch = try TemporaryDirectory()
        let (checkpoint, model) = try TransformersFixture.checkpointModel()
        var state = try #require(try checkpoint.optimizerState(for: model))
        state.groups = state.groups.map {
            var group = $0
            group.kind = "lion"
            return group
        }
        let content = TransformersCheckpointWriter.Content(
            parameters: checkpoint.parameters, optimizer: state,
            schedule: checkpoint.schedules[0], state: checkpoint.state, base: "bert")

        #expect(
            throws: TrainingError.notForTrainer("the optimizer is lion, expected adamw or adam")
        ) {
            try TransformersCheckpointWriter.write(
                content, of: model, to: scratch.file("checkpoint-3"))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
    }

    @Test func `the history has a row per step and one behind every epoch`() {
        let throughput = Throughput(rows: 4, tokens: 40, seconds: 1)
        let steps = (1...4).map {
            RunHistory.Step(
                number: $0, epoch: ($0 + 1) / 2, loss: Double($0), learningRate: 0.1,
                gradientNorm: $0 == 1 ? nil : 2, throughput: throughput)
        }
        let epochs = [
            RunHistory.Epoch(
                number: 1, step: 2, trainLoss: 1, validationLoss: 0.5, validationAccuracy: 0.75,
                learningRate: 0.1, throughput: throughput)
        ]

        let rows = TransformersState.history(steps: steps, epochs: epochs, stepsPerEpoch: 2)

        #expect(rows.map { $0["step"]?.integer } == [1, 2, 2, 3, 4])
        #expect(rows.map { $0["epoch"]?.number } == [0.5, 1, 1, 1.5, 2])
        #expect(rows[0].keys == ["epoch", "learning_rate", "loss", "step"])
        #expect(rows[2].keys == ["epoch", "eval_loss", "step", "eval_accuracy"])
    }

    // MARK: Refusals

    @Test func `a model of another shape is refused by the number of its parameters`() throws {
        let checkpoint = try TransformersCheckpoint(contentsOf: TransformersFixture.checkpoint)
        let model = try TransformersFixture.model(
            "bert", method: .lora(AdapterConfiguration(rank: 2, targets: .names(["query"]))))

        let error = #expect(throws: FormatError.self) {
            try checkpoint.optimizerState(for: model)
        }

        #expect(
            error?.description.hasSuffix(
                "optimizer.pt: param_groups: expected 5 parameters with weight decay and 1 "
                    + "without, as this model has, found 13 and 1") == true)
    }

    @Test func `another rank is refused by the shape of a slot`() throws {
        let checkpoint = try TransformersCheckpoint(contentsOf: TransformersFixture.checkpoint)
        var configuration = checkpoint.adapter!.configuration
        configuration.rank = 3
        let model = try TransformersFixture.model("bert", method: .lora(configuration))

        let error = #expect(throws: FormatError.self) {
            try checkpoint.optimizerState(for: model)
        }

        #expect(
            error?.description.hasSuffix(
                "optimizer.pt: state[0], 'bert.encoder.layer.0.attention.self.query.lora_A.weight',"
                    + " exp_avg: expected a tensor of floats [3, 64], found F32 [2, 64]") == true)
    }

    @Test func `a step that the optimizer has not taken is refused`() throws {
        let scratch = try TemporaryDirectory()
        let copy = try TransformersFixture.copy(to: scratch.url)
        try edit(copy) { $0["global_step"] = 4 }
        let (_, model) = try TransformersFixture.checkpointModel()

        let error = #expect(throws: FormatError.self) {
            try TransformersCheckpoint(contentsOf: copy).optimizerState(for: model)
        }

        #expect(
            error?.description.hasSuffix(
                "state, step: expected 4, as trainer_state.json has it, found 3") == true)
    }

    static let badMembers: [(key: String, value: JSONValue, expected: String, found: String)] = [
        ("global_step", -1, "a whole number of at least 0", "-1.0"),
        ("epoch", "x", "a number of at least 0.0", "a string"),
        ("log_history", [1], "an array of objects", "an array"),
    ]

    @Test(arguments: badMembers.indices)
    func `a state of another schema is refused by its key`(index: Int) throws {
        let (key, value, expected, found) = Self.badMembers[index]
        let scratch = try TemporaryDirectory()
        let copy = try TransformersFixture.copy(to: scratch.url)
        try edit(copy) { $0[key] = value }
        let file = copy.appendingPathComponent("trainer_state.json").path

        #expect(
            throws: TrainingError.badMetadata(
                file: file, key: key, expected: expected, found: found)
        ) {
            try TransformersCheckpoint(contentsOf: copy)
        }
    }

    @Test func `an empty state is read, since every key may be missing`() throws {
        let scratch = try TemporaryDirectory()
        let file = scratch.file("trainer_state.json")
        try Data("{}".utf8).write(to: file)

        let state = try TransformersState(contentsOf: file)

        #expect(state.globalStep == 0 && state.stepsPerEpoch == nil && state.history.isEmpty)
    }

    private func edit(_ checkpoint: URL, _ change: (inout JSONValue) -> Void) throws {
        let file = checkpoint.appendingPathComponent("trainer_state.json")
        var json = try JSONValue.parse(contentsOf: file)
        change(&json)
        try json.serialized().write(to: file)
    }
}
