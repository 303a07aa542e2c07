// SPDX-License-Identifier: Apache-2.0
/// Models and runs with shared prompts, against float64, against plain runs, and refused.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

extension GoldenJob {
    /// An instruction before every text.
    static let prompt =
        "the central bank raised 3 before half-time. a robot arm repaired government bonds:"

    /// Puts it into the training rows.
    mutating func addPrompt() throws {
        let text = try String(contentsOf: options.data, encoding: .utf8)
        options.data = directory.file("prompted.jsonl")
        let prompted = text.replacingOccurrences(
            of: #"{"text": ""#, with: #"{"text": ""# + Self.prompt + " ")
        try Data(prompted.utf8).write(to: options.data)
    }
}

@Suite struct SharedPromptRunTests {
    // MARK: Numbers

    /// Rows of the float64 references that begin alike, next to each other, and how many tokens each
    /// leaves to the one before. In the language model the last common token is each row's own.
    static let references: [(name: String, order: [Int], prompts: [Int])] = [
        ("llama-causallm", [0, 3, 1, 2], [0, 4, 0, 1]),
        ("qwen2-multilabel", [0, 3, 1, 2], [0, 3, 0, 0]),
        ("qwen2-seqcls-clip", [0, 1, 2, 3], [0, 2, 0, 0]),
        ("qwen2-seqcls-qv-rslora-leftpad", [0, 1, 2, 3], [0, 0, 0, 3]),
    ]

    @Test(arguments: 0..<references.count, Precision.allCases)
    func `gradients agree with float64`(index: Int, precision: Precision) throws {
        let (name, order, prompts) = Self.references[index]
        let golden = try GoldenCase(name)
        let run = try GoldenRun(golden)
        let whole = golden.batch()
        let rows = (0..<4).map {
            Array(whole.ids[Int(whole.offsets[$0])..<Int(whole.offsets[$0 + 1])])
        }
        let targets: Targets =
            golden.isLanguageModel
            ? .nextTokens
            : whole.valueTargets.isEmpty
                ? .classes(whole.classTargets)
                : .values(whole.valueTargets, columns: whole.valueTargets.count / 4)
        let data = DataSet(
            ids: rows, typeIDs: rows.map { $0.map { _ in 0 } }, targets: targets)
        let step = StepRows(
            rows: order, lengths: rows.map(\.count), tokenBudget: .max, groups: 1,
            prompts: prompts, rank: 0, ranks: 1)
        var batch = data.batch(
            step, 0..<4, pooling: .last(padTokenID: golden.base.configuration.padTokenID),
            number: 0, lossScale: whole.lossScale)
        if golden.isLanguageModel {
            // Its first three tokens are no labels.
            for (target, place) in batch.places(.targets).positions.enumerated() where place < 2 {
                batch.classTargets[target] = -100
            }
        }
        let (graph, logits) = run.model.recorded(isTraining: true)
        let program = try Program(
            try #require(graph.promptsShared()), outputs: [], loss: (golden.loss, logits),
            differentiates: true, parameters: run.model.parameters, precision: precision)

        let result = try program.run(batch)

        #expect(batch.tokenCount == whole.ids.count && batch.ids.count < whole.ids.count)
        let losses = golden.isLanguageModel ? batch.repeatedTargets(result.losses) : result.losses
        let loss = losses.reduce(0.0) { $0 + Double($1) } * Double(whole.lossScale)
        let bounds =
            precision == .fp32 ? (loss: 1e-5, gradient: 1e-4) : (loss: 0.02, gradient: 0.06)
        #expect(abs(loss - golden.list("loss_step")[0]) <= bounds.loss)
        for (parameter, gradient) in try program.finishedGradients() {
            let error = relativeError(
                run.context.read(gradient), golden.numbers("grad.\(parameter)"))
            #expect(error <= bounds.gradient, "\(name): \(parameter) is off by \(error)")
        }
    }

    private struct Pass {
        let logits: [Float]
        let losses: [Float]
        let gradients: [String: [Float]]
    }

