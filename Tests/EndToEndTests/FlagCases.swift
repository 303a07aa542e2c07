// SPDX-License-Identifier: Apache-2.0
/// A case for every flag of every command: what it changes, or what it refuses.

extension FlagCase {
    static let all: [FlagCase] =
        finetune + plan + resume + continued + branch + verify + drill + evaluate + predict + merge
        + files
        + hub + rest

    /// Values that the flags of every command refuse, by flag.
    private static let badValues: [(flag: String, value: String)] = [
        ("--isa", "avx1024"), ("--device", "gpu"), ("--threads", "0"), ("--save-every", "0"),
        ("--save-steps", "0"),
        ("--save-minutes", "0"), ("--keep-last", "0"), ("--keep-best", "-1"),
        ("--max-minutes", "0"), ("--learning-rate", "nan"), ("--schedule", "square"),
        ("--power", "2"), ("--cycles", "2"), ("--min-rate", "2"), ("--warmup", "2"),
        ("--decay-scope", "some"), ("--weight-decay", "-1"), ("--clip", "0"),
        ("--batch-size", "0"), ("--groups", "0"), ("--token-budget", "0"),
        ("--class-weights", "some"),
        ("--precision", "fp8"), ("--seed", "-1"), ("--monitor", "luck"), ("--min-delta", "-1"),
        ("--patience", "-1"),
    ]
    private static let running = ["--isa", "--device", "--threads", "--max-minutes"]
    private static let saving = [
        "--save-every", "--save-steps", "--save-minutes", "--keep-last", "--keep-best",
    ]

    /// The cases in which those values are refused.
    private static func refused(_ base: [String], _ flags: [String]? = nil) -> [FlagCase] {
        badValues.filter { flags?.contains($0.flag) ?? true }.map {
            FlagCase(base, $0.flag, $0.value)
        }
    }

    private static func without(_ flag: String, _ base: [String]) -> [String] {
        base.filter { $0 != flag }
    }

    // MARK: Training

    private static let finetune: [FlagCase] = {
        let base = FlagBench.finetune
        let longer = base.map { $0 == "1" ? "3" : $0 }
        return [
            FlagCase(base, "--task", "summarize"),
            FlagCase(base, "--problem", "regression", look: .digest),
            FlagCase(base, "--data", "other.jsonl", look: .digest),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("best_val_loss")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--model-size", "7B"),
            FlagCase(base, "--method", "full", look: .digest),
            FlagCase(
                base + ["--method", "full"], "--init", "random", says: "a random start needs"),
            FlagCase(base, "--rank", "4", look: .digest),
            FlagCase(base, "--alpha", "8", look: .digest),
            FlagCase(base, "--use-rslora", look: .digest),
            FlagCase(base, "--use-dora", look: .digest),
            FlagCase(base, "--target-modules", "q_proj", look: .digest),
            FlagCase(base, "--dropout", "0.5", look: .digest),
            FlagCase(base, "--max-length", "4", look: .digest),
            FlagCase(base, "--val-split", "0.4", look: .digest),
            FlagCase(base, "--from-trainer", "nowhere", says: "nowhere"),
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
            // No budget changes the result.
            FlagCase(base, "--token-budget", "0"),
            FlagCase(base, "--class-weights", "balanced", look: .digest),
            FlagCase(base, "--precision", "fp32", look: .digest),
            FlagCase(base, "--seed", "7", look: .digest),
            FlagCase(base, "--monitor", "luck"),
            FlagCase(longer + ["--patience", "0"], "--min-delta", "1000", look: .status),
            FlagCase(longer + ["--min-delta", "1000"], "--patience", "0", look: .status),
            FlagCase(longer, "--save-every", "1", look: .names("out")),
            FlagCase(base, "--save-steps", "2", look: .names("out")),
            FlagCase(base, "--save-minutes", "0.00001", look: .names("out")),
            FlagCase(longer + ["--save-every", "1"], "--keep-last", "1", look: .names("out")),
            FlagCase(longer + ["--save-every", "1"], "--keep-best", "1", look: .names("out")),
            FlagCase(base, "--max-minutes", "0.00001", look: .status),
            FlagCase(base, "--threads", "2", look: .line),
            FlagCase(base, "--isa", "avx1024"), FlagCase(base, "--device", "gpu"),
            FlagCase(without("--json", base), "--json"),
        ]
    }()

