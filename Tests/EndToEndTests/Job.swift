// SPDX-License-Identifier: Apache-2.0
/// A good fine-tuning job in a directory of its own, and the ways to spoil it.

import Cairn
import Foundation
import TestSupport

/// Copies of a tiny model and of a few labelled rows.
///
///     model/  train.jsonl  eval.jsonl  (out)  checkpoint/ where it is asked for
struct Job {
    private let directory: TemporaryDirectory

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/golden")

    /// Enough for every class to have rows on both sides of a split.
    private static let rows = (train: 40, evaluation: 10)

    var url: URL { directory.url }
    var model: URL { directory.file("model") }
    var data: URL { directory.file("train.jsonl") }
    var evaluationData: URL { directory.file("eval.jsonl") }
    var output: URL { directory.file("out") }
    var checkpoint: URL { directory.file("checkpoint") }
    var config: URL { model.appendingPathComponent("config.json") }
    var weights: URL { model.appendingPathComponent("model.safetensors") }
    var tokenizer: URL { model.appendingPathComponent("tokenizer.json") }
    var tokenizerConfig: URL { model.appendingPathComponent("tokenizer_config.json") }

    init() throws {
        directory = try TemporaryDirectory()
        try FileManager.default.copyItem(
            at: Self.fixtures.appendingPathComponent("models/qwen2"), to: model)
        try rows(Self.rows.train, of: "train").write(to: data)
        try rows(Self.rows.evaluation, of: "test").write(to: evaluationData)
    }

    private func rows(_ count: Int, of name: String) throws -> Data {
        let file = Self.fixtures.appendingPathComponent("dataset/\(name).jsonl")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        return Data((lines.prefix(count).joined(separator: "\n") + "\n").utf8)
    }

    /// The arguments of the good job.
    func finetune(_ more: String...) -> [String] { finetune(more) }

    func finetune(_ more: [String]) -> [String] {
        [
            "finetune", model.path, "--task", "classify", "--data", data.path, "--output",
            output.path, "--epochs", "1", "--threads", "1",
        ] + more
    }

    /// The same with some flags left out, each with its value.
    func finetune(without flags: String..., then more: [String] = []) -> [String] {
        var kept: [String] = []
        var skips = false
        for argument in finetune() {
            if skips {
                skips = false
            } else if flags.contains(argument) {
                skips = true
            } else {
                kept.append(argument)
            }
        }
        return kept + more
    }

    /// Every path below the job's directory, and how long each file is.
    func listing() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: url.path).sorted().map { path in
            let file = url.appendingPathComponent(path).path
            let size = try FileManager.default.attributesOfItem(atPath: file)[.size]
            return "\(path) \(size ?? "")"
        }
    }
}

// MARK: Spoiling

extension Job {
    /// Changes the members of a JSON file.
    func edit(_ file: URL, _ change: (inout JSONObject) -> Void) throws {
        var object = try JSONValue.parse(contentsOf: file).object ?? [:]
        change(&object)
        try JSONValue.object(object).serialized().write(to: file)
    }

    /// Changes a member of config.json; nil removes it.
    func set(_ key: String, _ value: JSONValue?) throws { try edit(config) { $0[key] = value } }

    /// Changes the tensors of a safetensors file.
    func editTensors(_ file: URL, _ change: (inout [String: Tensor]) -> Void) throws {
        var tensors = try SafetensorsFile(contentsOf: file).tensors
        change(&tensors)
        let bytes = try SafetensorsWriter.data(tensors)
        try FileManager.default.removeItem(at: file)
        try bytes.write(to: file)
    }

    /// Changes the bytes of a file.
    func editBytes(_ file: URL, _ change: (inout Data) -> Void) throws {
        var bytes = try Data(contentsOf: file)
        change(&bytes)
        try bytes.write(to: file)
    }

    /// Changes a safetensors file's header text without touching what its length says.
    func editHeader(_ file: URL, replacing old: String, with new: String) throws {
        precondition(old.utf8.count == new.utf8.count, "'\(old)' and '\(new)' differ in length")
        try editBytes(file) { bytes in
            guard let range = bytes.range(of: Data(old.utf8)) else {
                preconditionFailure("\(file.path) has no '\(old)'")
            }
            bytes.replaceSubrange(range, with: Data(new.utf8))
        }
    }

    /// Replaces a line, counted from 1, of the training rows.
    func setLine(_ number: Int, _ text: String, of file: URL? = nil) throws {
        let file = file ?? data
        var lines = try String(contentsOf: file, encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        lines[number - 1] = text
        try Data(lines.joined(separator: "\n").utf8).write(to: file)
    }

    func write(_ text: String, to file: URL) throws { try Data(text.utf8).write(to: file) }

    func remove(_ file: URL) throws { try FileManager.default.removeItem(at: file) }

    /// Copies a file or a folder of the job, by their names in it.
    func copy(_ name: String, to target: String) throws {
        let place = url.appendingPathComponent(target)
        try FileManager.default.createDirectory(
            at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: url.appendingPathComponent(name), to: place)
    }

    func makeDirectory(_ directory: URL) throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    /// A row in the form of the training file.
    static func row(_ text: String, _ label: String) -> String {
        #"{"text": "\#(text)", "label": \#(label)}"#
    }
}

// MARK: Checkpoints

extension Job {
    /// A checkpoint that `cairn` wrote once for all tests, with the base it was trained on.
    private static let trained = Result {
        let job = try Job()
        let result = try CairnProcess.run(job.finetune(), in: job.url)
        guard result.exitCode == 0 else { throw Failure(description: result.errors) }
        return job
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Puts a copy of a good checkpoint into the job; its base is the job's own model.
    func addCheckpoint() throws {
        let best = try Self.trained.get().output.appendingPathComponent("best")
        try FileManager.default.copyItem(at: best, to: checkpoint)
        let path = model.path
        try edit(checkpoint.appendingPathComponent("adapter_config.json")) {
            $0["base_model_name_or_path"] = .string(path)
        }
    }

    func evaluate(_ more: String...) -> [String] {
        ["evaluate", checkpoint.path, "--data", evaluationData.path, "--threads", "1"] + more
    }
}
