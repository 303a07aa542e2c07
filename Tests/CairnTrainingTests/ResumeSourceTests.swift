// SPDX-License-Identifier: Apache-2.0
/// Every source that names a run's state gives the same rest of the run.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

/// How the state of a stopped run is handed on.
enum SourceKind: String, CaseIterable, Sendable {
    case directory, runDirectory, safetensors, npz, marshal, apr, bundlePath, bundleValue, metadata
    case loader

    /// The source, made from a job that was stopped with its checkpoint in `out`.
    func source(_ job: FineTuneJob, out: URL) throws -> ResumeSource {
        let checkpoint = out.appendingPathComponent("interrupted")
        let bundle = out.appendingPathComponent(RunBundle.fileName)
        func file(_ format: CheckpointFormat, _ name: String) throws -> ResumeSource {
            .path(try job.save(to: out.appendingPathComponent(name), format: format))
        }
        switch self {
        case .directory: return .path(checkpoint)
        case .runDirectory: return .path(out)
        case .safetensors: return try file(.safetensors, "state.safetensors")
        case .npz: return try file(.npz, "state.npz")
        case .marshal: return try file(.marshal, "state.bin")
        case .apr: return try file(.apr, "state.apr")
        case .bundlePath: return .path(bundle)
        case .bundleValue: return .bundle(try RunBundle(contentsOf: bundle))
        case .metadata:
            return .payload(
                ResumePayload(
                    metadata: ["step": JSONValue(job.tuner.state.step)], checkpoint: checkpoint))
        case .loader: return .loader { _ in .path(checkpoint) }
        }
    }
}

@Suite struct ResumeSourceTests {
    /// A run that a stop ended behind its `step`-th step, in the middle of the next one.
    private func stopped(_ variant: RunVariant, after step: Int) throws
        -> (golden: GoldenJob, job: FineTuneJob)
    {
        let golden = try variant.golden()
        let job = try golden.job()
        var polls = 0
        let report = try job.run(
            stop: {
                if job.tuner.state.step == step { polls += 1 }
                return polls == 2 ? .signal : nil
            })
        #expect(report.status == .interrupted && report.steps == step)
        return (golden, job)
    }

    @Test(arguments: RunVariant.all)
    func `from every source a run ends as if it had never stopped`(variant: RunVariant) throws {
        let calm = try variant.golden()
        let expected = Outcome(try calm.job().run())

        for step in 1..<expected.steps {
            let (golden, job) = try stopped(variant, after: step)
            for (number, kind) in SourceKind.allCases.enumerated() {
                let source = try kind.source(job, out: golden.options.output)
                let run = try #require(try ResumableRun.found(from: source))
                #expect(run.saved.state.step == step, "\(kind)")
                let isa = ISA.supported[number % ISA.supported.count]
                let outcome = try golden.resumed(
                    run, in: "\(kind)-\(step)", threads: 1 + number % 3, isa: isa)
                #expect(outcome == expected, "\(kind) at step \(step), \(isa.rawValue)")
            }
        }
    }

    @Test func `sources that are no whole run are refused by what they lack`() throws {
        let (golden, job) = try stopped(RunVariant.all[0], after: 1)
        let out = golden.options.output
        func refusal(_ source: ResumeSource) -> String {
            do {
                return "accepted \(String(describing: try ResumableRun.found(from: source)))"
            } catch { return "\(error)" }
        }
        let plain = out.appendingPathComponent("plain.safetensors")
        try job.tuner.model.save(to: plain, optimizer: job.tuner.optimizer)
        let bare = out.appendingPathComponent("bare.npz")
        try job.tuner.model.save(to: bare)

        #expect(refusal(.path(plain)).hasSuffix("a file of weights without the state of a run"))
        #expect(refusal(.path(bare)).hasSuffix("a file of weights without the state of a run"))
        #expect(
            refusal(.metadata(["epoch": 1])).contains(
                "it names no checkpoint, and counters alone are no run to go on with"))
        #expect(refusal(.countersOnly(.path(out))).contains("'continue' begins a new one"))
        #expect(refusal(.path(out.appendingPathComponent("gone"))).hasSuffix("found nothing"))
        #expect(
            refusal(
                .payload(
                    ResumePayload(
                        metadata: ["step": 7],
                        checkpoint: out.appendingPathComponent("interrupted")))
            ).contains("it stands at step 7, its checkpoint"))
        #expect(try ResumableRun.found(from: .loader { _ in nil }) == nil)
    }

    @Test func `a bundle whose checkpoint was changed is refused`() throws {
        let (golden, _) = try stopped(RunVariant.all[0], after: 1)
        let out = golden.options.output
        let manifest = out.appendingPathComponent("interrupted/manifest.json")
        try (Data(contentsOf: manifest) + Data(" ".utf8)).write(to: manifest)

        #expect {
            try ResumableRun.found(from: .path(out.appendingPathComponent(RunBundle.fileName)))
        } throws: { error in
            if case TrainerError.damaged(let path, _, _) = error {
                path.hasSuffix("interrupted/manifest.json")
            } else {
                false
            }
        }
    }

    @Test func `a single file whose bytes were changed is refused`() throws {
        let (golden, job) = try stopped(RunVariant.all[0], after: 1)
        for kind in [SourceKind.safetensors, .npz, .apr] {
            guard case .path(let url) = try kind.source(job, out: golden.options.output) else {
                continue
            }
            var bytes = try Data(contentsOf: url)
            bytes[bytes.count * 2 / 3] ^= 4
            try bytes.write(to: url)

            #expect(throws: (any Error).self, "\(kind)") {
                try ResumableRun.found(from: .path(url))
            }
        }
    }
}