    private static let plan: [FlagCase] = {
        let base =
            ["plan"]
            + without("out", without("-o", Array(FlagBench.finetune.dropFirst())))
        let compared = ["plan", "plan.json", "--json"]
        let optimizer = Look.key("memory", "optimizer_bytes")
        return [
            FlagCase(base, "--save", "new.json", look: .names(".")),
            FlagCase(compared, "--compare", "run", look: .key("notes")),
            FlagCase(base, "--task", "summarize"),
            FlagCase(base, "--problem", "regression", look: .key("labels")),
            FlagCase(base, "--data", "other.jsonl", look: .key("rows", "train", "rows")),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("rows", "validation", "rows")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("rows", "test", "rows")),
            FlagCase(base, "--output", "train.jsonl", says: "expected a directory"),
            FlagCase(base, "--model-size", "7B"),
            FlagCase(base, "--method", "full", look: optimizer),
            FlagCase(base, "--init", "random"),
            FlagCase(base, "--rank", "4", look: optimizer),
            FlagCase(base, "--alpha", "0"),
            FlagCase(base + ["--method", "full"], "--use-rslora"),
            FlagCase(base, "--use-dora", look: optimizer),
            FlagCase(base, "--target-modules", "q_proj", look: optimizer),
            FlagCase(base, "--dropout", "1"),
            FlagCase(base, "--max-length", "4", look: .key("rows", "train", "truncated_rows")),
            FlagCase(base, "--val-split", "0.4", look: .key("rows", "validation", "rows")),
            FlagCase(base, "--from-trainer", "nowhere", says: "nowhere"),
            FlagCase(base, "--base-model", "/model", says: "'/model'"),
            FlagCase(base, "--epochs", "2", look: .key("steps")),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base)
    }()

    private static let resume: [FlagCase] = {
        let base = ["resume", "run", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--epochs", "3", look: .digest),
            FlagCase(base, "--model", "nowhere", says: "nowhere"),
            FlagCase(base, "--data", "other.jsonl", says: "'data'"),
            FlagCase(base, "--eval-data", "eval.jsonl", says: "'eval-data'"),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base + ["--data", "other.jsonl"], "--allow", "data", look: .digest),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, saving + running)
    }()

    private static let continued: [FlagCase] = {
        let base = [
            "continue", "run/best", "-o", "second", "--epochs", "1", "--threads", "1", "--json",
        ]
        let own = ["--seed", "--learning-rate"]
        return [
            FlagCase(base, "--data", "other.jsonl", look: .digest),
            FlagCase(base, "--eval-data", "eval.jsonl", look: .key("best_val_loss")),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base, "--model", "nowhere", says: "nowhere"),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--keep-optimizer", look: .digest),
            FlagCase(base, "--epochs", "2", look: .digest),
            FlagCase(base, "--seed", "7", look: .digest),
            FlagCase(base, "--learning-rate", "1e-3", look: .digest),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, badValues.map(\.flag).filter { !own.contains($0) })
    }()

    private static let branch: [FlagCase] = {
        let base = [
            "branch", "run/epoch-1", "--set", "learning_rate=1e-3", "-o", "second", "--threads",
            "1", "--json",
        ]
        return [
            FlagCase(base, "--set", "learning_rate=1e-4", look: .digest),
            FlagCase(base, "--output", "elsewhere", look: .key("checkpoint_dir")),
            FlagCase(base, "--model", "nowhere", says: "nowhere"),
            FlagCase(base, "--data", "other.jsonl", says: "'data'"),
            FlagCase(base, "--eval-data", "eval.jsonl", says: "'eval-data'"),
            FlagCase(base, "--test-data", "eval.jsonl", look: .key("test")),
            FlagCase(base + ["--data", "other.jsonl"], "--allow", "data", look: .digest),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, saving + running)
    }()

    private static let verify: [FlagCase] = {
        let base = ["verify", "run", "--json"]
        let replay = base + ["--replay", "--threads", "1"]
        return [
            FlagCase(base, "--replay", look: .key("replay")),
            FlagCase(replay, "--from", "8", look: .key("replay", "first_step")),
            FlagCase(replay, "--steps", "2", look: .key("replay", "last_step")),
            FlagCase(replay, "--model", "nowhere", says: "nowhere"),
            FlagCase(replay, "--data", "nowhere.jsonl", says: "nowhere"),
            FlagCase(replay, "--eval-data", "nowhere.jsonl", says: "nowhere"),
            FlagCase(without("--json", base), "--json"),
        ] + refused(replay, ["--threads", "--isa", "--device"])
    }()

    private static let drill: [FlagCase] = {
        let base = [
            "drill", "--model", "model", "--data", "train.jsonl", "--kills", "1", "--epochs", "1",
        ]
        // The child refuses its flags; the drill says that its run failed.
        let failed = "the undisturbed run failed"
        return [
            FlagCase(base, "--kills", "0"),
            FlagCase(["drill"], "--model", "model"), FlagCase(["drill"], "--data", "train.jsonl"),
            FlagCase(base, "--output", "drilled", look: .names(".")),
            FlagCase(base, "--epochs", "0", says: failed),
            FlagCase(base, "--save-steps", "0", says: failed), FlagCase(base, "--seed", "-1"),
            FlagCase(base, "--threads", "0", says: failed), FlagCase(base, "--json"),
        ]
    }()

    // MARK: Checkpoints

    private static let evaluate: [FlagCase] = {
        let base = ["evaluate", "run/best", "--data", "eval.jsonl", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--data", "train.jsonl", look: .key("rows")),
            FlagCase(base, "--errors", "2", look: .key("errors")),
            FlagCase(base, "--base", "nowhere", says: "nowhere"),
            FlagCase(base, "--precision", "fp32", look: .key("loss")),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--token-budget", "--threads", "--isa", "--device"])
    }()

    private static let predict: [FlagCase] = {
        let base = ["predict", "run/best", "--text", "a fine film", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--text", "a dull film"),
            FlagCase(
                ["predict", "run/best", "--data", "eval.jsonl"], "--data", "train.jsonl"),
            FlagCase(base, "--base", "nowhere", says: "nowhere"),
            FlagCase(base, "--precision", "fp32"),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--token-budget", "--threads", "--isa", "--device"])
    }()

    private static let merge: [FlagCase] = {
        let base = ["merge", "run/best", "-o", "merged", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--output", "elsewhere", look: .names(".")),
            FlagCase(base, "--dtype", "bf16", look: .key("dtypes")),
            FlagCase(base, "--base", "nowhere", says: "nowhere"),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--threads", "--isa"])
    }()

    private static let files: [FlagCase] = {
        let convert = ["convert", "run/best/model.apr", "out.safetensors"]
        let export = ["export", "run", "-o", "checkpoint-1"]
        return [
            FlagCase(["inspect", "run/best"], "--json"),
            FlagCase(convert, "--format", "npz"),
            FlagCase(["convert", "run/best/model.apr", "present.npz"], "--force"),
            FlagCase(convert, "--json"),
            FlagCase(export, "--output", "checkpoint-2", look: .names(".")),
            FlagCase(export, "--model", "nowhere", says: "nowhere"),
            FlagCase(export, "--data", "nowhere.jsonl", says: "nowhere"),
            FlagCase(export, "--eval-data", "nowhere.jsonl", says: "nowhere"),
            FlagCase(export, "--transformers", "3"),
        ]
    }()

    // MARK: The Hub and the rest

    private static let hub: [FlagCase] = {
        let base = ["publish", "published", "me/model", "--dry-run", "--base-model", "me/base"]
        return [
            FlagCase(without("--dry-run", base), "--dry-run"),
            FlagCase(base, "--private"), FlagCase(base, "--create-pr"),
            FlagCase(base, "--revision", "next"), FlagCase(base, "--message", " "),
            FlagCase(base, "--base-model", "/model", says: "'/model'"),
            FlagCase(
                base + ["--json"], "--include", "notes.txt", look: .key("files")),
            // The card tells it.
            FlagCase(base + ["--json"], "--no-gate", look: .key("files")),
            FlagCase(base + ["--no-gate"], "--checkpoint", "nowhere"),
            FlagCase(base + ["--no-gate"], "--data", "train.jsonl"),
            FlagCase(base + ["--no-gate"], "--eval-data", "eval.jsonl"),
            FlagCase(base, "--json"),
            FlagCase(
                "pull", "--include", elsewhere: "Tests/Interop/hub, against a loopback Hub"),
            FlagCase("pull", "--json", elsewhere: "Tests/Interop/hub, against a loopback Hub"),
        ]
    }()

    private static let rest: [FlagCase] = {
        return [
            FlagCase(
                ["quickstart", "-o", "model"], "--output", "train.jsonl", says: "a directory"),
            FlagCase(["quickstart", "-o", "train.jsonl"], "--threads", "0"),
            FlagCase(["quickstart", "-o", "train.jsonl"], "--isa", "avx1024"),
            FlagCase("quickstart", "--json", elsewhere: "the step 'quickstart' of .ci/run"),
            FlagCase(["man"], "--output", "pages", look: .names(".")), FlagCase(["man"], "--json"),
        ]
    }()
}
