// SPDX-License-Identifier: Apache-2.0
/// The real checkpoints of a run, after every crash: the newest that was committed, or the one
/// before, loads with its bits.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct CheckpointCrashTests {
    static let isThorough = ProcessInfo.processInfo.environment["CAIRN_CRASH_STATES"] == "all"

    /// A trained job whose state is saved, step after step, with other weights.
    private struct Saves {
        let golden: GoldenJob
        let job: FineTuneJob
        /// Digests of the states by step.
        var digests: [Int: String] = [:]

        init() throws {
            var golden = try GoldenJob("qwen2", rows: 45)
            golden.options.settings.epochs = 1
            self.golden = golden
            job = try golden.job()
            _ = try job.run()
        }

        mutating func snapshot(step: Int) -> RunSnapshot {
            let parameters = job.tuner.model.parameters
            let name = parameters.trainableNames.sorted()[0]
            var numbers = parameters.tensor(name).floats()
            numbers[0] = Float(step)
            parameters.set(name, to: numbers)
            var state = job.tuner.state
            state.step = step
            let snapshot = RunSnapshot(parameters, optimizer: job.tuner.optimizer, state: state)
            digests[step] = snapshot.digest
            return snapshot
        }

        /// What `CheckpointStore` does at a step, in its order.
        mutating func save(
            step: Int, in directory: URL, files: some FileOperations, promise: (String) -> Void
        ) throws {
            let snapshot = snapshot(step: step)
            let writer = CheckpointWriter(
                job.tuner.model, job.description, in: directory, files: files)
            try writer.write("step-\(step)", snapshot)
            promise("\(step)")
            try CurrentLink("latest", in: directory, files: files).move(to: "step-\(step)")
            if step != 2 {
                try writer.write("best", snapshot)
                promise("best \(step)")
            }
            let old = directory.appendingPathComponent("step-\(step - 2)")
            if FileManager.default.fileExists(atPath: old.path) {
                _ = try Removal.remove(old.lastPathComponent, in: directory, files: files)
            }
        }
    }

    /// What a run finds that starts here: the step of the newest checkpoint that verifies.
    private func newest(_ directory: URL) throws -> (step: Int, url: URL, skipped: [String])? {
        let run = try RunDirectory(directory)
        if run.entries.isEmpty && run.unreadable.isEmpty { return nil }
        let (entry, skipped) = try run.newestVerified()
        return (entry.step, entry.url, skipped)
    }

    private func check(_ directory: URL, _ state: CrashState, _ saves: Saves, loads: Bool) throws {
        let promised = state.promises.compactMap { Int($0) }.max() ?? 0
        guard let found = try newest(directory) else {
            return #expect(promised == 0, "nothing is left; \(state.story)")
        }
        #expect((promised...promised + 1).contains(found.step), "\(state.story)")
        // Nothing under a checkpoint's name is ever half there.
        #expect(found.skipped == [], "\(state.story)")
        let best = state.promises.contains { $0.hasPrefix("best") }
        if best {
            let whole = Manifest.check(directory.appendingPathComponent("best"))
            #expect(whole.isWhole, "\(state.story)")
        }
        let latest = try CurrentLink("latest", in: directory).destination()
        if let latest {
            let target = directory.appendingPathComponent(latest)
            #expect(Manifest.check(target, sizesOnly: true).isWhole, "\(latest); \(state.story)")
        } else {
            #expect(promised <= 1, "\(state.story)")
        }
        if loads {
            let run = try ResumableRun(contentsOf: found.url)
            #expect(run.saved.stateDigest == saves.digests[found.step], "\(state.story)")
            _ = try Checkpoint(
                contentsOf: found.url, context: try Context(isa: .scalar, threads: 1))
        }
    }

    @Test(arguments: [true, false])
    func `each state that a crash can leave of three saves loads the newest or the one before`(
        canExchange: Bool
    ) throws {
        var saves = try Saves()
        let root = saves.golden.directory.file("run")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
        let recorder = try CrashRecorder(root, canExchange: canExchange)
        for step in 1...3 {
            try saves.save(step: step, in: root, files: recorder, promise: recorder.promise)
        }
        var states = CrashStates(
            recorder,
            limits: Self.isThorough ? .quick : CrashLimits(entries: 3, writes: 1, pairs: 20))
        let place = saves.golden.directory.file("crashed")
        let every = Self.isThorough ? 1 : 8
        var (number, checked) = (0, 0)
        try states.forEach { state in
            number += 1
            guard number % every == 0 else { return }
            try SystemFiles().makeDirectory(place.path)
            defer { try? SystemFiles().remove(place.path) }
            try state.write(to: place)
            checked += 1
            if canExchange || hasBest(place) {
                try check(place, state, saves, loads: checked % 64 == 0)
            }
        }
        print("crashes: \(checked) of \(states.count) states of real checkpoints")
        #expect(checked > 500)
    }

    /// Without an exchange a crash between two renamings leaves `best` under its hidden name.
    private func hasBest(_ directory: URL) -> Bool {
        let leftovers = (try? Leftover.all(in: directory)) ?? []
        return !leftovers.contains { $0.kind == .displaced }
    }

    @Test func `whichever call fails, the checkpoint before it loads and the next save works`()
        throws
    {
        var saves = try Saves()
        let root = saves.golden.directory.file("run")
        var (step, failing, surfaced) = (1, 0, 0)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
        try saves.save(
            step: 1, in: root, files: FaultyFiles(synchronizes: false), promise: { _ in })
        while true {
            step += 1
            var promised = step - 1
            let files = FaultyFiles(failing: [failing], synchronizes: false)
            do {
                try saves.save(step: step, in: root, files: files) {
                    promised = Int($0) ?? promised
                }
            } catch {
                surfaced += 1
            }
            #expect(files.openCount == 0, "\(files.log.suffix(2))")
            let found = try #require(try newest(root))
            #expect(found.step >= promised, "\(files.log.suffix(2))")
            #expect(found.skipped == [], "\(files.log.suffix(2))")
            if files.log.count <= failing { break }
            // The next save, undisturbed, is what comes back; what it prunes may be gone already.
            step += 1
            try? saves.save(
                step: step, in: root, files: FaultyFiles(synchronizes: false), promise: { _ in })
            #expect(try newest(root)?.step == step)
            failing += Self.isThorough ? 1 : 7
        }
        print("faults: \(surfaced) of saves of real checkpoints surfaced")
        #expect(surfaced > 10)
    }
}
