// SPDX-License-Identifier: Apache-2.0
/// A trainer's checkpoint as a directory: weights, optimizer, state, and a manifest over them.

import CairnFormats
import CairnTensor
import Foundation

/// `model.safetensors` holds every parameter under its own name; `training/optimizer.safetensors`
/// the slots as `SLOT/PARAMETER`; `training/state.json` the optimizer's scalars and groups and the
/// metadata; `manifest.json`, written last, sizes and SHA-256 of all.
enum DirectoryCheckpoint {
    private static let weights = "model.safetensors"
    private static let slots = "training/optimizer.safetensors"
    private static let state = "training/state.json"
    private static let schema = 1

    static func isOne(_ url: URL) -> Bool {
        FileManager.default.fileExists(
            atPath: url.appendingPathComponent(Manifest.fileName).path)
    }

    /// Writes the directory in one step, in place of an earlier one; the content is known to be
    /// writable.
    static func write(_ content: ModelFileContent, to url: URL, runID: String) throws {
        let commit = try DirectoryCommit(target: url, subfolders: ["training"])
        try commit.add(name: weights) { try SafetensorsWriter.write(content.tensors, to: &$0) }
        var json: JSONObject = ["schema": .whole(schema), "metadata": .object(content.metadata)]
        if let optimizer = content.optimizer {
            let tensors = optimizer.slots.reduce(into: [String: Tensor]()) { tensors, entry in
                for (slot, tensor) in entry.value { tensors["\(slot)/\(entry.key)"] = tensor }
            }
            try commit.add(name: slots) { try SafetensorsWriter.write(tensors, to: &$0) }
            json["optimizer"] = .object([
                "step": .whole(Int(optimizer.step)),
                "learning_rate": .real(optimizer.learningRate),
                "groups": .array(optimizer.groups.map { .object($0.json) }),
            ])
        }
        try commit.add(name: state, try JSONValue.object(json).serialized())
        let manifest = Manifest(
            runID: runID, name: url.lastPathComponent, parent: nil, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        try commit.commit()
    }

    /// Reads a directory, every file of it compared with the manifest.
    static func read(_ url: URL) throws -> ModelFileContent {
        let verification = Manifest.check(url)
        guard verification.isWhole else {
            throw TrainerError.resume(
                source: url.path,
                reason: verification.problems.map(\.description).joined(separator: "; "))
        }
        let file = url.appendingPathComponent(state)
        let reader = try DocumentReader(try JSONValue.parse(contentsOf: file), file: file.path)
        let schema = try reader.count("schema")
        guard schema == Self.schema else {
            throw reader.failure("schema", "\(Self.schema)", found: "\(schema)")
        }
        return ModelFileContent(
            tensors: try SafetensorsFile(contentsOf: url.appendingPathComponent(weights)).tensors,
            metadata: try reader.members("metadata"),
            optimizer: reader.object["optimizer"] == nil
                ? nil : try optimizerState(try reader.reader("optimizer"), url))
    }

    private static func optimizerState(_ reader: DocumentReader, _ url: URL) throws
        -> OptimizerState
    {
        let file = try SafetensorsFile(contentsOf: url.appendingPathComponent(slots))
        var slots: [String: [String: Tensor]] = [:]
        for (key, tensor) in file.tensors {
            guard let slash = key.firstIndex(of: "/") else {
                throw FormatError.entry(
                    file: file.url.path, entry: "tensor '\(key)'",
                    expected: "a name SLOT/PARAMETER", found: "no slash in it")
            }
            let parameter = String(key[key.index(after: slash)...])
            slots[parameter, default: [:]][String(key[..<slash])] = tensor
        }
        return OptimizerState(
            step: UInt64(try reader.count("step")),
            groups: try reader.array("groups").map {
                try OptimizerState.Group(json: $0, file: reader.file)
            }, slots: slots, learningRate: try reader.optionalReal("learning_rate"))
    }
}
