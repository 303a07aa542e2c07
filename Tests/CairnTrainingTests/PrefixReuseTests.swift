// SPDX-License-Identifier: Apache-2.0
/// What a frozen prefix gives is kept, never trusted, and changes no bit.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct PrefixReuseTests {
    /// A job with adapters in the last layer, or in the pooler alone.
    private func golden(
        _ model: String = "qwen2", dropout: Float = 0.2, policy: PrefixPolicy = .auto,
        targets: TargetModules = .allLinear, in directory: TemporaryDirectory? = nil
    ) throws -> GoldenJob {
        var golden = try GoldenJob(model, rows: 40)
        golden.options.testData = nil
        golden.options.method = .lora(
            AdapterConfiguration(
                rank: 4, alpha: 8, dropout: dropout, targets: targets,
                layers: targets == .allLinear ? [1] : nil))
        golden.options.settings.epochs = 3
        golden.options.settings.tokenBudget = 64
        golden.options.threads = 1
        golden.options.prefix = policy
        if let directory { golden.options.output = directory.file("out") }
        return golden
    }

    private func file(_ golden: GoldenJob) -> URL {
        golden.options.output.appendingPathComponent(".prefix-rows")
    }

    private func exists(_ golden: GoldenJob) -> Bool {
        FileManager.default.fileExists(atPath: file(golden).path)
    }

    /// Runs a job: its digest, and the notes that it gave while it ran.
    private func run(
        _ golden: GoldenJob, change: (FineTuneJob) -> Void = { _ in }
    ) throws -> (digest: String, losses: [UInt64], notes: [String]) {
        let job = try golden.job()
        change(job)
        var notes: [String] = []
        let report = try job.run(report: { if case .note(let text) = $0 { notes.append(text) } })
        return (report.stateDigest, report.epochs.map(\.validationLoss.bitPattern), notes)
    }

    @Test(
        arguments: [
            ("qwen2", TargetModules.allLinear), ("bert", .allLinear),
            ("bert", .names(["pooler.dense"])),
        ], [Float(0), 0.3])
    func `a run has the same bits with and without`(
        what: (model: String, targets: TargetModules), dropout: Float
    ) throws {
        let plain = try golden(
            what.model, dropout: dropout, policy: .off, targets: what.targets)
        let expected = try run(plain)
        for (threads, isa) in [(1, ISA.best), (2, .scalar)] {
            var kept = try golden(what.model, dropout: dropout, targets: what.targets)
            kept.options.threads = threads
            kept.options.isa = isa

            let found = try run(kept) { job in
                #expect(job.notes.contains { $0.contains("computed once for each row") })
                job.tuner.setMemory(
                    tokenBudget: threads == 1 ? 2048 : 16,
                    Recompute(segments: 2, elementwise: true))
            }

            #expect(found.digest == expected.digest)
            #expect(found.losses == expected.losses)
            #expect(found.notes == [])
            #expect(!exists(kept), "the file goes with the run")
        }
    }

    @Test func `a model without a frozen prefix keeps nothing and says nothing`() throws {
        var golden = try golden()
        golden.options.method = .lora(AdapterConfiguration(rank: 4))
        let job = try golden.job()

        #expect(job.tuner.prefix == nil)
        #expect(!job.notes.contains { $0.contains("does not train") })
    }

    @Test func `every row is computed once, and never for a run that keeps its file`() throws {
        let directory = try TemporaryDirectory()
        let first = try golden(policy: .keep, in: directory)
        let before = try first.job()
        let expected = try before.run().stateDigest
        #expect(exists(first))
        // 40 rows, each in three epochs or three validations; no two are alike.
        #expect(before.tuner.prefix?.computedRows == 40)
        // Another run of the same rows: its directory is the first one's, emptied.
        for name in try FileManager.default.contentsOfDirectory(
            atPath: first.options.output.path) where name != ".prefix-rows"
        {
            try FileManager.default.removeItem(
                at: first.options.output.appendingPathComponent(name))
        }
        let second = try golden(policy: .keep, in: directory)
        let job = try second.job()

        let report = try job.run()

        #expect(report.stateDigest == expected)
        #expect(job.tuner.prefix?.computedRows == 0)
        #expect(exists(second))
    }

    /// Ways to spoil a file, each with whether all of it is begun anew.
    static let damages: [(name: String, isForeign: Bool, change: @Sendable (inout Data) -> Void)] =
        [
            ("magic", true, { $0[0] ^= 1 }),
            ("format before", true, { $0.replaceSubrange(0..<8, with: Data("CAIRNPFX".utf8)) }),
            ("key", true, { $0[20] ^= 1 }),
            ("digest of the table", true, { $0[50] ^= 1 }), ("table", true, { $0[80] ^= 1 }),
            ("a bit of a row", false, { $0[$0.count - 3] ^= 1 }),
            ("every row", false, { for i in 4096..<$0.count { $0[i] = 0x7f } }),
            ("cut in a row", false, { $0 = $0.dropLast(4000) }),
            ("cut in the table", true, { $0 = $0.prefix(100) }),
            ("empty", false, { $0 = Data() }),
            ("text", true, { $0 = Data("not a file of rows".utf8) }),
        ]

    @Test(arguments: 0..<damages.count)
    func `a damaged file is computed again and never trusted`(index: Int) throws {
        let (name, isForeign, change) = Self.damages[index]
        let golden = try golden()
        let expected = try run(try self.golden())
        var steps = 0
        _ = try golden.job().run(
            stop: { steps > 2 ? .signal : nil },
            report: { if case .step = $0 { steps += 1 } })
        #expect(exists(golden), "a run that stopped leaves its file to the resume")
        var bytes = try Data(contentsOf: file(golden))
        change(&bytes)
        try bytes.write(to: file(golden))
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })
        var notes: [String] = []

        let report = try FineTuneJob(golden.options, start: .resumed(point)).run(
            report: { if case .note(let text) = $0 { notes.append(text) } })

        #expect(report.stateDigest == expected.digest, "\(name)")
        let said = notes.filter { $0.contains(".prefix-rows") }
        #expect(said.count == (name == "empty" ? 0 : 1), "\(name): \(notes)")
        #expect(said.allSatisfy { $0.contains("begun anew") == isForeign }, "\(name): \(notes)")
        #expect(!exists(golden))
    }

    @Test(arguments: [0, 50, 1000, 4000])
    func `a file that is shortened while the run reads it costs no bit`(left: Int) throws {
        let golden = try golden()
        let expected = try run(try self.golden())
        let job = try golden.job()
        var steps = 0
        var notes: [String] = []

        let report = try job.run(report: {
            if case .note(let text) = $0 { notes.append(text) }
            guard case .step = $0 else { return }
            steps += 1
            // Of six steps the fourth reads what the first two wrote.
            if steps == 3 { #expect(truncate(file(golden).path, left) == 0) }
        })

        #expect(report.stateDigest == expected.digest)
        #expect(notes.count == 1 && notes[0].contains("computed again"), "\(notes)")
        #expect((41...80).contains(job.tuner.prefix!.computedRows))
    }

    /// A device that takes no byte, on systems that have it.
    static let full = URL(fileURLWithPath: "/dev/full")

    /// Rows of which some begin alike.
    static let prompted = {
        let ids: [[Int32]] = [
            [5, 6, 7, 8, 9, 1, 2], [5, 6, 7, 8, 3, 1], [9, 4, 4], [9, 4, 4, 5, 6, 7, 8, 2],
            [9, 4, 4, 5, 6, 7, 8, 3, 1],
        ]
        return DataSet(ids: ids, typeIDs: ids.map { $0.map { _ in 0 } }, targets: .none)
    }()

    @Test func `a batch gets the same bits from the model, from the file and from both`() throws {
        let directory = try TemporaryDirectory()
        let prefix = try #require(try golden().job().tuner.prefix)
        let data = Self.prompted
        let step = StepRows(
            rows: [3, 4, 0, 1, 2], lengths: data.ids.map(\.count), tokenBudget: .max, groups: 1,
            prompts: [0, 7, 0, 4, 0], rank: 0, ranks: 1)
        func stored(_ rows: PrefixStore?, in step: StepRows) throws -> [UInt32] {
            prefix.keep(in: rows)
            var numbers: [UInt32] = []
            for range in step.microBatches {
                var batch = data.batch(
                    step, range, pooling: .last(padTokenID: nil), number: 0, lossScale: 1)
                try prefix.fill(&batch, with: step.rows[range], of: data)
                numbers += batch.stored.map(\.bitPattern)
            }
            return numbers
        }
        func store(_ url: URL) throws -> PrefixStore {
            try PrefixStore(
                url, key: [UInt8](repeating: 7, count: 32),
                rows: (0..<data.count).map {
                    (PrefixRow(data, $0), prefix.count(tokens: data.ids[$0].count))
                })
        }
        let expected = try stored(nil, in: step)
        let columns = prefix.count(tokens: 1)
        #expect(expected.count == (8 + 2 + 7 + 2 + 3) * columns)

        let kept = try store(directory.file("kept"))
        #expect(try stored(kept, in: step) == expected, "computed and written")
        let computed = prefix.computedRows
        #expect(try stored(kept, in: step) == expected, "read")
        #expect(prefix.computedRows == computed)

        for present in 0..<data.count {
            let part = try store(directory.file("part-\(present)"))
            _ = try stored(
                part, in: StepRows(rows: [present], lengths: data.ids.map(\.count), tokenBudget: 99)
            )
            let before = prefix.computedRows
            #expect(try stored(part, in: step) == expected, "row \(present) read")
            #expect(prefix.computedRows == before + data.count - 1)
        }
        guard FileManager.default.isWritableFile(atPath: Self.full.path) else { return }
        let full = try store(Self.full)  // never removed: it is the system's
        for _ in 0..<2 { #expect(try stored(full, in: step) == expected, "no room") }
        #expect(full.notes.count == 1)
    }

    @Test(arguments: [true, false])
    func `a resume has the same bits whether the file is there or gone`(isThere: Bool) throws {
        let golden = try golden("bert")
        let expected = try run(try self.golden("bert"))
        var steps = 0
        _ = try golden.job().run(
            stop: { steps > 4 ? .signal : nil },
            report: { if case .step = $0 { steps += 1 } })
        if !isThere { try FileManager.default.removeItem(at: file(golden)) }
        let point = try ResumableRun.found(at: golden.options.output, note: { _ in })

        let report = try FineTuneJob(golden.options, start: .resumed(point)).run()

        #expect(report.stateDigest == expected.digest)
        #expect(!exists(golden))
    }

    @Test func `a file of other rows is begun anew`() throws {
        let directory = try TemporaryDirectory()
        let first = try golden(policy: .keep, in: directory)
        _ = try run(first)
        let kept = directory.file("kept")
        try FileManager.default.moveItem(at: file(first), to: kept)
        try FileManager.default.removeItem(at: first.options.output)
        var other = try golden(policy: .keep, in: directory)
        other.options.maximumLength = 5
        var plain = other
        plain.options.prefix = .off
        plain.options.output = directory.file("plain")
        let expected = try run(plain)
        try FileManager.default.createDirectory(
            at: other.options.output, withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: kept, to: file(other))

        let found = try run(other)

        #expect(found.digest == expected.digest)
        #expect(found.notes.count == 1 && found.notes[0].contains("begun anew"))
    }

    @Test func `a run whose file cannot be made goes on without`() throws {
        let golden = try golden()
        let expected = try run(try self.golden())
        try FileManager.default.createDirectory(
            at: file(golden), withIntermediateDirectories: true)

        let found = try run(golden)

        #expect(found.digest == expected.digest)
        #expect(found.notes.count == 1 && found.notes[0].contains("computed in every epoch"))
    }

    @Test func `a run is replayed without its file`() throws {
        let golden = try golden()
        _ = try run(golden)

        let result = try Replay(run: golden.options.output).run()

        #expect(result.difference == nil)
        #expect(result.steps?.upperBound == 6)
    }
}
