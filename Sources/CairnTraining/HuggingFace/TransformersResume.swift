// SPDX-License-Identifier: Apache-2.0
/// Going on with a run of transformers' Trainer.

import CairnFormats
import CairnModels
import Foundation

extension FineTuner {
    /// Takes over weights, moments and place from a checkpoint of the Trainer.
    ///
    /// - Throws: `TrainingError.doesNotFit` when its epochs have other lengths than this run's or
    ///   its optimizer is of another kind; `missingFile` without optimizer.pt.
    func restore(_ checkpoint: TransformersCheckpoint) throws {
        guard let moments = try checkpoint.optimizerState(for: model) else {
            throw TrainingError.missingFile(
                directory: checkpoint.directory.path, name: "optimizer.pt",
                purpose: "the moments that the run goes on with")
        }
        var problems = optimizer.problems(restoring: moments)
        let own = schedule.totalSteps / settings.epochs
        if let theirs = checkpoint.stepsPerEpoch, theirs != own {
            problems.append(
                "its epochs have \(theirs) steps, this run's \(own): rows or batch size differ")
        }
        guard problems.isEmpty else {
            throw TrainingError.doesNotFit(path: checkpoint.directory.path, problems: problems)
        }
        try checkpoint.apply(to: model)
        optimizer.restore(moments)
        var state = state
        state.step = checkpoint.step
        state.epoch = checkpoint.step / own + 1
        state.stepInEpoch = checkpoint.step % own
        state.ledger = LedgerPosition(lines: state.step, bytes: 0, head: state.ledger.head)
        restore(state)
    }

    /// What this run does otherwise than the Trainer did, a sentence each.
    func differences(from checkpoint: TransformersCheckpoint) -> [String] {
        var sentences: [String] = []
        if !checkpoint.schedules.isEmpty, !checkpoint.schedules.contains(schedule) {
            sentences.append(
                "the learning rates of \(checkpoint.directory.lastPathComponent) are not those of "
                    + "this run's schedule, which holds from here on")
        }
        if let moments = try? checkpoint.optimizerState(for: model) {
            sentences += optimizer.changes(restoring: moments).map(\.description)
        }
        return sentences
    }
}

extension FineTuneJob {
    /// Writes the run's state as a `checkpoint-N` from which the Trainer goes on.
    ///
    /// - Throws: as `TransformersCheckpointWriter.write`.
    public func writeForTrainer(
        to directory: URL, generation: TransformersGeneration
    ) throws {
        let model = tuner.model
        let names = model.parameters.trainableNames
        let run = start.point?.runDirectory
        let steps = run.flatMap { try? Ledger(ofRun: $0) }?.entries ?? []
        var content = TransformersCheckpointWriter.Content(
            parameters: Dictionary(
                uniqueKeysWithValues: names.map { ($0, model.parameters.tensor($0)) }),
            optimizer: tuner.optimizer.state, schedule: tuner.schedule,
            state: description.transformersState(
                tuner.state, steps: steps.map { RunHistory.Step($0) }),
            base: description.baseName,
            configuration: description.configuration(of: base, method: options.method))
        content.generation = generation
        try TransformersCheckpointWriter.write(content, of: model, to: directory)
    }
}
