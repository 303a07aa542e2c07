// SPDX-License-Identifier: Apache-2.0
/// A place that a run can go on from: everything read and checked, nothing applied yet.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import Foundation

/// The state of a run as a checkpoint holds it.
public struct ResumableRun: Sendable {
    /// The checkpoint's directory or file.
    public let source: URL
    /// State, settings and digests.
    public let saved: SavedRun
    /// What trains, under the model's own names.
    public let parameters: [String: Tensor]
    /// What was frozen, likewise.
    public let frozen: [String: Tensor]
    /// The optimizer's slots and counters.
    public private(set) var optimizer: OptimizerState

    /// Reads a checkpoint directory; its tensors are mapped, and their digest is checked.
    public init(contentsOf directory: URL) throws {
        let saved = try SavedRun(ofCheckpoint: directory)
        let adapter = directory.appendingPathComponent(PEFTAdapter.weightsFile)
        let isAdapter = FileManager.default.fileExists(atPath: adapter.path)
        let weights = try SafetensorsFile(
            contentsOf: isAdapter
                ? adapter : directory.appendingPathComponent("model.safetensors"))
        let tensors = Dictionary(
            uniqueKeysWithValues: weights.tensors.map { (PEFTAdapter.modelName($0), $1) })
        let file = try SafetensorsFile(
            contentsOf: directory.appendingPathComponent(TrainingFiles.optimizerFile))
        try self.init(
            source: directory, saved: saved, tensors: tensors,
            slots: try Self.slots(file.tensors, file: file.url.path))
    }

    /// Puts a point together from its parts: `tensors` are the weights, frozen ones among them.
    ///
    /// - Throws: `TrainingError.digestMismatch` when they do not give the digest that was stated.
    init(
        source: URL, saved: SavedRun, tensors: [String: Tensor],
        slots: [String: [String: Tensor]]
    ) throws {
        self.source = source
        self.saved = saved
        parameters = tensors.filter { !saved.frozen.contains($0.key) }
        frozen = tensors.filter { saved.frozen.contains($0.key) }
        optimizer = OptimizerState(
            step: saved.optimizer.step, groups: saved.optimizer.groups, slots: slots)
        let digest = StateDigest.of(parameters: parameters, optimizer: optimizer)
        guard digest == saved.stateDigest else {
            throw TrainingError.digestMismatch(
                path: source.path, expected: saved.stateDigest, found: digest)
        }
    }

    /// Lets go of the optimizer's slots, and of the memory that checking them took.
    mutating func dropSlots() { optimizer.slots = [:] }

    /// `SLOT/PARAMETER` into slots by parameter.
    static func slots(
        _ tensors: [String: Tensor], file: String
    ) throws -> [String: [String: Tensor]] {
        var slots: [String: [String: Tensor]] = [:]
        for (name, tensor) in tensors {
            guard let cut = name.firstIndex(of: "/"), cut != name.startIndex else {
                throw FormatError.entry(
                    file: file, entry: "tensor '\(name)'", expected: "a name SLOT/PARAMETER",
                    found: "no slash in it")
            }
            slots[String(name[name.index(after: cut)...]), default: [:]][String(name[..<cut])] =
                tensor
        }
        return slots
    }

    /// The directory of the run: that of the checkpoint directory; nil for a single file, which
    /// may lie anywhere.
    public var runDirectory: URL? {
        let place = source.standardizedFileURL.resolvingSymlinksInPath()
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory)
            && isDirectory.boolValue ? place.deletingLastPathComponent() : nil
    }

    /// What the run was asked to do, with its checkpoints in `output`.
    ///
    /// - Throws: `TrainingError.noJob` for a run whose rows came from no file.
    public func options(output: URL) throws -> FineTuneOptions {
        guard let job = saved.job else { throw TrainingError.noJob(file: saved.file) }
        return try FineTuneOptions(job, settings: saved.settings, output: output)
    }

    /// What another run says of this point as its origin.
    func parent(_ relation: RunParent.Relation) -> RunParent {
        RunParent(
            relation: relation, runID: saved.state.runID, step: saved.state.step,
            stateDigest: saved.stateDigest, path: source.standardizedFileURL.path)
    }

    /// The labels of the checkpoint, from the config.json beside its state; nil for a file.
    var labels: [String]? {
        get throws {
            let file = source.appendingPathComponent("config.json")
            guard FileManager.default.fileExists(atPath: file.path) else { return nil }
            return try ModelConfiguration(
                try JSONValue.parse(contentsOf: file), file: file.path
            ).labels
        }
    }

    /// Everything that keeps the state from being put into a model and its optimizer, each as a
    /// clause; empty when it fits.
    package func problems(_ model: Parameters, _ optimizer: Optimizer?) -> [String] {
        let names = Set(model.trainableNames)
        let still = Set(model.ownedNames).subtracting(names)
        var problems: [String] = []
        for name in names.union(saved.frozen).sorted() {
            guard names.contains(name) || still.contains(name) else {
                problems.append("'\(name)', which was frozen, is no parameter")
                continue
            }
            let expected = Shape(model.dimensions(of: name))
            guard let tensor = names.contains(name) ? parameters[name] : frozen[name] else {
                problems.append(
                    frozen[name] == nil ? "'\(name)' is missing" : "'\(name)' was frozen")
                continue
            }
            if tensor.shape != expected || tensor.dtype != .f32 {
                problems.append(
                    "'\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), expected F32 "
                        + "\(expected)")
            }
        }
        problems += parameters.keys.filter { !names.contains($0) }.sorted().map {
            "'\($0)' belongs to nothing that trains"
        }
        return problems + (optimizer?.problems(restoring: self.optimizer) ?? [])
    }

    /// Puts parameters, and with an optimizer its slots, in place: all of it or nothing.
    func apply(to model: Parameters, _ optimizer: Optimizer?) throws {
        let problems = problems(model, optimizer)
        guard problems.isEmpty else {
            throw TrainingError.doesNotFit(path: source.path, problems: problems)
        }
        for (name, tensor) in parameters.merging(frozen, uniquingKeysWith: { own, _ in own }) {
            model.set(name, to: tensor)
        }
        optimizer?.restore(self.optimizer)
    }
}
