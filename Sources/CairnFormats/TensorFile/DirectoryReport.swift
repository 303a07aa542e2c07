// SPDX-License-Identifier: Apache-2.0
/// What a directory of model files is by the names in it, and which files it lacks.

import Foundation

/// A directory seen from outside: kind, what is missing, where weights and metadata are.
public struct DirectoryReport: Sendable {
    /// What a directory is.
    public enum Kind: String, Sendable, CaseIterable {
        /// A model as transformers saves it: configuration, weights, tokenizer.
        case baseModel = "base_model"
        /// An adapter as PEFT saves it.
        case adapter = "peft_adapter"
        /// A checkpoint of Cairn, from which a run can go on.
        case checkpoint = "cairn_checkpoint"
        /// A directory that holds checkpoints of Cairn.
        case run = "cairn_run"
        /// A `checkpoint-N` of the transformers Trainer.
        case trainerCheckpoint = "trainer_checkpoint"
    }

    /// The directory.
    public let url: URL
    /// What it is.
    public let kind: Kind

    /// Paths within the directory that should be there and are not, sorted.
    public let missing: [String]

    /// The checkpoints of a run, by name.
    public let checkpoints: [String]

    /// What `TensorFile` opens; nil when there are no weights, or not all of them.
    public let weights: URL?

    /// A JSON file that describes the whole.
    public let description: URL?

    /// What the checkpoint says of its state; nil when it says nothing.
    public let stateDigest: String?

    /// - Throws: when the directory cannot be listed or is none of these, and when a file that
    ///   says what else there must be is damaged.
    public init(_ url: URL) throws(FormatError) {
        let names = Set(try SystemFiles().names(in: url.path))
        let checkpoints = names.filter { DirectoryLayout.isCheckpoint($0, of: url) }
        guard let kind = Self.kind(of: url, names, hasCheckpoints: !checkpoints.isEmpty) else {
            throw .noWeights(
                directory: url.path, found: names.sorted { $0.utf8Precedes($1) },
                advice: "expected a model, an adapter, a checkpoint or a run")
        }
        let layout = try DirectoryLayout(url, kind, names)
        self.url = url
        self.kind = kind
        self.checkpoints = checkpoints.sorted { $0.utf8Precedes($1) }
        missing = layout.expected.filter { !Self.exists(url.appendingPathComponent($0)) }
            .sorted { $0.utf8Precedes($1) }
        let absent = Set(missing)
        weights =
            layout.weights.isEmpty || layout.weights.contains(where: absent.contains)
            ? nil : layout.opened
        description = layout.description.map { url.appendingPathComponent($0) }
            .flatMap { Self.exists($0) ? $0 : nil }
        stateDigest = try Self.stateDigest(url.appendingPathComponent(DirectoryLayout.state))
    }

    private static func kind(
        of url: URL, _ names: Set<String>, hasCheckpoints: Bool
    ) -> Kind? {
        if DirectoryLayout.isCheckpoint(url) { return .checkpoint }
        if names.contains("trainer_state.json") { return .trainerCheckpoint }
        if !names.isDisjoint(with: ["adapter_config.json", "adapter_model.safetensors"]) {
            return .adapter
        }
        if !names.isDisjoint(with: [
            "config.json", SafetensorsDirectory.singleName, SafetensorsDirectory.indexName,
        ]) {
            return .baseModel
        }
        return hasCheckpoints ? .run : nil
    }

    private static func stateDigest(_ url: URL) throws(FormatError) -> String? {
        exists(url) ? try JSONValue.parse(contentsOf: url)["state_digest"]?.string : nil
    }

    fileprivate static func exists(_ url: URL) -> Bool {
        FileManager.default.fileExists(atPath: url.path)
    }
}

/// The files that make up a directory of a kind.
private struct DirectoryLayout {
    static let state = "training/state.json"

    /// All that should be there.
    private(set) var expected: [String]
    /// Those of them that hold the weights.
    let weights: [String]
    /// What is opened for the weights: a file, or the directory of its shards.
    let opened: URL?
    let description: String?

    /// Whether an entry of a run's directory is a checkpoint. What begins with a dot is being
    /// written, or was when a process died; a link names a checkpoint that is there anyway.
    static func isCheckpoint(_ name: String, of run: URL) -> Bool {
        let url = run.appendingPathComponent(name)
        let type = try? FileManager.default.attributesOfItem(atPath: url.path)[.type]
        return !name.hasPrefix(".") && type as? FileAttributeType == .typeDirectory
            && isCheckpoint(url)
    }

    /// Whether a directory has what only a checkpoint of Cairn has.
    static func isCheckpoint(_ url: URL) -> Bool {
        [Manifest.fileName, state].contains {
            DirectoryReport.exists(url.appendingPathComponent($0))
        }
    }

    init(
        _ url: URL, _ kind: DirectoryReport.Kind, _ names: Set<String>
    ) throws(FormatError) {
        let isAdapter = !names.isDisjoint(with: [
            "adapter_config.json", "adapter_model.safetensors",
        ])
        if kind == .run {
            (expected, weights, opened, description) = ([], [], nil, nil)
            return
        }
        if isAdapter {
            weights = ["adapter_model.safetensors"]
            opened = url.appendingPathComponent(weights[0])
            expected = ["adapter_config.json"]
        } else {
            weights = try Self.modelFiles(url, names)
            opened = url
            expected = ["config.json"]
        }
        expected += weights
        switch kind {
        case .baseModel:
            expected.append("tokenizer.json")
            description = "config.json"
        case .trainerCheckpoint:
            expected += ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"]
            description = "trainer_state.json"
        case .checkpoint:
            expected += [Manifest.fileName, Self.state, "metadata.json"]
            expected += try Self.listed(url)
            expected = Array(Set(expected))
            description = "metadata.json"
        case .adapter, .run: description = "adapter_config.json"
        }
    }

    /// The file of the weights, or those that the index lists and the index itself.
    private static func modelFiles(
        _ url: URL, _ names: Set<String>
    ) throws(FormatError) -> [String] {
        guard !names.contains(SafetensorsDirectory.singleName),
            names.contains(SafetensorsDirectory.indexName)
        else { return [SafetensorsDirectory.singleName] }
        let map = try SafetensorsDirectory.weightMap(
            url.appendingPathComponent(SafetensorsDirectory.indexName))
        return [SafetensorsDirectory.indexName] + Set(map.values)
    }

    /// The files that a manifest lists.
    private static func listed(_ directory: URL) throws(FormatError) -> [String] {
        let manifest = directory.appendingPathComponent(Manifest.fileName)
        guard DirectoryReport.exists(manifest) else { return [] }
        return try Manifest(of: directory).files.map(\.name)
    }
}
