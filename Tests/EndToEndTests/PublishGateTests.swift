// SPDX-License-Identifier: Apache-2.0
/// The gate before a publication, through the executable: what passes, and everything that must not.

import Cairn
import Foundation
import TestSupport
import Testing

/// A run on a base of the Hub's cache, with the network off, and what is published of it.
struct GatedRun: Sendable {
    let job: Job
    private let home: TemporaryDirectory

    static let commit = String(repeating: "ab", count: 20)

    /// Done once for all tests; each copies what it spoils.
    static let shared = Result { try GatedRun() }

    private init() throws {
        job = try Job()
        home = try TemporaryDirectory()
        _ = try cache("base")
        let other = try cache("other")
        try job.editTensors(other.appendingPathComponent("model.safetensors")) { tensors in
            let norm = tensors["model.norm.weight"]!
            tensors["model.norm.weight"] = Tensor(
                norm.floats().map { $0 * 1.01 }, shape: norm.shape)
        }
        let result = try cairn(
            "finetune", "tester/base", "--task", "classify", "--data", job.data.path, "-o",
            job.output.path, "--epochs", "2", "--save-every", "1", "--save-steps", "2",
            "--learning-rate", "5e-3", "--threads", "1")
        guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
    }

    /// Puts the job's model into the cache as `tester/NAME`; its snapshot.
    private func cache(_ name: String) throws -> URL {
        let repository = home.file("hub/models--tester--\(name)")
        let snapshot = repository.appendingPathComponent("snapshots/\(Self.commit)")
        for folder in ["refs", "snapshots"] {
            try FileManager.default.createDirectory(
                at: repository.appendingPathComponent(folder), withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(at: job.model, to: snapshot)
        try Data(Self.commit.utf8).write(to: repository.appendingPathComponent("refs/main"))
        return snapshot
    }

    /// Runs `cairn` with a token and without a network: what gets past the gate ends at once.
    func cairn(_ arguments: String...) throws -> ProcessResult { try cairn(arguments) }

    private func cairn(_ arguments: [String]) throws -> ProcessResult {
        try CairnProcess.run(
            arguments, in: job.url,
            environment: [
                "HF_HOME": home.path, "HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "",
                "HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_token",
            ])
    }

    func checkpoint(_ name: String) -> URL { job.output.appendingPathComponent(name) }

    /// A copy of a checkpoint, changed, with a manifest that agrees.
    func copy(
        _ name: String = "epoch-2", _ change: (URL) throws -> Void = { _ in }
    ) throws -> (directory: TemporaryDirectory, url: URL) {
        let directory = try TemporaryDirectory()
        let url = directory.file("checkpoint")
        try FileManager.default.copyItem(at: checkpoint(name), to: url)
        try change(url)
        let old = try Manifest(of: url)
        let files = try old.files.map { file in
            let bytes = try Data(contentsOf: url.appendingPathComponent(file.name))
            return CommittedFile(
                name: file.name, size: bytes.count, sha256: SHA256.hex(of: bytes))
        }
        try Manifest(runID: old.runID, name: old.name, parent: old.parent, files: files)
            .serialized().write(to: url.appendingPathComponent("manifest.json"))
        return (directory, url)
    }

    func publish(_ directory: URL, _ more: String...) throws -> ProcessResult {
        try cairn(["publish", directory.path, "tester/topics"] + more)
    }
}

/// One way in which files are not the model that was saved.
struct Spoiling: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let says: String
    let change: @Sendable (URL, GatedRun) throws -> Void

    init(
        _ name: String, says: String, _ change: @escaping @Sendable (URL, GatedRun) throws -> Void
    ) {
        (testDescription, self.says, self.change) = (name, says, change)
    }

    static let all = [
        Spoiling("a head left out", says: "score.weight") { directory, run in
            try run.job.editTensors(directory.appendingPathComponent(adapter)) {
                $0["base_model.model.score.weight"] = nil
            }
        },
        Spoiling("A and B swapped", says: "row 1 of the receipt (") { directory, run in
            try run.job.editTensors(directory.appendingPathComponent(adapter)) { tensors in
                for (name, a) in tensors where name.hasSuffix("q_proj.lora_A.weight") {
                    let other = name.replacingOccurrences(of: "lora_A", with: "lora_B")
                    let b = tensors[other]!
                    (tensors[name], tensors[other]) = (transposed(b), transposed(a))
                }
            }
        },
        Spoiling("alpha wrong", says: "row 1 of the receipt (") { directory, run in
            try run.job.edit(directory.appendingPathComponent("adapter_config.json")) {
                $0["lora_alpha"] = 33
            }
        },
        Spoiling("tokenizer of another model", says: "is tokenizer.json of another model?") {
            directory, run in
            let file = directory.appendingPathComponent("tokenizer.json")
            try run.job.remove(file)
            try FileManager.default.copyItem(
                at: Job.fixtures.appendingPathComponent("models/bert/tokenizer.json"), to: file)
        },
        Spoiling("a stale adapter", says: "are not the model that was saved") { directory, run in
            let file = directory.appendingPathComponent(adapter)
            try run.job.remove(file)
            try FileManager.default.copyItem(
                at: run.checkpoint("epoch-1").appendingPathComponent(adapter), to: file)
        },
        Spoiling("no tokenizer", says: "tokenizer.json") { directory, run in
            try run.job.remove(directory.appendingPathComponent("tokenizer.json"))
            try relist(directory, without: "tokenizer.json")
        },
    ]

    private static let adapter = "adapter_model.safetensors"

    private static func relist(_ directory: URL, without name: String) throws {
        let old = try Manifest(of: directory)
        try Manifest(
            runID: old.runID, name: old.name, parent: old.parent,
            files: old.files.filter { $0.name != name }
        ).serialized().write(to: directory.appendingPathComponent("manifest.json"))
    }

    private static func transposed(_ tensor: Tensor) -> Tensor {
        let numbers = tensor.floats()
        let (rows, columns) = (tensor.shape[0], tensor.shape[1])
        return Tensor(
            (0..<rows * columns).map { numbers[$0 % rows * columns + $0 / rows] },
            shape: Shape([columns, rows]))
    }
}

@Suite struct PublishGateTests {
    private let run: GatedRun

