// SPDX-License-Identifier: Apache-2.0
/// States as earlier versions wrote them, which every later one must read.

import CairnFormats
import CairnTraining
import Foundation
import Testing

@Suite struct TrainerFixtureTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/trainer")

    @Test func `a state of schema 1 is read, every part of it`() throws {
        let file = Self.folder.appendingPathComponent("state-1.json")
        let metadata = try JSONValue.parse(contentsOf: file).object!

        let state = try #require(try TrainerState(metadata: metadata, file: file.path))

        #expect(state.step == 3 && state.position == DataPosition(epoch: 1, index: 2, key: "made"))
        #expect(state.losses == [2.5] && state.weights == [1] && state.rows.count == 1)
        #expect(state.rows[0].metrics == ["accuracy": 0.5] && state.rows[0].epochLoss == 2)
        #expect(state.monitor.best == 2 && state.monitor.rule.patience == 4)
        #expect(
            state.hooks.occurrences == ["after_batch/0": 3, "once": 3]
                && state.hooks.done == ["once"])
        #expect(state.settings[.accumulation] == 2 && state.learningRate == 0.5)
    }

    @Test func `a run goes on from a state of schema 1`() throws {
        let run = try ScriptedRun()
        let metadata = try JSONValue.parse(
            contentsOf: Self.folder.appendingPathComponent("state-1.json")
        ).object!
        let learner = ScriptedLearner()
        for _ in 0..<3 { _ = learner.update(learningRate: 0) }
        let path = try learner.save(to: run.folder.file("old.bin"), metadata: metadata)[0]
        run.trainer.metrics = [.accuracy]
        run.trainer.hooks.on(.afterBatch, every: 2) { _ in }
        run.trainer.hooks.on(.afterBatch, name: "once", once: true) { _ in }

        let feed = Feed(Pipeline { (_: EpochContext) in [2.0, 3, 1, 2, 4] })
        let report = try run.trainer.fitReport(feed) {
            ($0.epochs, $0.accumulation, $0.patience) = (2, 2, 4)
            $0.resumeFrom = .path(path)
        }

        #expect(report.startEpoch == 1 && report.losses == [1.5, 4])
        #expect(report.history[1].epochLoss == (2.5 + 1.5 + 4) / 3)
    }
}
