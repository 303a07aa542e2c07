// SPDX-License-Identifier: Apache-2.0
/// Several ranks end with the bits of one: gradients, losses, metrics, files, stops.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct RanksTests {
    /// What a rank ended with.
    struct Ending: Equatable {
        let digest: String
        let losses: [Double]
        let accuracy: [Double?]
        let status: RunStatus
        let steps: Int
        let best: Int?

        init(_ report: FineTuneReport) {
            digest = report.stateDigest
            losses = report.epochs.flatMap { [$0.trainLoss, $0.validationLoss] }
            accuracy = report.epochs.flatMap { [$0.trainAccuracy, $0.validationAccuracy] }
            status = report.status
            steps = report.steps
            best = report.bestEpoch
        }
    }

    static func golden(_ model: String, _ method: Method, rows: Int = 45) throws -> GoldenJob {
        // 36 rows to train on: steps of 16, 16 and 4, so that in the last half of the groups is empty.
        var golden = try GoldenJob(model, rows: rows)
        golden.options.method = method
        golden.options.settings.epochs = 2
        golden.options.settings.precision = .bf16
        golden.options.threads = 1
        golden.options.testData = nil
        return golden
    }

    static let pair = AdapterConfiguration(rank: 4, alpha: 8, dropout: 0.1)
    static let dora = AdapterConfiguration(rank: 4, alpha: 8, usesDoRA: true)
    static let methods: [Method] = [.lora(pair), .lora(dora), .full]

    @Test(arguments: 0..<methods.count, ["qwen2", "bert"])
    func `1 to 4 ranks end with the bits of one process`(method: Int, model: String) throws {
        let golden = try Self.golden(model, Self.methods[method])
        var options = golden.options
        options.settings.tokenBudget = 64
        options.output = golden.directory.file("alone")
        let expected = Ending(try FineTuneJob(options).run())
        let ledger = try Data(
            contentsOf: options.output.appendingPathComponent("training/ledger.jsonl"))

        for size in 1...4 {
            options.output = golden.directory.file("ranks-\(size)")
            let (shared, other) = (options, golden.directory.file("ranks-\(size)").path)
            let endings = try PostOffice(size).run { ranks in
                Ending(try FineTuneJob(shared, ranks: ranks).run())
            }.map { try $0.get() }

            #expect(endings == Array(repeating: expected, count: size), "\(size) ranks, \(other)")
            let written = try Data(
                contentsOf: options.output.appendingPathComponent("training/ledger.jsonl"))
            #expect(written == ledger, "\(size) ranks")
        }
    }

    @Test func `a language model and its token losses too`() throws {
        var golden = try Self.golden("qwen2", .full)
        golden.options.problem = .causal
        golden.options.weights = .random
        let untrained = golden.directory.file("untrained")
        try FileManager.default.createDirectory(at: untrained, withIntermediateDirectories: true)
        for name in ["config.json", "tokenizer.json"] {
            try FileManager.default.copyItem(
                at: golden.options.model.appendingPathComponent(name),
                to: untrained.appendingPathComponent(name))
        }
        golden.options.model = untrained
        golden.options.settings.tokenBudget = 100
        var options = golden.options
        options.output = golden.directory.file("alone")
        let expected = Ending(try FineTuneJob(options).run())
        options.output = golden.directory.file("three")
        let shared = options

        let endings = try PostOffice(3).run { ranks in
            Ending(try FineTuneJob(shared, ranks: ranks).run())
        }.map { try $0.get() }

        #expect(endings == [expected, expected, expected])
    }

    @Test func `a checkpoint of one rank count goes on with another`() throws {
        let golden = try Self.golden("bert", .lora(Self.pair))
        var options = golden.options
        options.output = golden.directory.file("alone")
        let expected = Ending(try FineTuneJob(options).run())
        options.output = golden.directory.file("shared")
        let shared = options
        // Stopped after step 2 on the last rank alone, then after step 4 on all, then to the end.
        for (size, steps) in [(3, 2), (1, 4), (2, Int.max)] {
            let endings = try PostOffice(size).run { ranks in
                var start = JobStart.fresh
                if steps != 2 {
                    start = .resumed(
                        try ResumableRun.found(at: shared.output, note: { _ in }), allowing: [])
                }
                let job = try ranks.together { try FineTuneJob(shared, start: start, ranks: ranks) }
                return Ending(
                    try job.run(stop: {
                        let isAsked = steps == 2 ? ranks.rank == ranks.size - 1 : true
                        return isAsked && job.tuner.state.step >= steps ? .signal : nil
                    }))
            }.map { try $0.get() }
            #expect(Set(endings.map(\.digest)).count == 1)
            if steps == Int.max {
                #expect(endings == [expected, expected])
            } else {
                #expect(endings.allSatisfy { $0.status == .interrupted && $0.steps == steps })
            }
        }
    }

    @Test func `more ranks than groups are refused`() throws {
        var golden = try Self.golden("bert", .lora(Self.pair))
        golden.options.settings.groups = 2
        let shared = golden.options
        for result in PostOffice(3).run({ _ = try FineTuneJob(shared, ranks: $0) }) {
            #expect(throws: RanksError.tooMany(ranks: 3, groups: 2)) { try result.get() }
        }
    }

    @Test func `what fails on one rank fails on all`() throws {
        struct Broken: Error, CustomStringConvertible { let description = "the disk is gone" }
        let results = PostOffice(3).run { ranks in
            try ranks.together { if ranks.rank == 1 { throw Broken() } }
        }
        for result in results {
            #expect(throws: RanksError.failed(rank: 1, reason: "the disk is gone")) {
                try result.get()
            }
        }
        let all = PostOffice(2).run { try $0.together { throw Broken() } }
        for result in all {
            #expect(throws: RanksError.failed(rank: nil, reason: "the disk is gone")) {
                try result.get()
            }
        }
    }

    @Test func `ranks with other jobs are refused before anything is written`() throws {
        let golden = try Self.golden("bert", .lora(Self.pair))
        let shared = golden.options
        let results = PostOffice(2).run { ranks in
            var options = shared
            if ranks.rank == 1 { options.settings.learningRate *= 2 }
            _ = try FineTuneJob(options, ranks: ranks).run()
        }
        for result in results {
            let error = try #require(throws: RanksError.self) { try result.get() }
            guard case .differ(_, rank: 1, _, _) = error else {
                Issue.record("\(error)")
                continue
            }
        }
        #expect(!FileManager.default.fileExists(atPath: shared.output.path))
    }

    @Test func `a run that exists is refused on every rank`() throws {
        let golden = try Self.golden("bert", .lora(Self.pair))
        let shared = golden.options
        _ = try FineTuneJob(shared).run()
        for result in PostOffice(2).run({ _ = try FineTuneJob(shared, ranks: $0).run() }) {
            let error = try #require(throws: RanksError.self) { try result.get() }
            #expect("\(error)".contains("holds a run already"), "\(error)")
        }
    }

    @Test func `a save asked of any rank is made by the first`() throws {
        let golden = try Self.golden("bert", .lora(Self.pair))
        let shared = golden.options
        let results = PostOffice(3).run { ranks in
            let job = try FineTuneJob(shared, ranks: ranks)
            _ = try job.run(wantsSave: { ranks.rank == 2 && job.tuner.state.step == 1 })
        }
        for result in results { try result.get() }
        let saved = shared.output.appendingPathComponent("step-2")
        #expect(FileManager.default.fileExists(atPath: saved.path))
    }
}

