// SPDX-License-Identifier: Apache-2.0
/// What a run leaves on the disk: ledger, retention, damage that is passed over, saves that fail.

import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct RunFilesTests {
    /// A run of two epochs that saved every step.
    private static func finished(
        _ change: (inout GoldenJob) -> Void = { _ in }
    ) throws -> (golden: GoldenJob, report: FineTuneReport) {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.steps = 1
        change(&golden)
        return (golden, try golden.job().run())
    }

    /// What every run has in its directory besides checkpoints.
    private static let runFiles: Set<String> = [
        "events", "history.csv", "latest", "measured.json", "report.html", "run_bundle.json",
        "training",
    ]

    /// The checkpoints, and whatever else is not a run's own.
    private func names(_ golden: GoldenJob) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: golden.options.output.path)
            .filter { !$0.hasPrefix(".") && !Self.runFiles.contains($0) }.sorted()
    }

    private func flip(_ file: URL, at place: Int) throws {
        var bytes = try Data(contentsOf: file)
        bytes[place] ^= 1
        try bytes.write(to: file)
    }

    // MARK: Ledger and replay

    @Test func `the ledger has a chained line per step, and a replay gives its bits`() throws {
        let (golden, report) = try Self.finished()
        let out = golden.options.output

        let ledger = try Ledger(ofRun: out)
        let whole = try Replay(run: out).run()
        let part = try Replay(run: out, from: 2, steps: 1).run()

        #expect(ledger.damage == nil)
        #expect(ledger.entries.map(\.step) == Array(1...report.steps))
        #expect(Set(ledger.entries.map(\.state)).count == report.steps)
        #expect(whole.steps == 1...report.steps && whole.difference == nil)
        #expect(part.steps == 3...3 && part.difference == nil)
    }

    @Test func `a replay names the first step and figure that differ`() throws {
        let (golden, _) = try Self.finished()
        let out = golden.options.output
        let ledger = try Ledger(ofRun: out)
        var position = LedgerPosition()
        var text = Data()
        for var entry in ledger.entries {
            if entry.step >= 3 { entry.loss += 1e-9 }
            let (line, next) = try position.line(of: entry)
            text += line
            position = next
        }
        try text.write(to: ledger.url)

        let result = try Replay(run: out).run()

        #expect(result.difference?.step == 3 && result.difference?.key == "loss")
        #expect(try Replay(run: out, steps: 2).run().difference == nil)
    }

    @Test(arguments: [0, 40, 399, 700])
    func `any byte of the ledger that changes is found at its line`(place: Int) throws {
        let (golden, _) = try Self.finished()
        let url = golden.options.output.appendingPathComponent("training/ledger.jsonl")
        let before = try Data(contentsOf: url)
        let line = before[..<place].count { $0 == 0x0A } + 1

        try flip(url, at: place)

        let ledger = try Ledger(ofRun: golden.options.output)
        #expect(ledger.damage?.hasPrefix("\(url.path), line \(line): ") == true)
        #expect(ledger.entries.count == line - 1)
    }

    // MARK: Verification

    @Test func `a flipped byte of any file is found and named`() throws {
        let (golden, _) = try Self.finished()
        let best = golden.best
        #expect(CheckpointCheck(best).problems == [])
        for name in try FileManager.default.subpathsOfDirectory(atPath: best.path)
        where name != "training" {
            let file = best.appendingPathComponent(name)
            let good = try Data(contentsOf: file)
            try flip(file, at: good.count / 2)

            let problems = CheckpointCheck(best).problems

            #expect(problems.count >= 1, "\(name)")
            #expect(problems.first?.contains(name) == true, "\(problems)")
            try good.write(to: file)
        }
        #expect(CheckpointCheck(best).problems == [])
    }

    /// `CAIRN_FLIPS=all` takes every byte, which takes minutes; else about one in 300 of each file.
    @Test func `a bit that flips anywhere in a checkpoint is found, and the load refuses it`()
        throws
    {
        let (golden, _) = try Self.finished()
        let best = golden.best
        let all = ProcessInfo.processInfo.environment["CAIRN_FLIPS"] == "all"
        var flips = 0
        for name in try FileManager.default.subpathsOfDirectory(atPath: best.path).sorted()
        where name != "training" {
            let url = best.appendingPathComponent(name)
            let good = try Data(contentsOf: url)
            let file = try FileHandle(forUpdating: url)
            defer { try? file.close() }
            for place in stride(from: 0, to: good.count, by: all ? 1 : max(1, good.count / 300)) {
                func put(_ byte: UInt8) throws {
                    try file.seek(toOffset: UInt64(place))
                    try file.write(contentsOf: Data([byte]))
                }
                try put(good[place] ^ (1 << (place % 8)))
                let problem = Manifest.check(best).problems.first
                #expect(problem != nil, "\(name), byte \(place)")
                if flips % 500 == 0 {
                    #expect(throws: (any Error).self, "\(name), byte \(place)") {
                        try ResumableRun.found(at: best, note: { _ in })
                    }
                }
                try put(good[place])
                flips += 1
            }
        }
        #expect(CheckpointCheck(best).problems == [])
        print("flips: \(flips) bytes, each found")
    }

    /// Parts that were committed as they are and do not belong together.
    @Test(arguments: 0..<5)
    func `parts that disagree are found behind a good manifest`(number: Int) throws {
        let (golden, _) = try Self.finished()
        let best = golden.best
        func edit(_ name: String, _ change: (inout JSONObject) -> Void) throws {
            let file = best.appendingPathComponent(name)
            var json = try JSONValue.parse(contentsOf: file).object!
            change(&json)
            try JSONValue.object(json).serialized().write(to: file)
        }
        func take(_ name: String, from other: String) throws {
            let file = best.appendingPathComponent(name)
            try FileManager.default.removeItem(at: file)
            try FileManager.default.copyItem(
                at: golden.options.output.appendingPathComponent("\(other)/\(name)"), to: file)
        }
        let expected: String
        switch number {
        case 0:
            try edit("adapter_config.json") { $0["r"] = 8 }
            expected = "expected rank 8, as in adapter_config.json"
        case 1:
            try edit("config.json") { $0["id2label"] = ["0": "a", "1": "b"] }
            expected = "and config.json has 2 labels"
        case 2:
            try edit("metadata.json") { $0["step"] = 1 }
            expected = "metadata.json: key 'step' must be"
        case 3:
            try take("training/optimizer.safetensors", from: "step-1")
            expected = "a file of it was changed"
        default:
            try take("model.safetensors", from: "step-1")
            expected = "differs from that of adapter_model.safetensors"
        }
        let old = try Manifest(of: best)
        let files = try old.files.map { file in
            let data = try Data(contentsOf: best.appendingPathComponent(file.name))
            return CommittedFile(
                name: file.name, size: data.count, sha256: SHA256.hex(of: data))
        }
        try Manifest(runID: old.runID, name: old.name, parent: old.parent, files: files)
            .serialized().write(to: best.appendingPathComponent("manifest.json"))

        let problems = CheckpointCheck(best).problems

        #expect(problems.contains { $0.contains(expected) }, "\(problems)")
    }

    @Test func `the newest checkpoint that verifies is taken, and the damaged ones are named`()
        throws
    {
        let (golden, report) = try Self.finished()
        let out = golden.options.output
        for name in ["best", "epoch-2", "step-\(report.steps)"] {
            try flip(
                out.appendingPathComponent(name).appendingPathComponent("model.safetensors"),
                at: 900)
        }
        try Data("{".utf8).write(
            to: out.appendingPathComponent("step-1/training/state.json"))
        let before = try names(golden)
        var said: [String] = []

        let point = try ResumableRun.found(at: out, note: { said.append($0) })

        #expect(point.source.lastPathComponent == "step-\(report.steps - 1)")
        #expect(point.saved.state.step == report.steps - 1)
        #expect(said.count == 4)
        for name in ["best", "epoch-2", "step-\(report.steps)", "step-1"] {
            #expect(said.contains { $0.hasPrefix("passed over \(name)") }, "\(name): \(said)")
        }
        #expect(try names(golden) == before)
    }

    // MARK: Retention

    @Test func `the newest are kept, and the best, and nothing else of this run`() throws {
        let (golden, report) = try Self.finished { golden in
            golden.options.policy.epochs = 1
            golden.options.policy.keepLast = 2
            golden.options.settings.epochs = 3
        }

        let last = report.steps
        #expect(try names(golden) == ["best", "epoch-3", "step-\(last)"])
        #expect(try CurrentLink(in: golden.options.output).destination() == "epoch-3")
    }

    @Test func `the best epochs stay besides the newest`() throws {
        let (golden, report) = try Self.finished { golden in
            golden.options.policy.epochs = 1
            golden.options.policy.steps = nil
            golden.options.policy.keepLast = 1
            golden.options.policy.keepBest = 1
            golden.options.settings.epochs = 9
            // At this rate nothing moves, and the first of equals is the best.
            golden.options.settings.learningRate = 1e-30
        }

        let best = try #require(report.bestEpoch)
        #expect(best == 1)
        #expect(Set(try names(golden)) == ["best", "epoch-\(best)", "epoch-9"])
    }

    @Test func `the checkpoint resumed from and a stranger's directory are never removed`() throws {
        let (golden, _) = try Self.finished()
        let out = golden.options.output
        let stranger = out.appendingPathComponent("step-999")
        try FileManager.default.createDirectory(at: stranger, withIntermediateDirectories: true)
        let point = try ResumableRun(contentsOf: out.appendingPathComponent("step-1"))
        var options = try point.options(output: out)
        options.policy = SavePolicy()
        options.policy.steps = 1
        options.policy.keepLast = 1

        _ = try FineTuneJob(options, start: .resumed(point)).run()

        let left = try names(golden)
        #expect(left.contains("step-1") && left.contains("step-999") && left.contains("best"))
        #expect(left.contains("epoch-2") && !left.contains("step-2") && !left.contains("step-3"))
    }

    // MARK: Saves that fail

    @Test func `a save that fails is reported, the run goes on, and the earlier one stays`() throws
    {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.steps = 1
        let out = golden.options.output
        // A file where a checkpoint should go: that save fails, and only that one.
        try FileManager.default.createDirectory(at: out, withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: out.appendingPathComponent("step-2"))
        var failed: [String] = []

        let report = try golden.job().run(
            report: { event in
                if case .saveFailed(let name, _) = event { failed.append(name) }
            })

        #expect(report.status == .completed)
        #expect(report.failedSaves.map(\.name) == ["step-2"] && failed == ["step-2"])
        #expect(report.failedSaves[0].reason.contains("it is not a directory"))
        #expect(try Data(contentsOf: out.appendingPathComponent("step-2")) == Data("mine".utf8))
        #expect(CheckpointCheck(out.appendingPathComponent("step-1")).problems == [])
        #expect(CheckpointCheck(golden.best).problems == [])
    }

    @Test func `two runs in one directory: the second is refused`() throws {
        let golden = try RunVariant.all[0].golden()
        try FileManager.default.createDirectory(
            at: golden.options.output, withIntermediateDirectories: true)
        let lock = try RunLock(golden.options.output)
        defer { lock.release() }

        #expect {
            try golden.job().run()
        } throws: { error in
            "\(error)".contains("process \(ProcessInfo.processInfo.processIdentifier)")
        }
    }

    @Test func `a run whose checkpoints would not fit is refused before it starts`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.settings.epochs = 1 << 40
        golden.options.policy.steps = 1
        var steps = 0

        #expect {
            try golden.job().run(
                report: { event in
                    if case .step = event { steps += 1 }
                })
        } throws: { error in
            guard case TrainingError.noSpace(_, let needed, let free) = error else { return false }
            return needed > free
        }

        #expect(steps == 0)
        #expect(try names(golden) == [])
    }
}
