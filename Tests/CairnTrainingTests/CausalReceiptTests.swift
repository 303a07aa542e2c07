// SPDX-License-Identifier: Apache-2.0
/// Language models: their receipts, and what a merge makes of their checkpoints.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

/// A run of a language model whose output head is the embedding table, or one of its own.
struct CausalReceiptRun {
    let run: ReceiptRun
    let base: URL
    private let directory: TemporaryDirectory

    init(
        isTied: Bool, _ method: Int = 0, precision: Precision = .fp32,
        change: (inout FineTuneOptions) -> Void = { _ in }
    ) throws {
        directory = try TemporaryDirectory()
        let base = directory.file("base")
        self.base = base
        try FileManager.default.copyItem(
            at: Golden.directory.appendingPathComponent("models/qwen2"), to: base)
        let file = base.appendingPathComponent("config.json")
        var config = try JSONValue.parse(contentsOf: file)
        config["tie_word_embeddings"] = .bool(isTied)
        // Bases carry labels of the classes that transformers fills in; they mean nothing here.
        config["id2label"] = ["0": "LABEL_0", "1": "LABEL_1"]
        try config.serialized().write(to: file)
        if !isTied {
            let weights = base.appendingPathComponent("model.safetensors")
            var tensors = try SafetensorsFile(contentsOf: weights).tensors
            let table = tensors["model.embed_tokens.weight"]!
            var stream = RandomStream(seed: 5, name: "head")
            tensors["lm_head.weight"] = Tensor(
                [Float].random(table.elementCount, in: -0.1...0.1, using: &stream),
                shape: table.shape)
            let bytes = try SafetensorsWriter.data(tensors)
            try FileManager.default.removeItem(at: weights)
            try bytes.write(to: weights)
        }
        run = try ReceiptRun("qwen2", method, precision: precision) {
            $0.model = base
            $0.problem = .causal
            change(&$0)
        }
    }

    /// What every token of a few rows costs, by a directory alone.
    func tokenLosses(_ directory: URL) throws -> [Float] {
        let inference = try Inference(directory, context: try Context(threads: 1))
        let rows = try inference.rows(
            texts: ["the river runs to the sea", "a letter of the law"], file: "rows")
        return try inference.evaluate(rows, precision: .fp32).tokenLosses!.flatMap { $0 }
    }

    func edit(_ file: URL, _ change: (inout [String: Tensor]) -> Void) throws {
        var tensors = try SafetensorsFile(contentsOf: file).tensors
        change(&tensors)
        let bytes = try SafetensorsWriter.data(tensors)
        try FileManager.default.removeItem(at: file)
        try bytes.write(to: file)
    }
}

@Suite struct CausalReceiptTests {
    /// The losses of single tokens would give each of them away.
    @Test func `a receipt has one number for each row, and no text`() throws {
        let causal = try CausalReceiptRun(isTied: true)
        let best = causal.run.checkpoint("best")

        let json = try JSONValue.parse(contentsOf: best.appendingPathComponent("receipt.json"))

        #expect(json["problem_type"]?.string == "causal_language_model")
        #expect(json["labels"]?.array?.isEmpty == true)
        let rows = try #require(json["rows"]?.array)
        #expect(rows.count == 8)
        for row in rows { #expect(Set(row.object!.keys) == ["tokens", "loss"]) }
        let texts = try ReceiptText.rows(of: best)
        for name in ["receipt.json", "training/receipt.json", "README.md", "metadata.json"] {
            let content = try String(
                contentsOf: best.appendingPathComponent(name), encoding: .utf8)
            #expect(!texts.contains { content.contains($0.text) }, "\(name)")
        }
        #expect(CheckpointCheck(best).problems == [])
        #expect(
            try Receipt(of: best).cardSection.contains("the same losses to the bit"))
    }