@Suite struct GradientChainTests {
    /// Group sums of which every order has another sum: 1 and numbers near its rounding.
    static func number(_ group: Int, _ element: Int) -> Float {
        group % 3 == element % 3 ? 1 : 0x1p-24 * Float(1 + (7 * group + 5 * element) % 11)
    }

    static func program(_ groups: Int, from first: Int) throws -> (Program, Context) {
        let run = try SmallRun()
        try run.program.separateGroups(groups)
        let gradients = run.program.groupGradients!
        for group in 0..<groups {
            run.parameters.context.write(
                (0..<gradients.count).map { number(first + group, $0) },
                to: gradients.group(group))
        }
        return (run.program, run.parameters.context)
    }

    /// Sizes of the ranks' parts, one of them empty, one of them all there is.
    static let parts = [[3, 2, 1, 2], [8], [0, 4, 0, 1], [1, 1], [2, 0, 3, 1, 1, 1]]

    @Test(arguments: 0..<parts.count, [nil, 1, 3, 1000])
    func `groups are added in order whatever the ranks and chunks`(
        number: Int, chunk: Int?
    ) throws {
        let parts = Self.parts[number]
        let office = PostOffice(parts.count)
        let sums = try office.run { ranks in
            let first = parts[..<ranks.rank].reduce(0, +)
            let (program, context) = try Self.program(3 + parts[ranks.rank], from: first)
            let gradients = program.groupGradients!
            let transport = ThreadTransport(office, rank: ranks.rank)
            let chain = try GradientChain(transport, gradients, context: context, chunk: chunk)
            // Room for more groups than there are: what is in it must not count. Twice, as steps do.
            for _ in 0..<2 { try chain.run(groups: parts[ranks.rank]) }
            transport.close()
            return context.read(gradients.total)
        }.map { try $0.get() }

        let count = sums[0].count
        let expected = (0..<count).map { element in
            (0..<parts.reduce(0, +)).reduce(Float(0)) { $0 + Self.number($1, element) }
        }
        let reversed = (0..<count).map { element in
            (0..<parts.reduce(0, +)).reversed().reduce(Float(0)) { $0 + Self.number($1, element) }
        }
        for sum in sums { #expect(sum.map(\.bitPattern) == expected.map(\.bitPattern)) }
        #expect(parts.reduce(0, +) < 3 || expected != reversed)
        // Both ways along the chain, but for its ends.
        for rank in parts.indices {
            let isEnd = rank == 0 || rank == parts.count - 1
            let once = 2 * 4 * count
            #expect(
                office.sentBytes(rank) == (parts.count == 1 ? 0 : isEnd ? once : 2 * once))
        }
    }
}

