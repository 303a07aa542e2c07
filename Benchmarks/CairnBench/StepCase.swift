// SPDX-License-Identifier: Apache-2.0
/// The step that is timed: forward, backward, clipping, update of one model on one batch of rows.

import Cairn

/// A model that trains on one and the same step.
final class StepCase {
    private let program: Program
    private let optimizer: Optimizer
    private let batches: [Batch]
    let tokens: Int
    let activationBytes: Int

    /// Small enough that the loss stays finite for as many steps as are timed.
    private static let learningRate = 1e-4

    /// - Parameters:
    ///   - rank: of the LoRA pairs, which the layers of `targets` get.
    ///   - tokenBudget: the most tokens of a micro-batch.
    init(
        _ base: BaseModel, _ data: DataSet, _ precision: Precision, _ context: Context,
        rank: Int = 16, targets: TargetModules = .allLinear, tokenBudget: Int = 2048
    ) throws {
        let model = try TaskModel(
            base, method: .lora(AdapterConfiguration(rank: rank, targets: targets)), seed: 1,
            parameters: Parameters(context: context))
        let (graph, logits) = model.recorded(isTraining: true)
        let loss = Loss.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100)
        program = try Program(
            graph, outputs: [logits], loss: (loss, logits), differentiates: true,
            parameters: model.parameters, precision: precision)
        optimizer = try Optimizer(parameters: model.parameters)
        let step = StepRows(
            rows: Array(0..<data.count), lengths: data.ids.map(\.count),
            tokenBudget: tokenBudget)
        let pooling = base.configuration.family.isEncoder ? Pooling.first : .last(padTokenID: nil)
        let scale = data.lossScale(rows: step.rows, classWeights: nil)
        batches = step.microBatches.map {
            data.batch(step, $0, pooling: pooling, number: 0, lossScale: scale)
        }
        tokens = data.tokenCount
        activationBytes = batches.map { [program] in program.bytes(for: Capacity(of: $0)) }.max()!
    }

    var gradientBytes: Int { program.gradientBytes }

    /// One optimizer step; returns the mean loss before it.
    func step() throws -> Float {
        program.zeroGradients()
        var losses: [Float] = []
        for batch in batches { losses += try program.run(batch).losses }
        try optimizer.update(gradientsOf: program, learningRate: Self.learningRate, clip: 1)
        return losses.reduce(0, +) / Float(losses.count)
    }

    /// The same step, every operation of it timed.
    func step(into profile: inout StepProfile) throws {
        profile.add("clear gradients", seconds: Samples.time { program.zeroGradients() })
        let costs = batches.map(program.costs)
        defer { program.observer = nil }
        for (index, batch) in batches.enumerated() {
            var observations: [Observation] = []
            program.observer = { observations.append($0) }
            let whole = try Samples.time { _ = try program.run(batch) }
            profile.add(observations, costs[index], batch: index)
            let inside = observations.reduce(0) { $0 + $1.seconds }
            profile.add("between operations", seconds: max(0, whole - inside), batch: index)
        }
        let update = try Samples.time {
            try optimizer.update(gradientsOf: program, learningRate: Self.learningRate, clip: 1)
        }
        profile.add("optimizer", seconds: update)
    }
}
