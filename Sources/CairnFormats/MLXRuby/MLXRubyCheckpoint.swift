// SPDX-License-Identifier: Apache-2.0
/// Checkpoints as mlx-ruby writes and reads them, in both of its forms.

import CairnTensor
import Foundation

/// Parameters, metadata and the state of an optimizer.
///
/// Two forms on disk:
/// - **Marshal** (`mlx_dsl_checkpoint_v1`), one file: a hash of `format`, `model` (a tree of array
///   records), `metadata` and, if there is an optimizer, `optimizer` (a tree of them too).
/// - **native** (`mlx_dsl_checkpoint_v2_native`), two files: weights as npz or safetensors under
///   flat dotted names, and next to them `<weights>.mlxmeta.json`, a compact JSON object of
///   `format`, `weights_format`, `metadata` and `optimizer` (array records inside the JSON).
///
/// Unlike mlx-ruby, reading checks `format` and `weights_format`, refuses keys that it does not
/// know and records that are not exact, and treats a missing sidecar as an error unless told that
/// there may be none. Everything is checked before anything is handed out. Metadata is JSON's:
/// symbols are read as strings.
public struct MLXRubyCheckpoint: Sendable {
    /// How the native form keeps its weights.
    public enum WeightsFormat: String, Sendable {
        /// Arrays in a zip archive, as numpy writes them.
        case npz
        /// One safetensors file.
        case safetensors
    }

    /// By dotted name: `net.layers.0.weight`.
    public var tensors: [String: Tensor]
    /// What the trainer noted.
    public var metadata: JSONObject
    /// The optimizer's state, where there is one.
    public var optimizer: MLXRubyOptimizer?
    /// What Cairn adds, which mlx-ruby does not look at; its keys are among `additionKeys`.
    public var additions = JSONObject()

    /// A checkpoint of parts at hand.
    public init(
        tensors: [String: Tensor], metadata: JSONObject = JSONObject(),
        optimizer: MLXRubyOptimizer? = nil
    ) {
        self.tensors = tensors
        self.metadata = metadata
        self.optimizer = optimizer
    }

    /// Members beside those of mlx-ruby that either form may have.
    package static let additionKeys = [
        "schema_version", "weights_sha256", "weights_bytes", "optimizer_groups",
    ]

    static let marshalFormat = "mlx_dsl_checkpoint_v1"
    static let nativeFormat = "mlx_dsl_checkpoint_v2_native"
    /// What the name of a sidecar adds to that of its weights.
    public static let sidecarSuffix = ".mlxmeta.json"

    /// Where the sidecar of a native checkpoint lies.
    public static func sidecarURL(ofWeights url: URL) -> URL {
        url.deletingLastPathComponent().appendingPathComponent(
            url.lastPathComponent + sidecarSuffix)
    }
}

// MARK: Reading

extension MLXRubyCheckpoint {
    /// Reads a checkpoint of either form, told apart by its first bytes.
    ///
    /// - Parameters:
    ///   - url: the Marshal file, or the weights of the native form.
    ///   - requiresSidecar: whether weights without their sidecar are refused; where not, they
    ///     have no metadata and no optimizer.
    public init(contentsOf url: URL, requiresSidecar: Bool = true) throws(FormatError) {
        let start = try MappedFile(contentsOf: url)
        if MarshalReader.begins(start.bytes) {
            try self.init(marshal: url)
        } else {
            try self.init(
                weights: url, format: start.bytes.starts(with: "PK".utf8) ? .npz : .safetensors,
                requiresSidecar: requiresSidecar)
        }
    }

    /// Reads the Marshal form.
    public init(marshal url: URL) throws(FormatError) {
        let value = try MarshalReader.value(contentsOf: url)
        try self.init(payload: value, file: url.path)
    }

    package init(payload: MarshalValue, file: String) throws(FormatError) {
        let codec = PayloadCodec<MarshalValue>(file: file)
        let parts = try codec.members(payload, at: "")
        additions = try codec.additions(parts, to: ["format", "model", "metadata", "optimizer"])
        try codec.check(parts, "format", is: Self.marshalFormat)
        guard let model = parts["model"] else { throw codec.failure("model", "it", "none") }
        tensors = try codec.tensors(in: model)
        metadata = try codec.metadata(parts)
        optimizer = try codec.optimizer(parts)
    }