    /// A model of `Tests/Fixtures/families`, all of it training, on rows with 11 tokens in common.
    private func pass(
        _ family: String, _ head: Head, shared: Bool, _ precision: Precision
    ) throws -> Pass {
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/families/\(family)")
        let directory = try TemporaryDirectory()
        try FileManager.default.copyItem(
            at: fixture.appendingPathComponent("model.safetensors"),
            to: directory.file("model.safetensors"))
        var config = try JSONValue.parse(
            contentsOf: fixture.appendingPathComponent("config.json"))
        // Classifiers have no head of their own for the language.
        config["tie_word_embeddings"] = .bool(true)
        try config.serialized().write(to: directory.file("config.json"))
        let base = try BaseModel(contentsOf: directory.url, head: head)
        let context = try Context(threads: 2)
        let model = try TaskModel(
            base, method: .full, seed: 3, parameters: Parameters(context: context))
        let prompt: [Int32] = [5, 9, 14, 3, 27, 31, 8, 8, 2, 19, 33]
        let rows = [[4, 11, 30], [7], [12, 6, 25, 18, 3], [1, 2]].map { prompt + $0 }
        let isLanguageModel = head == .languageModel
        let data = DataSet(
            ids: rows, typeIDs: rows.map { $0.map { _ in 0 } },
            targets: isLanguageModel ? .nextTokens : .classes([0, 2, 1, 1]))
        let step = data.step(
            [0, 1, 2, 3], tokenBudget: .max, groups: 2, sharesPrompts: shared)
        let batch = data.batch(
            step, 0..<4, pooling: .last(padTokenID: nil), number: 0, lossScale: 0.25)
        #expect(batch.ids.count == rows.joined().count - (shared ? isLanguageModel ? 20 : 22 : 0))
        var (graph, logits) = model.recorded(isTraining: true)
        if shared { graph = try #require(graph.promptsShared()) }
        let program = try Program(
            graph, outputs: isLanguageModel ? [] : [logits],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: model.parameters, precision: precision)
        let result = try program.run(batch)
        return Pass(
            logits: result.outputs.first ?? [],
            losses: isLanguageModel ? batch.repeatedTargets(result.losses) : result.losses,
            gradients: try program.finishedGradients().mapValues { context.read($0) })
    }

    /// Qwen3 has norms on its heads, Mistral a window of 4 keys, which is shorter than the prompt,
    /// Llama a table that is its head too.
    @Test(
        arguments: ["qwen3", "mistral", "llama"], [Head.classification(labels: 3), .languageModel])
    func `every family has the plain batch's bits forward, and its gradients`(
        family: String, head: Head
    ) throws {
        for precision in Precision.allCases {
            let plain = try pass(family, head, shared: false, precision)

            let shared = try pass(family, head, shared: true, precision)

            #expect(bitMismatch(shared.logits, plain.logits) == nil)
            #expect(bitMismatch(shared.losses, plain.losses) == nil)
            #expect(plain.losses.count == (head == .languageModel ? 51 : 4))
            #expect(Set(shared.gradients.keys) == Set(plain.gradients.keys))
            // As in the graph's own tests: roundings of 2^-24 and 2^-9, of some dozens of terms.
            let bound = precision == .fp32 ? 0x1p-18 : 0x1p-7
            for (name, expected) in plain.gradients {
                let error = relativeError(shared.gradients[name]!, expected)
                #expect(error <= bound, "\(family), \(precision): \(name) is off by \(error)")
            }
        }
    }

    // MARK: Runs

    private func golden(
        _ change: (inout FineTuneOptions) -> Void = { _ in }
    ) throws -> GoldenJob {
        var golden = try GoldenJob("qwen2", rows: 40)
        try golden.addPrompt()
        golden.options.testData = nil
        golden.options.threads = 1
        golden.options.settings.epochs = 2
        golden.options.settings.groups = 2
        golden.options.settings.sharesPrompts = true
        golden.options.method = .lora(AdapterConfiguration(rank: 4, alpha: 8))
        change(&golden.options)
        return golden
    }

    private func makeCausal(_ golden: inout GoldenJob) throws {
        golden.options.problem = .causal
        let base = golden.directory.file("base")
        try FileManager.default.copyItem(at: golden.options.model, to: base)
        let file = base.appendingPathComponent("config.json")
        var config = try JSONValue.parse(contentsOf: file)
        config["tie_word_embeddings"] = .bool(true)
        try config.serialized().write(to: file)
        golden.options.model = base
    }

    @Test(arguments: [false, true], Precision.allCases)
    func `a run begins with the plain run's loss and stays beside it`(
        isCausal: Bool, precision: Precision
    ) throws {
        func run(shared: Bool) throws -> (steps: [StepReport], report: FineTuneReport) {
            var golden = try golden {
                $0.settings.sharesPrompts = shared
                $0.settings.precision = precision
            }
            if isCausal { try makeCausal(&golden) }
            var steps: [StepReport] = []
            let report = try golden.job().run(
                report: { if case .step(let step) = $0 { steps.append(step) } })
            return (steps, report)
        }
        let plain = try run(shared: false)

        let shared = try run(shared: true)

        #expect(shared.steps[0].loss.bitPattern == plain.steps[0].loss.bitPattern)
        #expect(shared.steps.map(\.tokens) == plain.steps.map(\.tokens), "real tokens")
        #expect(shared.report.stateDigest != plain.report.stateDigest)
        for (one, other) in zip(shared.steps, plain.steps) {
            #expect(abs(one.loss - other.loss) <= (precision == .fp32 ? 2e-4 : 2e-2) * other.loss)
        }
        #expect(shared.steps.count == plain.steps.count)
    }

    @Test func `1 to 3 ranks end with the bits of one process`() throws {
        for isCausal in [false, true] {
            var golden = try golden { $0.settings.groups = 3 }
            if isCausal { try makeCausal(&golden) }
            golden.options.settings.precision = .bf16
            var options = golden.options
            options.output = golden.directory.file("alone")
            let expected = RanksTests.Ending(try FineTuneJob(options).run())

            for size in 1...3 {
                options.output = golden.directory.file("ranks-\(size)")
                options.settings.tokenBudget = size == 2 ? 32 : 2048
                let shared = options
                let endings = try PostOffice(size).run { ranks in
                    RanksTests.Ending(try FineTuneJob(shared, ranks: ranks).run())
                }.map { try $0.get() }

                #expect(endings == Array(repeating: expected, count: size), "\(size) ranks")
            }
        }
    }

    @Test(arguments: [false, true])
    func `a frozen prefix is reused with the same bits`(isCausal: Bool) throws {
        func run(_ policy: PrefixPolicy, budget: Int) throws -> (String, [UInt64]) {
            var golden = try golden {
                $0.prefix = policy
                $0.settings.tokenBudget = budget
                $0.method = .lora(AdapterConfiguration(rank: 4, alpha: 8, layers: [1]))
            }
            if isCausal { try makeCausal(&golden) }
            let job = try golden.job()
            #expect((job.tuner.prefix != nil) == (policy != .off))
            let report = try job.run()
            return (report.stateDigest, report.epochs.map(\.validationLoss.bitPattern))
        }
        let expected = try run(.off, budget: 2048)

        for budget in [2048, 16] {
            let found = try run(.auto, budget: budget)

            #expect(found == expected)
        }
    }

    @Test(arguments: [false, true])
    func `evaluations that share have the bits of those that do not`(isCausal: Bool) throws {
        var golden = try golden()
        if isCausal { try makeCausal(&golden) }
        golden.options.testData = golden.options.data
        let job = try golden.job()
        _ = try job.run()
        let inference = try Inference(
            golden.best, base: golden.options.model, context: try Context(threads: 1))
        let rows = try inference.labelledRows(
            try inference.labelledCorpus(golden.options.data))
        let precision = golden.options.settings.precision
        let plain = try #require(
            try Evaluator(
                inference.checkpoint.model, task: job.task, pooling: inference.checkpoint.pooling,
                precision: precision, tokenBudget: 300
            ).evaluate(rows))

        let tested = try #require(try job.evaluateTest())

        for shared in [
            tested, try inference.evaluate(rows, precision: precision),
            try inference.evaluate(rows, precision: precision, tokenBudget: 60),
        ] {
            #expect(shared.logits == plain.logits)
            #expect(shared.tokenLosses == plain.tokenLosses)
            #expect(shared.loss == plain.loss)
        }
        #expect((plain.tokenLosses != nil) == isCausal)
    }

