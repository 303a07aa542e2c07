// SPDX-License-Identifier: Apache-2.0
/// Saves beside the training: what goes on meanwhile, and what a failure comes to.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

/// A scripted learner whose saves are done by another thread, as the test has it.
private final class DetachedLearner: Learner {
    let inner = ScriptedLearner()
    /// Called with the number of each step, from 1, before it is taken.
    var beforeStep: (Int) -> Void = { _ in }
    /// What writes the save of a number, from 1.
    var write: @Sendable (Int, URL) throws -> Void = { _, url in
        try DurableFile.write(Data("saved".utf8), to: url)
    }
    private(set) var saves = 0

    var step: Int { inner.step }
    var settings: [RunSetting: JSONValue] { inner.settings }
    var stateDigest: String { inner.stateDigest }

    func backward(_ inputs: [Double], shouldStop: () -> Bool) throws -> BatchScore? {
        beforeStep(step + 1)
        return try inner.backward(inputs, shouldStop: shouldStop)
    }

    func update(learningRate: Double) -> Double { inner.update(learningRate: learningRate) }
    func score(_ input: Double) throws -> BatchScore { try inner.score(input) }
    func check(path: String) throws { try inner.check(path: path) }

    func save(to url: URL, metadata: JSONObject) throws -> [URL] {
        try saving(to: url, metadata: metadata)!()
    }

    func saving(
        to url: URL, metadata: JSONObject
    ) throws -> (@Sendable () throws -> [URL])? {
        saves += 1
        let (number, write) = (saves, write)
        return {
            try write(number, url)
            return [url]
        }
    }

    func read(_ url: URL, withOptimizer: Bool) throws -> ReadCheckpoint {
        try inner.read(url, withOptimizer: withOptimizer)
    }
}

@Suite struct TrainerSaveTests {
    private let learner = DetachedLearner()
    private let trainer: Trainer<Double>
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
        trainer = Trainer(learner, learningRate: .constant(0.5))
    }

    private func fit(_ steps: Int, every: Int) throws -> FitReport {
        try trainer.fitReport(perEpoch([(1...steps).map { 1 / Double($0) }])) {
            $0.epochs = 1
            $0.checkpointPath = .template(folder.file("s-%{step}.fake").path)
            $0.saveEverySteps = every
        }
    }

    /// The first save ends only when the third step is begun: a fit that waited would not get there.
    @Test func `steps are taken while a checkpoint is written`() throws {
        let begun = DispatchSemaphore(value: 0)
        learner.beforeStep = { if $0 == 3 { begun.signal() } }
        learner.write = { number, url in
            if number == 1, begun.wait(timeout: .now() + 60) == .timedOut {
                throw FaultyFiles.failure
            }
            try DurableFile.write(Data("saved".utf8), to: url)
        }

        let report = try fit(5, every: 2)

        #expect(report.status == .completed)
        #expect(report.checkpoints.map(\.step) == [2, 4, 5])
        #expect(
            try trainer.checkpointHistory(in: folder.url).map(\.step) == [2, 4, 5])
    }

    /// A save waits for the one before it, so the failure is known at the fourth step at the latest.
    @Test func `a save that fails ends the fit at its next step, with the reason`() throws {
        learner.write = { _, _ in throw FaultyFiles.failure }

        #expect(throws: FaultyFiles.failure) { _ = try fit(100, every: 2) }

        #expect(learner.step <= 4)
        let report = try #require(trainer.lastReport)
        #expect(report.status == .failed)
        #expect(report.failure == "\(FaultyFiles.failure)")
        #expect(report.checkpoints.isEmpty)
    }

    @Test func `the last save's failure is the fit's`() throws {
        learner.write = { number, url in
            if number == 2 { throw FaultyFiles.failure }
            try DurableFile.write(Data("saved".utf8), to: url)
        }

        #expect(throws: FaultyFiles.failure) { _ = try fit(3, every: 2) }

        #expect(learner.step == 3)
        #expect(trainer.lastReport?.checkpoints.map(\.step) == [2])
        #expect(trainer.lastReport?.status == .failed)
    }

    @Test func `a failure of training comes first, and that of a save is noted`() throws {
        learner.write = { _, _ in throw FaultyFiles.failure }
        learner.beforeStep = { [learner] in
            if $0 == 3 {
                learner.inner.failure = TrainerError.unknownName(
                    what: "thing", name: "x", known: [])
            }
        }

        let sentence = message { _ = try fit(9, every: 2) }

        let report = try #require(trainer.lastReport)
        // Whichever is met first ends the fit; the other is not lost.
        #expect(sentence.contains("no thing") || sentence == "\(FaultyFiles.failure)")
        let said = [sentence] + report.notes
        #expect(said.contains { $0.contains("\(FaultyFiles.failure)") })
        #expect(report.status == .failed)
    }

    @Test func `hooks of a checkpoint find it on the medium`() throws {
        let seen = Box<[Bool]>([])
        trainer.hooks.on(.checkpoint) {
            seen.value.append(FileManager.default.fileExists(atPath: $0.path.path))
        }

        _ = try fit(5, every: 2)

        #expect(seen.value == [true, true, true])
    }

    @Test func `a bundle names the newest checkpoint that is there`() throws {
        trainer.artifacts.runBundlePath = folder.file("run_bundle.json")
        let bundle = folder.file("run_bundle.json")
        let seen = Box<[String]>([])
        learner.beforeStep = { step in
            // A save has begun before each step behind the second, and the one before it has ended.
            if step == 5 || step == 7 {
                let text = (try? String(contentsOf: bundle, encoding: .utf8)) ?? ""
                seen.value.append(text)
            }
        }

        let report = try fit(8, every: 2)

        #expect(seen.value.count == 2)
        #expect(seen.value[0].contains("s-2.fake") || seen.value[0].contains("s-4.fake"))
        #expect(seen.value[1].contains("s-4.fake") || seen.value[1].contains("s-6.fake"))
        #expect(report.runBundlePath == bundle.path)
        #expect(try String(contentsOf: bundle, encoding: .utf8).contains("s-8.fake"))
    }
}