@Suite struct DeviceSumTests {
    /// Sizes of the ranks' parts, one of them empty, one of them all there is.
    @Test(arguments: GradientChainTests.parts, [nil, 1, 16, 100, 100_000])
    func `groups are moved, and added in order, whatever the ranks and pieces`(
        parts: [Int], piece: Int?
    ) throws {
        let office = PostOffice(parts.count)
        let total = parts.reduce(0, +)
        let sums = try office.run { ranks in
            let first = parts[..<ranks.rank].reduce(0, +)
            let (program, context) = try GradientChainTests.program(
                3 + parts[ranks.rank], from: first)
            let gradients = program.groupGradients!
            let devices = ThreadDevices(office, rank: ranks.rank, context)
            // Ranks do not wait for each other between the pieces, nor between two sums.
            let sum = try DeviceSum(
                devices, rank: ranks.rank, size: ranks.size, groups: total, gradients,
                context: context, piece: piece == 1 ? max(gradients.count / 50, 1) : piece)
            for _ in 0..<2 { try sum.add(groupsOf: parts) }
            return context.read(gradients.total)
        }.map { try $0.get() }

        let expected = (0..<sums[0].count).map { element in
            (0..<total).reduce(Float(0)) { $0 + GradientChainTests.number($1, element) }
        }
        for sum in sums { #expect(sum.map(\.bitPattern) == expected.map(\.bitPattern)) }
        // A rank sends what others add up, and what it added up to all.
        for rank in parts.indices {
            let own = DeviceSum.slice(rank, of: parts.count, expected.count).count
            let others = expected.count - own
            let sent = parts[rank] * others + (parts.count - 1) * own
            #expect(office.sentBytes(rank) == 2 * 4 * sent, "rank \(rank)")
        }
    }

    @Test(arguments: [1, 15, 16, 17, 1000], [1, 2, 3, 7])
    func `slices are all elements, in order`(count: Int, ranks: Int) {
        let slices = (0..<ranks).map { DeviceSum.slice($0, of: ranks, count) }

        #expect(slices.flatMap { Array($0) } == Array(0..<count))
    }

    @Test func `on the processor the sum goes over the host, and nothing is said`() throws {
        let office = PostOffice(2)
        let notes = try office.run { ranks in
            let (program, context) = try GradientChainTests.program(2, from: 0)
            let chain = try GradientChain(
                ranks.transport!, program.groupGradients!, context: context)
            let choice = try SumChoice(
                ranks, groups: 4, program.groupGradients!, context: context, over: chain)
            return (choice.sum === chain, choice.note)
        }.map { try $0.get() }
        for (isChain, note) in notes { #expect(isChain && note == nil) }
    }
}

@Suite struct LauncherTests {
    static let cases: [([String: String], size: Int, rank: Int, local: Int, threads: Int)] = [
        ([:], 1, 0, 1, 8),
        (
            [
                "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            ], 4, 3, 2, 4
        ),
        (["PMI_SIZE": "3", "PMI_RANK": "1", "MPI_LOCALNRANKS": "3"], 3, 1, 3, 2),
        (["PMI_SIZE": "16", "PMI_RANK": "9"], 16, 9, 16, 1),
        (
            [
                "SLURM_STEP_NUM_TASKS": "7", "SLURM_PROCID": "6",
                "SLURM_STEP_TASKS_PER_NODE": "2(x3),1",
            ], 7, 6, 2, 4
        ),
        (
            [
                "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "3",
                "SLURM_STEP_TASKS_PER_NODE": "2",
            ], 2, 0, 2, 3
        ),
        // Under mpirun in a job of SLURM the step is that of its daemons.
        (
            [
                "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "SLURM_STEP_NUM_TASKS": "1",
            ], 4, 1, 4, 2
        ),
        // A batch script may start four tasks, and is one process.
        (["SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "2"], 1, 0, 1, 8),
        (["PMI_SIZE": "many"], 1, 0, 1, 8),
    ]

    @Test(arguments: 0..<cases.count)
    func `the variables of launchers are read`(number: Int) {
        let (environment, size, rank, local, threads) = Self.cases[number]
        let launcher = Launcher(environment)
        #expect(launcher.size == size)
        #expect(launcher.rank == rank)
        #expect(launcher.localSize == local)
        #expect(launcher.threads(of: 8) == threads)
    }
}
