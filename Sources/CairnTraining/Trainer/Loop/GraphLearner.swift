// SPDX-License-Identifier: Apache-2.0
/// Drives the models of this library: programs for training and for scores, an optimizer, files.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation

/// What is learned: one of the losses on the logits, or a function recorded into the graph.
public enum Objective {
    /// One of the losses that have kernels of their own.
    case loss(Loss)
    /// The loss of each row from the logits; its name stands in checkpoints for the function.
    case recorded(name: String, (_ graph: inout Graph, _ logits: Value) -> Value)

    /// Cross-entropy with a class id per row of logits.
    public static var crossEntropy: Objective {
        .loss(.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100))
    }

    /// The mean of (y - target)² over all numbers.
    public static var squaredError: Objective { .loss(.squaredError) }
    /// Cross-entropy of every number's sigmoid with a target of 0 to 1.
    public static var binaryCrossEntropy: Objective { .loss(.binaryCrossEntropy) }
}

/// A model, its optimizer and its loss, as a trainer drives them.
///
/// The gradient of a step is that of the mean over the rows of all its batches; the learner sets
/// `lossScale`, `step` and `rowIDs` of the batches it is given, so that dropout draws other numbers
/// in each batch of a step.
public final class GraphLearner: Learner {
    /// What is trained.
    public let model: any TrainableModel
    /// What moves it.
    public let optimizer: Optimizer
    /// What is minimized.
    public let objective: Objective
    /// The largest norm of all gradients together; nil never clips.
    public let clip: Double?
    private let training: Program
    private let scoring: Program
    private let precision: Precision
    private let columns: Int
    private let lossRows: RowSpace

    /// Prepares programs for training and for scores.
    public init(
        _ model: any TrainableModel, optimizer: Optimizer, objective: Objective,
        clip: Double? = nil, precision: Precision = .fp32
    ) throws {
        self.model = model
        self.optimizer = optimizer
        self.objective = objective
        self.clip = clip
        self.precision = precision
        training = try Self.program(model, objective, isTraining: true, precision)
        scoring = try Self.program(model, objective, isTraining: false, precision)
        var (graph, logits) = model.recorded(isTraining: false)
        columns = logits.columns
        switch objective {
        case .loss: lossRows = logits.rows
        case .recorded(_, let record): lossRows = record(&graph, logits).rows
        }
    }

    private static func program(
        _ model: any TrainableModel, _ objective: Objective, isTraining: Bool,
        _ precision: Precision
    ) throws -> Program {
        let (graph, logits) = model.recorded(isTraining: isTraining)
        switch objective {
        case .loss(let loss):
            return try Program(
                graph, outputs: [logits], loss: (loss, logits), differentiates: isTraining,
                parameters: model.parameters, precision: precision)
        case .recorded(_, let record):
            var graph = graph
            let losses = record(&graph, logits)
            return try Program(
                graph, outputs: [logits], losses: losses, differentiates: isTraining,
                parameters: model.parameters, precision: precision)
        }
    }

    public var step: Int { Int(optimizer.step) }

    // MARK: Steps

    public func backward(_ inputs: [Batch], shouldStop: () -> Bool) throws -> BatchScore? {
        training.zeroGradients()
        let weight = inputs.reduce(0) { $0 + self.weight(of: $1) }
        var sum = 0.0
        var score = BatchScore(loss: 0, weight: weight)
        var row: UInt32 = 0
        for (index, input) in inputs.enumerated() {
            if index > 0, shouldStop() { return nil }
            var batch = input
            batch.lossScale = Float(1 / weight)
            batch.step = UInt32(truncatingIfNeeded: optimizer.step)
            if index > 0 { batch.rowIDs = batch.rowIDs.map { $0 + row } }
            row += UInt32(batch.sequenceCount)
            let result = try training.run(batch)
            sum = result.losses.reduce(sum) { $0 + Double($1) }
            judge(result.outputs[0], batch, &score)
        }
        score.loss = sum / weight
        return score
    }

    public func update(learningRate: Double) throws -> Double {
        try optimizer.update(gradientsOf: training, learningRate: learningRate, clip: clip)
    }

    public func score(_ input: Batch) throws -> BatchScore {
        let weight = weight(of: input)
        let result = try scoring.run(input)
        let sum = result.losses.reduce(0) { $0 + Double($1) }
        var score = BatchScore(loss: sum / weight, weight: weight)
        judge(result.outputs[0], input, &score)
        return score
    }

