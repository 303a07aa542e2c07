// SPDX-License-Identifier: Apache-2.0
/// Whether a checkpoint is what was committed, and whether its parts agree with each other.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// What a look at every byte of a checkpoint directory found.
public struct CheckpointCheck: Sendable {
    /// What was checked.
    public let directory: URL
    /// In order; the first is the first damage. Empty when the checkpoint is whole.
    public private(set) var problems: [String] = []
    /// What is odd and no damage.
    public private(set) var notes: [String] = []
    /// Files that were compared with the manifest.
    public private(set) var fileCount = 0
    /// Their bytes.
    public private(set) var byteCount = 0
    /// Recomputed from the tensors; nil where they could not be read.
    public private(set) var stateDigest: String?

    /// Checks sizes and digests against the manifest and, when these hold, the parts against each
    /// other: adapter, config.json, head, optimizer, state, and the same weights in every format.
    public init(_ directory: URL) {
        self.directory = directory
        let verification = Manifest.check(directory)
        problems = verification.problems.map { "\($0)" }
        notes = verification.strangers.map { "\($0) is not in the manifest" }
        fileCount = verification.verifiedFiles
        byteCount = verification.verifiedBytes
        guard problems.isEmpty else { return }
        attempt { try $0.checkState() }
        attempt { $0.problems += try $0.checkWeights() }
        attempt { $0.problems += try $0.checkReceipt() }
    }

    private mutating func attempt(_ body: (inout CheckpointCheck) throws -> Void) {
        do {
            try body(&self)
        } catch {
            problems.append("\(error)")
        }
    }

