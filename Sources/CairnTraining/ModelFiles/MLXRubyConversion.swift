// SPDX-License-Identifier: Apache-2.0
/// Model files in the forms of mlx-ruby: Marshal, and npz or safetensors with a sidecar.

import CairnFormats
import CairnTensor
import Foundation

/// What stands in the file besides mlx-ruby's own keys, which it does not look at:
///
///     schema_version    1
///     optimizer_groups  name, kind, hyperparameters and parameters of every group
///     weights_sha256, weights_bytes    of the weights that a sidecar was written with
///
/// The optimizer itself is in mlx-ruby's tree: `step`, `learning_rate` and the slots of every
/// parameter, one tree per group where there are several.
extension ModelFileContent {
    init(_ checkpoint: MLXRubyCheckpoint, file: String) throws(TrainingError) {
        try Self.requireSchema(checkpoint.additions["schema_version"], file: file)
        var groups: [OptimizerState.Group] = []
        for group in checkpoint.additions["optimizer_groups"]?.array ?? [] {
            groups.append(try OptimizerState.Group(json: group, file: file))
        }
        self.init(tensors: checkpoint.tensors, metadata: checkpoint.metadata, optimizer: nil)
        if let optimizer = checkpoint.optimizer {
            self.optimizer = try state(of: optimizer, groups: groups, file: file)
        }
    }

    static func requireSchema(_ version: JSONValue?, file: String) throws(TrainingError) {
        guard let version else { return }
        if let found = version.integer, found > schemaVersion {
            throw .newerSchema(file: file, found: found, known: schemaVersion)
        }
        guard version.integer == schemaVersion else {
            throw .badMetadata(
                file: file, key: "schema_version", expected: "\(schemaVersion)",
                found: version.integer.map { "\($0)" } ?? version.kind)
        }
    }

    /// The trees of all groups as one state: they took the same steps at the same rate.
    private mutating func state(
        of optimizer: MLXRubyOptimizer, groups: [OptimizerState.Group], file: String
    ) throws(TrainingError) -> OptimizerState {
        var state = OptimizerState(step: 0, groups: groups, slots: [:])
        for (place, tree) in optimizer.states.enumerated() {
            let found = tree.scalars["step"]
            guard let step = found?.integer.flatMap(UInt64.init(exactly:)) else {
                throw .badMetadata(
                    file: file, key: "optimizer.step", expected: "a whole number of at least 0",
                    found: found?.number.map { "\($0)" } ?? "nothing")
            }
            guard place == 0 || step == state.step else {
                throw .badMetadata(
                    file: file, key: "optimizer.states.\(place).step",
                    expected: "\(state.step), as in the first group", found: "\(step)")
            }
            state.step = step
            state.learningRate = state.learningRate ?? tree.scalars["learning_rate"]?.number
            for (name, slots) in tree.slots {
                guard state.slots.updateValue(slots, forKey: name) == nil else {
                    throw .badMetadata(
                        file: file, key: name, expected: "slots in one group", found: "two")
                }
            }
            remarks += tree.scalars.keys.filter { $0 != "step" && $0 != "learning_rate" }.sorted()
                .map { "the optimizer's '\($0)' is not used" }
        }
        return state
    }

    /// Weights and sidecar, which must belong together.
    init(native path: ModelFilePath) throws {
        let format: MLXRubyCheckpoint.WeightsFormat = path.format == .npz ? .npz : .safetensors
        let tensors =
            format == .npz
            ? try NPZFile(contentsOf: path.url).tensors()
            : try SafetensorsFile(contentsOf: path.url).tensors
        let sidecar = MLXRubyCheckpoint.sidecarURL(ofWeights: path.url)
        guard
            let (data, url) = try FilePair.companion(
                of: path.url, at: sidecar, digest: Self.statedDigest)
        else {
            self.init(
                tensors: tensors, metadata: [:], optimizer: nil,
                remarks: ["there is no \(sidecar.lastPathComponent), so no metadata either"])
            return
        }
        let checkpoint = try MLXRubyCheckpoint(
            tensors: tensors, sidecar: JSONValue.parse(data, file: url.path), file: url.path,
            format: format)
        try self.init(checkpoint, file: url.path)
    }

    // MARK: Writing

    var checkpoint: MLXRubyCheckpoint {
        get throws(FormatError) {
            var checkpoint = MLXRubyCheckpoint(
                tensors: tensors, metadata: metadata, optimizer: optimizer.map(Self.trees))
            checkpoint.additions["schema_version"] = .integer(Int64(Self.schemaVersion))
            if let optimizer {
                checkpoint.additions["optimizer_groups"] = .array(
                    optimizer.groups.map { .object($0.json) })
            }
            return checkpoint
        }
    }

    private static func trees(_ state: OptimizerState) -> MLXRubyOptimizer {
        var scalars: [String: JSONValue] = ["step": .integer(Int64(clamping: state.step))]
        scalars["learning_rate"] = state.learningRate.map { .number($0) }
        let trees = state.groups.map { group in
            MLXRubyOptimizer.State(
                scalars: scalars,
                slots: state.slots.filter { group.parameters.contains($0.key) })
        }
        return trees.count == 1 ? .single(trees[0]) : .multiple(trees)
    }
}
