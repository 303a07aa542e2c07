// SPDX-License-Identifier: Apache-2.0
/// What a merge reads: a checkpoint that verifies, its adapter, and the base it was trained on.

import CairnFormats
import CairnModels
import Foundation

/// A checkpoint and its base, checked against each other; weights are mapped and not yet read.
struct MergeSource {
    let directory: URL
    /// The model that the weights are of: the base, or the checkpoint itself where all of it trained.
    let base: BaseModel
    /// nil for a model that trained in full.
    let adapter: Adapter?
    /// nil likewise.
    let file: PEFTAdapter?
    /// The checkpoint's config.json.
    let configuration: JSONValue
    let task: Task
    let metadata: JSONValue
    /// Which numbers of the base the adapter is folded into.
    let storage: BaseStorage
    let manifest: Manifest
    private let manifestDigest: String

    /// - Parameters:
    ///   - place: where the base is, instead of what adapter_config.json says.
    ///   - storage: which numbers of the base to fold into; must be said of an adapter that was
    ///     trained over codes, and be the stored ones or those.
    /// - Throws: `TrainingError.damaged` unless every byte of the checkpoint is as committed;
    ///   `otherBase` when the base is not the one that the run was given; `ModelError` when
    ///   adapter, base and config.json disagree; `codedBase` when the numbers are not said.
    init(_ directory: URL, base place: URL?, storage: BaseStorage?) throws {
        self.directory = directory
        try Self.requireCheckpoint(directory)
        manifestDigest = try Self.digest(ofManifestIn: directory)
        if let problem = CheckpointCheck(directory).problems.first {
            throw TrainingError.damaged(path: directory.path, problem: problem)
        }
        manifest = try Manifest(of: directory)
        let config = directory.appendingPathComponent("config.json")
        configuration = try JSONValue.parse(contentsOf: config)
        metadata = try JSONValue.parse(
            contentsOf: directory.appendingPathComponent("metadata.json"))
        let trained = try CodedBase(metadata, of: directory).storage
        self.storage = try Self.chosen(storage, trained, directory)
        let own = try ModelConfiguration(configuration, file: config.path)
        guard Self.isAdapter(directory) else {
            (adapter, file) = (nil, nil)
            task = try Checkpoint.task(configuration, own, adapter: nil)
            base = try BaseModel(contentsOf: directory, head: task.head)
            try Self.requireHead(base)
            return
        }
        let file = try PEFTAdapter(contentsOf: directory)
        task = try Checkpoint.task(configuration, own, adapter: file)
        base = try BaseModel(contentsOf: try place ?? Checkpoint.base(of: file), head: task.head)
        try Checkpoint.compare(base.configuration, own)
        let adapter = try Adapter(file.configuration, for: base.model)
        try file.requireTensors(Self.shapes(adapter, base.model))
        try Self.requireSameBase(base, directory)
        (self.adapter, self.file) = (adapter, file)
    }

    /// Throws when the checkpoint was replaced since it was opened, as a run replaces `best`.
    func requireUnchanged() throws {
        guard try Self.digest(ofManifestIn: directory) == manifestDigest else {
            throw TrainingError.replacedMeanwhile(path: directory.path)
        }
    }

    /// What a user calls the way it was trained.
    var method: String {
        guard let configuration = file?.configuration else { return "full" }
        return configuration.usesDoRA ? "dora" : configuration.usesRSLoRA ? "rslora" : "lora"
    }

    /// Whether the adapter was trained over other numbers than it is folded into.
    var changesBase: Bool {
        (try? CodedBase(metadata, of: directory).storage) != storage
    }

    // MARK: Checks

    /// Neither choice is the trained function itself where x was rounded too, so none is made here.
    private static func chosen(
        _ storage: BaseStorage?, _ trained: BaseStorage, _ directory: URL
    ) throws(TrainingError) -> BaseStorage {
        let choices = [BaseStorage.stored, trained]
        if let storage, choices.contains(storage) { return storage }
        guard trained.isQuantized else {
            guard let storage else { return .stored }
            throw .otherStorage(
                path: directory.path, expected: trained.rawValue, found: storage.rawValue)
        }
        throw .codedBase(
            path: directory.path, storage: trained.rawValue,
            advice: "say '--base-storage \(trained.rawValue)' to merge into the numbers that its "
                + "codes stand for, or '--base-storage stored' to merge into the files', which is "
                + "another function than the one that was judged")
    }

    private static func isAdapter(_ directory: URL) -> Bool {
        FileManager.default.fileExists(
            atPath: directory.appendingPathComponent(PEFTAdapter.configurationFile).path)
    }

    private static func requireCheckpoint(_ directory: URL) throws {
        let manager = FileManager.default
        let needed = ["config.json", "metadata.json", Manifest.fileName]
        guard
            let missing = needed.first(where: {
                !manager.fileExists(atPath: directory.appendingPathComponent($0).path)
            })
        else { return }
        let names = try? manager.contentsOfDirectory(atPath: directory.path).sorted()
        guard let names else {
            throw TrainingError.notACheckpoint(path: directory.path, found: "no such directory")
        }
        if let inside = ["best", "latest"].first(where: names.contains) {
            throw TrainingError.notACheckpoint(
                path: directory.path,
                found: "a run's directory; name a checkpoint, as \(inside) in it")
        }
        throw TrainingError.missingFile(
            directory: directory.path, name: missing, purpose: "part of every checkpoint of Cairn")
    }

    private static func digest(ofManifestIn directory: URL) throws -> String {
        try SHA256.hex(ofFile: directory.appendingPathComponent(Manifest.fileName))
    }

    private static func requireHead(_ base: BaseModel) throws {
        let missing = base.model.parameters.filter {
            $0.isHead && !base.headTensors.contains($0.name)
        }
        guard missing.isEmpty else {
            throw ModelError.missingTensors(
                directory: base.directory.path, names: missing.map(\.name))
        }
    }

    /// The shape of every tensor that the adapter's file must hold.
    private static func shapes(_ adapter: Adapter, _ model: some Model) -> [String: [Int]] {
        let specifications = model.parameters.filter(\.isHead) + adapter.parameters(of: model)
        return Dictionary(uniqueKeysWithValues: specifications.map { ($0.name, $0.dimensions) })
    }

    /// The adapter is a difference to one base: on any other it gives another model.
    private static func requireSameBase(_ base: BaseModel, _ directory: URL) throws {
        let state = directory.appendingPathComponent(TrainingFiles.stateFile)
        guard FileManager.default.fileExists(atPath: state.path),
            let expected = try SavedRun(ofCheckpoint: directory).inputs?.values["base"]
        else { return }
        let found = try InputDigests.digest(of: base)
        guard found == expected else {
            throw TrainingError.otherBase(
                path: base.directory.path, expected: expected, found: found)
        }
    }
}
