// SPDX-License-Identifier: Apache-2.0
/// Hooks: their order, how often they run, what they are told, what they remember.

import CairnTraining
import Testing

@Suite struct TrainerHookTests {
    @Test func `H1 hooks are added in a chain and each event is heard`() throws {
        let run = try ScriptedRun()
        let heard = Box<[String]>([])

        run.trainer.hooks
            .on(.beforeFit) { _ in heard.value.append("before_fit") }
            .on(.beforeEpoch) { _ in heard.value.append("before_epoch") }
            .on(.afterBatch) { _ in heard.value.append("after_batch") }
            .on(.checkpoint) { _ in heard.value.append("checkpoint") }
            .on(.afterEpoch) { _ in heard.value.append("after_epoch") }
            .on(.afterFit) { _ in heard.value.append("after_fit") }
        try run.trainer.fit(Feed([1.0])) { $0.checkpointPath = run.path("a.bin") }

        #expect(
            heard.value == [
                "before_fit", "before_epoch", "after_batch", "checkpoint", "after_epoch",
                "after_fit",
            ])
    }

    @Test func `H2 lower priorities run first, equal ones in the order they were added`() throws {
        let run = try ScriptedRun()
        let heard = Box<[Int]>([])

        for (mark, priority) in [(1, 10), (2, 0), (3, -5), (4, 0)] {
            run.trainer.hooks.on(.afterEpoch, priority: priority) { _ in heard.value.append(mark) }
        }
        try run.trainer.fit(Feed([1.0]))

        #expect(heard.value == [3, 2, 4, 1])
    }

    @Test func `H3 every second of four, once, and under a condition`() throws {
        let run = try ScriptedRun()
        let counts = Box<[Int]>([0, 0, 0])

        run.trainer.hooks
            .on(.afterBatch, every: 2) { _ in counts.value[0] += 1 }
            .on(.afterBatch, once: true) { _ in counts.value[1] += 1 }
            .on(.afterBatch, if: { $0.epoch == 1 }) { _ in counts.value[2] += 1 }
        try run.trainer.fit(Feed([1, 2])) { $0.epochs = 2 }

        #expect(counts.value == [2, 1, 2])
    }

    @Test func `H4 a pack is a function that adds hooks with its options`() throws {
        let run = try ScriptedRun()
        let stored = Box<[Double]>([])
        func recording(every: Int, into store: Box<[Double]>) -> (Hooks) -> Void {
            { $0.on(.afterBatch, every: every) { store.value.append($0.loss) } }
        }

        run.trainer.hooks.use(recording(every: 2, into: stored))
        try run.trainer.fit(Feed([1, 2, 3, 4]))

        #expect(stored.value == [1, 3])
    }

    @Test func `H5 validation hooks are told losses and their mean`() throws {
        let run = try ScriptedRun()
        let heard = Box<[Double]>([])
        let means = Box<[Double?]>([])
        let monitors = Box<[String]>([])

        run.trainer.hooks
            .on(.beforeValidation) { monitors.value.append($0.monitorName) }
            .on(.afterValidationBatch) { heard.value.append($0.loss) }
            .on(.afterValidation) { means.value.append($0.loss) }
        try run.trainer.fit(Feed([5.0]), validation: Feed([1, 3])) {
            $0.monitor = .validationLoss
        }

        #expect(heard.value == [1, 3])
        #expect(means.value == [2])
        #expect(monitors.value == ["val_loss"])
    }

    @Test func `K1 step hooks come in order with step, loss and norm`() throws {
        let run = try ScriptedRun()
        let heard = Box<[String]>([])

        run.trainer.hooks
            .on(.beforeStep) { heard.value.append("before \($0.step) at \($0.learningRate)") }
            .on(.afterBackward) { heard.value.append("backward \($0.step) loss \($0.loss)") }
            .on(.afterStep) { heard.value.append("after \($0.step) norm \($0.gradientNorm)") }
        try run.trainer.fit(Feed([2.0]))

        #expect(heard.value == ["before 0 at 0.5", "backward 0 loss 2.0", "after 0 norm 2.0"])
    }

    @Test func `K2 step hooks have priority, every, once and a condition`() throws {
        let run = try ScriptedRun()
        let heard = Box<[String]>([])

        run.trainer.hooks
            .on(.afterStep, priority: 1, every: 2) { _ in heard.value.append("every") }
            .on(.afterStep, once: true) { _ in heard.value.append("once") }
            .on(.afterStep, if: { $0.step == 1 }) { _ in heard.value.append("if") }
        try run.trainer.fit(Feed([1, 2, 3]))

        #expect(heard.value == ["once", "every", "if", "every"])
    }

    @Test func `counters count occurrences that a condition rejects`() throws {
        let run = try ScriptedRun()
        let heard = Box<[Int]>([])

        run.trainer.hooks.on(.afterBatch, every: 2, if: { $0.batchIndex != 0 }) {
            heard.value.append($0.batchIndex)
        }
        try run.trainer.fit(Feed([1, 2, 3, 4, 5]))

        #expect(heard.value == [2, 4])
    }

    @Test func `an error of a hook ends the fit as it is, and after_fit still runs`() throws {
        struct Stop: Error {}
        let run = try ScriptedRun()
        let status = Box<FitStatus?>(nil)

        run.trainer.hooks
            .on(.afterBatch) { _ in throw Stop() }
            .on(.afterFit) { status.value = $0.report.status }

        #expect(throws: Stop.self) { try run.trainer.fit(Feed([1.0])) }
        #expect(status.value == .failed)
    }
}