    init() throws { run = try GatedRun.shared.get() }

    /// What ends every publication with the network off, once the gate is behind it.
    private static let past = "HF_HUB_OFFLINE switches the network off"

    @Test(arguments: ["best", "epoch-1", "epoch-2"])
    func `a checkpoint passes, from its public files alone`(name: String) throws {
        let result = try run.publish(run.checkpoint(name))

        #expect(result.exitCode == 1)
        #expect(
            result.errors.contains("gate: passed, 8 rows, largest difference 0.0"),
            "\(result.errors)")
        #expect(result.errors.contains(Self.past))
    }

    /// Spoilt files that no loader of the public files reads change nothing.
    @Test func `training state, model.apr and the guarded weights are not looked at`() throws {
        let (directory, url) = try run.copy { url in
            for name in [
                "training/optimizer.safetensors", "model.apr", "model.safetensors", "metadata.json",
            ] {
                try Data("{}".utf8).write(to: url.appendingPathComponent(name))
            }
        }
        defer { withExtendedLifetime(directory) {} }

        let result = try run.publish(url)

        #expect(result.errors.contains("gate: passed"), "\(result.errors)")
    }

    @Test(arguments: Spoiling.all)
    func `what is not the model that was saved is stopped with its row`(
        spoiling: Spoiling
    ) throws {
        let (directory, url) = try run.copy { try spoiling.change($0, run) }
        defer { withExtendedLifetime(directory) {} }

        let result = try run.publish(url)

        #expect(result.exitCode == 1)
        let sentence = result.errorLines.last ?? ""
        #expect(
            sentence.hasPrefix("cairn: the gate is closed, nothing was sent: "), "\(result.errors)")
        #expect(sentence.contains(spoiling.says), "\(sentence)")
        #expect(!result.errors.contains(Self.past))
        #expect(result.output == "")
    }

    @Test func `another base than in training is stopped, and said to be the reason`() throws {
        let result = try run.publish(run.checkpoint("best"), "--base-model", "tester/other")

        let sentence = result.errorLines.last ?? ""
        #expect(sentence.hasPrefix("cairn: the gate is closed"), "\(result.errors)")
        #expect(sentence.hasSuffix("is not the base that it was trained on"), "\(sentence)")
        let gone = try run.publish(run.checkpoint("best"), "--base-model", "tester/gone")
        #expect(gone.errorLines.last?.contains("the gate is closed") == true, "\(gone.errors)")
        #expect(gone.errorLines.last?.contains("tester/gone") == true)
    }

    @Test func `without a receipt only an explicit word publishes, and the card tells`() throws {
        let step = run.checkpoint("step-2")

        let refused = try run.publish(step)
        let passed = try run.publish(step, "--no-gate")

        #expect(refused.errorLines.last?.contains("step-2 has no receipt.json") == true)
        #expect(refused.errorLines.last?.contains("say --no-gate") == true)
        #expect(passed.errors.contains("note: --no-gate: nothing compares"))
        #expect(passed.errors.contains("README.md (base_model is tester/base, tells of the gate)"))
        #expect(passed.errors.contains(Self.past))
        let wrong = try run.publish(step, "--no-gate", "--data", "x")
        #expect(wrong.exitCode == 2)
    }

    @Test func `a dry run needs the receipt and asks no gate`() throws {
        let dry = try run.publish(run.checkpoint("best"), "--dry-run")
        let refused = try run.publish(run.checkpoint("step-2"), "--dry-run")

        #expect(dry.exitCode == 0, "\(dry.errors)")
        #expect(dry.errors.contains("the gate was not asked"))
        #expect(dry.errors.contains("receipt.json"))
        #expect(!dry.errors.contains("training/receipt.json\n"))
        #expect(refused.exitCode == 1)
    }

    @Test func `a merged directory is judged by the rows of its checkpoint`() throws {
        let directory = try TemporaryDirectory()
        let merged = directory.file("merged")
        let made = try run.cairn("merge", run.checkpoint("best").path, "-o", merged.path, "--json")
        #expect(made.exitCode == 0, "\(made.errors)")
        let document = try JSONValue.parse(Data(made.output.utf8), file: "output")
        #expect(document["method"]?.string == "lora")
        #expect(document["dtypes"]?["F32"]?.integer == document["tensors"]?.integer)

        let alone = try run.publish(merged)
        let other = try run.publish(merged, "--checkpoint", run.checkpoint("epoch-1").path)
        let told = try run.publish(merged, "--checkpoint", run.checkpoint("best").path)

        #expect(alone.errors.contains("--checkpoint DIR"), "\(alone.errors)")
        #expect(told.errors.contains("gate: passed"), "\(told.errors)")
        if try Receipt(of: run.checkpoint("epoch-1")) != Receipt(of: run.checkpoint("best")) {
            #expect(other.errors.contains("is not about the rows and numbers of"))
        }
    }

    @Test func `the gate answers what it cannot read with a reason`() throws {
        let process = try CairnProcess.run(["gate", run.checkpoint("best").path], in: run.job.url)

        #expect(process.exitCode == 1)
        let answer = try JSONValue.parse(Data(process.output.utf8), file: "answer")
        #expect(answer["passed"]?.bool == false)
        #expect(answer["reason"]?.string?.contains("the question") == true)
        let help = try CairnProcess.run(["--help"], in: run.job.url)
        #expect(!help.output.contains("cairn gate"))
    }
}
