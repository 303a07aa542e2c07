// SPDX-License-Identifier: Apache-2.0
/// Resumed runs end with the bits of undisturbed ones: from every step, after every stop.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ResumeTests {
    @Test(arguments: RunVariant.all)
    func `from every step a run ends as if it had never stopped`(variant: RunVariant) throws {
        var golden = try variant.golden()
        golden.options.policy.steps = 1
        let expected = Outcome(try golden.job().run())
        #expect(expected.status == (variant.name == "early stopping" ? .stoppedEarly : .completed))
        #expect(expected.steps >= 4)

        for (step, point) in zip(1..., try golden.points(expected.steps)) {
            let isa = ISA.supported[step % ISA.supported.count]
            let outcome = try golden.resumed(
                point, in: "from-\(step)", threads: 1 + step % 3, isa: isa)
            #expect(outcome == expected, "step \(step), \(isa.rawValue)")
        }
    }

    /// A stop is polled between micro-batches and in validation: every one of these places.
    @Test func `a stop at any poll resumes to the same end`() throws {
        let variant = RunVariant.all[0]
        let expected = Outcome(try variant.golden().job().run())
        var polls = 0
        _ = try variant.golden().job().run(
            stop: {
                polls += 1
                return nil
            })
        #expect(polls > 2 * expected.steps)

        for poll in stride(from: 1, through: polls, by: 3) {
            let golden = try variant.golden()
            var count = 0
            let report = try golden.job().run(
                stop: {
                    count += 1
                    return count == poll ? .signal : nil
                })
            #expect(report.status == .interrupted)
            let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
            let outcome = Outcome(
                try FineTuneJob(
                    try point.options(output: golden.options.output), start: .resumed(point)
                ).run())
            #expect(outcome == expected, "poll \(poll)")
        }
    }

    @Test func `a run that is over does nothing more`() throws {
        let golden = try RunVariant.all[0].golden()
        let expected = Outcome(try golden.job().run())
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        var steps = 0

        let report = try FineTuneJob(
            try point.options(output: golden.options.output), start: .resumed(point)
        ).run(
            report: { event in
                if case .step = event { steps += 1 }
            })

        #expect(steps == 0)
        #expect(Outcome(report) == expected)
    }

    @Test func `the checkpoints that a kill came before are made on resume`() throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run()
        let out = golden.options.output
        // As if killed between `best` and `epoch-2`.
        for name in ["epoch-2", "latest"] {
            try FileManager.default.removeItem(at: out.appendingPathComponent(name))
        }
        let point = try ResumableRun.found(at: out, note: { _ in })

        _ = try FineTuneJob(try point.options(output: out), start: .resumed(point)).run()

        #expect(CheckpointCheck(out.appendingPathComponent("epoch-2")).problems == [])
        #expect(try CurrentLink(in: out).destination() == "epoch-2")
    }

    @Test func `steps behind the checkpoint are compared with the ledger`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.steps = 2
        _ = try golden.job().run()
        let out = golden.options.output
        let ledger = out.appendingPathComponent("training/ledger.jsonl")
        let whole = try Data(contentsOf: ledger)
        for name in ["best", "epoch-2", "step-4", "latest"] {
            try FileManager.default.removeItem(at: out.appendingPathComponent(name))
        }
        let point = try ResumableRun.found(at: out, note: { _ in })
        #expect(point.saved.state.step == 2)

        _ = try FineTuneJob(try point.options(output: out), start: .resumed(point)).run()

        #expect(try Data(contentsOf: ledger) == whole)
    }

    @Test func `a ledger of other bits ends the resume with the step named`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.steps = 1
        _ = try golden.job().run()
        let out = golden.options.output
        // A run of another seed, under this run's id and up to its second step: not these bits.
        var other = try RunVariant.all[0].golden()
        other.options.settings.learningRate *= 1 + 1e-12
        other.options.policy.steps = 1
        _ = try other.job().run()
        let point = try ResumableRun(contentsOf: out.appendingPathComponent("step-1"))
        let foreign = try Ledger(ofRun: other.options.output)
        let own = try Ledger(ofRun: out)
        #expect(own.entries[1] != foreign.entries[1])
        // Line 1 of this run, then the other's entries chained to it.
        let directory = golden.directory.file("mixed")
        try FileManager.default.createDirectory(
            at: directory.appendingPathComponent("training"), withIntermediateDirectories: true)
        try LedgerText.mixed(own, foreign).write(
            to: directory.appendingPathComponent("training/ledger.jsonl"))

        #expect {
            try FineTuneJob(
                try point.options(output: directory), start: .resumed(point)
            ).run()
        } throws: { error in
            guard case TrainingError.ledger(_, 2, let key, _, _) = error else { return false }
            return key == "learning_rate" || key == "loss"
        }
    }

    // MARK: Refusals

    private func refusal(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch { return "\(error)" }
    }

    @Test(arguments: ["data", "tokenizer", "base"])
    func `an input that changed is refused, and allowed when asked for`(key: String) throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run(stop: { .signal })
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        var options = try point.options(output: golden.options.output)
        let model = golden.directory.file("model")
        try FileManager.default.copyItem(at: options.model, to: model)
        options.model = model
        switch key {
        case "data":
            let changed = golden.directory.file("changed.jsonl")
            try (Data(contentsOf: options.data) + Data("\n".utf8)).write(to: changed)
            options.data = changed
        case "tokenizer":
            let file = model.appendingPathComponent("tokenizer.json")
            try (Data(contentsOf: file) + Data("\n".utf8)).write(to: file)
        default:
            let file = model.appendingPathComponent("config.json")
            try (Data(contentsOf: file) + Data("\n".utf8)).write(to: file)
        }

        let sentence = refusal { _ = try FineTuneJob(options, start: .resumed(point)) }

        #expect(
            sentence?.hasPrefix("the input '\(key)' is not what the run had: expected SHA-256")
                == true, "\(sentence ?? "accepted")")
        #expect(sentence?.contains("'--allow \(key)'") == true)
        let job = try FineTuneJob(options, start: .resumed(point, allowing: [key]))
        #expect(job.tuner.state.allowed == [key])
    }

    @Test func `a state of another model is refused with every misfit`() throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run(stop: { .signal })
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        var options = try point.options(output: golden.options.output)
        options.method = .lora(AdapterConfiguration(rank: 8, alpha: 8, dropout: 0.2))

        let sentence = refusal { _ = try FineTuneJob(options, start: .resumed(point)) }

        #expect(
            sentence?.contains("'model.layers.0.mlp.down_proj.lora_A.weight' is F32 [4, 128], ")
                == true, "\(sentence ?? "accepted")")
        #expect(
            sentence?.contains("slot 'v' of 'model.layers.1.self_attn.v_proj.lora_B.weight'")
                == true)
    }

    @Test func `a directory that holds another run is refused`() throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run(stop: { .signal })

        let sentence = refusal { _ = try golden.job().run() }

        #expect(
            sentence
                == "\(golden.options.output.path) holds a run already (interrupted at step 0): "
                + "'cairn resume \(golden.options.output.path)' goes on with it; for a new one name "
                + "another directory")
    }

    @Test func `a newer schema is refused, and a state that lies about its tensors`() throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run()
        let file = golden.best.appendingPathComponent("training/state.json")
        let good = try JSONValue.parse(contentsOf: file).object!
        func refusal(_ change: (inout JSONObject) -> Void) throws -> String? {
            var json = good
            change(&json)
            try JSONValue.object(json).serialized().write(to: file)
            return self.refusal { _ = try ResumableRun(contentsOf: golden.best) }
        }

        #expect(
            try refusal { $0["schema_version"] = 2 }
                == "\(file.path): schema version 2 is newer than 1, the newest that this build "
                + "reads; a newer Cairn made it")
        #expect(
            try refusal { $0["state_digest"] = "00" }?.contains(
                "have the state digest \(good["state_digest"]!.string!), expected 00") == true)
        #expect(
            try refusal { $0["run"]!["step"] = -1 }
                == "\(file.path): key 'run.step' must be a whole number of at least 0, found -1.0")
        #expect(
            try refusal { $0["settings"]!["precision"] = "int3" }
                == "\(file.path): key 'settings.precision' must be one of fp32, bf16, found 'int3'")
    }

    // MARK: Other words

    @Test func `a raised target goes on and is remembered`() throws {
        let golden = try RunVariant.all[0].golden()
        let first = try golden.job().run()
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        var options = try point.options(output: golden.options.output)
        options.settings.epochs = 3

        let job = try FineTuneJob(options, start: .resumed(point))
        let report = try job.run()

        #expect(report.status == .completed && report.epochs.count == 3)
        #expect(report.steps == first.steps / 2 * 3)
        #expect(job.tuner.state.amendments.map(\.step) == [first.steps])
    }

    @Test func `a branch has the state and its parent, and other settings from there on`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.steps = 1
        let run = Outcome(try golden.job().run())
        let point = try ResumableRun(
            contentsOf: golden.options.output.appendingPathComponent("step-2"))
        func branch(_ rate: Double, _ name: String) throws -> FineTuneReport {
            var options = try point.options(output: golden.directory.file(name))
            options.settings = try options.settings.changed("learning_rate", to: "\(rate)")
            return try FineTuneJob(options, start: .branched(point)).run()
        }

        let same = try branch(5e-3, "same")
        let other = try branch(1e-3, "other")

        #expect(Outcome(same) == run)
        #expect(other.stateDigest != run.digest && other.steps == run.steps)
        let state = try ResumableRun.found(at: golden.directory.file("other"), note: { _ in })
            .saved.state
        #expect(state.parent?.runID == point.saved.state.runID)
        #expect(state.parent?.relation == .branched && state.parent?.step == 2)
        #expect(state.parent?.stateDigest == point.saved.stateDigest)
        #expect(state.runID != point.saved.state.runID)
    }

    @Test(arguments: [false, true])
    func `a continued run begins with the weights, and with the slots when they are kept`(
        keeps: Bool
    ) throws {
        let golden = try RunVariant.all[0].golden()
        _ = try golden.job().run()
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        let options = try point.options(output: golden.directory.file("next"))

        let job = try FineTuneJob(options, start: .continued(point, keepsOptimizer: keeps))

        #expect(job.tuner.state.step == 0 && job.tuner.state.epochs.isEmpty)
        #expect(job.tuner.state.parent?.relation == .continued)
        #expect(job.tuner.optimizer.step == (keeps ? point.optimizer.step : 0))
        for (name, tensor) in point.parameters {
            #expect(
                bitMismatch(job.tuner.model.parameters.tensor(name).floats(), tensor.floats())
                    == nil)
            let slot = job.tuner.optimizer.state.slots[name]!["m"]!.floats()
            let expected = keeps ? point.optimizer.slots[name]!["m"]!.floats() : slot.map { _ in 0 }
            #expect(bitMismatch(slot, expected) == nil)
        }
        #expect(try job.run().status == .completed)
    }
}

/// Ledgers that no run wrote.
enum LedgerText {
    /// The first line of one ledger, and the rest of another chained to it.
    static func mixed(_ own: Ledger, _ foreign: Ledger) throws -> Data {
        var position = LedgerPosition()
        var text = Data()
        for entry in [own.entries[0]] + foreign.entries.dropFirst() {
            let (line, next) = try position.line(of: entry)
            text += line
            position = next
        }
        return text
    }
}
