// SPDX-License-Identifier: Apache-2.0
/// Fixtures, calls and observations for the table of flags.

import Cairn
import Foundation
import TestSupport
import Testing

/// A flag of a command, and a call in which it must matter.
///
/// The call is made without and with the words; what is seen must differ. A refusal counts when its
/// sentence names the flag, or what `says` has.
struct FlagCase: Sendable, CustomTestStringConvertible {
    let command: String
    let flag: String
    /// The whole call without the flag, or with another value for it.
    let base: [String]
    let words: [String]
    let look: Look
    let says: String
    /// Why the flag is tried somewhere else and not here.
    var elsewhere: String?

    var testDescription: String { "\(command) \(words.joined(separator: " "))" }

    init(
        _ base: [String], _ words: String..., look: Look = .output, says: String? = nil
    ) {
        command = base[0]
        flag = words[0]
        self.base = base
        self.words = words
        self.look = look
        self.says = says ?? words[0]
    }

    init(_ command: String, _ flag: String, elsewhere: String) {
        self.init([command], flag)
        self.elsewhere = elsewhere
    }

    /// The call with the words in place of the same flag of the base.
    var flipped: [String] {
        var kept: [String] = []
        var rest = base[...]
        let spellings = flag == "--output" ? ["--output", "-o"] : [flag]
        while let word = rest.popFirst() {
            if spellings.contains(word) {
                rest = rest.dropFirst(words.count - 1)
            } else {
                kept.append(word)
            }
        }
        return kept + words
    }
}

/// Where a difference is looked for.
enum Look: Sendable {
    /// Standard output as it is.
    case output
    /// A member of the JSON document on standard output, by the path of its keys.
    case member([String])
    /// The first line on standard error.
    case line
    /// The names in a folder.
    case names(String)
    case file(String)
    /// The lines on standard error that hold a text.
    case said(String)

    static func key(_ keys: String...) -> Look { .member(keys) }
    static let digest = Look.key("state_digest")
    static let status = Look.key("status")

    func observation(_ result: ProcessResult, in directory: URL) throws -> String {
        guard result.exitCode == 0 else {
            // What the run had said before it ended is no reason.
            return "refused: \(result.errorLines.last { $0.hasPrefix("cairn: ") } ?? "")"
        }
        switch self {
        case .output: return result.output
        case .member(let keys):
            let document = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
            let value = keys.reduce(document as JSONValue?) { $0?[$1] }
            return String(decoding: try (value ?? .null).serialized(), as: UTF8.self)
        case .line: return result.errorLines.first ?? ""
        case .said(let text):
            return result.errorLines.filter { $0.contains(text) }.joined(separator: "\n")
        case .names(let folder):
            return try FileManager.default.contentsOfDirectory(
                atPath: directory.appendingPathComponent(folder).path
            ).sorted().joined(separator: " ")
        case .file(let name):
            return try String(
                contentsOf: directory.appendingPathComponent(name), encoding: .utf8)
        }
    }
}

/// A folder with everything that the calls name.
///
///     model/  train.jsonl  eval.jsonl  other.jsonl  plan.json  present.npz
///     run/    of two epochs, every one saved
///     published/  its best checkpoint, and notes.txt
///     whole/   exported/  what merge and export make of the run
///     orphan/  a run as the first, whose model and rows are gone from where they were
///     bare/    the model without its weights
struct FlagBench {
    private let directory: TemporaryDirectory
    var url: URL { directory.url }

    static let finetune = finetune(epochs: 1)

    static func finetune(epochs: Int) -> [String] {
        [
            "finetune", "model", "--task", "classify", "--data", "train.jsonl", "-o", "out",
            "--epochs", "\(epochs)", "--batch-size", "4", "--threads", "1", "--json",
        ]
    }

    /// No call reaches the network or the user's own cache.
    static let environment = ["HF_HUB_OFFLINE": "1", "HF_HOME": "hub", "HF_TOKEN": "hf_token"]

