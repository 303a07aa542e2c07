// SPDX-License-Identifier: Apache-2.0
/// A case for every flag of every command that trains: what it changes, or what it refuses.

extension FlagCase {
    static let all: [FlagCase] =
        finetune + plan + resume + continued + branch + drill + verify + evaluate + predict + merge
        + files + hub + rest

    /// The cases with values that commands refuse. A flag is here, and not among those that make a
    /// difference, for one of these reasons: no budget, no device and no number of threads changes a
    /// result (`--token-budget`, `--device`, `--threads`, `--isa`, where nothing prints them); it
    /// only checks (`--model-size`); what it chooses is no part of the plan (`--alpha`,
    /// `--use-rslora`, `--dropout`, `--base-model`); it is about vectors, which an adapter has none
    /// of (`--decay-scope`); or it moves moments that chance draws (`--seed` of a drill).
    static func refused(_ base: [String], _ flags: [String]) -> [FlagCase] {
        let values = [
            "--isa": "avx1024", "--device": "gpu", "--threads": "0", "--max-minutes": "0",
            "--token-budget": "0", "--decay-scope": "some", "--reuse-prefix": "some",
        ]
        return flags.map { FlagCase(base, $0, values[$0]!) }
    }

    static func without(_ flag: String, _ base: [String]) -> [String] {
        base.filter { $0 != flag }
    }

    /// What says where a run's files lie now, for a run whose files are gone; without one of these
    /// a command that needs them is refused.
    static func moved(_ command: [String], look: Look, flags: [String]) -> [FlagCase] {
        let places = ["--model": "model", "--data": "train.jsonl", "--eval-data": "eval.jsonl"]
        return flags.map { flag in
            let others = flags.filter { $0 != flag }.flatMap { [$0, places[$0]!] }
            return FlagCase(command + others, flag, places[flag]!, look: look)
        }
    }

    /// The flags that decide which checkpoints a run of five epochs leaves in a folder.
    private static func saving(_ base: [String], in folder: String) -> [FlagCase] {
        [
            FlagCase(base, "--save-every", "2", look: .names(folder)),
            FlagCase(base, "--save-steps", "2", look: .names(folder)),
            FlagCase(base, "--save-minutes", "0.00001", look: .names(folder)),
            FlagCase(base, "--journal", look: .line),
            FlagCase(base + ["--save-every", "1"], "--keep-last", "1", look: .names(folder)),
            FlagCase(base + ["--save-every", "1"], "--keep-best", "1", look: .names(folder)),
        ]
    }

    /// The flags that say how a run is computed; its first line tells threads and instruction set.
    private static func running(_ base: [String]) -> [FlagCase] {
        [
            FlagCase(base, "--max-minutes", "0.00001", look: .status),
            FlagCase(base, "--threads", "2", look: .line),
            FlagCase(base, "--isa", "scalar", look: .line),
            FlagCase(base, "--memory", "4G", look: .key("memory")),
        ] + refused(base, ["--device", "--reuse-prefix"])
    }

    // MARK: Training

    private static let finetune: [FlagCase] = {
        let base = FlagBench.finetune
        let longer = FlagBench.finetune(epochs: 3)
        return [
            FlagCase(base, "--task", "causal", look: .digest),
            FlagCase(base, "--problem", "regression", look: .digest),
            FlagCase(base, "--data", "other.jsonl", look: .digest),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("best_val_loss")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--model-size", "7B"),
            FlagCase(base, "--method", "full", look: .digest),
            // A folder without weights: refused as a base, and not as a plan of one.
            FlagCase(
                base.map { $0 == "model" ? "bare" : $0 } + ["--method", "full"], "--init",
                "random", look: .digest),
            FlagCase(base, "--base", "int8", look: .digest),
            FlagCase(base + ["--method", "full"], "--base", "nf4"),
            FlagCase(base, "--rank", "4", look: .digest),
            FlagCase(base, "--alpha", "8", look: .digest),
            FlagCase(base, "--use-rslora", look: .digest),
            FlagCase(base, "--use-dora", look: .digest),
            FlagCase(base, "--target-modules", "q_proj", look: .digest),
            FlagCase(base, "--adapter-layers", "1", look: .digest),
            FlagCase(
                base + ["--adapter-layers", "1"], "--reuse-prefix", "keep", look: .names("out")),
            FlagCase(base, "--dropout", "0.5", look: .digest),
            FlagCase(base, "--max-length", "4", look: .digest),
            FlagCase(base, "--val-split", "0.4", look: .digest),
            FlagCase(
                FlagBench.finetune(epochs: 2), "--from-trainer", "exported", look: .line),
            FlagCase(
                base, "--base-model", "me/base", look: .file("out/best/adapter_config.json")),
            FlagCase(base, "--epochs", "2", look: .digest),
            FlagCase(base, "--learning-rate", "1e-3", look: .digest),
            FlagCase(base, "--schedule", "constant", look: .digest),
            FlagCase(
                base + ["--schedule", "polynomial", "--power", "2"], "--power", "4", look: .digest),
            FlagCase(
                base + ["--schedule", "cosine-restarts", "--cycles", "2"], "--cycles", "3",
                look: .digest),
            FlagCase(base, "--min-rate", "0.5", look: .digest),
            FlagCase(base, "--warmup", "0.5", look: .digest),
            FlagCase(base + ["--method", "full"], "--decay-scope", "matrices", look: .digest),
            FlagCase(base, "--weight-decay", "0.1", look: .digest),
            FlagCase(base, "--clip", "0.001", look: .digest),
            FlagCase(base, "--batch-size", "8", look: .digest),
            FlagCase(base, "--groups", "1", look: .digest),
            FlagCase(
                base + ["--groups", "2"], "--shared-prompt", look: .said("begin alike")),
            FlagCase(base, "--class-weights", "balanced", look: .digest),
            FlagCase(base, "--precision", "fp32", look: .digest),
            FlagCase(base, "--seed", "7", look: .digest),
            FlagCase(base, "--monitor", "val-accuracy", look: .said("improved")),
            FlagCase(longer + ["--patience", "0"], "--min-delta", "1000", look: .status),
            FlagCase(longer + ["--min-delta", "1000"], "--patience", "0", look: .status),
            FlagCase(without("--json", base), "--json"),
        ] + saving(FlagBench.finetune(epochs: 5), in: "out") + running(base)
            + refused(base, ["--token-budget"])
    }()

