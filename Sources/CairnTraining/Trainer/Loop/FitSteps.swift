// SPDX-License-Identifier: Apache-2.0
/// The inner part of a fit: optimizer steps, and passes over data without training.

import Foundation

extension FitRun {
    /// Every step that is left of an epoch; false when stopped.
    func trainSteps(_ epoch: Int, _ cursor: Cursor<Input>) throws -> Bool {
        let clock = ContinuousClock()
        while true {
            if options.shouldStop() { return false }
            try saver?.heed(self)
            let start = clock.now
            let inputs = try wrapped(.train, epoch, state.losses.count) {
                var inputs: [Input] = []
                while inputs.count < options.accumulation, let input = try cursor.next() {
                    inputs.append(input)
                }
                return inputs
            }
            if inputs.isEmpty { return true }
            guard let score = try takeStep(inputs, epoch) else { return false }
            let seconds = (clock.now - start).inSeconds
            log.trainSeconds += seconds
            if options.keepLosses { log.losses.append(score.loss) }
            state.add(score, batches: inputs.count, step: learner.step, seconds: seconds)
            try hooks.emit(
                .afterBatch,
                BatchEnd(
                    epoch: epoch, batchIndex: state.losses.count - 1, step: state.step,
                    loss: score.loss))
            state.hooks = hooks.counters
            if let every = options.saveEverySteps, state.step % every == 0 {
                try saver?.saveStep(self)
            }
        }
    }

    /// Gradients of the batches, then one update; nil when stopped before it.
    private func takeStep(_ inputs: [Input], _ epoch: Int) throws -> BatchScore? {
        let (step, batch) = (state.step, state.losses.count)
        let rate = trainer.learningRate(at: step)
        try hooks.emit(
            .beforeStep,
            StepStart(epoch: epoch, batchIndex: batch, step: step, learningRate: rate))
        let score = try wrapped(.train, epoch, batch) {
            try learner.backward(inputs, shouldStop: options.shouldStop)
        }
        guard let score else { return nil }
        try hooks.emit(.afterBackward, StepBackward(step: step, loss: score.loss))
        try requireFinite(score.loss, "training loss", epoch, batch)
        let norm = try wrapped(.train, epoch, batch) { try learner.update(learningRate: rate) }
        try requireFinite(norm, "gradient norm", epoch, batch)
        state.learningRate = rate
        try hooks.emit(
            .afterStep,
            StepEnd(step: step, loss: score.loss, learningRate: rate, gradientNorm: norm))
        return score
    }

    private func requireFinite(
        _ value: Double, _ what: String, _ epoch: Int, _ batch: Int
    ) throws {
        guard options.stopsOnNonFinite, !value.isFinite else { return }
        try wrapped(.train, epoch, batch) {
            throw TrainingError.nonFinite(what: what, step: state.step + 1, epoch: epoch)
        }
    }

    /// The validation data of an epoch; empty without any, nil when stopped.
    func validate(_ epoch: Int) throws -> ValidationResult? {
        guard let feed = data.validation else { return ValidationResult() }
        let clock = ContinuousClock()
        let start = clock.now
        let context = EpochContext(epoch: epoch, kind: .validation)
        try hooks.emit(
            .beforeValidation,
            ValidationStart(epoch: epoch, monitorName: state.monitor.rule.name))
        let scores = try score(feed, context) { end in
            try hooks.emit(.afterValidationBatch, end)
        }
        guard let scores else { return nil }
        try checkReuse(feed, context, isEmpty: scores.isEmpty) {
            state.rows.contains { $0.validationBatches > 0 }
        }
        var result = ValidationResult()
        result.losses = scores.map(\.loss)
        result.loss = try validationReduce(result.losses, weights: scores.map(\.weight))
        let judged = scores.reduce(0) { $0 + $1.judged }
        if judged > 0 {
            result.accuracy = Double(scores.reduce(0) { $0 + $1.right }) / Double(judged)
        }
        try hooks.emit(
            .afterValidation,
            ValidationEnd(epoch: epoch, loss: result.loss, batches: scores.count))
        result.seconds = (clock.now - start).inSeconds
        log.validationSeconds += result.seconds
        return result
    }

    /// The scores of all batches of a feed; nil when stopped.
    func score(
        _ feed: Feed<Input>, _ context: EpochContext, _ after: (BatchEnd) throws -> Void
    ) throws -> [BatchScore]? {
        let cursor = try feed.open(context)
        var scores: [BatchScore] = []
        while true {
            if options.shouldStop() { return nil }
            let score = try wrapped(context.kind, context.epoch, scores.count) {
                try cursor.next().map { try learner.score($0) }
            }
            guard let score else { return scores }
            scores.append(score)
            try after(
                BatchEnd(
                    epoch: context.epoch, batchIndex: scores.count - 1, step: state.step,
                    loss: score.loss))
        }
    }

    /// Gives an error of a batch its place, once.
    private func wrapped<Result>(
        _ kind: SplitKind, _ epoch: Int, _ batch: Int, _ body: () throws -> Result
    ) throws -> Result {
        do {
            return try body()
        } catch let error as BatchError {
            throw error
        } catch {
            throw BatchError(
                kind: kind, epoch: epoch, batch: batch, step: state.step, underlying: error)
        }
    }
}
