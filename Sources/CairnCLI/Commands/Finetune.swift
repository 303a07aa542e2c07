// SPDX-License-Identifier: Apache-2.0
/// `cairn finetune`: the main job.

import Cairn
import Foundation

struct Finetune: Command {
    static let name = "finetune"
    static let summary = "Trains LoRA adapters, or a whole small model, on labelled texts."
    static let positionals = ["MODEL"]
    static let example = """
        cairn finetune ./Qwen2.5-0.5B --task classify --data corpus.jsonl --epochs 3 -o checkpoints
        """
    static let flags = [
        Flag("--task", "classify", "what to learn; classify is the one there is"),
        Flag(
            "--problem", "KIND", standard: "single-label",
            "single-label, multi-label or regression"),
        Flag("--data", "FILE", "training rows: JSONL, CSV or TSV; a split column is obeyed"),
        Flag("--eval-data", "FILE", "validation rows"),
        Flag("--test-data", "FILE", "rows that the best checkpoint is judged on at the end"),
        Flag("--output", "DIR", short: "-o", "where checkpoints go"),
        Flag("--model-size", "SIZE", "as 0.5B: refused when config.json disagrees"),
        Flag("--method", "METHOD", standard: "lora", "lora, or full: every parameter"),
        Flag("--epochs", "N", standard: "3", "passes over the training rows"),
        Flag("--rank", "R", standard: "16", "rank of the LoRA pairs"),
        Flag("--alpha", "A", standard: "32", "LoRA scaling is alpha / rank"),
        Flag(switch: "--use-rslora", "scale by alpha / sqrt(rank)"),
        Flag(switch: "--use-dora", "learn magnitude and direction apart"),
        Flag(
            "--target-modules", "NAMES", standard: "all-linear",
            "layer names with commas between, or all-linear"),
        Flag("--dropout", "P", standard: "0", "dropout before the LoRA pairs"),
        Flag("--learning-rate", "RATE", standard: "2e-4", "peak learning rate"),
        Flag("--schedule", "SHAPE", standard: "cosine", "cosine, linear or constant"),
        Flag("--warmup", "SHARE", standard: "0.1", "share of the steps over which the rate rises"),
        Flag("--weight-decay", "WD", standard: "0.01", "decoupled weight decay"),
        Flag("--clip", "NORM", standard: "1.0", "largest gradient norm; none never clips"),
        Flag("--batch-size", "ROWS", standard: "16", "rows per optimizer step"),
        Flag(
            "--max-length", "TOKENS", standard: "512", "longer rows lose their ends"),
        Flag(
            "--token-budget", "TOKENS", standard: "2048",
            "tokens per micro-batch; changes memory and speed, never the result"),
        Flag(
            "--class-weights", "KIND", standard: "none", "none, balanced or sqrt"),
        Flag("--precision", "KIND", standard: "bf16", "bf16 or fp32 operands of matmuls"),
        Flag("--seed", "N", standard: "42", "seed of everything random"),
        Flag("--val-split", "SHARE", standard: "0.2", "rows taken for validation without a file"),
        Flag("--save-every", "N", standard: "5", "epochs between epoch-N checkpoints"),
        Flag("--base-model", "ID", "the base's Hub id, for adapter_config.json and the card"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2 or avx512; the widest there is"),
        Flag(switch: "--json", "print the run's report as one JSON document"),
    ]

    private let options: FineTuneOptions
    private let printsJSON: Bool

    init(_ arguments: Arguments) throws {
        let task = try arguments.required("--task")
        guard task == "classify" else {
            throw arguments.usage("--task must be classify, found '\(task)'")
        }
        var options = FineTuneOptions(
            model: try HubAccess.model(arguments.positionals[0]),
            data: URL(fileURLWithPath: try arguments.required("--data")),
            output: URL(fileURLWithPath: try arguments.required("--output")))
        options.evaluationData = arguments.url("--eval-data")
        options.testData = arguments.url("--test-data")
        options.problem = try arguments.choice("--problem", Problem.self) ?? .singleLabel
        options.modelSize = try Self.modelSize(arguments)
        options.method = try Self.method(arguments)
        options.settings = try Self.settings(arguments)
        options.maximumLength =
            try arguments.integer("--max-length", atLeast: 1) ?? options.maximumLength
        options.validationShare =
            try arguments.number("--val-split", "between 0 and 1") { $0 > 0 && $0 < 1 }
            ?? options.validationShare
        options.baseID = arguments.string("--base-model")
        (options.threads, options.isa) = try arguments.machine()
        if options.problem != .singleLabel, options.settings.classWeights != .none {
            throw arguments.usage("--class-weights is for --problem single-label")
        }
        self.options = options
        printsJSON = arguments.has("--json")
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
                "--rank", "--alpha", "--use-rslora", "--use-dora", "--target-modules", "--dropout",
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
                targets: targets == "all-linear" ? .allLinear : .names(names)))
    }

    private static func settings(_ arguments: Arguments) throws -> FineTuneSettings {
        var settings = FineTuneSettings()
        settings.epochs = try arguments.integer("--epochs", atLeast: 1) ?? settings.epochs
        settings.batchSize = try arguments.integer("--batch-size", atLeast: 1) ?? settings.batchSize
        settings.tokenBudget =
            try arguments.integer("--token-budget", atLeast: 1) ?? settings.tokenBudget
        settings.learningRate =
            try arguments.number("--learning-rate", "a positive number") { $0 > 0 }
            ?? settings.learningRate
        settings.schedule =
            try arguments.choice("--schedule", Schedule.Shape.self) ?? settings.schedule
        settings.warmup =
            try arguments.number("--warmup", "a share between 0 and 1") { $0 >= 0 && $0 <= 1 }
            ?? settings.warmup
        settings.weightDecay =
            try arguments.number("--weight-decay", "at least 0") { $0 >= 0 } ?? settings.weightDecay
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
        settings.seed = UInt64(try arguments.integer("--seed", atLeast: 0) ?? 42)
        settings.saveEvery = try arguments.integer("--save-every", atLeast: 1) ?? settings.saveEvery
        return settings
    }

    func run() throws {
        let job = try FineTuneJob(options)
        Terminal.error(Self.description(of: job))
        for note in job.notes { Terminal.error("note: \(note)") }
        let stop = StopSignal()
        let progress = Progress()
        let report = try job.run(shouldStop: { stop.isSet }, report: progress.report)
        let test = report.status == .completed ? try job.evaluateTest() : nil
        if let accuracy = test?.accuracy {
            Terminal.error(String(format: "test accuracy %.4f", accuracy))
        }
        Terminal.error("\(report.status.rawValue); checkpoints are in \(options.output.path)")
        if printsJSON { try Self.document(report, test, options.output).printed() }
    }

    private static func description(of job: FineTuneJob) -> String {
        let trained = job.tuner.model.parameters.trainableNames.reduce(0) {
            $0 + job.tuner.model.parameters.dimensions(of: $1).reduce(1, *)
        }
        return
            "\(job.base.configuration.family.rawValue), \(job.base.parameterCount) parameters; trains "
            + "\(trained), the head included; \(job.description.trainRows) rows to "
            + "train on, \(job.description.validationRows) to validate on, "
            + "\(job.task.labels.count) labels; \(job.options.isa.rawValue), "
            + "\(job.options.threads) threads, \(job.options.settings.precision.rawValue)"
    }

    static func document(_ report: FineTuneReport, _ test: Evaluation?, _ output: URL) -> JSONValue
    {
        var document: JSONObject = [
            "status": .string(report.status.rawValue),
            "epochs_completed": .integer(report.epochs.count), "steps": .integer(report.steps),
            "best_epoch": report.bestEpoch.map { .integer($0) } ?? .null,
            "best_val_loss": .optional(report.bestValidationLoss),
            "epochs": .array(
                report.epochs.map { epoch in
                    .object([
                        "epoch": .integer(epoch.epoch), "train_loss": .number(epoch.trainLoss),
                        "val_loss": .number(epoch.validationLoss),
                        "train_accuracy": .optional(epoch.trainAccuracy),
                        "val_accuracy": .optional(epoch.validationAccuracy),
                        "learning_rate": .number(epoch.learningRate),
                        "seconds": .number(epoch.seconds),
                    ])
                }),
        ]
        if let test {
            document["test"] = .object([
                "accuracy": .optional(test.accuracy), "loss": .optional(test.loss),
                "macro_f1": .optional(test.metrics?.macroF1),
            ])
        }
        document["tokens_per_second"] = .number(report.tokensPerSecond)
        document["peak_rss_bytes"] = .integer(ResidentMemory.peakByteCount)
        document["checkpoint_dir"] = .string(output.path)
        document["state_digest"] = .string(report.stateDigest)
        return .object(document)
    }
}

extension Arguments {
    /// Threads and instruction set, for every command that computes.
    func machine() throws -> (threads: Int, isa: ISA) {
        let most = Context.maximumThreads
        let threads = try integer("--threads", atLeast: 1) ?? Context.defaultThreads
        guard threads <= most else {
            throw usage("--threads must be at most \(most), found '\(threads)'")
        }
        let isa = try choice("--isa", ISA.self) ?? .best
        return (threads, isa)
    }
}
