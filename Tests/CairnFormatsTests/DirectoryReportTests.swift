// SPDX-License-Identifier: Apache-2.0
/// What a directory is and lacks, by the names in it.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct DirectoryReportTests {
    /// A directory of these files: JSON where a text is given, one tensor otherwise.
    private func report(_ files: [String: String?]) throws -> DirectoryReport {
        try withScratchDirectory { directory in
            for (name, text) in files {
                let url = directory.appendingPathComponent(name)
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                let data =
                    try text.map { Data($0.utf8) }
                    ?? SafetensorsWriter.data(["t": Tensor([1] as [Float], shape: [1])])
                try data.write(to: url)
            }
            return try DirectoryReport(directory)
        }
    }

    @Test func `a base model`() throws {
        let whole = try report([
            "config.json": "{}", "model.safetensors": nil, "tokenizer.json": "{}",
        ])
        let part = try report(["config.json": "{}"])

        #expect(whole.kind == .baseModel)
        #expect(whole.missing == [])
        #expect(whole.weights != nil)
        #expect(whole.description?.lastPathComponent == "config.json")
        #expect(part.kind == .baseModel)
        #expect(part.missing == ["model.safetensors", "tokenizer.json"])
        #expect(part.weights == nil)
    }

    @Test func `a base model in shards, one of them missing`() throws {
        let index = #"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#
        let part = try report([
            "config.json": "{}", "tokenizer.json": "{}", "m-1.safetensors": nil,
            "model.safetensors.index.json": index,
        ])

        #expect(part.missing == ["m-2.safetensors"])
        #expect(part.weights == nil)
    }

    @Test func `an adapter`() throws {
        let whole = try report(["adapter_config.json": "{}", "adapter_model.safetensors": nil])
        let part = try report(["adapter_model.safetensors": nil])

        #expect(whole.kind == .adapter)
        #expect(whole.missing == [])
        #expect(whole.weights?.lastPathComponent == "adapter_model.safetensors")
        #expect(part.kind == .adapter)
        #expect(part.missing == ["adapter_config.json"])
        #expect(part.weights != nil)
    }

    @Test func `a checkpoint of the transformers Trainer`() throws {
        let part = try report([
            "adapter_config.json": "{}", "adapter_model.safetensors": nil,
            "trainer_state.json": "{}", "optimizer.pt": "", "training_args.bin": "",
        ])

        #expect(part.kind == .trainerCheckpoint)
        #expect(part.missing == ["rng_state.pth", "scheduler.pt"])
        #expect(part.description?.lastPathComponent == "trainer_state.json")
    }

    @Test func `a checkpoint of Cairn, its digest, and what its manifest lists`() throws {
        let files = ["README.md", "metadata.json", "model.apr"].map {
            CommittedFile(name: $0, size: 2, sha256: SHA256.hex(of: Data("{}".utf8)))
        }
        let manifest = Manifest(runID: "r", name: "best", parent: nil, files: files)
        let part = try report([
            "adapter_config.json": "{}", "adapter_model.safetensors": nil, "metadata.json": "{}",
            "training/state.json": #"{"state_digest":"abc"}"#,
            "manifest.json": String(decoding: try manifest.serialized(), as: UTF8.self),
        ])

        #expect(part.kind == .checkpoint)
        #expect(part.missing == ["README.md", "model.apr"])
        #expect(part.stateDigest == "abc")
        #expect(part.description?.lastPathComponent == "metadata.json")
    }

    @Test func `a run, by the checkpoints in it`() throws {
        let run = try report([
            "best/manifest.json": "{}", "epoch-1/manifest.json": "{}", "notes/readme.txt": "",
            ".epoch-2.tmp-1/manifest.json": "{}",
        ])

        #expect(run.kind == .run)
        #expect(run.checkpoints == ["best", "epoch-1"])
        #expect(run.missing == [])
        #expect(run.weights == nil)
    }

    @Test func `a directory of something else is refused with what it holds`() throws {
        let error = #expect(throws: FormatError.self) { try report(["a.txt": "", "b.txt": ""]) }
        #expect("\(try #require(error))".contains("a.txt, b.txt"))
    }
}
