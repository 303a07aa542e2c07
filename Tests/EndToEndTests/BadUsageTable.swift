// SPDX-License-Identifier: Apache-2.0
/// Bad inputs: commands, flags, values and places to write to.

import Cairn
import Foundation

extension BadInput {
    static let usage: [BadInput] = [
        // MARK: Commands
        BadInput("no command", .wrongUse, says: "command", "finetune") { _ in [] },
        BadInput("a misspelt command", .wrongUse, says: "'finetun'", "did you mean 'finetune'") {
            ["finetun"] + $0.finetune().dropFirst()
        },
        BadInput("an unknown command", .wrongUse, says: "'bake'", "expected one of finetune") { _ in
            ["bake"]
        },
        BadInput("no model", .wrongUse, says: "MODEL", "none") { job in
            [job.finetune()[0]] + job.finetune().dropFirst(2)
        },
        BadInput("two models", .wrongUse, says: "MODEL", "other") { $0.finetune("other") },

        BadInput("one file to convert", .wrongUse, says: "IN OUT", "a.apr") { _ in
            ["convert", "a.apr"]
        },
        BadInput("an output of no format", .wrongUse, says: "b.xyz", "--format") { _ in
            ["convert", "a.apr", "b.xyz"]
        },
        BadInput("an unknown format", .wrongUse, says: "--format", "marshal", "'gguf'") { _ in
            ["convert", "a.apr", "b", "--format", "gguf"]
        },
        BadInput("a format against the name", .wrongUse, says: "apr", "b.npz", "says npz") { _ in
            ["convert", "a.apr", "b.npz", "--format", "apr"]
        },

        // MARK: Flags
        BadInput("a misspelt flag", .wrongUse, says: "'--epoch'", "did you mean '--epochs'") {
            $0.finetune(without: "--epochs", then: ["--epoch", "3"])
        },
        BadInput("an unknown flag", .wrongUse, says: "unknown flag", "'--zzzzzzzzzz'") {
            $0.finetune("--zzzzzzzzzz")
        },
        BadInput("a flag without its value", .wrongUse, says: "--rank", "value") {
            $0.finetune("--rank")
        },
        BadInput("a flag in place of a value", .wrongUse, says: "--rank", "value") {
            $0.finetune("--rank", "--json")
        },
        BadInput("a flag twice", .wrongUse, says: "--epochs", "twice") {
            $0.finetune("--epochs", "2")
        },
        BadInput("a value for a switch", .wrongUse, says: "--json", "no value") {
            $0.finetune("--json=yes")
        },
        BadInput("no data", .wrongUse, says: "--data", "missing") {
            $0.finetune(without: "--data")
        },
        BadInput("no output", .wrongUse, says: "--output", "missing") {
            $0.finetune(without: "--output")
        },
        BadInput("a problem of a language model", .wrongUse, says: "--problem", "causal") {
            $0.finetune(
                without: "--task", then: ["--task", "causal", "--problem", "regression"])
        },
        BadInput("an unknown problem", .wrongUse, says: "--problem", "multi-label", "'causal'") {
            $0.finetune("--problem", "causal")
        },
        BadInput("a language model judged by labels", .wrongUse, says: "--monitor", "val-loss") {
            $0.finetune(
                without: "--task", then: ["--task", "causal", "--monitor", "val-accuracy"])
        },
        BadInput("an adapter on nothing", .wrongUse, says: "--init random", "--method full") {
            $0.finetune("--init", "random")
        },
        BadInput("an unknown task", .wrongUse, says: "--task", "classify", "'summarize'") {
            $0.finetune(without: "--task", then: ["--task", "summarize"])
        },

        // MARK: The Hub
        BadInput("a bare name to publish to", .wrongUse, says: "ORG/NAME", "'model'") { _ in
            ["publish", "model", "model"]
        },
        BadInput("a name that is none to publish to", .wrongUse, says: "'me/a b'", "letters") { _ in
            ["publish", "model", "me/a b"]
        },
        BadInput("a base that is a path", .wrongUse, says: "'/model'", "ORG/NAME") { _ in
            ["publish", "model", "me/model", "--base-model", "/model"]
        },
        BadInput("a gate that is left out and told", .wrongUse, says: "--data", "--no-gate") { _ in
            ["publish", "model", "me/model", "--no-gate", "--data", "rows.tsv"]
        },

        // MARK: Merging
        BadInput("no place to merge to", .wrongUse, says: "--output", "missing") { _ in
            ["merge", "checkpoint"]
        },
        BadInput("an unknown type to merge to", .wrongUse, says: "--dtype", "bf16", "'int8'") { _ in
            ["merge", "checkpoint", "-o", "merged", "--dtype", "int8"]
        },
        BadInput("a branch that is none", .wrongUse, says: "'../x'", "branch") { _ in
            ["publish", "model", "me/model", "--revision", "../x"]
        },
        BadInput("a commit without a title", .wrongUse, says: "--message", "empty") { _ in
            ["publish", "model", "me/model", "--message", " "]
        },
        BadInput("nothing to pull", .wrongUse, says: "ORG/NAME", "none") { _ in ["pull"] },
        BadInput("a name that is none to pull", .wrongUse, says: "'a/b/c'", "ORG/NAME") { _ in
            ["pull", "a/b/c"]
        },
        BadInput("no directory to publish", .failed, says: "list", "/out") {
            ["publish", $0.output.path, "me/model", "--dry-run"]
        },

        // MARK: Values
        BadInput("a bad number", .wrongUse, says: "--learning-rate", "number", "'2e-4x'") {
            $0.finetune("--learning-rate", "2e-4x")
        },
        BadInput("a negative learning rate", .wrongUse, says: "--learning-rate", "'-1e-4'") {
            $0.finetune("--learning-rate", "-1e-4")
        },
        BadInput("a learning rate that is no number", .wrongUse, says: "--learning-rate", "'nan'") {
            $0.finetune("--learning-rate", "nan")
        },
        BadInput("no epochs", .wrongUse, says: "--epochs", "at least 1", "'0'") {
            $0.finetune(without: "--epochs", then: ["--epochs", "0"])
        },
        BadInput("half an epoch", .wrongUse, says: "--epochs", "whole number", "'0.5'") {
            $0.finetune(without: "--epochs", then: ["--epochs", "0.5"])
        },
        BadInput("rank 0", .wrongUse, says: "--rank", "at least 1", "'0'") {
            $0.finetune("--rank", "0")
        },
        BadInput("dropout of everything", .wrongUse, says: "--dropout", "below 1", "'1'") {
            $0.finetune("--dropout", "1")
        },
        BadInput("nothing to validate on", .wrongUse, says: "--val-split", "'0'", "between 0 and 1")
        {
            $0.finetune("--val-split", "0")
        },
        BadInput("more than all to validate on", .wrongUse, says: "--val-split", "'1.5'") {
            $0.finetune("--val-split", "1.5")
        },
        BadInput("no threads", .wrongUse, says: "--threads", "at least 1", "'0'") {
            $0.finetune(without: "--threads", then: ["--threads", "0"])
        },
        BadInput("too many threads", .wrongUse, says: "--threads", "1024", "'4096'") {
            $0.finetune(without: "--threads", then: ["--threads", "4096"])
        },
        BadInput("an unknown instruction set", .wrongUse, says: "--isa", "scalar", "'avx1024'") {
            $0.finetune("--isa", "avx1024")
        },
        BadInput("a misspelt precision", .wrongUse, says: "--precision", "did you mean 'bf16'") {
            $0.finetune("--precision", "bf61")
        },
        BadInput("a rank without LoRA", .wrongUse, says: "--rank", "--method lora") {
            $0.finetune("--method", "full", "--rank", "8")
        },
        BadInput("class weights without classes", .wrongUse, says: "--class-weights") {
            $0.finetune("--problem", "regression", "--class-weights", "balanced")
        },
        BadInput("a polynomial of no degree", .wrongUse, says: "polynomial", "needs --power") {
            $0.finetune("--schedule", "polynomial")
        },
        BadInput("restarts that are not counted", .wrongUse, says: "needs --cycles") {
            $0.finetune("--schedule", "cosine-restarts")
        },
        BadInput("too many restarts", .wrongUse, says: "--cycles", "1000000", "'1000001'") {
            $0.finetune("--schedule", "cosine-restarts", "--cycles", "1000001")
        },
        BadInput("a power of another shape", .wrongUse, says: "--power", "polynomial", "cosine") {
            $0.finetune("--power", "2")
        },
        BadInput("an end that is not reached", .wrongUse, says: "--min-rate", "inverse-sqrt") {
            $0.finetune("--schedule", "inverse-sqrt", "--min-rate", "0.1")
        },
        BadInput("an end above the peak", .wrongUse, says: "--min-rate", "'2'") {
            $0.finetune("--min-rate", "2")
        },
        BadInput("a size that is none", .wrongUse, says: "--model-size", "'half a B'", "0.5B") {
            $0.finetune("--model-size", "half a B")
        },

        // MARK: Against the model and the machine
        BadInput("a model of another size", .failed, says: "config.json", "--model-size 0.5B") {
            $0.finetune("--model-size", "0.5B")
        },
        BadInput("targets that match nothing", .failed, says: "query_proj", "q_proj", "v_proj") {
            $0.finetune("--target-modules", "query_proj")
        },
        BadInput("one misspelt target of two", .failed, says: "v_porj", "v_proj") {
            $0.finetune("--target-modules", "q_proj,v_porj")
        },
        BadInput("no room for a token", .failed, says: "maximum length 1", "special tokens") {
            ["finetune", $0.addBERT().path] + $0.finetune("--max-length", "1").dropFirst(2)
        },

        // MARK: Places to write to
        BadInput("a file where the output goes", says: "/out", "a directory", "a file") {
            try $0.write("", to: $0.output)
        },
        BadInput(
            "an output below a file", says: "/train.jsonl/out", "is a file",
            arguments: {
                $0.finetune(without: "--output", then: ["-o", $0.data.path + "/out"])
            }, spoil: { _ in }),
    ]

    /// Instruction sets that this machine lacks: at least one, since no machine has them all.
    static let foreignISAs: [BadInput] = ISA.allCases.filter { !ISA.supported.contains($0) }.map {
        isa in
        BadInput(
            "\(isa.rawValue) on this machine", .failed, says: "'\(isa.rawValue)'", "'scalar'"
        ) {
            $0.finetune("--isa", isa.rawValue)
        }
    }

    /// What only a user without the rights of root meets.
    static let permissions: [BadInput] = [
        BadInput(
            "an output without permission", says: "/locked/out", "permission",
            arguments: {
                $0.finetune(
                    without: "--output",
                    then: ["-o", $0.url.appendingPathComponent("locked/out").path])
            }
        ) {
            let locked = $0.url.appendingPathComponent("locked")
            try $0.makeDirectory(locked)
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o555], ofItemAtPath: locked.path)
        }
    ]
}

extension Job {
    /// The path of a tiny BERT, whose tokenizer puts special tokens around every text.
    func addBERT() -> URL { Self.fixtures.appendingPathComponent("models/bert") }
}
