// SPDX-License-Identifier: Apache-2.0
/// Logits, losses and metrics of a model on rows that it does not train on.

import CairnEngine
import CairnGraph
import CairnModels
import Foundation

/// What a model gives for each row, and how good that is.
public struct Evaluation: Sendable {
    /// [rows][labels]; of a language model nothing for each row.
    public let logits: [[Float]]
    /// Of a language model: what each predicted token of each row costs, -log p.
    public let tokenLosses: [[Float]]?
    /// The mean loss over the rows, or over the tokens that a language model predicts; nil without
    /// targets.
    public let loss: Double?
    /// Of a single label: what was right, class by class. Nil for other tasks, and without
    /// targets, as the next three.
    public let metrics: ClassificationMetrics?
    /// Of a single label: how far the softmax of the logits can be believed.
    public let probabilities: ProbabilityMetrics?
    /// Of many labels: what was right, a label being given where its logit is above 0.
    public let multiLabel: MultiLabelMetrics?
    /// Of numbers: how far off they are.
    public let regression: RegressionMetrics?

    /// The share of rows, or of row-label pairs, that are right; nil for regression.
    public var accuracy: Double? { metrics?.accuracy ?? multiLabel?.pairAccuracy }

    /// The mean of the classes' or labels' F1; nil for regression.
    public var macroF1: Double? { metrics?.macroF1 ?? multiLabel?.macro.f1 }

    /// Of a language model: exp of the mean loss.
    public var perplexity: Double? { tokenLosses == nil ? nil : loss.map { exp($0) } }

    /// What a language model gives for rows.
    init(tokenLosses: [[Float]], loss: Double) {
        self.tokenLosses = tokenLosses
        self.loss = loss
        logits = tokenLosses.map { _ in [] }
        (metrics, probabilities, multiLabel, regression) = (nil, nil, nil, nil)
    }

    /// - Precondition: a row of logits, one per label of the task, for every target.
    public init(logits: [[Float]], loss: Double?, targets: Targets, task: Task) {
        self.logits = logits
        self.loss = loss
        tokenLosses = nil
        var classes: ClassificationMetrics?
        var believed: ProbabilityMetrics?
        var sets: MultiLabelMetrics?
        var numbers: RegressionMetrics?
        switch (task, targets) {
        case (_, .none): break
        case (.singleLabel(let labels), .classes(let ids)):
            let (truths, predictions) = (ids.map(Int.init), logits.map { argmax($0) })
            classes = ClassificationMetrics(
                labels: labels, truths: truths, predictions: predictions)
            believed = ProbabilityMetrics(
                truths: truths, predictions: predictions, probabilities: logits.map(softmax))
        case (.multiLabel(let labels), .values(let values, let columns)):
            sets = MultiLabelMetrics(
                labels: labels,
                truths: values.rows(of: columns).map { $0.map { $0 > 0.5 } },
                predictions: logits.map { $0.map { $0 > 0 } })
        case (.regression(let names), .values(let values, let columns)):
            numbers = RegressionMetrics(
                names: names, truths: values.rows(of: columns).map { $0.map(Double.init) },
                predictions: logits.map { $0.map(Double.init) })
        default:
            preconditionFailure("\(task.problemType) with targets of another task")
        }
        (metrics, probabilities, multiLabel, regression) = (classes, believed, sets, numbers)
    }
}

extension [Float] {
    /// The rows of a row-major table.
    fileprivate func rows(of columns: Int) -> [[Float]] {
        stride(from: 0, to: count, by: columns).map { Array(self[$0..<$0 + columns]) }
    }
}

/// Runs a task's model on rows, in their order, packed up to a token budget.
public struct Evaluator {
    let program: Program
    private let task: Task
    private let pooling: Pooling
    private let classWeights: [Float]?
    private let prefix: PrefixReuse?
    /// Whether rows share what they begin with; it changes no bit.
    private let sharesPrompts: Bool
    /// Tokens per micro-batch; no result depends on it.
    var tokenBudget: Int

    /// Prepares a model for rows with targets, or without.
    public init(
        _ model: TaskModel, task: Task, pooling: Pooling, classWeights: [Float]? = nil,
        precision: Precision, tokenBudget: Int, hasTargets: Bool = true
    ) throws {
        try self.init(
            model, task: task, pooling: pooling, classWeights: classWeights, precision: precision,
            tokenBudget: tokenBudget, hasTargets: hasTargets, prefix: nil, sharesPrompts: false)
    }

