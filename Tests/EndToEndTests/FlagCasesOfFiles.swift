// SPDX-License-Identifier: Apache-2.0
/// A case for every flag of the commands that look at what runs left.

extension FlagCase {
    static let verify: [FlagCase] = {
        let base = ["verify", "run", "--json"]
        let replay = base + ["--replay", "--threads", "1"]
        return [
            FlagCase(base, "--replay", look: .key("replay")),
            FlagCase(replay, "--from", "8", look: .key("replay", "first_step")),
            FlagCase(replay, "--steps", "2", look: .key("replay", "last_step")),
            FlagCase(without("--json", base), "--json"),
        ]
            + moved(
                ["verify", "orphan", "--replay", "--json"], look: .key("replay"),
                flags: ["--model", "--data", "--eval-data"])
            + refused(replay, ["--threads", "--isa", "--device"])
    }()

    static let drill: [FlagCase] = {
        let base = [
            "drill", "--model", "model", "--data", "train.jsonl", "--kills", "1", "--epochs", "1",
            "--ending", "full", "--json",
        ]
        // The child refuses its flags; the drill says that its run failed.
        let failed = "the undisturbed run failed"
        return [
            FlagCase(base, "--kills", "2", look: .key("endings")),
            FlagCase(base, "--ending", "kill", look: .key("endings")),
            FlagCase(["drill"], "--model", "model"), FlagCase(["drill"], "--data", "train.jsonl"),
            FlagCase(base, "--output", "drilled", look: .names(".")),
            FlagCase(
                base + ["--output", "drilled", "--save-steps", "100"], "--journal",
                look: .names("drilled/calm")),
            FlagCase(base, "--epochs", "2", look: .key("expected")),
            FlagCase(base, "--save-steps", "0", says: failed), FlagCase(base, "--seed", "-1"),
            FlagCase(base, "--threads", "0", says: failed),
            FlagCase(without("--json", base), "--json"),
        ]
    }()

    // MARK: Checkpoints

    static let evaluate: [FlagCase] = {
        let base = ["evaluate", "run/best", "--data", "eval.jsonl", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--data", "train.jsonl", look: .key("rows")),
            FlagCase(base, "--errors", "2", look: .key("errors")),
            FlagCase(base.map { $0 == "run/best" ? "orphan/best" : $0 }, "--base", "model"),
            FlagCase(base, "--base-storage", "nf4", look: .key("loss")),
            FlagCase(base, "--precision", "fp32", look: .key("loss")),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--token-budget", "--threads", "--isa", "--device"])
    }()

    static let predict: [FlagCase] = {
        let base = ["predict", "run/best", "--text", "a fine film", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--text", "a dull film"),
            FlagCase(
                ["predict", "run/best", "--data", "eval.jsonl"], "--data", "train.jsonl"),
            FlagCase(base.map { $0 == "run/best" ? "orphan/best" : $0 }, "--base", "model"),
            FlagCase(base, "--base-storage", "int8"),
            FlagCase(base, "--precision", "fp32"),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--token-budget", "--threads", "--isa", "--device"])
    }()

    static let merge: [FlagCase] = {
        let base = ["merge", "run/best", "-o", "merged", "--threads", "1", "--json"]
        return [
            FlagCase(base, "--output", "elsewhere", look: .names(".")),
            FlagCase(base, "--dtype", "bf16", look: .key("dtypes")),
            FlagCase(base.map { $0 == "run/best" ? "orphan/best" : $0 }, "--base", "model"),
            FlagCase(base, "--base-storage", "int8", says: "kept as 'stored'"),
            FlagCase(without("--json", base), "--json"),
        ] + refused(base, ["--threads", "--isa"])
    }()

    static let files: [FlagCase] = {
        let convert = ["convert", "run/best/model.apr", "out.safetensors"]
        let export = ["export", "run", "-o", "checkpoint-1"]
        return [
            FlagCase(["inspect", "run/best"], "--json"),
            FlagCase(convert, "--format", "npz"),
            FlagCase(["convert", "run/best/model.apr", "present.npz"], "--force"),
            FlagCase(convert, "--json"),
            FlagCase(export, "--output", "checkpoint-2", look: .names(".")),
            // The order of parameters differs for RoBERTa alone, which Tests/Interop/hf-trainer has.
            FlagCase(export, "--transformers", "3"),
        ]
            + moved(
                ["export", "orphan", "-o", "checkpoint-1"], look: .names("."),
                flags: ["--model", "--data", "--eval-data"])
    }()

    // MARK: The Hub and the rest

    static let hub: [FlagCase] = {
        let base = ["publish", "published", "me/model", "--dry-run", "--base-model", "me/base"]
        return [
            FlagCase(without("--dry-run", base), "--dry-run"),
            FlagCase(base, "--private"), FlagCase(base, "--create-pr"),
            FlagCase(base, "--revision", "next"), FlagCase(base, "--message", "Other"),
            FlagCase(base, "--base-model", "/model", says: "'/model'"),
            FlagCase(
                base + ["--json"], "--include", "notes.txt", look: .key("files")),
            // The card tells it.
            FlagCase(base + ["--json"], "--no-gate", look: .key("files")),
            // Past the gate, and to it: what ends the publication is the next thing there is.
            FlagCase(
                ["publish", "whole", "me/model"], "--checkpoint", "run/best",
                says: "switches the network off"),
            FlagCase(base, "--json"),
            FlagCase(
                "pull", "--include", elsewhere: "Tests/Interop/hub, against a loopback Hub"),
            FlagCase("pull", "--json", elsewhere: "Tests/Interop/hub, against a loopback Hub"),
        ]
            + ["--data", "--eval-data"].map { flag in
                let places = ["--data": "train.jsonl", "--eval-data": "eval.jsonl"]
                let other = places.first { $0.key != flag }!
                return FlagCase(
                    ["publish", "orphan/best", "me/model", "--base-model", "me/base", other.key]
                        + [other.value], flag, places[flag]!, says: "the gate is closed")
            }
    }()

    static let rest: [FlagCase] = {
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