    private func file(_ name: String) -> URL { directory.appendingPathComponent(name) }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: file(name).path)
    }

    // MARK: The state

    /// Slots against parameters, counters against each other, and the digest.
    private mutating func checkState() throws {
        guard exists(TrainingFiles.stateFile) else {
            notes.append("no \(TrainingFiles.stateFile): it predicts and cannot resume")
            return
        }
        let point = try ResumableRun(contentsOf: directory)
        stateDigest = point.saved.stateDigest
        problems += Self.slotProblems(point)
        let metadata = try JSONValue.parse(contentsOf: file("metadata.json"))
        if metadata["step"]?.integer != point.saved.state.step {
            problems.append(
                "metadata.json: key 'step' must be \(point.saved.state.step), as in "
                    + "\(TrainingFiles.stateFile), found "
                    + (metadata["step"]?.integer.map(String.init) ?? "nothing"))
        }
    }

    /// A slot of every kind for every parameter that trains, in its shape, and no other.
    private static func slotProblems(_ point: ResumableRun) -> [String] {
        let kinds = Set(point.optimizer.slots.values.flatMap(\.keys))
        var problems: [String] = []
        for (name, tensor) in point.parameters.sorted(by: { $0.key < $1.key }) {
            let slots = point.optimizer.slots[name] ?? [:]
            for kind in kinds.sorted() {
                guard let slot = slots[kind] else {
                    problems.append("\(TrainingFiles.optimizerFile): '\(kind)/\(name)' is missing")
                    continue
                }
                if slot.shape != tensor.shape || slot.dtype != .f32 {
                    problems.append(
                        "\(TrainingFiles.optimizerFile): '\(kind)/\(name)' is "
                            + "\(slot.dtype.rawValue) \(slot.shape), expected F32 \(tensor.shape)")
                }
            }
        }
        problems += point.optimizer.slots.keys.filter { point.parameters[$0] == nil }.sorted()
            .map { "\(TrainingFiles.optimizerFile): slots of '\($0)', which does not train" }
        return problems
    }

    /// The receipt against config.json, and against the rows that it is about.
    private func checkReceipt() throws -> [String] {
        guard exists(Receipt.fileName) else { return [] }
        let receipt = try Receipt(of: directory)
        let config = try ModelConfiguration(
            try JSONValue.parse(contentsOf: file("config.json")),
            file: file("config.json").path)
        var problems: [String] = []
        // What a language model's base says of labels is none of its task.
        if receipt.task != .causal, let labels = config.labels, labels != receipt.task.labels {
            problems.append(
                "\(Receipt.fileName): expected the labels of config.json, "
                    + "\(labels.joined(separator: ", ")); found "
                    + receipt.task.labels.joined(separator: ", "))
        }
        if exists(ReceiptRows.fileName) {
            let expected = try ReceiptRows(of: directory).rows.map(\.tokens)
            if receipt.rows.map(\.tokens) != expected {
                problems.append(
                    "\(Receipt.fileName): its rows are not those of \(ReceiptRows.fileName)")
            }
        }
        return problems
    }

    // MARK: The weights

    private func checkWeights() throws -> [String] {
        let config = try ModelConfiguration(
            try JSONValue.parse(contentsOf: file("config.json")),
            file: file("config.json").path)
        let model = try SafetensorsDirectory(contentsOf: directory)
        var problems: [String] = []
        var own = Dictionary(
            uniqueKeysWithValues: model.names.map { ($0, model.tensor(named: $0)!) })
        let beside = own
        if exists(PEFTAdapter.weightsFile) {
            let adapter = try PEFTAdapter(contentsOf: directory)
            problems += Self.pairProblems(adapter)
            own = try SafetensorsFile(contentsOf: file(PEFTAdapter.weightsFile)).tensors
            problems += Self.differences(
                own, "\(PEFTAdapter.weightsFile)", beside.filter { own[$0.key] != nil },
                "model.safetensors")
        }
        if exists(CheckpointWriter.aprFile) {
            let file = try APRFile(contentsOf: file(CheckpointWriter.aprFile))
            var tensors: [String: Tensor] = [:]
            for entry in file.entries { tensors[entry.name] = try file.tensor(named: entry.name) }
            problems += Self.differences(own, "the weights", tensors, CheckpointWriter.aprFile)
        }
        problems += Self.headProblems(own, labels: config.labels?.count ?? 2)
        return problems
    }

    /// Every A with its B, of the rank in adapter_config.json, and magnitudes just for DoRA.
    private static func pairProblems(_ adapter: PEFTAdapter) -> [String] {
        let file = PEFTAdapter.weightsFile
        let rank = adapter.configuration.rank
        var problems: [String] = []
        for (name, a) in adapter.tensors.sorted(by: { $0.key < $1.key })
        where name.hasSuffix(".lora_A.weight") {
            let module = String(name.dropLast(".lora_A.weight".count))
            guard let b = adapter.tensors[module + ".lora_B.weight"] else {
                problems.append("\(file): '\(module)' has lora_A and no lora_B")
                continue
            }
            if a.shape.rank != 2 || b.shape.rank != 2 || a.shape[0] != rank || b.shape[1] != rank {
                problems.append(
                    "\(file): the pair of '\(module)' is \(a.shape) and \(b.shape), expected rank "
                        + "\(rank), as in \(PEFTAdapter.configurationFile)")
            }
            if !adapter.configuration.targets.matches(module) {
                problems.append(
                    "\(file): '\(module)' has a pair and is no target of "
                        + PEFTAdapter.configurationFile)
            }
            let hasMagnitude = adapter.tensors[module + ".lora_magnitude_vector"] != nil
            if hasMagnitude != adapter.configuration.usesDoRA {
                problems.append(
                    "\(file): '\(module)' has \(hasMagnitude ? "a" : "no") magnitude, and "
                        + "use_dora is \(adapter.configuration.usesDoRA)")
            }
        }
        return problems
    }

    /// The head's last layer has a row per label.
    private static func headProblems(_ tensors: [String: Tensor], labels: Int) -> [String] {
        let heads = ["score.weight", "classifier.weight", "classifier.out_proj.weight"]
        return tensors.sorted { $0.key < $1.key }.compactMap { name, tensor in
            let plain = PEFTAdapter.modelName(name)
            guard heads.contains(plain), tensor.shape.rank == 2, tensor.shape[0] != labels else {
                return nil
            }
            return "the head '\(plain)' is \(tensor.shape), and config.json has \(labels) labels"
        }
    }

    /// Two files of the same tensors, bit by bit.
    static func differences(
        _ a: [String: Tensor], _ aFile: String, _ b: [String: Tensor], _ bFile: String
    ) -> [String] {
        var problems: [String] = []
        for (name, tensor) in a.sorted(by: { $0.key < $1.key }) {
            guard let other = b[name] else {
                problems.append("\(bFile): '\(name)' of \(aFile) is missing")
                continue
            }
            let isSame =
                tensor.dtype == other.dtype && tensor.shape == other.shape
                && tensor.withBytes { x in other.withBytes { y in x.elementsEqual(y) } }
            if !isSame { problems.append("\(bFile): '\(name)' differs from that of \(aFile)") }
        }
        return problems
            + b.keys.filter { a[$0] == nil }.sorted().map {
                "\(bFile): '\($0)' is not in \(aFile)"
            }
    }
}
