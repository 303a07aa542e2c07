// SPDX-License-Identifier: Apache-2.0
/// `cairn finetune`: the main job.

import Cairn
import Foundation

struct Finetune: Command {
    static let name = "finetune"
    static let summary = "Trains LoRA adapters, or a whole small model, on texts."
    static let runsOnRanks = true
    static let positionals = ["MODEL"]
    static let example = """
        cairn finetune ./Qwen2.5-0.5B --task classify --data corpus.jsonl --epochs 3 -o checkpoints
        """
    static let rules: [FlagRule] = [
        .required("--task"), .required("--data"), .required("--output"),
        .excludes(
            "--from-trainer",
            [
                "--init", "--method", "--rank", "--alpha", "--use-rslora", "--use-dora",
                "--target-modules", "--adapter-layers", "--dropout", "--decay-scope", "--base",
            ]),
    ]
    static let flags =
        [
            Flag(
                "--task", "TASK",
                "classify: a row's labels or numbers; causal: each token from those before it"),
            Flag(
                "--problem", "KIND", standard: "single-label",
                "of classify: single-label, multi-label or regression"),
            Flag(
                "--data", "FILE",
                "training rows: JSONL, CSV or TSV, for causal also lines of a .txt; a split column "
                    + "is obeyed"),
            Flag("--eval-data", "FILE", "validation rows"),
            Flag("--test-data", "FILE", "rows that the best checkpoint is judged on at the end"),
            Flag("--output", "DIR", short: "-o", "where checkpoints go"),
            Flag("--model-size", "SIZE", "as 0.5B: refused when config.json disagrees"),
            Flag("--method", "METHOD", standard: "lora", "lora, or full: every parameter"),
            Flag(
                "--init", "START", standard: "pretrained",
                "pretrained, or random: a new model from MODEL's config.json and tokenizer.json"),
            Flag(
                "--base", "STORAGE", standard: "stored",
                "how the base's linear layers are kept in memory: stored, int8 or nf4; of LoRA, on "
                    + "the CPU"),
            Flag("--rank", "R", standard: "16", "rank of the LoRA pairs"),
            Flag("--alpha", "A", standard: "32", "LoRA scaling is alpha / rank"),
            Flag(switch: "--use-rslora", "scale by alpha / sqrt(rank)"),
            Flag(switch: "--use-dora", "learn magnitude and direction apart"),
            Flag(
                "--target-modules", "NAMES", standard: "all-linear",
                "layer names with commas between, or all-linear"),
            Flag(
                "--adapter-layers", "LAYERS",
                "as 10-11 or 0,5: pairs in these layers alone, counted from 0; without it in all"),
            Flag("--dropout", "P", standard: "0", "dropout before the LoRA pairs"),
            Flag(
                "--max-length", "TOKENS", standard: "512", "longer rows lose their ends"),
            Flag(
                "--val-split", "SHARE", standard: "0.2", "rows taken for validation without a file"),
            Flag(
                "--from-trainer", "DIR",
                "go on from a checkpoint-N of transformers' Trainer; its adapter settings hold"),
            Flag("--base-model", "ID", "the base's Hub id, for adapter_config.json and the card"),
        ] + settingFlags + RunFlags.saving + RunFlags.running

