// SPDX-License-Identifier: Apache-2.0
/// A network stopped at every step and resumed from every source in every format: the same bits.

import CairnFormats
import CairnGraph
import CairnTraining
import Foundation
import TestSupport
import Testing

/// How a resumed run is pointed at where the first one stopped.
enum ResumeWay: String, CaseIterable {
    case path, runDirectory, bundlePath, bundleValue, payload, closure, policy
}

@Suite struct TrainerMatrixTests {
    static let suffixes = ["/", ".safetensors", ".npz", ".bin", ".apr"]

    /// The folders of one run: checkpoints, and the bundle beside them.
    private struct Place {
        let folder: TemporaryDirectory
        let suffix: String
        var checkpoints: URL { folder.file("ck") }
        var bundle: URL { folder.file("art/run.json") }
    }

    /// Two epochs of three steps of two batches each, with dropout, clipping and a monitor.
    private func fit(
        _ place: Place, threads: Int = 1, stop: Int?, from way: ResumeWay? = nil
    ) throws -> FitReport {
        let trainer = try TrainerModelTests.trainer(threads: threads)
        trainer.artifacts.runBundlePath = place.bundle
        if way == .policy { trainer.artifacts.resume = .latest }
        let from = try way.flatMap { try source($0, place) }
        return try trainer.fitReport(TrainerModelTests.train, validation: TrainerModelTests.held) {
            ($0.epochs, $0.accumulation, $0.monitor) = (2, 2, .validationLoss)
            ($0.patience, $0.minDelta) = (3, 0.001)
            $0.checkpointPath = .template(
                place.checkpoints.appendingPathComponent("ep-%{epoch}").path + place.suffix)
            $0.shouldStop = { stop.map { trainer.learner.step >= $0 } ?? false }
            $0.resumeFrom = from
        }
    }

    private func source(_ way: ResumeWay, _ place: Place) throws -> ResumeSource? {
        let bundle = try RunBundle(contentsOf: place.bundle)
        let payload = try bundle.payload()
        switch way {
        case .path: return .path(payload.checkpoint!)
        case .runDirectory: return .path(place.checkpoints)
        case .bundlePath: return .path(place.bundle)
        case .bundleValue: return .bundle(bundle)
        case .payload: return .payload(payload)
        case .closure: return .loader { _ in .path(payload.checkpoint!) }
        case .policy: return nil
        }
    }

    private func place(_ suffix: String) throws -> Place {
        Place(folder: try TemporaryDirectory(), suffix: suffix)
    }

    /// What must not differ.
    private func figures(_ report: FitReport) -> [String] {
        [report.stateDigest, "\(report.steps)", "\(String(describing: report.bestMetric))"]
            + report.history.map { row in
                "\(row.epoch) \(row.epochLoss!) \(row.validationLoss!) \(row.stale) \(row.steps)"
            }
    }

    @Test(arguments: suffixes, 0...5)
    func `every step of every format`(suffix: String, steps: Int) throws {
        let whole = try fit(try place(suffix), stop: nil)
        let place = try place(suffix)

        let first = try fit(place, stop: steps)
        let rest = try fit(place, threads: 2, stop: nil, from: .path)

        #expect(first.status == .interrupted && first.steps == steps)
        #expect(rest.status == .completed && figures(rest) == figures(whole))
    }

    @Test(arguments: suffixes, ResumeWay.allCases)
    func `every source of every format`(suffix: String, way: ResumeWay) throws {
        let whole = try fit(try place(suffix), stop: nil)
        let place = try place(suffix)

        _ = try fit(place, stop: 4)
        let rest = try fit(place, stop: nil, from: way)

        #expect(rest.stepsRan == 2 && figures(rest) == figures(whole))
    }

    @Test func `a run stopped after every single step ends as one that was not`() throws {
        let whole = try fit(try place("/"), stop: nil)
        let place = try place("/")

        var report = try fit(place, stop: 1)
        for steps in 2...6 { report = try fit(place, stop: steps, from: .runDirectory) }
        report = try fit(place, stop: nil, from: .runDirectory)

        #expect(report.status == .completed && figures(report) == figures(whole))
    }

    @Test(arguments: [".safetensors", ".npz", ".bin", ".apr"])
    func `weakness 13: a flipped byte of a file keeps it from being resumed from`(
        suffix: String
    ) throws {
        let place = try place(suffix)
        _ = try fit(place, stop: 1)
        let file = place.checkpoints.appendingPathComponent("interrupted" + suffix)
        let bytes = try Data(contentsOf: file)

        for position in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 40)) {
            var damaged = bytes
            damaged[position] ^= 16
            try damaged.write(to: file)
            let trainer = try TrainerModelTests.trainer()
            let before = trainer.learner.stateDigest
            let text = message {
                try trainer.fit(TrainerModelTests.train) { $0.resumeFrom = .path(file) }
            }
            #expect(text.contains("expected SHA-256"), "byte \(position): \(text)")
            #expect(trainer.learner.stateDigest == before)
        }
    }

    @Test func `a checkpoint that a crash kept from the index is found`() throws {
        let place = try place(".safetensors")
        _ = try fit(place, stop: 4)
        try FileManager.default.removeItem(
            at: place.checkpoints.appendingPathComponent("checkpoints.json"))

        let rest = try fit(place, stop: nil, from: .runDirectory)

        #expect(rest.stepsRan == 2)
    }

    @Test func `weakness 38: a directory that another fit writes into is refused`() throws {
        let place = try place("/")
        let text = Box("")
        let trainer = try TrainerModelTests.trainer()
        trainer.hooks.on(.afterBatch, once: true) { _ in
            text.value = message { _ = try fit(place, stop: nil) }
        }

        try trainer.fit(TrainerModelTests.train) {
            $0.checkpointPath = .template(place.checkpoints.appendingPathComponent("x").path + "/")
        }

        #expect(text.value.contains("is in use by process"), "\(text.value)")
        #expect(throws: Never.self) { try fit(place, stop: nil) }
    }
}
