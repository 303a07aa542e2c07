// SPDX-License-Identifier: Apache-2.0
/// Folds a checkpoint's adapter into its base: one model directory that transformers opens.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import Foundation

/// The type in which a merged model is stored.
public enum MergeType: String, CaseIterable, Sendable {
    /// Each tensor's own; of the head the one that most of the base has.
    case keep
    /// Every tensor in this type.
    case fp32, bf16, fp16

    var dtype: DType? {
        switch self {
        case .keep: nil
        case .fp32: .f32
        case .bf16: .bf16
        case .fp16: .f16
        }
    }
}

/// What a merge wrote.
public struct MergeReport: Sendable {
    /// The directory that was made.
    public let output: URL
    /// `lora`, `rslora`, `dora` or `full`.
    public let method: String
    /// Layers that a pair was folded into; 0 for a model that trained in full.
    public let mergedLayers: Int
    /// How many tensors were written.
    public let tensors: Int
    /// How many tensors are stored in each type.
    public let dtypes: [String: Int]
    /// In the order they were written; the manifest is the last.
    public let files: [CommittedFile]
}

/// A checkpoint and what it will be merged to; everything is checked before a byte is written.
///
///     let merge = try ModelMerge(best, to: output, context: Context())
///     let report = try merge.run()
///
/// The directory holds `config.json`, the weights (in as many files as the base has), the
/// checkpoint's tokenizer files byte for byte, `metadata.json`, a model card, the checkpoint's
/// receipt where it has one, and `manifest.json`.
/// The adapter's own files are not in it: readers would apply them a second time.
public struct ModelMerge {
    /// Where the merged model goes.
    public let output: URL
    /// Where the base was found; the checkpoint itself where all of it trained.
    public var base: URL { source.base.directory }
    private let source: MergeSource
    private let tensors: MergedTensors
    private let type: MergeType

    /// - Parameters:
    ///   - base: where the base is, instead of what adapter_config.json says.
    ///   - output: must not exist yet.
    ///   - storage: of an adapter that was trained over a base in codes, which numbers it is merged
    ///     into: `stored`, or those that the codes stand for.
    /// - Throws: `TrainingError.outputExists`; and whatever keeps the checkpoint from being the
    ///   model that was trained: damage, another base, tensors that do not fit.
    public init(
        _ checkpoint: URL, base: URL? = nil, to output: URL, type: MergeType = .keep,
        context: Context, storage: BaseStorage? = nil
    ) throws {
        try Self.requireNew(output)
        self.output = output
        self.type = type
        source = try MergeSource(checkpoint, base: base, storage: storage)
        try Self.requireOutside(output, of: checkpoint)
        tensors = try MergedTensors(source, dtype: type.dtype, context: context)
    }

    /// Bytes of the weights as they will be stored.
    public var byteCount: Int { tensors.layout.values.reduce(0) { $0 + $1.byteCount } }