    private static let plan: [FlagCase] = {
        let base =
            ["plan"]
            + without("out", without("-o", Array(FlagBench.finetune.dropFirst())))
        let compared = ["plan", "plan.json", "--json"]
        let kept = Look.key("disk", "kept_checkpoints")
        let saving = base + ["--save-steps", "1"]
        let longer =
            ["plan"]
            + without("out", without("-o", Array(FlagBench.finetune(epochs: 5).dropFirst())))
        func setting(_ flag: String, _ value: String, _ key: String, more: [String] = [])
            -> FlagCase
        {
            FlagCase(base + more, flag, value, look: .key("settings", key))
        }
        let settings = [
            setting("--learning-rate", "1e-3", "learning_rate"),
            setting("--schedule", "constant", "schedule"),
            setting("--power", "4", "power", more: ["--schedule", "polynomial"]),
            setting("--cycles", "3", "cycles", more: ["--schedule", "cosine-restarts"]),
            setting("--min-rate", "0.5", "min_ratio"), setting("--warmup", "0.5", "warmup"),
            setting("--decay-scope", "matrices", "decay_scope"),
            setting("--weight-decay", "0.1", "weight_decay"), setting("--clip", "0.5", "clip"),
            setting("--class-weights", "balanced", "class_weights"),
            setting("--precision", "fp32", "precision"), setting("--seed", "7", "seed"),
            setting("--groups", "1", "groups"),
            FlagCase(base, "--shared-prompt", look: .key("settings", "shared_prompt")),
            setting("--monitor", "val-accuracy", "monitor"),
            setting("--min-delta", "1", "min_delta"), setting("--patience", "3", "patience"),
        ]
        let optimizer = Look.key("memory", "optimizer_bytes")
        return [
            FlagCase(base, "--save", "new.json", look: .names(".")),
            FlagCase(compared, "--compare", "run", look: .key("notes")),
            FlagCase(base, "--task", "causal", look: .key("labels")),
            FlagCase(base, "--problem", "regression", look: .key("labels")),
            FlagCase(base, "--data", "other.jsonl", look: .key("rows", "train", "rows")),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("rows", "validation", "rows")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("rows", "test", "rows")),
            FlagCase(base, "--output", "train.jsonl", says: "expected a directory"),
            FlagCase(base, "--model-size", "7B"),
            FlagCase(base, "--method", "full", look: optimizer),
            FlagCase(
                base.map { $0 == "model" ? "bare" : $0 } + ["--method", "full"], "--init", "random",
                look: .key("steps")),
            FlagCase(base, "--base", "nf4", look: .key("memory", "quantized_bytes")),
            FlagCase(base, "--rank", "4", look: optimizer),
            FlagCase(base, "--alpha", "0"),
            FlagCase(base + ["--method", "full"], "--use-rslora"),
            FlagCase(base, "--use-dora", look: optimizer),
            FlagCase(base, "--target-modules", "q_proj", look: optimizer),
            FlagCase(base, "--adapter-layers", "1", look: optimizer),
            FlagCase(base, "--dropout", "1"),
            FlagCase(base, "--max-length", "4", look: .key("rows", "train", "truncated_rows")),
            FlagCase(base, "--val-split", "0.4", look: .key("rows", "validation", "rows")),
            FlagCase(base, "--from-trainer", "nowhere", says: "nowhere"),
            FlagCase(base, "--base-model", "/model", says: "'/model'"),
            FlagCase(base, "--epochs", "2", look: .key("steps")),
            FlagCase(base, "--batch-size", "8", look: .key("steps")),
            FlagCase(base, "--token-budget", "32", look: .key("memory", "activations_bytes")),
            FlagCase(base, "--threads", "2", look: .key("threads")),
            FlagCase(base, "--isa", "scalar", look: .key("isa")),
            FlagCase(longer, "--save-every", "1", look: kept),
            FlagCase(base, "--save-steps", "1", look: kept),
            FlagCase(saving, "--keep-last", "1", look: kept),
            FlagCase(saving, "--keep-best", "1", look: kept),
            FlagCase(base, "--journal", look: kept),
            FlagCase(base, "--save-minutes", "0"),
            FlagCase(without("--json", base), "--json"),
        ]
            + settings + refused(base, ["--device", "--max-minutes", "--reuse-prefix"])
            + [FlagCase(base, "--memory", "4G", look: .key("memory"))]
    }()

    private static let resume: [FlagCase] = {
        let base = ["resume", "run", "--threads", "1", "--json"]
        let longer = base + ["--epochs", "5"]
        let files = ["--model", "--data", "--eval-data"]
        return [
            FlagCase(base, "--epochs", "3", look: .digest),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base + ["--data", "other.jsonl"], "--allow", "data", look: .digest),
            FlagCase(without("--json", base), "--json"),
        ] + moved(["resume", "orphan", "--epochs", "3", "--json"], look: .digest, flags: files)
            + saving(longer, in: "run") + running(longer)
    }()

    private static let continued: [FlagCase] = {
        let base = [
            "continue", "run/best", "-o", "second", "--epochs", "1", "--threads", "1", "--json",
        ]
        let longer = ["continue", "run/best", "-o", "second", "--epochs", "5", "--json"]
        let orphan = ["continue", "orphan/best", "-o", "second", "--epochs", "1", "--json"]
        return [
            FlagCase(base, "--data", "other.jsonl", look: .digest),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("best_val_loss")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--keep-optimizer", look: .digest),
            FlagCase(base, "--epochs", "2", look: .digest),
            FlagCase(base, "--seed", "7", look: .digest),
            FlagCase(base, "--learning-rate", "1e-3", look: .digest),
            FlagCase(base, "--schedule", "constant", look: .digest),
            FlagCase(
                base + ["--schedule", "polynomial", "--power", "2"], "--power", "4", look: .digest),
            FlagCase(
                base + ["--schedule", "cosine-restarts", "--cycles", "2"], "--cycles", "3",
                look: .digest),
            FlagCase(base, "--min-rate", "0.5", look: .digest),
            FlagCase(base, "--warmup", "0.5", look: .digest),
            FlagCase(base, "--weight-decay", "0.1", look: .digest),
            FlagCase(base, "--clip", "0.001", look: .digest),
            FlagCase(base, "--groups", "1", look: .digest),
            FlagCase(
                base + ["--groups", "2"], "--shared-prompt", look: .said("begin alike")),
            FlagCase(base, "--batch-size", "8", look: .digest),
            FlagCase(base, "--class-weights", "balanced", look: .digest),
            FlagCase(base, "--precision", "fp32", look: .digest),
            FlagCase(base, "--monitor", "val-accuracy", look: .said("improved")),
            FlagCase(longer + ["--patience", "0"], "--min-delta", "1000", look: .status),
            FlagCase(longer + ["--min-delta", "1000"], "--patience", "0", look: .status),
            FlagCase(without("--json", base), "--json"),
        ] + moved(orphan, look: .digest, flags: ["--model", "--data", "--eval-data"])
            + saving(longer, in: "second") + running(base)
            + refused(base, ["--token-budget", "--decay-scope"])
    }()

    private static let branch: [FlagCase] = {
        let base = [
            "branch", "run/epoch-1", "--set", "learning_rate=1e-3", "-o", "second", "--threads",
            "1", "--json",
        ]
        let orphan = [
            "branch", "orphan/epoch-1", "--set", "learning_rate=1e-3", "-o", "second", "--json",
        ]
        return [
            FlagCase(base, "--set", "learning_rate=1e-4", look: .digest),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base + ["--data", "other.jsonl"], "--allow", "data", look: .digest),
            FlagCase(without("--json", base), "--json"),
        ] + moved(orphan, look: .digest, flags: ["--model", "--data", "--eval-data"])
            + saving(base.map { $0 == "learning_rate=1e-3" ? "epochs=5" : $0 }, in: "second")
            + running(base)
    }()
}