    /// The logits of a batch, as for prediction.
    public func logits(_ input: Batch) throws -> [Float] { try scoring.run(input).outputs[0] }

    /// What the mean of the batch's losses divides by, as torch defines it.
    private func weight(of batch: Batch) -> Double {
        switch objective {
        case .loss(.crossEntropy(let weights, _, let ignored)):
            return batch.classTargets.reduce(0) { sum, target in
                target == ignored ? sum : sum + Double(weights?[Int(target)] ?? 1)
            }
        case .loss: return Double(batch.valueTargets.count)
        case .recorded: return Double(batch.count(lossRows))
        }
    }

    private func judge(_ logits: [Float], _ batch: Batch, _ score: inout BatchScore) {
        for (row, target) in batch.classTargets.enumerated() where target >= 0 {
            let own = Array(logits[row * columns..<(row + 1) * columns])
            score.right += argmax(own) == Int(target) ? 1 : 0
            score.judged += 1
        }
    }

    // MARK: State

    public var settings: [RunSetting: JSONValue] {
        let groups = optimizer.groups.map { group in
            var entry: JSONObject = ["name": .string(group.name), "kind": .string(group.rule.kind)]
            for (name, value) in group.hyperparameters.sorted(by: { $0.key < $1.key }) {
                entry[name] = .real(value)
            }
            return JSONValue.object(entry)
        }
        let loss: JSONValue =
            switch objective {
            case .loss(let loss): .string("\(loss)")
            case .recorded(let name, _): .string(name)
            }
        return [
            .optimizer: .array(groups), .clip: .real(clip), .loss: loss,
            .precision: .string(precision.rawValue),
        ]
    }

    public var stateDigest: String { StateDigest.of(optimizer) }

    // MARK: Files

    /// A path that ends with `/` is a directory; `ModelFilePath` has the rules for files.
    public func check(path: String) throws {
        if !path.hasSuffix("/") { _ = try ModelFilePath(savingTo: URL(fileURLWithPath: path)) }
    }

    public func save(to url: URL, metadata: JSONObject) throws -> [URL] {
        try writer(to: url, metadata)()
    }

    public func saving(
        to url: URL, metadata: JSONObject
    ) throws -> (@Sendable () throws -> [URL])? {
        try writer(to: url, metadata)
    }

    private func writer(
        to url: URL, _ metadata: JSONObject
    ) throws -> @Sendable () throws -> [URL] {
        let content = ModelFileContent(
            tensors: Dictionary(
                uniqueKeysWithValues: model.checkpointNames.map {
                    ($0, model.parameters.tensor($0))
                }), metadata: metadata, optimizer: optimizer.state)
        try content.requireWritable()
        guard url.hasDirectoryPath else {
            let path = try ModelFilePath(savingTo: url)
            return {
                try content.write(to: path, files: SystemFiles())
                return [path.url] + [path.sidecar].compactMap { $0 }
            }
        }
        let runID = metadata[TrainerState.key]?["run_id"]?.string ?? ""
        return {
            try DirectoryCheckpoint.write(content, to: url, runID: runID)
            return [url]
        }
    }

    public func read(_ url: URL, withOptimizer: Bool) throws -> ReadCheckpoint {
        var (file, content): (URL, ModelFileContent)
        if DirectoryCheckpoint.isOne(url) {
            (file, content) = (url, try DirectoryCheckpoint.read(url))
        } else {
            let path = try ModelFilePath(loadingFrom: url)
            (file, content) = (path.url, try ModelFileContent(contentsOf: path))
        }
        let load = try model.prepareLoad(
            of: content, from: file, optimizer: withOptimizer ? optimizer : nil,
            optimizerMayBeAbsent: true)
        return ReadCheckpoint(
            metadata: content.metadata, hasOptimizer: content.optimizer != nil,
            remarks: content.remarks + (load.fit?.remarks ?? []), apply: load.apply)
    }
}

extension Trainer where Input == Batch {
    /// A trainer of a model of this library; without an optimizer, AdamW moves every parameter.
    ///
    /// `clip` is the largest norm of all gradients together; nil never clips.
    public convenience init(
        _ model: any TrainableModel, optimizer: Optimizer? = nil, loss: Objective,
        learningRate: LearningRate, clip: Double? = nil, precision: Precision = .fp32
    ) throws {
        self.init(
            try GraphLearner(
                model, optimizer: optimizer ?? Optimizer(parameters: model.parameters),
                objective: loss, clip: clip, precision: precision),
            learningRate: learningRate)
    }
}
