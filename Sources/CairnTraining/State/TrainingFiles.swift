// SPDX-License-Identifier: Apache-2.0
/// The `training/` folder of a checkpoint: what a resume needs and no other reader looks at.

import CairnEngine
import CairnFormats
import CairnTensor
import Foundation

/// `training/state.json` and `training/optimizer.safetensors`.
///
/// The state document holds the run's place, its settings and the digests of its inputs; the
/// optimizer's slots are tensors `SLOT/PARAMETER` in fp32, under the model's own names. The
/// parameters themselves are in the checkpoint's weights, which are fp32 to the bit.
enum TrainingFiles {
    static let folder = "training"
    static let stateFile = "training/state.json"
    static let optimizerFile = "training/optimizer.safetensors"
    /// Of a run's directory: the steps behind its newest checkpoint.
    static let journalFolder = "training/journal"
    /// Of state.json. A newer one is refused; older ones are read.
    static let schemaVersion = 1

    /// - Parameter digest: the state's, of which earlier files may have taken a part along.
    static func write(
        _ snapshot: RunSnapshot, _ description: RunDescription, digest: SideDigest,
        to commit: DirectoryCommit
    ) throws {
        try commit.add(name: optimizerFile, beside: digest) { sink in
            try SafetensorsWriter.write(tensors(of: snapshot.optimizer), to: &sink)
        }
        let document = document(snapshot, description, digest: digest.hex)
        try commit.add(name: stateFile, try document.serialized())
    }

    static func tensors(of optimizer: OptimizerState) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        for (name, slots) in optimizer.slots {
            for (slot, tensor) in slots { tensors["\(slot)/\(name)"] = tensor }
        }
        return tensors
    }

    /// state.json.
    static func document(
        _ snapshot: RunSnapshot, _ description: RunDescription, digest: String
    ) -> JSONValue {
        let optimizer = snapshot.optimizer
        return [
            "schema_version": JSONValue(schemaVersion),
            "cairn_version": .string(CairnVersion.string),
            "numerics_version": JSONValue(CairnVersion.numerics),
            "engine": .string(description.options?.device.engine ?? Device.cpu.engine),
            "state_digest": .string(digest),
            "run": .object(snapshot.state.json()),
            "frozen": .array(snapshot.frozen.keys.sorted().map { .string($0) }),
            "optimizer": [
                "step": JSONValue(Int(optimizer.step)),
                "groups": .array(optimizer.groups.map { .object($0.json) }),
            ],
            "settings": .object(description.settings.json()),
            "job": description.options.map { .object($0.json()) } ?? .null,
            "save": description.policy.json(),
            "inputs": description.inputs?.json ?? .null,
        ]
    }
}

/// What a checkpoint says of the run that made it: everything but the tensors.
public struct SavedRun: Sendable {
    /// The document that it was read from.
    public let file: String
    /// As the document states it.
    public let stateDigest: String
    /// The version of the numerics that the run was begun with.
    public let numericsVersion: Int
    /// Whose roundings the run has: cpu or cuda.
    public let engine: String
    /// Where the run stands.
    public let state: RunState
    /// What the trajectory depends on.
    public let settings: FineTuneSettings
    /// When checkpoints are made, and which stay.
    public let policy: SavePolicy
    /// Digests of what the job read.
    public let inputs: InputDigests?
    /// Parameters among the weights that do not train.
    let frozen: Set<String>
    let job: DocumentReader?
    let optimizer: (step: UInt64, groups: [OptimizerState.Group])

    /// Reads the state document of a checkpoint directory.
    package init(ofCheckpoint directory: URL) throws {
        let file = directory.appendingPathComponent(TrainingFiles.stateFile)
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw TrainingError.missingFile(
                directory: directory.path, name: TrainingFiles.stateFile,
                purpose: "the state that a run goes on from")
        }
        try self.init(try JSONValue.parse(contentsOf: file), file: file.path)
    }

    /// Reads a state document.
    ///
    /// - Throws: `TrainingError.newerSchema`, or `badMetadata` with the first member that is not
    ///   as it must be.
    init(_ json: JSONValue, file: String) throws {
        self.file = file
        let reader = try DocumentReader(json, file: file)
        let version = try reader.count("schema_version", atLeast: 1)
        guard version <= TrainingFiles.schemaVersion else {
            throw TrainingError.newerSchema(
                file: file, found: version, known: TrainingFiles.schemaVersion)
        }
        stateDigest = try reader.string("state_digest")
        numericsVersion = try reader.count("numerics_version")
        engine = try reader.optional("engine") { try $0.string($1) } ?? Device.cpu.engine
        state = try RunState(try reader.reader("run"))
        frozen = Set(try reader.optional("frozen") { try $0.strings($1) } ?? [])
        settings = try FineTuneSettings(try reader.reader("settings"))
        policy = try SavePolicy(try reader.reader("save"))
        inputs = try reader.optional("inputs") { try InputDigests(try $0.reader($1)) }
        job = try reader.optional("job") { try $0.reader($1) }
        let optimizer = try reader.reader("optimizer")
        self.optimizer = (
            UInt64(try optimizer.count("step")),
            try optimizer.array("groups").enumerated().map {
                try OptimizerState.Group(json: $1, file: "\(file), optimizer.groups[\($0)]")
            }
        )
    }
}
