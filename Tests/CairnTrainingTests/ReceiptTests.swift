// SPDX-License-Identifier: Apache-2.0
/// Receipts: which checkpoints have one, what it holds, and that it knows its model from any other.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ReceiptTests {
    private func edit(
        _ directory: URL, _ file: String, _ change: (inout [String: Tensor]) -> Void
    ) throws {
        let url = directory.appendingPathComponent(file)
        var tensors = try SafetensorsFile(contentsOf: url).tensors
        change(&tensors)
        let bytes = try SafetensorsWriter.data(tensors)
        try FileManager.default.removeItem(at: url)
        try bytes.write(to: url)
    }

    private func edit(_ directory: URL, _ change: (inout JSONValue) -> Void) throws {
        let url = directory.appendingPathComponent(PEFTAdapter.configurationFile)
        var json = try JSONValue.parse(contentsOf: url)
        change(&json)
        try json.serialized().write(to: url)
    }

    // MARK: What is written

    @Test func `best and epoch-N have a receipt, step-N has none`() throws {
        let run = try ReceiptRun { $0.policy.steps = 2 }

        for name in ["best", "epoch-1", "epoch-2"] {
            let receipt = try Receipt(of: run.checkpoint(name))
            #expect(receipt.rows.count == 8)
            #expect(receipt.tolerance == 0 && receipt.precision == .fp32)
            let listed = try Manifest(of: run.checkpoint(name)).files.map(\.name)
            #expect(listed.contains("receipt.json") && listed.contains("training/receipt.json"))
        }
        let refusal = #expect(throws: ReceiptError.self) {
            _ = try Receipt(of: run.checkpoint("step-2"))
        }
        #expect("\(refusal!)".contains("step-2 has no receipt.json"))
        // The way out has names.
        #expect(
            "\(refusal!)".contains(
                "publish \(run.checkpoint("best").path) or \(run.checkpoint("epoch-2").path)"),
            "\(refusal!)")
        #expect("\(refusal!)".contains("--no-gate"))
        let rows = try ["epoch-1", "epoch-2"].map {
            try Data(contentsOf: run.checkpoint($0).appendingPathComponent("training/receipt.json"))
        }
        #expect(rows[0] == rows[1])
    }

    /// Neither the texts nor what spells them out, in any file that may be published.
    @Test func `no text and no token ids are in the checkpoint`() throws {
        let run = try ReceiptRun()
        let texts = try ReceiptText.rows(of: run.checkpoint("best")).map(\.text)

        #expect(Set(texts).count > 4)
        let json = try JSONValue.parse(
            contentsOf: run.checkpoint("best").appendingPathComponent("receipt.json"))
        let rows = try #require(json["rows"]?.array)
        for row in rows {
            #expect(Set(row.object!.keys) == ["tokens", "logits", "label"])
        }
        for name in ["receipt.json", "training/receipt.json", "README.md", "metadata.json"] {
            let file = run.checkpoint("best").appendingPathComponent(name)
            let content = try String(contentsOf: file, encoding: .utf8)
            #expect(!texts.contains { content.contains($0) }, "\(name)")
        }
    }

    @Test func `a receipt is read with the bits that were written`() throws {
        let run = try ReceiptRun("bert", 0, precision: .bf16)
        let file = run.checkpoint("best").appendingPathComponent("receipt.json")
        let receipt = try Receipt(of: run.checkpoint("best"))
        let texts = try ReceiptText.rows(of: run.checkpoint("best"))

        let (asked, rows) = try ReceiptText.asked(try ReceiptText.question(receipt, texts))

        #expect(asked == receipt && rows == texts)
        for (key, value, words) in [
            ("schema_version", JSONValue.integer(2), "schema version 2 is newer"),
            ("problem_type", "ranking", "'problem_type' must be"),
            ("precision", "int8", "'precision' must be"), ("rows", [], "at least one row"),
            ("labels", ["one"], "rows[0].logits"), ("tolerance", -1, "0 or more"),
        ] {
            var json = try JSONValue.parse(contentsOf: file)
            json[key] = value
            let refusal = #expect(throws: TrainingError.self) {
                _ = try Receipt(json, file: "receipt.json")
            }
            #expect("\(refusal!)".contains(words), "\(refusal!)")
        }
    }

    @Test func `a run that goes on from the end of an epoch writes the same receipt`() throws {
        let run = try ReceiptRun()
        let name = run.checkpoint("epoch-1")
        var options = run.golden.options
        options.output = run.golden.directory.file("other")
        options.settings.epochs = 1
        let copy = options.output.appendingPathComponent("epoch-1")
        try FileManager.default.createDirectory(
            at: options.output, withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: name, to: copy)

        // It ended with epoch 1, and its best is not there: it is saved again.
        _ = try FineTuneJob(
            options, start: .resumed(try ResumableRun(contentsOf: copy))
        ).run()

        let best = options.output.appendingPathComponent("best")
        #expect(try Receipt(of: best) == Receipt(of: name))
    }

    // MARK: What it knows

    @Test(arguments: ["qwen2", "bert"], 0..<FineTuneTests.methods.count)
    func `the public files give the receipt to the bit`(model: String, method: Int) throws {
        let precision: Precision = method % 2 == 0 ? .fp32 : .bf16
        let run = try ReceiptRun(model, method, precision: precision)

        for isa in [ISA.best, .scalar] {
            let check = try run.check(try run.published(), isa: isa)
            #expect(check.rows == 8 && check.largestDifference == 0)
        }
    }

    @Test func `a head left out is seen`() throws {
        let run = try ReceiptRun()
        let directory = try run.published()

        try edit(directory, PEFTAdapter.weightsFile) {
            $0["base_model.model.score.weight"] = nil
        }

        #expect(run.refusal(directory)?.contains("score.weight") == true)
    }

    /// With as many rows as columns A and B have the same shape when both are square; here the
    /// roles alone are changed, and the shapes tell.
    @Test func `A and B swapped are seen`() throws {
        let run = try ReceiptRun()
        let directory = try run.published()

        try edit(directory, PEFTAdapter.weightsFile) { tensors in
            for (name, tensor) in tensors where name.hasSuffix("q_proj.lora_A.weight") {
                let other = name.replacingOccurrences(of: "lora_A", with: "lora_B")
                (tensors[name], tensors[other]) = (tensors[other], tensor)
            }
        }

        #expect(run.refusal(directory)?.contains("lora_A") == true)
    }

    /// q_proj has 64 inputs and 64 outputs: the transposes have the right shapes.
    @Test func `A and B swapped and transposed are seen by the logits`() throws {
        let run = try ReceiptRun()
        let directory = try run.published()

        try edit(directory, PEFTAdapter.weightsFile) { tensors in
            for (name, a) in tensors where name.hasSuffix("q_proj.lora_A.weight") {
                let other = name.replacingOccurrences(of: "lora_A", with: "lora_B")
                let b = tensors[other]!
                (tensors[name], tensors[other]) = (b.transposed, a.transposed)
            }
        }

        let sentence = run.refusal(directory)
        #expect(sentence?.hasPrefix("row 1 of the receipt (") == true, "\(sentence ?? "none")")
        #expect(sentence?.contains("expected logits [") == true)
        #expect(sentence?.contains("found [") == true)
    }

    @Test(arguments: [("lora_alpha", JSONValue.integer(17)), ("use_rslora", true)])
    func `another alpha or scaling is seen`(key: String, value: JSONValue) throws {
        let run = try ReceiptRun()
        let directory = try run.published()

        try edit(directory) { $0[key] = value }

        #expect(run.refusal(directory)?.hasPrefix("row 1 of the receipt (") == true)
    }

    @Test(arguments: ["llama", "bert"])
    func `the tokenizer of another model is seen`(other: String) throws {
        let run = try ReceiptRun()
        let directory = try run.published()
        let file = directory.appendingPathComponent("tokenizer.json")
        try FileManager.default.removeItem(at: file)
        try FileManager.default.copyItem(
            at: Golden.directory.appendingPathComponent("models/\(other)/tokenizer.json"), to: file)

        let sentence = run.refusal(directory)

        #expect(
            sentence?.contains("is tokenizer.json of another model?") == true,
            "\(sentence ?? "none")")
    }

    /// An epoch earlier, and a step earlier at a rate at which nothing is left to see by eye.
    @Test(arguments: [5e-3, 1e-7])
    func `a stale adapter is seen`(rate: Double) throws {
        let run = try ReceiptRun { $0.settings.learningRate = rate }
        let directory = try run.published()
        let file = directory.appendingPathComponent(PEFTAdapter.weightsFile)
        try FileManager.default.removeItem(at: file)
        try FileManager.default.copyItem(
            at: run.checkpoint("epoch-1").appendingPathComponent(PEFTAdapter.weightsFile), to: file)

        #expect(run.refusal(directory)?.contains("are not the model that was saved") == true)
    }

    @Test func `other label names and another base are seen`() throws {
        var golden = try GoldenJob("qwen2", rows: 45)
        let base = golden.directory.file("base")
        try FileManager.default.copyItem(at: golden.options.model, to: base)
        golden.options.model = base
        defer { withExtendedLifetime(golden) {} }
        let model = base
        let run = try ReceiptRun { $0.model = model }
        let directory = try run.published()
        let config = directory.appendingPathComponent("config.json")
        let good = try JSONValue.parse(contentsOf: config)
        var json = good
        json["id2label"] = ["0": "1", "1": "0", "2": "2"]
        try json.serialized().write(to: config)

        #expect(
            run.refusal(directory)
                == "config.json: expected the labels '0', '1', '2', as in the receipt, found "
                + "'1', '0', '2'")
        try good.serialized().write(to: config)
        #expect(run.refusal(directory) == nil)
        try edit(base, "model.safetensors") {
            $0["model.norm.weight"] = Tensor(
                $0["model.norm.weight"]!.floats().map { $0 * 1.01 }, shape: [64])
        }
        #expect(
            run.refusal(directory)?.hasSuffix(
                "\(base.path) is not the base that it was trained on") == true)
    }

    @Test func `rows that moved or changed are told apart from a wrong model`() throws {
        let run = try ReceiptRun()
        let data = run.golden.options.data
        let moved = run.golden.directory.file("moved.jsonl")
        try FileManager.default.moveItem(at: data, to: moved)

        #expect(run.refusal(try run.published())?.contains("no such file") == true)
        let rows = try ReceiptText.rows(of: run.checkpoint("best")) { $0.data = moved }
        #expect(rows.allSatisfy { $0.place.hasPrefix("moved.jsonl, line ") })
        let text = try String(contentsOf: moved, encoding: .utf8)
        try Data(text.replacingOccurrences(of: " ", with: "  ").utf8).write(to: data)
        #expect(
            run.refusal(try run.published())?.contains(
                "the row is not the one that the receipt is about") == true)
    }

    @Test func `verify sees a receipt that is not of its checkpoint`() throws {
        let run = try ReceiptRun()
        let best = run.checkpoint("best")
        #expect(CheckpointCheck(best).problems == [])
        let file = best.appendingPathComponent("receipt.json")
        var json = try JSONValue.parse(contentsOf: file)
        json["labels"] = ["a", "b", "c"]
        json["rows"] = .array(Array(json["rows"]!.array!.dropLast()))
        try json.serialized().write(to: file)
        let old = try Manifest(of: best)
        let bytes = try Data(contentsOf: file)
        let files = old.files.map {
            $0.name == "receipt.json"
                ? CommittedFile(
                    name: $0.name, size: bytes.count, sha256: SHA256.hex(of: bytes)) : $0
        }
        try Manifest(runID: old.runID, name: old.name, parent: old.parent, files: files)
            .serialized().write(to: best.appendingPathComponent("manifest.json"))

        #expect(
            CheckpointCheck(best).problems == [
                "receipt.json: expected the labels of config.json, 0, 1, 2; found a, b, c",
                "receipt.json: its rows are not those of training/receipt.json",
            ])
    }

    // MARK: Merged

    @Test(arguments: [(MergeType.fp32, 1e-4), (.bf16, 0.05), (.fp16, 0.05)])
    func `a merged directory gives its checkpoint's receipt, within what was rounded`(
        type: MergeType, tolerance: Double
    ) throws {
        let run = try ReceiptRun()
        let merged = run.golden.directory.file("merged")
        _ = try ModelMerge(
            run.checkpoint("epoch-2"), to: merged, type: type, context: try Context(threads: 1)
        ).run()
        let texts = try ReceiptText.rows(of: run.checkpoint("epoch-2"))
        let receipt = try Receipt(of: merged)
        func check() throws -> ReceiptCheck {
            try ReceiptCheck(
                merged, receipt: receipt, texts: texts, context: try Context(threads: 1))
        }

        #expect(receipt.tolerance == tolerance)
        #expect(receipt.rows == (try Receipt(of: run.checkpoint("epoch-2")).rows))
        #expect(try check().largestDifference <= tolerance)
        try edit(merged, "model.safetensors") { tensors in
            let head = tensors["score.weight"]!
            tensors["score.weight"] = Tensor(head.floats().map { -$0 }, shape: head.shape)
        }
        #expect(throws: ReceiptError.self) { _ = try check() }
    }

    @Test func `the card's section has a row for each of the receipt`() throws {
        let run = try ReceiptRun()
        let section = try Receipt(of: run.checkpoint("best")).cardSection

        #expect(section.contains("the same logits to the bit"))
        #expect(section.split(separator: "\n").filter { $0.hasPrefix("| ") }.count == 9)
        #expect(Receipt.ungatedCardSection.contains("`--no-gate`"))
    }

    /// PEFT has no place for label names: the card's snippet is where a reader finds them.
    @Test func `the card's snippet names the labels and the base only by a Hub id`() throws {
        for id in ["org/base", nil] {
            let run = try ReceiptRun { $0.baseID = id }
            let card = try String(
                contentsOf: run.checkpoint("best").appendingPathComponent("README.md"),
                encoding: .utf8)
            #expect(card.contains("num_labels=3"))
            #expect(card.contains(#"id2label={0: "0", 1: "1", 2: "2"}"#))
            #expect(card.contains("base_model: org/base") == (id != nil))
            #expect(card.contains("base_model:") == (id != nil))
            #expect(!card.contains(run.golden.options.model.path))
        }
    }
}

extension Tensor {
    /// The transpose of a matrix.
    fileprivate var transposed: Tensor {
        let numbers = floats()
        let (rows, columns) = (shape[0], shape[1])
        return Tensor(
            (0..<rows * columns).map { numbers[$0 % rows * columns + $0 / rows] },
            shape: [columns, rows])
    }
}
