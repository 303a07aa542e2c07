// SPDX-License-Identifier: Apache-2.0
/// Logits, losses and metrics of a model on rows that it does not train on.

import CairnEngine
import CairnGraph
import CairnModels

/// What a model gives for each row, and how good that is.
public struct Evaluation: Sendable {
    /// [rows][labels].
    public let logits: [[Float]]
    /// The mean loss over the rows; nil without targets.
    public let loss: Double?
    /// Class metrics; nil for other tasks and without targets.
    public let metrics: ClassificationMetrics?
    /// The share of rows, or of row-label pairs, that are right; nil for regression.
    public let accuracy: Double?
}

/// Runs a task's model on rows, in their order, packed up to a token budget.
public struct Evaluator {
    private let program: Program
    private let task: Task
    private let pooling: Pooling
    private let classWeights: [Float]?
    private let tokenBudget: Int

    public init(
        _ model: TaskModel, task: Task, pooling: Pooling, classWeights: [Float]? = nil,
        precision: Precision, tokenBudget: Int, hasTargets: Bool = true
    ) throws {
        let (graph, logits) = model.recorded(isTraining: false)
        program = try Program(
            graph, outputs: [logits],
            loss: hasTargets ? (task.loss(classWeights: classWeights), logits) : nil,
            parameters: model.parameters, precision: precision)
        self.task = task
        self.pooling = pooling
        self.classWeights = classWeights
        self.tokenBudget = tokenBudget
    }

    /// Evaluates every row; `shouldStop` is asked between micro-batches, and nil means stopped.
    public func evaluate(
        _ data: DataSet, shouldStop: () -> Bool = { false }
    ) throws -> Evaluation? {
        let rows = Array(0..<data.count)
        let step = StepRows(
            rows: rows, lengths: data.ids.map(\.count), tokenBudget: tokenBudget)
        let scale = data.lossScale(rows: rows, classWeights: classWeights)
        var logits: [[Float]] = []
        var sum = 0.0
        let width = task.labels.count
        for range in step.microBatches {
            if shouldStop() { return nil }
            let batch = data.batch(step, range, pooling: pooling, number: 0, lossScale: scale)
            let result = try program.run(batch)
            for row in 0..<range.count {
                logits.append(Array(result.outputs[0][row * width..<(row + 1) * width]))
            }
            sum = result.losses.reduce(sum) { $0 + Double($1) }
        }
        let hasTargets = data.targets != .none
        return Evaluation(
            logits: logits, loss: hasTargets ? sum * Double(scale) : nil,
            metrics: metrics(data, logits), accuracy: accuracy(data, logits))
    }

    private func metrics(_ data: DataSet, _ logits: [[Float]]) -> ClassificationMetrics? {
        guard case .singleLabel(let labels) = task, case .classes(let truths) = data.targets else {
            return nil
        }
        return ClassificationMetrics(
            labels: labels, truths: truths.map(Int.init), predictions: logits.map(argmax))
    }

    private func accuracy(_ data: DataSet, _ logits: [[Float]]) -> Double? {
        switch (task, data.targets) {
        case (.singleLabel, .classes(let truths)):
            let right = zip(truths, logits).count { Int($0) == argmax($1) }
            return Double(right) / Double(max(truths.count, 1))
        case (.multiLabel, .values(let truths, _)):
            let right = zip(truths, logits.joined()).count { ($0 > 0.5) == ($1 > 0) }
            return Double(right) / Double(max(truths.count, 1))
        default: return nil
        }
    }
}

/// The index of the largest number, the first of equals; 0 when none compares.
func argmax(_ numbers: [Float]) -> Int {
    var best = 0
    for index in numbers.indices where numbers[index] > numbers[best] { best = index }
    return best
}
