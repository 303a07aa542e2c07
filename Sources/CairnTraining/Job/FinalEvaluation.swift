// SPDX-License-Identifier: Apache-2.0
/// What a run ends with: its best checkpoint on rows that neither trained nor chose it.

import CairnEngine
import CairnFormats
import CairnModels
import Foundation

extension FineTuneJob {
    /// The best checkpoint on the test rows, which the report of the run then shows too; nil when
    /// there are none or nothing was saved. All ranks call it, each for its part of the rows.
    public func evaluateTest() throws -> Evaluation? {
        let best = options.output.appendingPathComponent("best")
        let ranks = tuner.ranks
        guard let test,
            // What the first rank sees: it has written all that there is.
            try ranks.gather([FileManager.default.fileExists(atPath: best.path) ? 1 : 0])[0] == [1]
        else { return nil }
        let start = ContinuousClock.now
        // The copy of the last save was many small tensors; the checkpoint is mapped in their stead.
        FreedMemory.release()
        // In the place of the last parameters, and with the memory of training: a second model
        // beside the first one would be the largest thing that the run ever held.
        let model = tuner.model
        let digest = StateDigest.of(tuner.optimizer)
        var run = try ResumableRun(contentsOf: best)
        run.dropSlots()
        let own = model.parameters.trainableNames.map { ($0, model.parameters.tensor($0)) }
        defer { for (name, tensor) in own { model.parameters.set(name, to: tensor) } }
        try run.apply(to: model.parameters, nil)
        let evaluator = try Evaluator(
            model, task: task, pooling: pooling, precision: options.settings.precision,
            tokenBudget: tuner.tokenBudget, prefix: nil,
            sharesPrompts: options.settings.sharesPrompts)
        evaluator.program.shareMemory(of: tuner.program)
        let evaluation = try evaluator.evaluate(test, ranks: ranks)
        guard ranks.isFirst else { return evaluation }
        log?.finish(tuner.state, digest: digest, test: evaluation)
        let seconds = (ContinuousClock.now - start).inSeconds
        measured.seconds.total += seconds - measured.seconds.testing
        measured.seconds.testing = seconds
        writeMeasured { _ in }
        return evaluation
    }
}