    /// What the trajectory depends on, besides model, rows and method.
    static let settingFlags = [
        Flag("--epochs", "N", standard: "3", "passes over the training rows"),
        Flag("--learning-rate", "RATE", standard: "2e-4", "peak learning rate"),
        Flag(
            "--schedule", "SHAPE", standard: "cosine",
            "constant, linear, cosine, polynomial, inverse-sqrt or cosine-restarts"),
        Flag("--power", "P", "exponent of --schedule polynomial, which needs it"),
        Flag("--cycles", "N", "starts of --schedule cosine-restarts, which needs it"),
        Flag("--min-rate", "SHARE", standard: "0", "rate at the end, as a share of the peak"),
        Flag("--warmup", "SHARE", standard: "0.1", "share of the steps over which the rate rises"),
        Flag(
            "--decay-scope", "SCOPE", standard: "all",
            "all, or matrices: not biases and norms"),
        Flag("--weight-decay", "WD", standard: "0.01", "decoupled weight decay"),
        Flag("--clip", "NORM", standard: "1.0", "largest gradient norm; none never clips"),
        Flag("--batch-size", "ROWS", standard: "16", "rows per optimizer step"),
        Flag(
            "--groups", "N", standard: "8",
            "parts of a step's rows whose gradients are added in order; ranks take whole ones; with "
                + "--shared-prompt 1"),
        Flag(
            switch: "--shared-prompt",
            "rows of a part that begin with the same 8 tokens or more compute them once; for "
                + "decoders without dropout"),
        Flag(
            "--token-budget", "TOKENS", standard: "2048",
            "tokens per micro-batch; changes memory and speed, never the result"),
        Flag(
            "--class-weights", "KIND", standard: "none", "none, balanced or sqrt"),
        Flag("--precision", "KIND", standard: "bf16", "bf16 or fp32 operands of matmuls"),
        Flag("--seed", "N", standard: "42", "seed of everything random"),
        Flag(
            "--monitor", "FIGURE", standard: "val-loss",
            "val-loss, val-accuracy or macro-f1: what makes an epoch the best"),
        Flag(
            "--min-delta", "D", standard: "0", "by how much a figure must be better to count"),
        Flag(
            "--patience", "N",
            "stop early after more than N epochs without a better one; without it never"),
    ]

    let options: FineTuneOptions
    private let arguments: Arguments

    init(_ arguments: Arguments) throws {
        let task = try arguments.required("--task")
        guard ["classify", "causal"].contains(task) else {
            throw arguments.usage(
                "--task must be classify or causal, found '\(task)'"
                    + Spelling.suggestion(for: task, among: ["classify", "causal"]))
        }
        var options = FineTuneOptions(
            model: try HubAccess.model(arguments.positionals[0]),
            data: URL(fileURLWithPath: try arguments.required("--data")),
            output: URL(fileURLWithPath: try arguments.required("--output")))
        options.evaluationData = arguments.url("--eval-data")
        options.testData = arguments.url("--test-data")
        options.problem = try Self.problem(arguments, task: task)
        options.modelSize = try Self.modelSize(arguments)
        options.method = try Self.method(arguments)
        options.weights = try arguments.choice("--init", BaseWeights.self) ?? .pretrained
        if options.weights == .random, options.method != .full {
            throw arguments.usage("--init random trains every parameter: it needs --method full")
        }
        options.storage = try arguments.choice("--base", BaseStorage.self) ?? .stored
        if options.storage.isQuantized, options.method == .full {
            throw arguments.usage(
                "--base \(options.storage.rawValue) is for --method lora: codes do not train")
        }
        options.settings = try Self.settings(arguments, over: FineTuneSettings())
        if options.settings.sharesPrompts, case .lora(let adapter) = options.method,
            adapter.dropout > 0
        {
            throw arguments.usage(
                "--shared-prompt is for --dropout 0: a shared prompt would get one mask for all of "
                    + "its rows, found '\(adapter.dropout)'")
        }
        options.policy = try arguments.policy(SavePolicy())
        options.maximumLength =
            try arguments.integer("--max-length", atLeast: 1) ?? options.maximumLength
        options.validationShare =
            try arguments.number("--val-split", "between 0 and 1") { $0 > 0 && $0 < 1 }
            ?? options.validationShare
        do throws(HubError) {
            options.baseID = try arguments.string("--base-model").map { name throws(HubError) in
                try RepositoryID(name).description
            }
        } catch {
            throw arguments.usage("\(error)")
        }
        try arguments.machine().apply(to: &options)
        if options.storage.isQuantized, options.device != .cpu {
            throw arguments.usage(
                "--base \(options.storage.rawValue) is computed on --device cpu, not on "
                    + "\(options.device)")
        }
        if [.regression, .causal].contains(options.problem),
            options.settings.monitor != .validationLoss
        {
            let kind = options.problem == .causal ? "--task causal" : "--problem regression"
            throw arguments.usage(
                "--monitor must be val-loss for \(kind), found "
                    + "'\(options.settings.monitor.rawValue)'")
        }
        if options.problem == .multiLabel, options.settings.monitor == .macroF1 {
            throw arguments.usage("--monitor macro-f1 is for --problem single-label")
        }
        if options.problem != .singleLabel, options.settings.classWeights != .none {
            throw arguments.usage("--class-weights is for --problem single-label")
        }
        self.options = options
        self.arguments = arguments
    }