    /// -log p of every token but the first, averaged in binary64.
    @Test func `the number is the mean loss of the row's tokens`() throws {
        let causal = try CausalReceiptRun(isTied: false)
        let best = causal.run.checkpoint("best")
        let inference = try Inference(best, context: try Context(threads: 1))
        let texts = try ReceiptText.rows(of: best)

        let losses = try inference.evaluate(
            inference.rows(texts: texts.map(\.text), file: "rows"), precision: .fp32
        ).tokenLosses!

        for (row, values) in zip(try Receipt(of: best).rows, losses) {
            #expect(row.tokens == values.count + 1)
            let mean = values.map { Double($0) }.reduce(0, +) / Double(values.count)
            #expect(row.values == [Float(mean)])
        }
    }

    /// A blank line and one of a single token are no rows of the run, and still lines of the file.
    @Test func `rows that are left out move no other`() throws {
        let causal = try CausalReceiptRun(isTied: true) { options in
            let lines = (0..<40).map { $0 % 3 == 0 ? "a" : "the river \($0) runs to the sea" }
            let file = options.data.deletingLastPathComponent().appendingPathComponent("lines.txt")
            try! Data(lines.joined(separator: "\n\n").utf8).write(to: file)
            options.data = file
            options.evaluationData = file
        }

        let texts = try ReceiptText.rows(of: causal.run.checkpoint("epoch-2"))
        let check = try causal.run.check(try causal.run.published())

        #expect(texts.count == 8 && texts.allSatisfy { $0.text.hasPrefix("the river ") })
        for text in texts {
            let number = Int(text.text.split(separator: " ")[2])!
            #expect(text.place == "lines.txt, line \(2 * number + 1)")
        }
        #expect(check.largestDifference == 0)
    }

    @Test(arguments: [true, false], 0..<FineTuneTests.methods.count)
    func `the public files give the receipt to the bit`(isTied: Bool, method: Int) throws {
        let causal = try CausalReceiptRun(
            isTied: isTied, method, precision: method % 2 == 0 ? .fp32 : .bf16)

        for isa in [ISA.best, .scalar] {
            let check = try causal.run.check(try causal.run.published(), isa: isa)
            #expect(check.rows == 8 && check.largestDifference == 0)
        }
    }

    @Test func `what is not the model that was trained is seen`() throws {
        let causal = try CausalReceiptRun(isTied: true)
        let run = causal.run
        let stale = try run.published()
        let weights = stale.appendingPathComponent(PEFTAdapter.weightsFile)
        try FileManager.default.removeItem(at: weights)
        try FileManager.default.copyItem(
            at: run.checkpoint("epoch-1").appendingPathComponent(PEFTAdapter.weightsFile),
            to: weights)
        let scaled = try run.published()
        let settings = scaled.appendingPathComponent(PEFTAdapter.configurationFile)
        var json = try JSONValue.parse(contentsOf: settings)
        json["lora_alpha"] = 17
        try json.serialized().write(to: settings)

        for directory in [stale, scaled] {
            let sentence = run.refusal(directory) ?? "none"
            #expect(sentence.contains("expected a mean loss of ["), "\(sentence)")
            #expect(sentence.contains("are not the model that was saved"), "\(sentence)")
        }
        json["lora_alpha"] = 16
        json["task_type"] = "SEQ_CLS"
        try json.serialized().write(to: settings)
        #expect(run.refusal(scaled)?.isEmpty == false)
    }