    /// Reads the native form.
    public init(
        weights url: URL, format: WeightsFormat, requiresSidecar: Bool = true
    ) throws(FormatError) {
        let tensors =
            switch format {
            case .npz: try NPZFile(contentsOf: url).tensors()
            case .safetensors: try SafetensorsFile(contentsOf: url).tensors
            }
        let sidecar = Self.sidecarURL(ofWeights: url)
        guard requiresSidecar || FileManager.default.fileExists(atPath: sidecar.path) else {
            self.init(tensors: tensors)
            return
        }
        try self.init(
            tensors: tensors, sidecar: try JSONValue.parse(contentsOf: sidecar),
            file: sidecar.path, format: format)
    }

    /// Takes the weights of the native form together with a sidecar that was read already.
    package init(
        tensors: [String: Tensor], sidecar: JSONValue, file: String, format: WeightsFormat
    ) throws(FormatError) {
        self.tensors = tensors
        let codec = PayloadCodec<JSONValue>(file: file)
        let parts = try codec.members(sidecar, at: "")
        additions = try codec.additions(
            parts, to: ["format", "weights_format", "metadata", "optimizer"])
        try codec.check(parts, "format", is: Self.nativeFormat)
        try codec.check(parts, "weights_format", is: format.rawValue)
        metadata = try codec.metadata(parts)
        optimizer = try codec.optimizer(parts)
    }
}

extension PayloadCodec {
    /// The members that are not `known`, which must be Cairn's.
    fileprivate func additions(
        _ parts: [String: Value], to known: [String]
    ) throws(FormatError) -> JSONObject {
        let added = MLXRubyCheckpoint.additionKeys
        var additions = JSONObject()
        for key in parts.keys.sorted() where !known.contains(key) {
            guard added.contains(key) else {
                let keys = (known + added).joined(separator: ", ")
                throw failure(key, "one of the keys \(keys)", "another")
            }
            additions[key] = try json(parts[key]!, at: key)
        }
        return additions
    }

    fileprivate func check(
        _ parts: [String: Value], _ key: String, is expected: String
    ) throws(FormatError) {
        guard let value = parts[key] else { throw failure(key, "'\(expected)'", "none") }
        guard case .text(let found) = value.view else {
            throw failure(key, "'\(expected)'", value.view.kind)
        }
        if found != expected { throw failure(key, "'\(expected)'", "'\(found)'") }
    }

    fileprivate func metadata(_ parts: [String: Value]) throws(FormatError) -> JSONObject {
        guard let value = parts["metadata"] else { throw failure("metadata", "a hash", "none") }
        let json = try json(value, at: "metadata")
        guard let object = json.object else { throw failure("metadata", "a hash", json.kind) }
        return object
    }

    fileprivate func optimizer(_ parts: [String: Value]) throws(FormatError) -> MLXRubyOptimizer? {
        guard let value = parts["optimizer"] else { return nil }
        return try optimizer(value)
    }
}

// MARK: Writing

extension MLXRubyCheckpoint {
    /// Streams the Marshal form into `sink`, tensor by tensor.
    ///
    /// Fails, before anything is written, on a type that array records lack, on names of which
    /// one continues another, and on a parameter of the optimizer that has the name of a scalar.
    public func writeMarshal(to sink: inout some ByteSink) throws(FormatError) {
        try MarshalCheckpointWriter(self).write(to: &sink)
    }

    /// Writes the weights of the native form.
    public func writeWeights(
        as format: WeightsFormat, to sink: inout some ByteSink
    ) throws(FormatError) {
        switch format {
        case .npz: try NPZWriter.write(tensors, to: &sink)
        case .safetensors: try SafetensorsWriter.write(tensors, metadata: [:], to: &sink)
        }
    }

    /// The bytes of the native form's sidecar.
    ///
    /// Fails like `writeMarshal(to:)`, and on what JSON cannot hold: numbers that are not finite,
    /// and integers of 2^63 and more.
    public func sidecar(for format: WeightsFormat) throws(FormatError) -> Data {
        try JSONValue.object(sidecarMembers(for: format)).serialized(pretty: false)
    }

    /// The members of the sidecar, checked but for numbers that are not finite.
    package func sidecarMembers(for format: WeightsFormat) throws(FormatError) -> JSONObject {
        let codec = PayloadCodec<JSONValue>(file: "sidecar")
        var members: JSONObject = [
            "format": .string(Self.nativeFormat),
            "weights_format": .string(format.rawValue),
            "metadata": .object(metadata),
        ]
        if let optimizer { members["optimizer"] = try codec.value(of: optimizer) }
        for (key, value) in additions { members[key] = value }
        return members
    }
}
