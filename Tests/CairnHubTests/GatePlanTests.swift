// SPDX-License-Identifier: Apache-2.0
/// What a plan does for the gate: the files it shows to another process, and the card's section.

import CairnFormats
import CairnHub
import Foundation
import TestSupport
import Testing

@Suite struct GatePlanTests {
    private func plan(
        _ files: [String: String], section: String? = nil
    ) throws -> (plan: PublishPlan, directory: TemporaryDirectory) {
        let directory = try TemporaryDirectory().write(files)
        var options = PublishOptions()
        options.base = try RepositoryID("org/base")
        options.cardSection = section
        let plan = try PublishPlan(
            directory: directory.url, repository: RepositoryID("me/model"), options: options,
            machine: PrivatePlaces(paths: ["/users/alice"]))
        return (plan, directory)
    }

    private func staged(_ plan: PublishPlan) throws -> (names: [String], place: TemporaryDirectory)
    {
        let place = try TemporaryDirectory()
        try plan.stage(in: place.file("stage"))
        let names = try FileManager.default.subpathsOfDirectory(atPath: place.file("stage").path)
        return (names.sorted(), place)
    }

    // MARK: The stage

    @Test func `an adapter is shown without state, other formats and other weights`() throws {
        let (plan, directory) = try plan([
            "adapter_config.json": #"{"base_model_name_or_path":"/models/qwen"}"#,
            "adapter_model.safetensors": "weights", "model.safetensors": "guarded",
            "model.apr": "APR", "config.json": "{}", "tokenizer.json": "{}", "vocab.txt": "a",
            "metadata.json": "{}", "README.md": "card", "receipt.json": "{}",
            "training/state.json": "{}", "training/optimizer.safetensors": "m and v",
        ])
        defer { withExtendedLifetime(directory) {} }

        let (names, place) = try staged(plan)

        #expect(
            names == [
                "adapter_config.json", "adapter_model.safetensors", "config.json",
                "tokenizer.json", "vocab.txt",
            ])
        let stage = place.file("stage")
        let config = try String(
            contentsOf: stage.appendingPathComponent("adapter_config.json"), encoding: .utf8)
        #expect(config.contains("\"org/base\"") && !config.contains("/models/qwen"))
        #expect(
            try Data(contentsOf: stage.appendingPathComponent("adapter_model.safetensors"))
                == Data("weights".utf8))
    }

    @Test(arguments: [
        ["model.safetensors"],
        ["model-00001-of-00002.safetensors", "model.safetensors.index.json"],
    ])
    func `a whole model is shown with its weights`(weights: [String]) throws {
        let files = Dictionary(
            uniqueKeysWithValues: (weights + ["config.json", "tokenizer.json", "metadata.json"])
                .map { ($0, "{}") })
        let (plan, directory) = try plan(files)
        defer { withExtendedLifetime(directory) {} }

        #expect(try staged(plan).names == (weights + ["config.json", "tokenizer.json"]).sorted())
    }

    @Test func `a file that changed since it was planned is not shown`() throws {
        let (plan, directory) = try plan(["model.safetensors": "weights", "config.json": "{}"])
        try Data("Weights".utf8).write(to: directory.file("model.safetensors"))

        let refusal = #expect(throws: HubError.self) { _ = try staged(plan) }
        #expect("\(refusal!)".hasPrefix("model.safetensors changed: expected SHA-256"))
    }

    // MARK: The card

    private func card(_ plan: PublishPlan) throws -> String {
        let file = try #require(plan.files.first { $0.path == "README.md" })
        return String(decoding: try file.bytes(), as: UTF8.self)
    }

    @Test func `the section comes last, once, and replaces that of an earlier publication`() throws
    {
        let first = try plan(
            ["model.safetensors": "w", "README.md": "# A card\n\nText."], section: "## One\n")
        let once = try card(first.plan)
        #expect(
            once
                == "# A card\n\nText.\n\n<!-- cairn: receipt -->\n## One\n<!-- cairn: end -->\n")
        let second = try plan(
            ["model.safetensors": "w", "README.md": once + "More.\n"], section: "## Two\n")
        #expect(
            try card(second.plan) == once.replacingOccurrences(of: "One", with: "Two") + "More.\n")
        let third = try plan(["model.safetensors": "w", "README.md": once], section: "## One\n")
        #expect(third.plan.files.first { $0.path == "README.md" }?.change == nil)
    }

    @Test func `a card is made where there is none, and the manifest does not miss it`() throws {
        let listed = Manifest(
            runID: "r", name: "best", parent: nil,
            files: [
                CommittedFile(
                    name: "model.safetensors", size: 1, sha256: SHA256.hex(of: Data("w".utf8)))
            ])
        let made = try plan(
            [
                "model.safetensors": "w",
                "manifest.json": String(decoding: try listed.serialized(), as: UTF8.self),
            ], section: "## One\n")

        #expect(try card(made.plan).hasPrefix("# me/model\n\n<!-- cairn: receipt -->\n## One\n"))
        #expect(
            made.plan.files.map(\.path) == ["README.md", "manifest.json", "model.safetensors"])
        let plain = try plan(["model.safetensors": "w"])
        #expect(plain.plan.files.map(\.path) == ["model.safetensors"])
    }
}
