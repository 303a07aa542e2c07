// SPDX-License-Identifier: Apache-2.0
/// A run over a base in codes says so everywhere, and nothing takes its adapter for another function.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct BaseStorageTests {
    private static let kinds = [BaseStorage.int8, .nf4]

    /// A finished run of two short epochs.
    private func finished(_ storage: BaseStorage) throws -> (GoldenJob, FineTuneJob) {
        var golden = try GoldenJob("qwen2", rows: 60)
        golden.options.storage = storage
        golden.options.settings.epochs = 2
        let job = try golden.job()
        _ = try job.run()
        return (golden, job)
    }

    private func document(_ name: String, _ golden: GoldenJob) throws -> JSONValue {
        try JSONValue.parse(contentsOf: golden.best.appendingPathComponent(name))
    }

    private func logits(
        _ directory: URL, _ golden: GoldenJob, _ storage: BaseStorage? = nil,
        precision: Precision? = nil
    ) throws -> [[Float]] {
        let inference = try Inference(
            directory, context: try Context(threads: 1), storage: storage)
        let rows = try inference.labelledRows(
            try inference.labelledCorpus(golden.options.testData!))
        return try inference.evaluate(rows, precision: precision).logits
    }

    private func refusal(_ body: () throws -> some Any) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: What is stated

    @Test(arguments: kinds)
    func `state, metadata and card name the storage and the codes`(storage: BaseStorage) throws {
        let (golden, job) = try finished(storage)
        let digest = try #require(job.tuner.model.quantized?.digest)

        let metadata = try document("metadata.json", golden)
        #expect(metadata["base_storage"]?.string == storage.rawValue)
        #expect(metadata["base_storage_sha256"]?.string == digest)
        let state = try document("training/state.json", golden)
        #expect(state["job"]?["base_storage"]?.string == storage.rawValue)
        #expect(state["inputs"]?["coded-base"]?.string == digest)
        let card = try String(
            contentsOf: golden.best.appendingPathComponent("README.md"), encoding: .utf8)
        #expect(card.contains("kept in \(storage.rawValue) (SHA-256 of the codes `\(digest)`)"))
    }

    @Test func `a run over the stored base says nothing of codes`() throws {
        let (golden, _) = try finished(.stored)

        #expect(try document("metadata.json", golden)["base_storage"] == nil)
        let state = try document("training/state.json", golden)
        #expect(state["job"]?["base_storage"]?.string == "stored")
        #expect(state["inputs"]?["coded-base"] == nil)
        let card = try String(
            contentsOf: golden.best.appendingPathComponent("README.md"), encoding: .utf8)
        #expect(!card.contains("codes"))
    }

    @Test(arguments: kinds)
    func `a plan counts the codes instead of the files' matrices`(storage: BaseStorage) throws {
        var golden = try GoldenJob("qwen2", rows: 40)
        golden.options.testData = nil
        let plain = try FineTunePlan(golden.job()).memory
        golden.options.storage = storage
        let job = try golden.job()
        let coded = try FineTunePlan(job).memory

        let layers = job.base.model.linearLayers
        let stored = layers.reduce(0) {
            $0 + job.base.tensor(named: $1.name + ".weight")!.byteCount
        }
        #expect(plain.quantized == 0)
        #expect(coded.quantized == job.tuner.model.quantized?.byteCount)
        #expect(coded.weights == plain.weights - stored)
    }

    // MARK: Evaluation

    @Test(arguments: kinds)
    func `a checkpoint is evaluated over the base of its training`(storage: BaseStorage) throws {
        let (golden, job) = try finished(storage)
        let receipt = try Receipt(of: golden.best)
        #expect(receipt.tolerance == 0)
        // Of the run itself: its model still is in the state that the best epoch may not be.
        let test = try #require(try job.evaluateTest())

        #expect(try logits(golden.best, golden) == test.logits)
        #expect(try logits(golden.best, golden, .stored) != test.logits)
        let checkpoint = try Checkpoint(
            contentsOf: golden.best, context: try Context(threads: 1))
        #expect(checkpoint.storage == storage)
    }

    @Test func `codes of another base are refused`() throws {
        let (golden, _) = try finished(.int8)
        let file = golden.best.appendingPathComponent("metadata.json")
        var metadata = try JSONValue.parse(contentsOf: file)
        metadata["base_storage_sha256"] = .string(String(repeating: "0", count: 64))
        try metadata.serialized().write(to: file)

        let found = refusal { try logits(golden.best, golden) }

        #expect(found?.contains("is not the base that the adapter was trained on") == true)
        metadata["base_storage"] = "int7"
        try metadata.serialized().write(to: file)
        #expect(
            refusal { try logits(golden.best, golden) }?.contains("'base_storage'") == true)
    }

    // MARK: Going on

    @Test func `no start goes on over another base`() throws {
        let (golden, _) = try finished(.int8)
        let point = try ResumableRun(contentsOf: golden.best)
        let starts = [
            JobStart.resumed(point, allowing: ["base", "numerics"]),
            .branched(point, allowing: ["base"]), .continued(point, keepsOptimizer: false),
        ]
        for start in starts {
            for storage in [BaseStorage.stored, .nf4] {
                var options = try point.options(output: golden.directory.file("other"))
                #expect(options.storage == .int8)
                options.storage = storage
                let found = refusal { try FineTuneJob(options, start: start) }
                #expect(
                    found?.contains("kept as 'int8', found '\(storage.rawValue)'") == true,
                    "\(found ?? "nothing")")
            }
        }
    }

    @Test(arguments: kinds)
    func `every parameter cannot train over codes`(storage: BaseStorage) throws {
        var golden = try GoldenJob("qwen2", rows: 40)
        golden.options.method = .full
        golden.options.storage = storage

        let found = refusal { try golden.job() }

        #expect(found?.contains("only adapters train over it") == true)
    }

    // MARK: Merging

    private func merged(
        _ golden: GoldenJob, _ storage: BaseStorage?, _ name: String
    ) throws -> URL {
        let output = golden.directory.file(name)
        _ = try ModelMerge(
            golden.best, to: output, type: .fp32, context: try Context(threads: 1),
            storage: storage
        ).run()
        return output
    }

    @Test(arguments: kinds)
    func `a merge must be told into which numbers`(storage: BaseStorage) throws {
        let (golden, _) = try finished(storage)

        let found = refusal { try merged(golden, nil, "merged") }

        #expect(found?.contains("say '--base-storage \(storage.rawValue)'") == true)
        #expect(!FileManager.default.fileExists(atPath: golden.directory.file("merged").path))
        let other = storage == .int8 ? BaseStorage.nf4 : .int8
        #expect(refusal { try merged(golden, other, "merged") } == found)
    }

    @Test func `a merge into the numbers of nf4 codes is the function that was trained`() throws {
        let (golden, _) = try finished(.nf4)
        let expected = try logits(golden.best, golden).flatMap { $0 }.map(Double.init)

        let own = try merged(golden, .nf4, "own")
        let stored = try merged(golden, .stored, "stored")

        // fp32 sums of some dozens of terms, in another order.
        func mismatch(_ directory: URL) throws -> String? {
            firstMismatch(
                try logits(directory, golden, precision: .fp32).flatMap { $0 }, expected,
                tolerance: 1e-4)
        }
        #expect(try mismatch(own) == nil)
        #expect(try mismatch(stored) != nil)
        for (directory, storage) in [(own, "nf4"), (stored, "stored")] {
            let metadata = try JSONValue.parse(
                contentsOf: directory.appendingPathComponent("metadata.json"))
            #expect(metadata["base_storage"] == nil && metadata["base_storage_sha256"] == nil)
            #expect(metadata["merged"]?["trained_base_storage"]?.string == "nf4")
            #expect(metadata["merged"]?["base_storage"]?.string == storage)
            #expect(
                !FileManager.default.fileExists(
                    atPath: directory.appendingPathComponent(Receipt.fileName).path))
        }
    }

    @Test func `an adapter over the stored base is merged into nothing else`() throws {
        let (golden, _) = try finished(.stored)

        #expect(
            refusal { try merged(golden, .int8, "merged") }?
                .contains("kept as 'stored', found 'int8'") == true)
        #expect(refusal { try merged(golden, .stored, "merged") } == nil)
    }
}
