// SPDX-License-Identifier: Apache-2.0
/// Trains in the order of the rows: from a checkpoint of the Trainer, or up to one for it.

import Cairn
import Foundation

/// `hf-trainer-driver resume CASE CHECKPOINT OUT` goes on to the last step of the case;
/// `hf-trainer-driver start CASE FOLDER OUT` begins anew, writes FOLDER/tf4 and FOLDER/tf5, each with
/// a checkpoint for that generation after half of the steps, and goes on. OUT gets a list of `step`, `loss`, `grad_norm`, `learning_rate`.
@main
struct Driver {
    static func main() {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, ["resume", "start"].contains(arguments[1]) else {
            print("usage: hf-trainer-driver resume|start CASE CHECKPOINT|FOLDER OUT")
            exit(2)
        }
        do {
            try work(arguments)
        } catch {
            print(error)
            exit(1)
        }
    }

    private static func work(_ arguments: [String]) throws {
        let run = try Case(contentsOf: URL(fileURLWithPath: arguments[2]))
        let place = URL(fileURLWithPath: arguments[3])
        let steps = arguments[1] == "resume" ? try run.resume(place) : try run.start(place)
        let rows = TransformersState.history(
            steps: steps, epochs: [], stepsPerEpoch: run.stepsPerEpoch)
        try JSONValue.array(rows.map { .object($0) }).serialized()
            .write(to: URL(fileURLWithPath: arguments[4]))
    }
}

/// Rows, settings and base of a case, as `trainer.py` writes them.
struct Case {
    let json: JSONValue
    let base: BaseModel
    let ids: [[Int32]]
    let labels: [Int32]
    let batchSize: Int
    let schedule: Schedule
    let weightDecay: Double

    var stepsPerEpoch: Int { ids.count / batchSize }

    init(contentsOf url: URL) throws {
        json = try JSONValue.parse(contentsOf: url)
        base = try BaseModel(
            contentsOf: URL(fileURLWithPath: json["base"]!.string!),
            head: .classification(labels: 3))
        ids = json["input_ids"]!.array!.map { $0.array!.map { Int32($0.integer!) } }
        labels = json["labels"]!.array!.map { Int32($0.integer!) }
        batchSize = json["batch_size"]!.integer!
        weightDecay = json["weight_decay"]!.number!
        schedule = Schedule(
            Schedule.Shape(rawValue: json["schedule"]!.string!)!,
            peak: json["learning_rate"]!.number!, warmupSteps: json["warmup_steps"]!.integer!,
            totalSteps: json["steps"]!.integer!)
    }

    /// The adapter that the case names; nil where all of the model trains.
    private var method: Method {
        guard let targets = json["targets"], !targets.isNull else { return .full }
        return .lora(
            AdapterConfiguration(
                rank: 4, alpha: 8, usesDoRA: json["dora"]!.bool!,
                targets: targets.array.map { .names($0.compactMap(\.string)) } ?? .allLinear))
    }

    private func model(_ method: Method) throws -> TaskModel {
        try TaskModel(
            base, method: method, seed: 7, parameters: Parameters(context: try Context(threads: 1))
        )
    }

    // MARK: The two ways

    func resume(_ directory: URL) throws -> [RunHistory.Step] {
        let checkpoint = try TransformersCheckpoint(contentsOf: directory)
        let model = try model(checkpoint.adapter.map { .lora($0.configuration) } ?? .full)
        try checkpoint.apply(to: model)
        guard let state = try checkpoint.optimizerState(for: model) else {
            throw TrainingError.missingFile(
                directory: directory.path, name: "optimizer.pt", purpose: "the moments")
        }
        guard checkpoint.schedules.contains(schedule) else {
            throw TrainingError.badMetadata(
                file: directory.path, key: "the schedule", expected: "\(schedule)",
                found: "\(checkpoint.schedules)")
        }
        let optimizer = try optimizer(model)
        let problems =
            optimizer.problems(restoring: state)
            + optimizer.changes(restoring: state).map(\.description)
        guard problems.isEmpty else {
            throw TrainingError.doesNotFit(path: directory.path, problems: problems)
        }
        optimizer.restore(state)
        for sentence in checkpoint.notCarried { print(sentence) }
        return try train(model, optimizer, from: checkpoint.step, to: schedule.totalSteps)
    }

    func start(_ directory: URL) throws -> [RunHistory.Step] {
        let model = try model(method)
        let optimizer = try optimizer(model)
        let half = schedule.totalSteps / 2
        let steps = try train(model, optimizer, from: 0, to: half)
        var state = TransformersState()
        state.globalStep = half
        state.maxSteps = schedule.totalSteps
        state.epoch = Double(half) / Double(stepsPerEpoch)
        state.epochs = schedule.totalSteps / stepsPerEpoch
        state.batchSize = batchSize
        state.loggingSteps = 1
        state.savingSteps = Double(half)
        state.history = TransformersState.history(
            steps: steps, epochs: [], stepsPerEpoch: stepsPerEpoch)
        let names = model.parameters.trainableNames
        var content = TransformersCheckpointWriter.Content(
            parameters: Dictionary(
                uniqueKeysWithValues: names.map { ($0, model.parameters.tensor($0)) }),
            optimizer: optimizer.state, schedule: schedule, state: state,
            base: base.directory.path, configuration: base.configuration.json)
        for generation in TransformersGeneration.allCases {
            content.generation = generation
            let folder = directory.appendingPathComponent("tf\(generation.rawValue)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try TransformersCheckpointWriter.write(
                content, of: model, to: folder.appendingPathComponent("checkpoint-\(half)"))
        }
        return steps + (try train(model, optimizer, from: half, to: schedule.totalSteps))
    }

    // MARK: Steps

    private func optimizer(_ model: TaskModel) throws -> Optimizer {
        try Optimizer(
            groups: TransformersCheckpoint.groups(
                for: model, rule: .adamW(weightDecay: weightDecay)),
            parameters: model.parameters)
    }

    private func train(
        _ model: TaskModel, _ optimizer: Optimizer, from first: Int, to end: Int
    ) throws -> [RunHistory.Step] {
        let (graph, logits) = model.recorded(isTraining: true)
        let loss = Loss.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100)
        let program = try Program(
            graph, outputs: [logits], loss: (loss, logits), differentiates: true,
            parameters: model.parameters, precision: .fp32)
        return try (first..<end).map { step in
            let batch = batch(step: step)
            program.zeroGradients()
            let result = try program.run(batch)
            let rate = schedule.learningRate(at: step)
            let norm = try optimizer.update(
                gradientsOf: program, learningRate: rate, clip: 1)
            return RunHistory.Step(
                number: step + 1, epoch: step / stepsPerEpoch + 1,
                loss: result.losses.reduce(0) { $0 + Double($1) } / Double(batchSize),
                learningRate: rate, gradientNorm: norm,
                throughput: Throughput(rows: batchSize, tokens: 0, seconds: 0))
        }
    }

    /// The rows of a step, in order.
    private func batch(step: Int) -> Batch {
        let first = step % stepsPerEpoch * batchSize
        let rows = first..<(first + batchSize)
        var batch = Batch(sequences: rows.map { ids[$0] })
        batch.pooledRows =
            base.configuration.family.isEncoder
            ? Array(batch.offsets.dropLast()) : batch.offsets.dropFirst().map { $0 - 1 }
        batch.classTargets = rows.map { labels[$0] }
        batch.lossScale = 1 / Float(batchSize)
        return batch
    }
}
