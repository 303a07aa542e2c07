// SPDX-License-Identifier: Apache-2.0
/// A run with a journal loses no step to a kill, and whatever of the journal is damaged costs time only.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct JournalTests {
    /// A run with a journal, and its directory as a kill after each step would have left it.
    struct Run {
        let golden: GoldenJob
        let outcome: Outcome
        /// Seconds of each step, which are not twice the same.
        let seconds: [Double]

        init(
            _ variant: RunVariant = RunVariant.all[0], ranks: Int = 1,
            _ change: (inout FineTuneOptions) -> Void = { _ in }
        ) throws {
            var golden = try variant.golden()
            golden.options.policy.journal = true
            golden.options.settings.batchSize = 8
            change(&golden.options)
            let (job, directory) = (try golden.job(), golden.directory)
            var seconds: [Double] = []
            let report = try job.run(
                report: { [out = golden.options.output] event in
                    guard case .step(let step) = event else { return }
                    seconds.append(step.seconds)
                    Self.wait(for: step.step, in: out)
                    Self.copy(out, to: directory.file("killed-\(step.step)"))
                })
            self.golden = golden
            outcome = Outcome(report)
            self.seconds = seconds
        }

        /// Waits until a step is on the disk, in the journal or in a checkpoint, or for a while.
        static func wait(for step: Int, in directory: URL) {
            for _ in 0..<20000 {
                if (try? RunDirectory(directory).reachedStep) ?? 0 >= step { return }
                usleep(500)
            }
        }

        /// Copies a directory as it is at one moment: again, where a save changed it meanwhile.
        static func copy(_ source: URL, to target: URL) {
            let manager = FileManager.default
            var before = places(source)
            while true {
                try? manager.removeItem(at: target)
                try? manager.copyItem(at: source, to: target)
                let after = places(source)
                if let after, after == before { break }
                usleep(500)
                before = places(source)
            }
            try? manager.removeItem(at: target.appendingPathComponent(".cairn-lock"))
        }

        /// Every file and directory by its number; nil while a save makes or removes some.
        private static func places(_ directory: URL) -> [String: Int]? {
            var places: [String: Int] = [:]
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: directory.path)) ?? []
            for name in names {
                if [".tmp-", ".old-", ".gone-"].contains(where: { name.contains($0) }) {
                    return nil
                }
                let path = directory.appendingPathComponent(name).path
                let facts = try? FileManager.default.attributesOfItem(atPath: path)
                places[name] = (facts?[.systemFileNumber] as? NSNumber)?.intValue
            }
            return places
        }

        func killed(after step: Int) -> URL { golden.directory.file("killed-\(step)") }

        func file(_ step: Int, killedAfter last: Int) -> URL {
            killed(after: last).appendingPathComponent("training/journal/step-\(step).safetensors")
        }

        /// What a resume in the directory of a killed run gave.
        func resumed(
            after step: Int, threads: Int = 1, _ change: (inout FineTuneOptions) -> Void = { _ in }
        ) throws -> (outcome: Outcome, steps: [StepReport], notes: [String]) {
            let place = killed(after: step)
            let point = try ResumableRun.found(at: place, note: { _ in })
            var options = try point.options(output: place)
            options.policy = point.saved.policy
            options.threads = threads
            change(&options)
            var (steps, notes) = ([StepReport](), [String]())
            let report = try FineTuneJob(options, start: .resumed(point)).run(
                report: { event in
                    if case .step(let step) = event { steps.append(step) }
                    if case .note(let note) = event { notes.append(note) }
                })
            return (Outcome(report), steps, notes)
        }
    }

    /// The same run without a journal.
    private func eightRows(_ variant: RunVariant) throws -> FineTuneJob {
        var golden = try variant.golden()
        golden.options.settings.batchSize = 8
        return try golden.job()
    }

    @Test(arguments: RunVariant.all)
    func `a run killed after any step goes on behind it, with the same bits`(
        variant: RunVariant
    ) throws {
        let run = try Run(variant)
        let plain = Outcome(try eightRows(variant).run())
        #expect(run.outcome == plain)
        var taken = 0

        for step in 1...run.outcome.steps {
            let place = run.killed(after: step)
            let newest = try #require(try RunDirectory(place).entries.first).step
            #expect(try RunDirectory(place).reachedStep == step)

            let (outcome, steps, notes) = try run.resumed(after: step, threads: 1 + step % 3)

            #expect(outcome == run.outcome, "step \(step)")
            // A step that is taken from the journal has the seconds that it took at first.
            let recalled = steps.filter { $0.step <= step }
            #expect(recalled.map(\.step) == Array(newest..<step).map { $0 + 1 })
            #expect(recalled.map(\.seconds) == recalled.map { run.seconds[$0.step - 1] })
            let said =
                "\(step - newest) steps behind the checkpoint were done before; they are taken "
            #expect(notes.contains { $0.hasPrefix(said + "from the journal") } == (step > newest))
            taken += recalled.count
        }
        #expect(taken >= run.outcome.steps / 2)
    }

    @Test func `the journal is empty when a checkpoint holds every step`() throws {
        let run = try Run()

        let folder = run.golden.options.output.appendingPathComponent("training/journal")
        #expect(!FileManager.default.fileExists(atPath: folder.path))
        #expect(FileManager.default.fileExists(atPath: run.file(1, killedAfter: 1).path))
        let first = run.golden.options.output.appendingPathComponent("step-0")
        #expect(CheckpointCheck(first).problems == [])
        #expect(try ResumableRun(contentsOf: first).saved.policy.journal)
    }

    @Test func `other readers open a step's gradients as tensors`() throws {
        let run = try Run()

        let file = try SafetensorsFile(contentsOf: run.file(1, killedAfter: 1))

        let point = try ResumableRun(
            contentsOf: run.golden.options.output.appendingPathComponent("step-0"))
        #expect(Set(file.names) == Set(point.parameters.keys))
        for name in file.names {
            #expect(file.layout(of: name)!.shape == point.parameters[name]!.shape)
        }
        let squares = file.tensors.values.reduce(0.0) { sum, tensor in
            sum + tensor.floats().reduce(0.0) { $0 + Double($1) * Double($1) }
        }
        let norm = try Ledger(ofRun: run.golden.options.output).entries[0].norm
        #expect(abs(squares.squareRoot() - norm) <= 1e-6 * norm)
    }

    // MARK: Damage

    private func damaged(
        _ step: Int, killedAfter last: Int, _ run: Run, _ change: (inout Data) -> Void
    ) throws {
        let file = run.file(step, killedAfter: last)
        var data = try Data(contentsOf: file)
        change(&data)
        try data.write(to: file)
    }

    @Test(arguments: ["torn", "empty", "a flipped bit", "no metadata", "another step"])
    func `a damaged step is computed again, and those behind it`(damage: String) throws {
        let run = try Run()
        let last = try #require(
            (1...run.outcome.steps).last { step in
                let newest = try? RunDirectory(run.killed(after: step)).entries.first?.step
                return step - (newest ?? step) >= 2
            })
        let newest = try #require(try RunDirectory(run.killed(after: last)).entries.first).step
        let bad = newest + 2
        try damaged(bad, killedAfter: last, run) { data in
            switch damage {
            case "torn": data.removeLast(100)
            case "empty": data = Data()
            case "a flipped bit": data[data.count - 5] ^= 1
            case "no metadata":
                data = (try? SafetensorsWriter.data(["a": .init([1 as Float], shape: [1])])) ?? data
            default:
                data = (try? Data(contentsOf: run.file(newest + 1, killedAfter: last))) ?? data
            }
        }

        let (outcome, steps, notes) = try run.resumed(after: last)

        #expect(outcome == run.outcome)
        #expect(
            notes.contains {
                $0.contains("step-\(bad).safetensors")
                    && $0.hasSuffix("; the steps from \(bad) on are computed again")
            }, "\(notes)")
        #expect(steps[0].seconds == run.seconds[newest])
        #expect(steps[1].seconds != run.seconds[newest + 1])
    }

    @Test func `a step that does not lead to the state it says ends the resume`() throws {
        let run = try Run()
        let step = try #require(try RunDirectory(run.killed(after: 1)).entries.first).step + 1
        // Both the ledger and the step say so: a line that was never written proves nothing.
        try FileManager.default.removeItem(
            at: run.killed(after: 1).appendingPathComponent("training/ledger.jsonl"))
        let state = try Ledger(ofRun: run.golden.options.output).entries[0].state
        try damaged(step, killedAfter: 1, run) { data in
            let place = data.range(of: Data(state.utf8))!
            data.replaceSubrange(place, with: Data(String(state.reversed()).utf8))
        }

        #expect {
            try run.resumed(after: 1)
        } throws: { error in
            guard case TrainingError.ledger(let file, 1, "state", _, let found) = error else {
                return false
            }
            return file.hasSuffix("step-1.safetensors") && found == "\"\(state)\""
        }
    }

    @Test func `steps that a resume will not take are removed`() throws {
        let run = try Run()
        let file = run.file(1, killedAfter: 1)

        let (outcome, steps, _) = try run.resumed(after: 1) { $0.settings.epochs = 3 }

        #expect(outcome.steps > run.outcome.steps)
        #expect(steps[0].step == 1 && steps[0].seconds != run.seconds[0])
        #expect(!FileManager.default.fileExists(atPath: file.path))
    }

    @Test func `a step that cannot be kept ends the keeping and not the run`() throws {
        var golden = try RunVariant.all[0].golden()
        let plain = Outcome(try golden.job().run())
        golden.options.policy.journal = true
        golden.options.output = golden.directory.file("other")
        let training = golden.options.output.appendingPathComponent("training")
        try FileManager.default.createDirectory(at: training, withIntermediateDirectories: true)
        try Data("mine".utf8).write(to: training.appendingPathComponent("journal"))
        var notes: [String] = []

        let report = try golden.job().run(
            report: { if case .note(let note) = $0 { notes.append(note) } })

        #expect(Outcome(report) == plain)
        let said = notes.filter {
            $0.hasPrefix("no step is kept from step 1 on, and the run goes on")
        }
        #expect(said.count == 1, "\(notes)")
        #expect(
            try Data(contentsOf: training.appendingPathComponent("journal")) == Data("mine".utf8))
    }

    @Test func `a journal that might fill the disk is refused before the run`() throws {
        var golden = try RunVariant.all[0].golden()
        golden.options.policy.journal = true
        golden.options.policy.epochs = 1 << 40
        golden.options.settings.epochs = 1 << 40

        #expect {
            try golden.job().run()
        } throws: { error in
            guard case TrainingError.noJournalSpace(let path, let needed, let free) = error else {
                return false
            }
            return path == golden.options.output.path && needed > free
                && "\(error)".contains("'--save-steps N'")
        }
    }

    // MARK: Ranks

    @Test(arguments: [1, 2, 3])
    func `any number of ranks takes the steps that two have kept`(ranks: Int) throws {
        var golden = try RanksTests.golden(
            "qwen2", .lora(.init(rank: 4, alpha: 8, dropout: 0.1)))
        let expected = try golden.job().run()
        golden.options.policy.journal = true
        golden.options.output = golden.directory.file("kept")
        let (options, directory) = (golden.options, golden.directory)
        let (last, image) = (expected.steps - 1, directory.file("killed"))
        let results = PostOffice(2).run { ranks in
            try FineTuneJob(options, ranks: ranks).run(
                report: { event in
                    guard case .step(let step) = event, step.step == last else { return }
                    Run.wait(for: last, in: options.output)
                    Run.copy(options.output, to: image)
                })
        }
        for result in results { #expect(try result.get().stateDigest == expected.stateDigest) }
        #expect(try RunDirectory(image).reachedStep == last)

        let point = try ResumableRun.found(at: image, note: { _ in })
        #expect(point.saved.state.step < last)
        var resumed = try point.options(output: image)
        resumed.threads = 1
        let job = resumed
        let digests: [String]
        if ranks == 1 {
            digests = [try FineTuneJob(job, start: .resumed(point)).run().stateDigest]
        } else {
            digests = try PostOffice(ranks).run { ranks in
                try FineTuneJob(job, start: .resumed(point), ranks: ranks).run().stateDigest
            }.map { try $0.get() }
        }

        #expect(Set(digests) == [expected.stateDigest])
    }
}