    /// Made once; every case works on a copy.
    private static let shared = Result {
        let job = try Job()
        let other = try String(contentsOf: job.data, encoding: .utf8).split(separator: "\n")
        try job.write(
            other.dropLast(8).joined(separator: "\n") + "\n",
            to: job.url.appendingPathComponent("other.jsonl"))
        try job.write("", to: job.url.appendingPathComponent("present.npz"))
        // The fixture has no lm_head: as a language model its table is the head.
        try job.set("tie_word_embeddings", true)
        try job.copy("model", to: "gone/model")
        try job.copy("train.jsonl", to: "gone/train.jsonl")
        try job.copy("eval.jsonl", to: "gone/eval.jsonl")
        try job.copy("model", to: "bare")
        try job.remove(job.url.appendingPathComponent("bare/model.safetensors"))
        func run(_ output: String, in folder: String = "") -> [String] {
            [
                "finetune", folder + "model", "--task", "classify", "--data",
                folder + "train.jsonl", "-o", output, "--epochs", "2", "--batch-size", "4",
                "--threads", "1",
            ]
        }
        let calls = [
            run("run") + ["--save-every", "1"],
            ["plan"] + run("run").dropFirst() + ["--save", "plan.json"],
            run("orphan", in: "gone/") + ["--eval-data", "gone/eval.jsonl", "--save-every", "1"],
            ["merge", "run/best", "-o", "whole"],
            ["export", "run/epoch-1", "-o", "exported"],
        ]
        for arguments in calls {
            let result = try CairnProcess.run(
                arguments, in: job.url, environment: Self.environment)
            guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
        }
        try job.remove(job.url.appendingPathComponent("gone"))
        let published = job.url.appendingPathComponent("published")
        try FileManager.default.copyItem(
            at: job.url.appendingPathComponent("run/best"), to: published)
        try job.write("notes", to: published.appendingPathComponent("notes.txt"))
        return job
    }

    init() throws {
        directory = try TemporaryDirectory()
        let source = try Self.shared.get().url
        for name in try FileManager.default.contentsOfDirectory(atPath: source.path) {
            try FileManager.default.copyItem(
                at: source.appendingPathComponent(name), to: directory.file(name))
        }
    }

    /// A call without the flag, with the folder that it was made in: many cases share one.
    final class Base: @unchecked Sendable {
        // Unchecked: the value is made under the lock, once, and then only read.
        private let lock = NSLock()
        private var value: Result<(ProcessResult, FlagBench), any Error>?
        private static let table = NSLock()
        private nonisolated(unsafe) static var known: [[String]: Base] = [:]

        static func result(_ call: [String]) throws -> (ProcessResult, FlagBench) {
            let base = table.withLock {
                let base = known[call] ?? Base()
                known[call] = base
                return base
            }
            return try base.lock.withLock {
                let value =
                    base.value
                    ?? Result {
                        let bench = try FlagBench()
                        return (try bench.run(call), bench)
                    }
                base.value = value
                return try value.get()
            }
        }
    }

    func run(_ arguments: [String]) throws -> ProcessResult {
        try CairnProcess.run(arguments, in: url, environment: Self.environment)
    }
}

/// The table of commands and flags, as `cairn man --json` prints it.
struct CommandTable: Sendable, CustomTestStringConvertible {
    let name: String
    let positionals: [String]
    let flags: [(name: String, value: String?, standard: String?)]
    let conflicts: [[String]]

    var testDescription: String { name }

    static let all = Result {
        let result = try CairnProcess.run(
            ["man", "--json"], in: FileManager.default.temporaryDirectory)
        let document = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
        return try #require(document["commands"]?.array).map { json in
            CommandTable(
                name: try #require(json["name"]?.string),
                positionals: try #require(json["positionals"]?.array).compactMap(\.string),
                flags: try #require(json["flags"]?.array).map {
                    (try #require($0["name"]?.string), $0["value"]?.string, $0["default"]?.string)
                },
                conflicts: try #require(json["conflicts"]?.array).map {
                    ($0.array ?? []).compactMap(\.string)
                })
        }
    }

    /// A call with something for every positional.
    var call: [String] { [name] + positionals.map { _ in "nowhere" } }
}
