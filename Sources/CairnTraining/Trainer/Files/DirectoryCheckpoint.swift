// SPDX-License-Identifier: Apache-2.0
/// A trainer's checkpoint as a directory: weights, optimizer, state, and a manifest over them.

import CairnFormats
import CairnGraph
import CairnTensor
import Foundation

/// `model.safetensors` holds every parameter that trains under its own name;
/// `training/optimizer.safetensors` the slots as `SLOT/PARAMETER`; `training/state.json` the
/// optimizer's scalars and the metadata; `manifest.json`, written last, sizes and SHA-256 of all.
enum DirectoryCheckpoint {
    static let manifest = "manifest.json"
    private static let weights = "model.safetensors"
    private static let slots = "training/optimizer.safetensors"
    private static let state = "training/state.json"
    private static let schema = 1

    static func isOne(_ url: URL) -> Bool {
        FileManager.default.fileExists(atPath: url.appendingPathComponent(manifest).path)
    }

    /// Writes the directory in one step, in place of an earlier one.
    static func save(
        _ parameters: Parameters, _ optimizer: Optimizer, to url: URL, metadata: JSONObject
    ) throws {
        let tensors = parameters.trainableNames.reduce(into: [String: Tensor]()) {
            $0[$1] = parameters.tensor($1)
        }
        try requireFinite(tensors)
        let held = optimizer.state
        let commit = try DirectoryCommit(target: url, subfolders: ["training"])
        try commit.add(name: weights) { try SafetensorsWriter.write(tensors, to: &$0) }
        try commit.add(name: slots) { sink in
            try SafetensorsWriter.write(flattened(held), to: &sink)
        }
        let json: JSONValue = .object([
            "schema": .whole(schema),
            "optimizer": .object([
                "step": .whole(Int(held.step)),
                "groups": .array(held.groups.map { .object($0.json) }),
            ]), "metadata": JSONValue.object(metadata).withFiniteNumbers,
        ])
        try commit.add(name: state, try json.serialized())
        try commit.add(name: manifest, try listing(commit.added).serialized())
        try commit.commit()
    }

    private static func requireFinite(_ tensors: [String: Tensor]) throws(TrainingError) {
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            if let element = tensor.floats().firstIndex(where: { !$0.isFinite }) {
                throw .nonFiniteWeights(tensor: name, element: element)
            }
        }
    }

    private static func flattened(_ state: OptimizerState) -> [String: Tensor] {
        state.slots.reduce(into: [:]) { tensors, entry in
            for (slot, tensor) in entry.value { tensors["\(slot)/\(entry.key)"] = tensor }
        }
    }

    private static func listing(_ files: [CommittedFile]) -> JSONValue {
        let entries = files.sorted { $0.name < $1.name }.map { file in
            (
                file.name,
                JSONValue.object(["size": .whole(file.size), "sha256": .string(file.sha256)])
            )
        }
        return .object(["schema_version": .whole(schema), "files": .object(JSONObject(entries))])
    }

    // MARK: Reading

    /// Reads a directory, compares every file with the manifest, and the content with the model.
    static func read(
        _ url: URL, _ parameters: Parameters, _ optimizer: Optimizer
    ) throws -> ReadCheckpoint {
        try verify(url)
        let tensors = try SafetensorsFile(contentsOf: url.appendingPathComponent(weights)).tensors
        let file = url.appendingPathComponent(state)
        let reader = StateReader(
            json: try JSONValue.parse(contentsOf: file), file: file.path, place: "$")
        let schema = try reader.integer("schema")
        guard schema == Self.schema else {
            throw reader.fault("schema", "\(Self.schema)", "\(schema)")
        }
        let held = try optimizerState(
            reader, try SafetensorsFile(contentsOf: url.appendingPathComponent(slots)).tensors)
        let problems =
            problems(tensors, parameters) + optimizer.problems(restoring: held)
        guard problems.isEmpty else {
            throw TrainerError.resume(source: url.path, reason: problems.joined(separator: "; "))
        }
        return ReadCheckpoint(metadata: try reader.object("metadata"), hasOptimizer: true) {
            withOptimizer in
            for (name, tensor) in tensors { parameters.set(name, to: tensor.floats()) }
            if withOptimizer { optimizer.restore(held) }
        }
    }

    private static func verify(_ url: URL) throws {
        let file = url.appendingPathComponent(manifest)
        let reader = StateReader(
            json: try JSONValue.parse(contentsOf: file), file: file.path, place: "$")
        let files = try reader.member("files")
        for name in try reader.object("files").keys {
            let place = url.appendingPathComponent(name)
            let expected = try files.member(name).string("sha256")
            let found = try SHA256.hex(ofFile: place)
            guard found == expected else {
                throw TrainerError.damaged(path: place.path, expected: expected, found: found)
            }
        }
    }

    private static func problems(
        _ tensors: [String: Tensor], _ parameters: Parameters
    ) -> [String] {
        let names = Set(parameters.trainableNames)
        var problems = names.subtracting(tensors.keys).sorted().map { "'\($0)' is missing" }
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            guard names.contains(name) else {
                problems.append("'\(name)' is nothing that trains here")
                continue
            }
            let expected = parameters.dimensions(of: name)
            if tensor.shape.dimensions != expected || tensor.dtype != .f32 {
                problems.append(
                    "'\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), expected F32 "
                        + "\(Shape(expected))")
            }
        }
        return problems
    }

    private static func optimizerState(
        _ reader: StateReader, _ tensors: [String: Tensor]
    ) throws -> OptimizerState {
        let entry = try reader.member("optimizer")
        var slots: [String: [String: Tensor]] = [:]
        for (key, tensor) in tensors {
            guard let slash = key.firstIndex(of: "/") else {
                throw reader.fault("optimizer", "tensors named SLOT/PARAMETER", "'\(key)'")
            }
            slots[String(key[key.index(after: slash)...]), default: [:]][String(key[..<slash])] =
                tensor
        }
        return OptimizerState(
            step: UInt64(try entry.integer("step")),
            groups: try entry.array("groups").map { json in
                try OptimizerState.Group(json: json, file: reader.file)
            }, slots: slots)
    }
}