    private static func problem(_ arguments: Arguments, task: String) throws -> Problem {
        let kinds = Problem.allCases.filter { $0 != .causal }.map(\.rawValue)
        if task == "causal" {
            if arguments.has("--problem") {
                throw arguments.usage("--problem is for --task classify, not for --task causal")
            }
            return .causal
        }
        guard let name = arguments.string("--problem") else { return .singleLabel }
        guard kinds.contains(name), let problem = Problem(rawValue: name) else {
            throw arguments.usage(
                "--problem must be one of \(kinds.joined(separator: ", ")), found '\(name)'"
                    + Spelling.suggestion(for: name, among: kinds))
        }
        return problem
    }

    private static func modelSize(_ arguments: Arguments) throws -> ModelSize? {
        guard let text = arguments.string("--model-size") else { return nil }
        guard let size = ModelSize(text) else {
            throw arguments.usage(
                "--model-size must be a number with K, M or B, as 0.5B, found '\(text)'")
        }
        return size
    }

    private static func method(_ arguments: Arguments) throws -> Method {
        let kind = arguments.string("--method") ?? "lora"
        if kind == "full" {
            let own = [
                "--rank", "--alpha", "--use-rslora", "--use-dora", "--target-modules",
                "--adapter-layers", "--dropout",
            ]
            if let flag = own.first(where: arguments.has) {
                throw arguments.usage("\(flag) is for --method lora, not for --method full")
            }
            return .full
        }
        guard kind == "lora" else {
            throw arguments.usage("--method must be lora or full, found '\(kind)'")
        }
        let targets = arguments.string("--target-modules") ?? "all-linear"
        let names = targets.split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces)
        }.filter { !$0.isEmpty }
        guard !names.isEmpty else {
            throw arguments.usage("--target-modules must name layers, found '\(targets)'")
        }
        return .lora(
            AdapterConfiguration(
                rank: try arguments.integer("--rank", atLeast: 1) ?? 16,
                alpha: try arguments.number("--alpha", "a positive number") { $0 > 0 } ?? 32,
                usesRSLoRA: arguments.has("--use-rslora"), usesDoRA: arguments.has("--use-dora"),
                dropout: Float(
                    try arguments.number("--dropout", "at least 0 and below 1") {
                        $0 >= 0 && $0 < 1
                    } ?? 0),
                targets: targets == "all-linear" ? .allLinear : .names(names),
                layers: try layers(arguments)))
    }

    /// `10-11` and `0,5`: numbers and ranges of them with commas between.
    private static func layers(_ arguments: Arguments) throws -> [Int]? {
        guard let text = arguments.string("--adapter-layers") else { return nil }
        var layers = Set<Int>()
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends.last ?? nil,
                first >= 0, first <= last, last < 1000
            else {
                throw arguments.usage(
                    "--adapter-layers must be numbers or ranges, as 10-11 or 0,5, found '\(text)'")
            }
            layers.formUnion(first...last)
        }
        return layers.sorted()
    }

    /// The setting flags over what holds without them.
    static func settings(
        _ arguments: Arguments, over standard: FineTuneSettings
    ) throws -> FineTuneSettings {
        var settings = standard
        settings.epochs = try arguments.integer("--epochs", atLeast: 1) ?? settings.epochs
        settings.batchSize = try arguments.integer("--batch-size", atLeast: 1) ?? settings.batchSize
        if arguments.has("--shared-prompt") {
            // What is shared is shared within a group.
            (settings.sharesPrompts, settings.groups) = (true, 1)
        }
        settings.groups = try arguments.integer("--groups", atLeast: 1) ?? settings.groups
        settings.tokenBudget =
            try arguments.integer("--token-budget", atLeast: 1) ?? settings.tokenBudget
        settings.learningRate =
            try arguments.number("--learning-rate", "a positive number") { $0 > 0 }
            ?? settings.learningRate
        settings.schedule =
            try arguments.choice("--schedule", Schedule.Shape.self) ?? settings.schedule
        settings.scheduleOptions = try scheduleOptions(arguments, over: settings)
        settings.warmup =
            try arguments.number("--warmup", "a share between 0 and 1") { $0 >= 0 && $0 <= 1 }
            ?? settings.warmup
        settings.weightDecay =
            try arguments.number("--weight-decay", "at least 0") { $0 >= 0 } ?? settings.weightDecay
        settings.decayScope =
            try arguments.choice("--decay-scope", DecayScope.self) ?? settings.decayScope
        if arguments.string("--clip") == "none" {
            settings.clip = nil
        } else if let clip = try arguments.number("--clip", "a positive number or none", { $0 > 0 })
        {
            settings.clip = clip
        }
        settings.classWeights =
            try arguments.choice("--class-weights", ClassWeights.self) ?? settings.classWeights
        settings.precision =
            try arguments.choice("--precision", Precision.self) ?? settings.precision
        settings.seed =
            try arguments.integer("--seed", atLeast: 0).map { UInt64($0) } ?? settings.seed
        settings.monitor =
            try arguments.choice("--monitor", MonitoredFigure.self) ?? settings.monitor
        settings.minimumDelta =
            try arguments.number("--min-delta", "at least 0") { $0 >= 0 } ?? settings.minimumDelta
        settings.patience = try arguments.integer("--patience", atLeast: 0) ?? settings.patience
        return settings
    }

    /// What the shape of the learning rate needs, and nothing that it does not know.
    private static func scheduleOptions(
        _ arguments: Arguments, over settings: FineTuneSettings
    ) throws -> Schedule.Options {
        var options = settings.scheduleOptions
        let shape = settings.schedule
        for (flag, owner) in [
            ("--power", Schedule.Shape.polynomial), ("--cycles", .cosineRestarts),
        ]
        where arguments.has(flag)
            ? shape != owner : shape == owner && arguments.has("--schedule")
        {
            throw arguments.usage(
                arguments.has(flag)
                    ? "\(flag) is for --schedule \(owner.rawValue), not for \(shape.rawValue)"
                    : "--schedule \(owner.rawValue) needs \(flag)")
        }
        options.power =
            try arguments.number("--power", "a positive number") { $0 > 0 } ?? options.power
        if let cycles = try arguments.integer("--cycles", atLeast: 1) {
            guard Schedule.Options.cycleRange.contains(cycles) else {
                throw arguments.usage(
                    "--cycles must be at most \(Schedule.Options.cycleRange.upperBound), "
                        + "found '\(cycles)'")
            }
            options.cycles = cycles
        }
        if arguments.has("--min-rate"), [.constant, .inverseSqrt].contains(shape) {
            throw arguments.usage(
                "--min-rate is for a --schedule that falls to its end, not for \(shape.rawValue)")
        }
        options.minimumRatio =
            try arguments.number("--min-rate", "a share between 0 and 1") { $0 >= 0 && $0 <= 1 }
            ?? options.minimumRatio
        return options
    }

    func run() throws { try RunDesk(arguments).run { try job($0) } }

    /// The job that the flags ask for, its inputs read and checked.
    func job(_ ranks: Ranks = .one) throws -> FineTuneJob {
        guard let directory = arguments.url("--from-trainer") else {
            return try FineTuneJob(options, ranks: ranks)
        }
        let checkpoint = try TransformersCheckpoint(contentsOf: directory)
        var options = options
        options.method = checkpoint.adapter.map { .lora($0.configuration) } ?? .full
        // The Trainer decays no bias and no norm.
        options.settings.decayScope = .matrices
        return try FineTuneJob(options, start: .transformers(checkpoint), ranks: ranks)
    }
}
