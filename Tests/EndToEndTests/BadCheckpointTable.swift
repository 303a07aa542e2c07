// SPDX-License-Identifier: Apache-2.0
/// Bad inputs: checkpoints to evaluate and to predict with.

import Cairn
import Foundation

extension BadInput {
    static let checkpoints: [BadInput] = [
        // MARK: Directories
        BadInput(
            "predict without a checkpoint", says: "/checkpoint", "checkpoint directory",
            "no such directory", arguments: { $0.predict() }, spoil: { _ in }),
        BadInput(
            "predict on an empty directory", says: "/checkpoint", "checkpoint directory",
            "an empty directory", arguments: { $0.predict() }
        ) {
            try $0.makeDirectory($0.checkpoint)
        },
        BadInput(
            "predict on a folder of rows", says: "/checkpoint", "checkpoint directory",
            "found rows.csv", arguments: { $0.predict() }
        ) {
            try $0.makeDirectory($0.checkpoint)
            try $0.write("text,label\n", to: $0.checkpoint.appendingPathComponent("rows.csv"))
        },
        damaged("predict with a base that is gone", says: "adapter_config.json", "--base") {
            try $0.remove($0.model)
        },
        damaged("predict with another base", says: "/model/config.json", "hidden_size", "64", "128")
        {
            try $0.set("hidden_size", 128)
            try $0.widen()
        },
        damaged("predict without a tokenizer", says: "tokenizer.json", "no such file") {
            try $0.remove($0.checkpoint.appendingPathComponent("tokenizer.json"))
        },
        damaged(
            "predict without adapter weights", says: "adapter_model.safetensors", "No such file"
        ) {
            try $0.remove($0.adapter)
        },

        BadInput(
            "merge over a directory that exists", says: "/model exists already",
            arguments: { ["merge", $0.checkpoint.path, "-o", $0.model.path] }
        ) {
            try $0.addCheckpoint()
        },
        BadInput(
            "merge a damaged checkpoint", says: "/checkpoint is damaged", "adapter_config.json",
            arguments: { ["merge", $0.checkpoint.path, "-o", $0.output.path] }
        ) {
            try $0.addCheckpoint()
        },
        BadInput(
            "publish without a receipt", says: "/checkpoint has no receipt.json", "--no-gate",
            arguments: { ["publish", $0.checkpoint.path, "me/x", "--base-model", "me/base"] }
        ) {
            try $0.addCheckpoint()
            for name in ["receipt.json", "manifest.json"] {
                try $0.remove($0.checkpoint.appendingPathComponent(name))
            }
        },

        // MARK: The adapter
        damaged("an adapter without r", says: "adapter_config.json", "'r'", "positive integer") {
            try $0.edit($0.adapterConfig) { $0["r"] = nil }
        },
        damaged("an adapter without alpha", says: "adapter_config.json", "'lora_alpha'") {
            try $0.edit($0.adapterConfig) { $0["lora_alpha"] = nil }
        },
        damaged("an adapter without targets", says: "adapter_config.json", "'target_modules'") {
            try $0.edit($0.adapterConfig) { $0["target_modules"] = nil }
        },
        damaged("an adapter that is no LoRA", says: "adapter_config.json", "peft_type", "LORA") {
            try $0.edit($0.adapterConfig) { $0["peft_type"] = "IA3" }
        },
        damaged("an adapter that trains biases", says: "adapter_config.json", "bias", "all", "none")
        {
            try $0.edit($0.adapterConfig) { $0["bias"] = "all" }
        },
        damaged(
            "an adapter of another rank", says: "adapter_model.safetensors", "lora_A", "[16, 128]",
            "[4, 128]"
        ) {
            try $0.edit($0.adapterConfig) { $0["r"] = 4 }
        },
        damaged("an adapter tensor missing", says: "adapter_model.safetensors", "score.weight") {
            try $0.editTensors($0.adapter) { $0["base_model.model.score.weight"] = nil }
        },
        damaged("a truncated adapter", says: "adapter_model.safetensors", "needs", "but has") {
            try $0.editBytes($0.adapter) { $0.removeLast() }
        },
        damaged("an unknown problem type", says: "config.json", "problem_type", "'ranking'") {
            try $0.edit($0.checkpoint.appendingPathComponent("config.json")) {
                $0["problem_type"] = "ranking"
            }
        },

        // MARK: Rows
        BadInput(
            "an unknown label to judge by", says: "eval.jsonl, line 2:", "'golf'",
            arguments: { $0.evaluate() }
        ) {
            try $0.addCheckpoint()
            try $0.setLine(2, Job.row("a goal", #""golf""#), of: $0.evaluationData)
        },
        BadInput(
            "a row without a label to judge by", says: "eval.jsonl, line 2:", "no label",
            arguments: { $0.evaluate() }
        ) {
            try $0.addCheckpoint()
            try $0.setLine(2, #"{"text": "a goal"}"#, of: $0.evaluationData)
        },
        damaged("a text without tokens to predict on", says: "--text", "no token", text: "") { _ in
        },

        // MARK: Use
        BadInput("nothing to predict on", .wrongUse, says: "--text", "--data") {
            ["predict", $0.checkpoint.path]
        },
        BadInput("two things to predict on", .wrongUse, says: "--text", "--data") {
            $0.predict() + ["--data", $0.evaluationData.path]
        },
        BadInput("nothing to evaluate on", .wrongUse, says: "--data", "missing") {
            ["evaluate", $0.checkpoint.path]
        },
        BadInput("no rows of each confusion", .wrongUse, says: "--errors", "at least 1", "'0'") {
            $0.evaluate("--errors", "0")
        },
    ]

    /// A prediction with a good checkpoint that `spoil` damages.
    private static func damaged(
        _ name: String, says: String..., text: String = "a goal",
        spoil: @escaping @Sendable (Job) throws -> Void
    ) -> BadInput {
        BadInput(name, says: says, arguments: { $0.predict(text) }) {
            try $0.addCheckpoint()
            try spoil($0)
        }
    }
}

extension Job {
    var adapter: URL { checkpoint.appendingPathComponent("adapter_model.safetensors") }
    var adapterConfig: URL { checkpoint.appendingPathComponent("adapter_config.json") }

    func predict(_ text: String = "a goal") -> [String] {
        ["predict", checkpoint.path, "--text", text, "--threads", "1"]
    }

    /// Gives the base tensors for a hidden size of 128.
    func widen() throws {
        try editTensors(weights) { tensors in
            for (name, tensor) in tensors {
                let dimensions = tensor.shape.dimensions.map { [32: 64, 64: 128][$0] ?? $0 }
                tensors[name] = Tensor(zeros: Shape(dimensions))
            }
        }
    }
}