    /// The same, with the results of a frozen prefix that training keeps, and with prompts shared
    /// where the model can.
    init(
        _ model: TaskModel, task: Task, pooling: Pooling, classWeights: [Float]? = nil,
        precision: Precision, tokenBudget: Int, hasTargets: Bool = true, prefix: PrefixReuse?,
        sharesPrompts: Bool
    ) throws {
        var (graph, logits) = model.recorded(isTraining: false)
        self.prefix = prefix?.replacing(&graph, &logits) == true ? prefix : nil
        let shared = sharesPrompts ? graph.promptsShared() : nil
        self.sharesPrompts = shared != nil
        graph = shared ?? graph
        program = try Program(
            graph, outputs: task == .causal ? [] : [logits],
            loss: hasTargets ? (task.loss(classWeights: classWeights), logits) : nil,
            parameters: model.parameters, precision: precision)
        self.task = task
        self.pooling = pooling
        self.classWeights = classWeights
        self.tokenBudget = tokenBudget
    }

    /// Evaluates every row; `shouldStop` is asked between micro-batches, and nil means stopped.
    ///
    /// With several ranks each takes its part of the rows, all get the whole, and one that is asked to
    /// stop stops all.
    public func evaluate(
        _ data: DataSet, ranks: Ranks = .one, shouldStop: () -> Bool = { false }
    ) throws -> Evaluation? {
        guard let found = try run(data, ranks, shouldStop: shouldStop) else { return nil }
        let rows = Array(0..<data.count)
        let scale = data.lossScale(rows: rows, classWeights: task == .causal ? nil : classWeights)
        let loss = found.losses.reduce(0.0) { $0 + Double($1) } * Double(scale)
        if task == .causal {
            var place = 0
            let tokenLosses = data.ids.map { ids in
                defer { place += max(ids.count - 1, 0) }
                return Array(found.losses[place..<place + max(ids.count - 1, 0)])
            }
            return Evaluation(tokenLosses: tokenLosses, loss: loss)
        }
        let width = task.labels.count
        return Evaluation(
            logits: rows.map { Array(found.logits[$0 * width..<($0 + 1) * width]) },
            loss: data.targets == .none ? nil : loss, targets: data.targets, task: task)
    }

    /// The micro-batches of all rows, or of a rank's part of them.
    func step(_ data: DataSet, tokenBudget: Int, _ ranks: Ranks = .one) -> StepRows {
        data.step(
            Array(0..<data.count), tokenBudget: tokenBudget, groups: ranks.size,
            sharesPrompts: sharesPrompts, rank: ranks.rank, ranks: ranks.size,
            longestSet: tokenBudget)
    }

    /// The logits of all rows, and the losses of all rows or of all tokens that are predicted.
    private func run(
        _ data: DataSet, _ ranks: Ranks, shouldStop: () -> Bool
    ) throws -> (logits: [Float], losses: [Float])? {
        // Groups mean nothing here: as many as there are ranks make even parts.
        let step = step(data, tokenBudget: tokenBudget, ranks)
        var logits: [Float] = []
        var losses: [Float] = []
        var isStopped = false
        for range in step.microBatches {
            isStopped = shouldStop()
            if isStopped { break }
            var batch = data.batch(step, range, pooling: pooling, number: 0, lossScale: 1)
            try prefix?.fill(&batch, with: step.rows[range], of: data)
            let result = try program.run(batch)
            logits += result.outputs.first ?? []
            losses += batch.repeatedLosses(result)
        }
        guard ranks.size > 1 else { return isStopped ? nil : (logits, losses) }
        var packet = Packet()
        packet.add(isStopped ? 1 : 0)
        packet.add(logits)
        packet.add(losses)
        var all: (logits: [Float], losses: [Float]) = ([], [])
        for bytes in try ranks.gather(packet.bytes) {
            var part = Packet(bytes)
            if try part.number() != 0 { isStopped = true }
            all.logits += try part.floats()
            all.losses += try part.floats()
        }
        return isStopped ? nil : all
    }
}
