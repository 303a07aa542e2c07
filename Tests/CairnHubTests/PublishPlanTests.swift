// SPDX-License-Identifier: Apache-2.0
/// What leaves the machine, what stays, and what is rewritten on the way.

import CairnFormats
import CairnHub
import Foundation
import TestSupport
import Testing

@Suite struct PublishPlanTests {
    static let commit = String(repeating: "c", count: 40)

    static func plan(
        _ files: [String: String], base: String? = nil, include: [String] = [],
        home: String = "/users/alice"
    ) throws -> (PublishPlan, TemporaryDirectory) {
        let directory = try TemporaryDirectory().write(files)
        var options = PublishOptions()
        options.base = try base.map { try RepositoryID($0) }
        options.include = include
        let plan = try PublishPlan(
            directory: directory.url, repository: RepositoryID("me/model"), options: options,
            machine: PrivatePlaces(paths: [home, directory.path]))
        return (plan, directory)
    }

    static func text(_ plan: PublishPlan, _ path: String) throws -> String {
        let file = try #require(plan.files.first { $0.path == path })
        return String(decoding: try file.bytes(), as: UTF8.self)
    }

    static let weights = ["adapter_model.safetensors": "weights"]

    // MARK: What is published

    @Test func `the files of a model are published, all else stays with a reason`() throws {
        let names = [
            "adapter_model.safetensors", "config.json", "README.md", "tokenizer.json",
            "model-00001-of-00002.safetensors", "training/optimizer.safetensors",
            "training/state.json", "sub/training/x.bin", "optimizer.pt", "rng_state.pth",
            "training_args.bin", "notes.txt", ".env", "sub/.git/config", "sub/config.json",
            "model-abcde-of-00002.safetensors",
        ]
        let (plan, directory) = try Self.plan(
            Dictionary(uniqueKeysWithValues: names.map { ($0, "{}") }))
        withExtendedLifetime(directory) {}

        #expect(
            plan.files.map(\.path) == [
                "README.md", "adapter_model.safetensors", "config.json",
                "model-00001-of-00002.safetensors", "tokenizer.json",
            ])
        let reasons = Dictionary(uniqueKeysWithValues: plan.leftOut.map { ($0.path, $0.reason) })
        #expect(reasons["training/state.json"] == "training state stays on this machine")
        #expect(reasons["optimizer.pt"] == "training state stays on this machine")
        #expect(reasons["notes.txt"] == "not part of a model")
        #expect(reasons[".env"] == "hidden")
        #expect(plan.files.count + plan.leftOut.count == names.count)
    }

    @Test func `no pattern publishes training state or hidden files`() throws {
        let (plan, directory) = try Self.plan(
            [
                "model.safetensors": "w", "training/optimizer.safetensors": "o", "a/b/ü 1.txt": "t",
                "optimizer.safetensors": "o", "training_args.bin": "a", ".env": "s", "empty": "",
            ], include: ["*"])
        withExtendedLifetime(directory) {}
        #expect(plan.files.map(\.path) == ["a/b/ü 1.txt", "empty", "model.safetensors"])
    }

    static let matches: [(String, String, Bool)] = [
        ("a.txt", "*.txt", true), ("a/b.txt", "*.txt", true), ("a.txtx", "*.txt", false),
        ("a/b.txt", "a/*", true), ("b/a/c", "a/*", false), ("abc", "a?c", true),
        ("ac", "a?c", false),
        ("aXbXc", "a*b*c", true), ("ab", "a*b*c", false), ("", "*", true), ("a", "", false),
        ("aaab", "*aab", true), ("é", "?", true),
    ]

    @Test(arguments: matches)
    func `a pattern matches whole paths`(path: String, pattern: String, expected: Bool) {
        #expect(AllowList.matches(path, pattern) == expected)
    }

    @Test func `a file that is a link is published by its bytes`() throws {
        let directory = try TemporaryDirectory().write(["blob": "weights"])
        let snapshot = directory.file("snapshot")
        try FileManager.default.createDirectory(at: snapshot, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: snapshot.path + "/model.safetensors", withDestinationPath: "../blob")

        let plan = try PublishPlan(
            directory: snapshot, repository: RepositoryID("me/model"),
            machine: PrivatePlaces(paths: []))

        #expect(plan.files.map(\.size) == [7])
        #expect(plan.files[0].sha256 == SHA256.hex(of: Data("weights".utf8)))
    }

    @Test func `a directory without a model is refused with advice`() throws {
        #expect(
            sentence { try Self.plan([:]) }.hasSuffix("holds nothing to publish: it holds no files")
        )
        #expect(sentence { try Self.plan(["README.md": "x"]) }.contains("holds nothing to publish"))
        let run = sentence { try Self.plan(["best/model.safetensors": "x", "latest/a": "x"]) }
        #expect(run.hasSuffix("it holds a run's checkpoints; publish one of them, as best in it"))
    }

    @Test func `a bare name is no place to publish to`() throws {
        let directory = try TemporaryDirectory().write(Self.weights)
        let sentence = sentence {
            try PublishPlan(directory: directory.url, repository: RepositoryID("model"))
        }
        #expect(sentence.contains("expected ORG/NAME"))
    }

    // MARK: The base

    @Test func `an adapter whose base is a path needs the base's name`() {
        let sentence = sentence {
            try Self.plan(
                ["adapter_config.json": "{\"base_model_name_or_path\":\"/models/qwen\"}"])
        }
        #expect(
            sentence
                == "adapter_config.json, base_model_name_or_path: '/models/qwen' is a path of this "
                + "machine; name the base on the Hub with --base-model ORG/NAME")
    }

    @Test func `the base's name stands in place of the path everywhere`() throws {
        let (plan, directory) = try Self.plan(
            [
                "adapter_config.json": "{\"base_model_name_or_path\":\"/models/qwen\",\"r\":8}",
                "metadata.json": "{\"base_model\":\"/models/qwen\",\"seed\":1}",
                "config.json": "{\"_name_or_path\":\"/models/qwen\",\"a\":1}",
                "README.md":
                    "---\nlibrary_name: peft\n---\nfrom_pretrained(\"PATH/TO/THE/BASE\")\n",
            ].merging(Self.weights) { a, _ in a }, base: "Qwen/Qwen2")

        let adapter = try JSONValue.parse(
            Data(Self.text(plan, "adapter_config.json").utf8), file: "")
        #expect(adapter["base_model_name_or_path"] == "Qwen/Qwen2")
        #expect(adapter["r"] == 8)
        #expect(try Self.text(plan, "metadata.json").contains("\"base_model\": \"Qwen/Qwen2\""))
        #expect(try Self.text(plan, "config.json").contains("\"_name_or_path\": \"Qwen/Qwen2\""))
        #expect(
            try Self.text(plan, "README.md")
                == "---\nbase_model: Qwen/Qwen2\nlibrary_name: peft\n---\n"
                + "from_pretrained(\"Qwen/Qwen2\")\n")
        // What lies here stays as it was.
        let own = try String(contentsOf: directory.file("adapter_config.json"), encoding: .utf8)
        #expect(own == "{\"base_model_name_or_path\":\"/models/qwen\",\"r\":8}")
    }

    @Test func `a snapshot of the cache tells its own name and commit`() throws {
        let base = "/users/alice/hub/models--Qwen--Qwen2/snapshots/\(Self.commit)"
        let (plan, directory) = try Self.plan([
            "adapter_config.json": "{\"base_model_name_or_path\":\"\(base)\",\"revision\":null}"
        ])
        withExtendedLifetime(directory) {}
        let json = try JSONValue.parse(Data(Self.text(plan, "adapter_config.json").utf8), file: "")
        #expect(json["base_model_name_or_path"] == "Qwen/Qwen2")
        #expect(json["revision"] == .string(Self.commit))
    }

    @Test func `a base on the Hub goes out byte for byte`() throws {
        let text = "{ \"base_model_name_or_path\" : \"Qwen/Qwen2\" }"
        let (plan, directory) = try Self.plan(["adapter_config.json": text])
        withExtendedLifetime(directory) {}
        #expect(try Self.text(plan, "adapter_config.json") == text)
        #expect(plan.files[0].change == nil)
    }

    @Test func `a name that is a directory here is a path`() throws {
        let directory = try TemporaryDirectory().write([
            "adapter_config.json": "{\"base_model_name_or_path\":\"models/qwen\"}",
            "models/qwen/config.json": "{}",
        ])
        let sentence = sentence {
            try PublishPlan(directory: directory.url, repository: RepositoryID("me/model"))
        }
        #expect(sentence.contains("'models/qwen' is a path of this machine"))
    }

    @Test func `without an adapter the paths of a base are left out`() throws {
        let (plan, directory) = try Self.plan([
            "config.json": "{\"_name_or_path\":\"/models/qwen\",\"a\":1}",
            "metadata.json": "{\"base_model\":\"/models/qwen\"}",
            "tokenizer_config.json": "{\"name_or_path\":\"./qwen\",\"b\":2}",
        ])
        withExtendedLifetime(directory) {}
        #expect(try Self.text(plan, "config.json") == "{\n  \"a\": 1\n}")
        #expect(try Self.text(plan, "metadata.json") == "{\n  \"base_model\": null\n}")
        #expect(try Self.text(plan, "tokenizer_config.json") == "{\n  \"b\": 2\n}")
    }

    static let cards: [(String, String?)] = [
        ("---\nbase_model: /models/qwen\n---\n", "README.md, base_model"),
        ("---\nbase_model: 'Qwen/Qwen2'\n---\n", nil), ("# no front matter\n", nil),
        ("---\nbase_model:\n- a/b\n---\n", nil),
    ]

    @Test(arguments: cards)
    func `a card whose base is a path needs the base's name`(card: String, refusal: String?) {
        let files = Self.weights.merging(["README.md": card]) { a, _ in a }
        let sentence = sentence { try Self.plan(files) }
        #expect(sentence.hasPrefix(refusal ?? "no error"), "\(sentence)")
    }

    // MARK: Paths and state elsewhere

    static let leaks: [(String, String, String)] = [
        ("config.json", "{\"a\":{\"b\":[1,\"see /users/alice/x\"]}}", "config.json, $.a.b[1]"),
        ("config.json", "{\"a\":\"\\/users\\/alice\"}", "config.json, $.a"),
        ("config.json", "{\"/users/alice/x\":1}", "config.json, a key of $"),
        ("README.md", "one\ntwo (/users/alice)\n", "README.md, line 2"),
        ("chat_template.jinja", "/users/alice/", "chat_template.jinja, line 1"),
        (
            "model.safetensors", "\u{10}\0\0\0\0\0\0\0{\"/users/alice/x\"}",
            "model.safetensors, byte 10"
        ),
        ("model.apr", "APR /users/alice ", "model.apr, byte 4"),
    ]

    @Test(arguments: leaks)
    func `a path below the home directory is refused by its place`(
        name: String, text: String, place: String
    ) {
        let files = Self.weights.merging([name: text]) { a, _ in a }
        let sentence = sentence { try Self.plan(files) }
        #expect(
            sentence == "\(place): '/users/alice' is a path of this machine; "
                + "take it out before publishing")
    }

    static let innocents: [(String, String)] = [
        ("README.md", "/users/alicea and x/users/alice and /users/bob and ~alice"),
        ("vocab.json", "{\"/users/alice\":1}"), ("merges.txt", "/users/alice x"),
        ("model.safetensors", "\u{8}\0\0\0\0\0\0\0{\"a\":1}  /users/alice "),
    ]

    @Test(arguments: innocents)
    func `a longer word, a token and the weights themselves are no paths`(
        name: String, text: String
    ) throws {
        let (plan, directory) = try Self.plan(Self.weights.merging([name: text]) { a, _ in a })
        withExtendedLifetime(directory) {}
        #expect(plan.files.contains { $0.path == name })
    }

    @Test func `training state in weights is refused`() {
        let sentence = sentence {
            try Self.plan(["model.apr": "APR\0__x__training__.optimizer.step"])
        }
        #expect(
            sentence
                == "model.apr holds training state ('__training__' at byte 7), which is never "
                + "published")
    }

    // MARK: The manifest

    static func manifest(_ files: [String: String]) throws -> String {
        let entries = files.map { name, text in
            CommittedFile(
                name: name, size: text.utf8.count, sha256: SHA256.hex(of: Data(text.utf8)))
        }
        let manifest = Manifest(runID: "r", name: "best", parent: nil, files: entries)
        return String(decoding: try manifest.serialized(), as: UTF8.self)
    }

    @Test func `the manifest lists what is published as it is published`() throws {
        let files = [
            "adapter_config.json": "{\"base_model_name_or_path\":\"/models/qwen\"}",
            "adapter_model.safetensors": "weights", "training/state.json": "{}",
        ]
        let (plan, directory) = try Self.plan(
            files.merging(["manifest.json": try Self.manifest(files)]) { a, _ in a },
            base: "Qwen/Qwen2")
        withExtendedLifetime(directory) {}

        let json = try JSONValue.parse(Data(Self.text(plan, "manifest.json").utf8), file: "")
        let manifest = try Manifest(json, file: "manifest.json")
        #expect(
            manifest.files.map(\.name) == ["adapter_config.json", "adapter_model.safetensors"])
        for listed in manifest.files {
            let file = try #require(plan.files.first { $0.path == listed.name })
            #expect(listed.sha256 == file.sha256)
            #expect(listed.size == file.size)
        }
        #expect(manifest.runID == "r")
        #expect(manifest.name == "best")
    }

    @Test func `a file that is not the one of the manifest is refused, an edited card is not`() {
        let files = ["model.safetensors": "weights", "README.md": "card"]
        func published(_ change: [String: String]) -> String {
            sentence {
                try Self.plan(
                    files.merging(["manifest.json": try Self.manifest(files)]) { a, _ in a }
                        .merging(change) { _, b in b })
            }
        }
        #expect(published([:]).hasPrefix("no error"))
        #expect(published(["README.md": "a better card"]).hasPrefix("no error"))
        let refusal = published(["model.safetensors": "Weights"])
        #expect(refusal.contains("model.safetensors changed: expected SHA-256"), "\(refusal)")
    }

    @Test func `a manifest that was edited is refused, another tool's is a file like any other`()
        throws
    {
        let files = ["model.safetensors": "weights"]
        let edited = try Self.manifest(files).replacingOccurrences(of: "best", with: "worst")
        let refusal = sentence {
            try Self.plan(files.merging(["manifest.json": edited]) { a, _ in a })
        }
        #expect(refusal.contains("manifest.json: sha256: expected"), "\(refusal)")

        let (plan, directory) = try Self.plan(
            files.merging(["manifest.json": "{\"files\":[]}"]) { a, _ in a })
        withExtendedLifetime(directory) {}
        #expect(try Self.text(plan, "manifest.json") == "{\"files\":[]}")
    }

    @Test func `a file that changes after the plan is not sent`() throws {
        let (plan, directory) = try Self.plan(["model.safetensors": "weights"])
        try Data("Weights".utf8).write(to: directory.file("model.safetensors"))
        #expect(sentence { try plan.files[0].bytes() }.contains("changed"))
    }
}
