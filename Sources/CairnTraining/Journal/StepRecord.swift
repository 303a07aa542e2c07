// SPDX-License-Identifier: Apache-2.0
/// One step of a run as the journal keeps it: its gradients, and what else of it cannot be had again.

import CairnEngine
import CairnFormats
import CairnTensor
import Foundation

/// A step that was taken before: with its gradients the optimizer takes it again, without the
/// model's forward and backward pass, and to the same bits.
struct StepRecord {
    /// What the ledger says of the step; of the state too, which proves that it was taken again.
    let entry: LedgerEntry
    /// The file that holds the step; nil on ranks that were sent it.
    let file: URL?
    /// Sums over the step's rows.
    let totals: StepTotals
    /// Before clipping, by the names of the parameters.
    let gradients: [String: Tensor]
}

extension StepRecord {
    /// The key of the file's metadata that holds everything but the gradients.
    static let metadataKey = "cairn_step"

    /// A step's file: its gradients as tensors under the parameters' names, in fp32.
    static func write(
        _ entry: LedgerEntry, _ totals: StepTotals, _ gradients: [String: Floats],
        dimensions: (String) -> [Int], context: Context, to sink: inout some ByteSink
    ) throws {
        var fingerprint = Fingerprint()
        for name in order(gradients.keys) {
            context.withHostBytes(of: gradients[name]!) { fingerprint.update($0) }
        }
        var document = entry.members
        document["weight"] = .number(totals.weight)
        document["right"] = JSONValue(totals.right)
        document["judged"] = JSONValue(totals.judged)
        document["tokens"] = JSONValue(totals.tokens)
        document["seconds"] = .number(totals.seconds)
        document["gradients"] = .string(fingerprint.hex)
        let text = try JSONValue.object(document).serialized(pretty: false)
        let layout = Dictionary(
            uniqueKeysWithValues: gradients.keys.map {
                ($0, TensorLayout(dtype: .f32, shape: Shape(dimensions($0))))
            })
        try SafetensorsWriter.write(
            layout, metadata: [metadataKey: String(decoding: text, as: UTF8.self)], to: &sink
        ) { name, emit in
            try context.withHostBytes(of: gradients[name]!) { try emit($0) }
        }
    }

    /// Reads a step's file; a byte of the gradients that changed does not pass.
    init(contentsOf url: URL) throws {
        let file = try SafetensorsFile(contentsOf: url)
        guard let text = file.metadata[Self.metadataKey] else {
            throw FormatError.entry(
                file: url.path, entry: "metadata '\(Self.metadataKey)'",
                expected: "what the step did", found: "none")
        }
        let place = "\(url.path), \(Self.metadataKey)"
        let reader = try DocumentReader(
            try JSONValue.parse(Data(text.utf8), file: place), file: place)
        entry = try LedgerEntry(reader)
        var totals = StepTotals(weight: try reader.number("weight"))
        totals.loss = entry.loss
        totals.right = try reader.count("right")
        totals.judged = try reader.count("judged")
        totals.tokens = try reader.count("tokens")
        totals.seconds = try reader.number("seconds")
        self.totals = totals
        self.file = url
        gradients = file.tensors
        var fingerprint = Fingerprint()
        for name in Self.order(gradients.keys) {
            gradients[name]!.withBytes { fingerprint.update($0) }
        }
        let expected = try reader.string("gradients")
        guard fingerprint.hex == expected else {
            throw FormatError.entry(
                file: url.path, entry: "the gradients", expected: "the fingerprint \(expected)",
                found: fingerprint.hex)
        }
    }

    private static func order(_ names: some Sequence<String>) -> [String] {
        names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Makes sure that the step, taken again, did what it did before.
    ///
    /// - Throws: `TrainingError.ledger` with the first figure that differs.
    func require(_ again: LedgerEntry) throws {
        guard let file, let difference = entry.difference(from: again) else { return }
        throw TrainingError.ledger(
            file: file.path, step: again.step, key: difference.key, expected: difference.own,
            found: difference.other)
    }

    /// Whether the gradients are those of the parameters that train: names, shapes, type.
    func fits(_ dimensions: [String: [Int]]) -> Bool {
        gradients.count == dimensions.count
            && gradients.allSatisfy { name, tensor in
                tensor.dtype == .f32 && dimensions[name] == tensor.shape.dimensions
            }
    }
}