    /// Another task's directory, whole and consistent, is told by its task.
    @Test func `a classifier does not pass for a language model`() throws {
        let causal = try CausalReceiptRun(isTied: true)
        let classifier = try ReceiptRun()

        #expect(
            causal.run.refusal(try classifier.published())
                == "config.json: expected a model for causal_language_model, as in the receipt, "
                + "found one for single_label_classification")
    }

    @Test func `a run that goes on from the end of an epoch writes the same receipt`() throws {
        let causal = try CausalReceiptRun(isTied: false)
        var options = causal.run.golden.options
        options.output = causal.run.golden.directory.file("other")
        options.settings.epochs = 1
        let copy = options.output.appendingPathComponent("epoch-1")
        try FileManager.default.createDirectory(
            at: options.output, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: causal.run.checkpoint("epoch-1"), to: copy)

        _ = try FineTuneJob(
            options, start: .resumed(try ResumableRun(contentsOf: copy))
        ).run()

        let best = options.output.appendingPathComponent("best")
        #expect(try Receipt(of: best) == Receipt(of: causal.run.checkpoint("epoch-1")))
    }

    // MARK: Merged

    @Test(arguments: [true, false], 0..<FineTuneTests.methods.count)
    func `a merged model gives every token the loss of adapter and base`(
        isTied: Bool, method: Int
    ) throws {
        let causal = try CausalReceiptRun(isTied: isTied, method)
        let best = causal.run.checkpoint("best")
        let merged = causal.run.golden.directory.file("merged")

        let report = try ModelMerge(
            best, to: merged, type: .fp32, context: try Context(threads: 1)
        ).run()

        #expect(report.method == FineTuneTests.methods[method].0)
        let expected = try causal.tokenLosses(best)
        #expect(
            firstMismatch(
                try causal.tokenLosses(merged), expected, tolerance: 1e-5,
                scale: expected.map { Double(max(abs($0), 1)) }) == nil)
        #expect(Set(expected).count > 5)
        let weights = try SafetensorsFile(
            contentsOf: merged.appendingPathComponent("model.safetensors"))
        #expect(weights.names.contains("lm_head.weight") == !isTied)
        #expect(!weights.names.contains("score.weight"))
        let config = try JSONValue.parse(
            contentsOf: merged.appendingPathComponent("config.json"))
        #expect(config["architectures"]?.array?.compactMap(\.string) == ["Qwen2ForCausalLM"])
        #expect(config["tie_word_embeddings"]?.bool == isTied)
        #expect(config["problem_type"] == nil)
        #expect(CheckpointCheck(merged).problems == [])
    }

    @Test(arguments: [(MergeType.fp32, 1e-4), (.bf16, 0.02), (.fp16, 0.02)])
    func `a merged directory is judged by its checkpoint's receipt`(
        type: MergeType, tolerance: Double
    ) throws {
        let causal = try CausalReceiptRun(isTied: false)
        let checkpoint = causal.run.checkpoint("epoch-2")
        let merged = causal.run.golden.directory.file("merged")
        _ = try ModelMerge(
            checkpoint, to: merged, type: type, context: try Context(threads: 1)
        ).run()
        let receipt = try Receipt(of: merged)
        let texts = try ReceiptText.rows(of: checkpoint)
        func check(_ directory: URL) throws -> ReceiptCheck {
            try ReceiptCheck(
                directory, receipt: receipt, texts: texts, context: try Context(threads: 1))
        }

        #expect(receipt.tolerance == tolerance)
        #expect(receipt.rows == (try Receipt(of: checkpoint).rows))
        #expect(try check(merged).largestDifference <= tolerance)
        // Without its adapter the base is another model.
        let base = try SafetensorsFile(
            contentsOf: causal.base.appendingPathComponent("model.safetensors")
        ).tensors
        try causal.edit(merged.appendingPathComponent("model.safetensors")) { tensors in
            for name in tensors.keys { tensors[name] = base[name]! }
        }
        #expect(throws: ReceiptError.self) { _ = try check(merged) }
        let card = try String(
            contentsOf: merged.appendingPathComponent("README.md"), encoding: .utf8)
        #expect(card.contains("AutoModelForCausalLM.from_pretrained"))
        #expect(card.contains("| perplexity | ") && !card.contains("| accuracy |"))
        #expect(card.contains("pipeline_tag: text-generation"))
        #expect(!card.contains("## Labels"))
    }
}