    @Test func `a run is replayed with what its settings say`() throws {
        let golden = try golden()
        _ = try golden.job().run()

        let result = try Replay(run: golden.options.output).run()

        #expect(result.difference == nil)
        let saved = try ResumableRun.found(at: golden.options.output, note: { _ in }).saved
        #expect(saved.settings.sharesPrompts)
    }

    @Test func `a branch may share prompts that its run did not`() throws {
        let settings = FineTuneSettings()

        #expect(try settings.changed("shared_prompt", to: "true").sharesPrompts)
        let error = #expect(throws: SettingError.self) {
            try settings.changed("shared_prompt", to: "perhaps")
        }
        #expect("\(error!)" == "shared_prompt must be true or false, found 'perhaps'")
    }

    @Test func `a run of before there was a choice shares nothing`() throws {
        let golden = try golden()
        _ = try golden.job().run()
        let file = golden.best.appendingPathComponent("training/state.json")
        var state = try JSONValue.parse(contentsOf: file)
        #expect(state["settings"]?["shared_prompt"] == true)
        state["settings"]?["shared_prompt"] = nil
        try state.serialized().write(to: file)

        let saved = try SavedRun(ofCheckpoint: golden.best)

        #expect(!saved.settings.sharesPrompts)
    }

    // MARK: What is said