    /// Writes the directory: all of it or nothing. It holds a few million numbers in memory at a
    /// time, beside the mapped files.
    ///
    /// - Throws: `TrainingError.tooLarge` before anything is written; `notStorable` when a merged
    ///   number does not fit the type; `FormatError` when a file cannot be written.
    public func run() throws -> MergeReport {
        let free = try Volume.freeBytes(at: output)
        let needed = byteCount + (try tokenizerBytes()) + 65536
        guard needed <= free else {
            throw TrainingError.tooLarge(path: output.path, needed: needed, free: free)
        }
        try FileManager.default.createDirectory(
            at: output.deletingLastPathComponent(), withIntermediateDirectories: true)
        let commit = try DirectoryCommit(target: output)
        try addWeights(to: commit)
        try commit.add(name: "config.json", try configuration().serialized())
        for name in CheckpointWriter.tokenizerFiles {
            let file = source.directory.appendingPathComponent(name)
            if FileManager.default.fileExists(atPath: file.path) {
                try commit.addCopy(of: file, as: name)
            }
        }
        try commit.add(name: "metadata.json", try metadata().serialized())
        if let receipt = try receipt() {
            try commit.add(name: Receipt.fileName, try receipt.json.serialized())
        }
        let card = MergedCard(source: source, type: mainType, mergedLayers: tensors.mergedCount)
        try commit.add(name: "README.md", Data(card.text.utf8))
        let manifest = Manifest(
            runID: source.manifest.runID, name: output.lastPathComponent,
            parent: source.manifest.name, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        try source.requireUnchanged()
        try Self.requireNew(output)
        return MergeReport(
            output: output, method: source.method, mergedLayers: tensors.mergedCount,
            tensors: tensors.layout.count,
            dtypes: tensors.layout.values.reduce(into: [:]) {
                $0[$1.dtype.rawValue, default: 0] += 1
            }, files: try commit.commit())
    }

    // MARK: Parts

    private static func requireNew(_ output: URL) throws {
        guard !FileManager.default.fileExists(atPath: output.path) else {
            throw TrainingError.outputExists(path: output.path)
        }
    }

    private static func requireOutside(_ output: URL, of checkpoint: URL) throws {
        let (inner, outer) = (
            output.standardizedFileURL.resolvingSymlinksInPath().pathComponents,
            checkpoint.standardizedFileURL.resolvingSymlinksInPath().pathComponents
        )
        guard !inner.starts(with: outer) else {
            throw TrainingError.unwritable(
                path: output.path, reason: "it would lie inside of the checkpoint")
        }
    }

    /// The type of most numbers, which config.json states.
    private var mainType: DType { type.dtype ?? MergedTensors.commonType(source.base) }

    /// One file, or as many as the base has, each with the tensors that lie there in the base; the
    /// head, which the base does not have, goes into the last.
    private func addWeights(to commit: DirectoryCommit) throws {
        let files = source.base.weightFiles
        var parts = [[String: TensorLayout]](repeating: [:], count: files.count)
        for (name, layout) in tensors.layout {
            let file = source.file?.tensors[name] == nil ? source.base.file(of: name) : nil
            parts[file.flatMap(files.firstIndex(of:)) ?? files.count - 1][name] = layout
        }
        // A file of the base may hold nothing but what a classifier has no use for.
        parts.removeAll(where: \.isEmpty)
        guard parts.count > 1 else { return try addWeights("model.safetensors", parts[0], commit) }
        var map: [String: String] = [:]
        for (index, part) in parts.enumerated() {
            let name = String(
                format: "model-%05d-of-%05d.safetensors", index + 1, parts.count)
            try addWeights(name, part, commit)
            for tensor in part.keys { map[tensor] = name }
        }
        let numbers = tensors.layout.values.reduce(0) { $0 + $1.shape.elementCount }
        try commit.add(
            name: "model.safetensors.index.json",
            try JSONValue.object([
                "metadata": [
                    "total_parameters": JSONValue(numbers), "total_size": JSONValue(byteCount),
                ],
                "weight_map": .object(
                    JSONObject(map.sorted { $0.key < $1.key }.map { ($0, .string($1)) })),
            ]).serialized())
    }

    private func addWeights(
        _ file: String, _ layout: [String: TensorLayout], _ commit: DirectoryCommit
    ) throws {
        try commit.add(name: file) { sink in
            try SafetensorsWriter.write(layout, to: &sink) { name, emit in
                try tensors.write(name, emit: emit)
            }
        }
    }

    private func tokenizerBytes() throws -> Int {
        let names = Set(CheckpointWriter.tokenizerFiles)
        return source.manifest.files.reduce(0) { $0 + (names.contains($1.name) ? $1.size : 0) }
    }

    /// The checkpoint's, with the type of the weights that stand beside it.
    private func configuration() -> JSONValue {
        var config = source.configuration
        let names: [DType: String] = [.f32: "float32", .bf16: "bfloat16", .f16: "float16"]
        config["dtype"] = names[mainType].map { .string($0) }
        config["torch_dtype"] = config["dtype"]
        return config
    }

    /// Which numbers of the base the adapter is merged into.
    public var storage: BaseStorage { source.storage }

    /// None where the adapter was trained over codes: the merged model is close to what the receipt
    /// is of, but neither rounds x to 8 bits nor need it be over the same numbers. Else the
    /// checkpoint's, with room for what merging rounds: the merged weights once, and where
    /// products are of bf16 numbers, or the weights are stored in 16 bits, each of those.
    private func receipt() throws -> Receipt? {
        let file = source.directory.appendingPathComponent(Receipt.fileName)
        guard FileManager.default.fileExists(atPath: file.path),
            source.storage == .stored, !source.changesBase
        else { return nil }
        let receipt = try Receipt(of: source.directory)
        let isExact = mainType == .f32 && receipt.precision == .fp32
        // The mean over a row's tokens is moved less than a single logit is.
        return receipt.loosened(to: isExact ? 1e-4 : source.task == .causal ? 0.02 : 0.05)
    }

    /// The checkpoint's, with what became of it.
    private func metadata() -> JSONValue {
        var metadata = source.metadata
        var merged: JSONObject = [
            "checkpoint": .string(source.manifest.name), "method": .string(source.method),
            "layers": JSONValue(tensors.mergedCount), "dtype": .string(type.rawValue),
            "cairn_version": .string(CairnVersion.string),
        ]
        // The merged model has no base of its own that could be in codes.
        if let trained = source.metadata["base_storage"] {
            merged["trained_base_storage"] = trained
            merged["base_storage"] = .string(source.storage.rawValue)
        }
        metadata["merged"] = .object(merged)
        metadata["base_storage"] = nil
        metadata["base_storage_sha256"] = nil
        return metadata
    }
}
