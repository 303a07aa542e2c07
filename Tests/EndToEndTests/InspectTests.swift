// SPDX-License-Identifier: Apache-2.0
/// `cairn inspect`: the document of every kind of path.

import Cairn
import Foundation
import TestSupport
import Testing

@Suite struct InspectTests {
    private func inspect(_ url: URL) throws -> JSONValue {
        let result = try CairnProcess.run(
            ["inspect", url.path, "--json"], in: url.deletingLastPathComponent())
        #expect(result.exitCode == 0, "\(result.errors)")
        return try JSONValue.parse(Data(result.output.utf8), file: "output")
    }

    private func names(_ document: JSONValue) -> [String?] {
        (document["tensors"]?.array ?? []).map { $0["name"]?.string }
    }

    @Test(arguments: TensorFormat.allCases)
    func `a file's tensors, figures and metadata`(format: TensorFormat) throws {
        let directory = try TemporaryDirectory()
        let url = directory.file("x")
        let values = Tensor([1, .nan, -3, .infinity] as [Float], shape: [2, 2])
        try DurableFile.write(to: url) { sink throws(FormatError) in
            _ = try TensorFile.write(
                ["t": values], metadata: ["epoch": 3], format: format, to: &sink)
        }

        let document = try inspect(url)

        #expect(document["kind"]?.string == format.rawValue)
        #expect(document["metadata"]?["epoch"] == (format == .npz ? nil : 3))
        let row = try #require(document["tensors"]?.array?.first)
        #expect(
            row == [
                "name": "t", "dtype": "F32", "shape": [2, 2], "bytes": 16,
                "sha256": .string(values.withBytes(SHA256.hex)), "min": -3.0, "max": 1.0,
                "mean": -1.0, "nan": 1, "inf": 1,
            ])
        #expect(document["state_digest"] == nil)
    }

    @Test func `a table for people`() throws {
        let url = Job.fixtures.appendingPathComponent("models/qwen2")

        let result = try CairnProcess.run(["inspect", url.path], in: url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        #expect(lines.first == "base_model")
        #expect(lines.contains { $0.hasPrefix("name ") && $0.contains("sha256") })
        #expect(lines.contains { $0.contains("embed_tokens.weight") && $0.contains("F32") })
        #expect(lines.last?.contains(" tensors, ") == true)
    }

    @Test func `a base model and an adapter`() throws {
        let base = try inspect(Job.fixtures.appendingPathComponent("models/qwen2"))
        let adapter = try inspect(
            Job.fixtures.appendingPathComponent("cases/qwen2-seqcls/adapter_step3"))

        #expect(base["kind"] == "base_model")
        #expect(base["missing"] == [])
        #expect(base["metadata"]?["model_type"] == "qwen2")
        #expect(names(base).contains { $0?.hasSuffix("embed_tokens.weight") == true })
        #expect(adapter["kind"] == "peft_adapter")
        #expect(adapter["missing"] == [])
        #expect(adapter["metadata"]?["peft_type"] == "LORA")
        #expect(names(adapter).contains { $0?.contains("lora_A") == true })
    }

    @Test func `a run and a checkpoint of it, with the digest of its state`() throws {
        let job = try Job()
        let trained = try CairnProcess.run(job.finetune("--json"), in: job.url)
        try #require(trained.exitCode == 0, "\(trained.errors)")
        let report = try JSONValue.parse(Data(trained.output.utf8), file: "output")

        let run = try inspect(job.output)
        let checkpoints = try #require(run["checkpoints"]?.array).compactMap(\.string)
        let digests = try checkpoints.map {
            try inspect(job.output.appendingPathComponent($0))
        }

        #expect(run["kind"] == "cairn_run")
        #expect(!checkpoints.isEmpty)
        for document in digests {
            #expect(document["kind"] == "cairn_checkpoint")
            #expect(document["missing"] == [])
            #expect(document["metadata"]?["epoch"] != nil)
            #expect(names(document).contains { $0?.contains("lora_A") == true })
        }
        #expect(digests.contains { $0["state_digest"] == report["state_digest"] })
    }

    @Test func `a checkpoint without one of its files says which`() throws {
        let job = try Job()
        let trained = try CairnProcess.run(job.finetune(), in: job.url)
        try #require(trained.exitCode == 0, "\(trained.errors)")
        let best = job.output.appendingPathComponent("best")
        try job.remove(best.appendingPathComponent("README.md"))
        try job.remove(best.appendingPathComponent("adapter_model.safetensors"))

        let document = try inspect(best)

        #expect(document["missing"] == ["README.md", "adapter_model.safetensors"])
        #expect(document["tensors"] == [])
        #expect(document["state_digest"]?.string?.count == 64)
    }

    /// Python writes NaN into trainer_state.json when a loss or a gradient was none.
    @Test func `a checkpoint of the transformers Trainer, with NaN in its history`() throws {
        let directory = try TemporaryDirectory()
        try Data(#"{"global_step":8,"log_history":[{"grad_norm":NaN}]}"#.utf8)
            .write(to: directory.file("trainer_state.json"))

        let result = try CairnProcess.run(
            ["inspect", directory.path, "--json"], in: directory.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        let document = try JSONValue.parse(Data(result.output.utf8), file: "output")
        #expect(document["kind"] == "trainer_checkpoint")
        #expect(document["metadata"] == ["global_step": 8, "log_history": [["grad_norm": .null]]])
        #expect(document["missing"]?.array?.contains("optimizer.pt") == true)
        #expect(
            result.errorLines == [
                "trainer_state.json: 'log_history[0].grad_norm' is not finite and is shown as null"
            ])
    }

    @Test func `what cannot be inspected is refused with one sentence`() throws {
        let directory = try TemporaryDirectory()
        try Data("hello".utf8).write(to: directory.file("text.txt"))
        for name in ["text.txt", "nothing", "."] {
            let result = try CairnProcess.run(["inspect", name, "--json"], in: directory.url)

            #expect(result.exitCode == 1)
            #expect(result.output == "")
            #expect(result.errorLines.count == 1, "\(result.errors)")
        }
    }

    @Test func `the header of an APR v1 file is shown`() throws {
        let directory = try TemporaryDirectory()
        var file: [UInt8] = [0x41, 0x50, 0x52, 0x4E, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        file += [UInt8](repeating: 0, count: 16)
        let checksum = withUnsafeBytes(of: CRC32.of(file).littleEndian, Array.init)
        try Data(file + checksum).write(to: directory.file("old.apr"))

        let document = try inspect(directory.file("old.apr"))

        #expect(document["kind"] == "apr_v1")
        #expect(document["tensors"] == [])
        #expect(document["metadata"]?["model_type"] == "logistic regression")
    }
}
