// SPDX-License-Identifier: Apache-2.0
/// Model files in APR v2.

import CairnFormats
import CairnTensor

/// One file. Parameters stand under their own names, an optimizer's slots as
/// `__training__.optimizer.SLOT.PARAMETER`, which readers for inference skip by the beginning of
/// the name. The metadata has one member, `cairn`:
///
///     format           "cairn_model"
///     schema_version   1
///     metadata         what the caller gave
///     optimizer        step, learning_rate (where known), groups; absent without an optimizer
extension ModelFileContent {
    private static let aprFormat = "cairn_model"
    private static let slotPrefix = "__training__.optimizer."
    private static let trainingPrefix = "__training__."

    /// What `write` gives the APR writer.
    var aprContent: (tensors: [String: Tensor], metadata: JSONObject) {
        get throws(FormatError) {
            var all = tensors
            if let name = tensors.keys.first(where: { $0.hasPrefix(Self.trainingPrefix) }) {
                throw .entry(
                    file: "APR file", entry: "tensor '\(name)'",
                    expected: "a parameter's name that does not begin \(Self.trainingPrefix)",
                    found: "one that does")
            }
            var own: JSONObject = [
                "format": .string(Self.aprFormat),
                "schema_version": .integer(Int64(Self.schemaVersion)),
                "metadata": .object(metadata),
            ]
            if let optimizer {
                for (name, slots) in optimizer.slots {
                    for (slot, tensor) in slots {
                        all["\(Self.slotPrefix)\(slot).\(name)"] = tensor
                    }
                }
                var members: JSONObject = ["step": .integer(Int64(clamping: optimizer.step))]
                members["learning_rate"] = optimizer.learningRate.map { .number($0) }
                members["groups"] = .array(optimizer.groups.map { .object($0.json) })
                own["optimizer"] = .object(members)
            }
            return (all, ["cairn": .object(own)])
        }
    }

    init(apr file: APRFile) throws {
        let path = file.url.path
        var (tensors, slots) = ([String: Tensor](), [String: [String: Tensor]]())
        for name in file.names {
            guard let tensor = try file.tensor(named: name) else { continue }
            guard name.hasPrefix(Self.trainingPrefix) else {
                tensors[name] = tensor
                continue
            }
            let parts = name.dropFirst(Self.slotPrefix.count)
                .split(separator: ".", maxSplits: 1).map(String.init)
            guard name.hasPrefix(Self.slotPrefix), parts.count == 2 else {
                throw FormatError.entry(
                    file: path, entry: "tensor '\(name)'",
                    expected: "\(Self.slotPrefix)SLOT.PARAMETER", found: "another name")
            }
            slots[parts[1], default: [:]][parts[0]] = tensor
        }
        guard let own = file.metadata["cairn"] else {
            self.init(
                tensors: tensors, metadata: file.metadata, optimizer: nil,
                remarks: slots.isEmpty ? [] : ["the tensors under \(Self.slotPrefix) are not used"])
            return
        }
        try Self.requireSchema(own["schema_version"] ?? .null, file: path)
        guard own["format"]?.string == Self.aprFormat, let metadata = own["metadata"]?.object else {
            throw TrainingError.badMetadata(
                file: path, key: "cairn", expected: "a model with its metadata", found: "neither")
        }
        self.init(
            tensors: tensors, metadata: metadata,
            optimizer: try own["optimizer"].map { try Self.state($0, slots, file: path) })
        if optimizer == nil, let name = slots.keys.min() {
            throw TrainingError.badMetadata(
                file: path, key: "cairn.optimizer", expected: "an object, for there are slots",
                found: "nothing, but slots of '\(name)'")
        }
    }

    private static func state(
        _ json: JSONValue, _ slots: [String: [String: Tensor]], file: String
    ) throws(TrainingError) -> OptimizerState {
        guard let step = json["step"]?.integer.flatMap(UInt64.init(exactly:)) else {
            throw .badMetadata(
                file: file, key: "cairn.optimizer.step",
                expected: "a whole number of at least 0", found: json["step"]?.kind ?? "nothing")
        }
        guard let listed = json["groups"]?.array else {
            throw .badMetadata(
                file: file, key: "cairn.optimizer.groups", expected: "an array",
                found: json["groups"]?.kind ?? "nothing")
        }
        var groups: [OptimizerState.Group] = []
        for group in listed { groups.append(try OptimizerState.Group(json: group, file: file)) }
        return OptimizerState(
            step: step, groups: groups, slots: slots, learningRate: json["learning_rate"]?.number)
    }
}