    @Test func `the run says once what it saves, and what fewer groups would save`() throws {
        func notes(_ change: (inout FineTuneOptions) -> Void) throws -> [String] {
            try golden(change).job().notes.filter { $0.contains("begin alike") }
        }
        let two = try notes { _ in }
        let one = try notes { $0.settings.groups = 1 }
        let many = try notes { $0.settings.groups = 16 }
        let none = try notes { $0.settings.sharesPrompts = false }

        #expect(two.count == 1 && one.count == 1 && many.count == 1 && none.isEmpty)
        #expect(two[0].hasPrefix("rows that begin alike share it: "))
        #expect(
            two[0].contains("; rows share within one of 2 groups: with --groups 1 it would be "))
        #expect(!one[0].contains("groups"))
        #expect(many[0].contains("for 8 tokens or more; none do; rows share within one of 16"))
    }

    @Test func `a plan has fewer activations, and counts what is shared`() throws {
        let shared = try golden()
        let plain = try golden { $0.settings.sharesPrompts = false }

        let (plan, other) = (
            try FineTunePlan(shared.job()), try FineTunePlan(plain.job())
        )

        #expect(plan.sharedTokens > 0 && other.sharedTokens == 0)
        #expect(plan.memory.activations < other.memory.activations)
        #expect(plan.json["shared_tokens"]?.integer == plan.sharedTokens)
    }

    @Test func `encoders and dropout are refused`() throws {
        var encoder = try GoldenJob("bert", rows: 40)
        encoder.options.settings.sharesPrompts = true
        let config = encoder.options.model.appendingPathComponent("config.json").path

        let error = #expect(throws: TrainingError.self) { try encoder.job() }

        #expect(error == .promptsNotShared(.readsBothWays(file: config)))
        #expect("\(error!)".hasPrefix("\(config): an encoder's tokens see those behind them"))
        let dropout = try golden {
            $0.method = .lora(AdapterConfiguration(rank: 4, dropout: 0.1))
        }
        let second = #expect(throws: TrainingError.self) { try dropout.job() }
        #expect(second == .promptsNotShared(.drops))
        #expect("\(second!)".hasPrefix("a shared prompt would get one dropout mask"))
    }
}
