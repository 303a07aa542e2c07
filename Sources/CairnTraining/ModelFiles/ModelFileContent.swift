// SPDX-License-Identifier: Apache-2.0
/// What a model's file holds, on the host and without a model.

import CairnFormats
import CairnTensor
import Foundation

/// Parameters, metadata and the state of an optimizer.
struct ModelFileContent {
    var tensors: [String: Tensor]
    var metadata: JSONObject
    /// Its `groups` are empty where the file does not say them.
    var optimizer: OptimizerState?
    /// What of the file was not used, a sentence each.
    var remarks: [String] = []

    static let schemaVersion = 1

    /// Reads and checks all of it.
    init(contentsOf path: ModelFilePath) throws {
        switch path.format {
        case .marshal:
            try self.init(MLXRubyCheckpoint(marshal: path.url), file: path.url.path)
        case .npz, .safetensors:
            try self.init(native: path)
        case .apr:
            try self.init(apr: APRFile(contentsOf: path.url))
        }
    }

    init(
        tensors: [String: Tensor], metadata: JSONObject, optimizer: OptimizerState?,
        remarks: [String] = []
    ) {
        self.tensors = tensors
        self.metadata = metadata
        self.optimizer = optimizer
        self.remarks = remarks
    }

    // MARK: Checks before writing

    /// Fails on a number that is not finite, in weights, slots or metadata, and on metadata that
    /// JSON cannot hold or that is too deep to be read again.
    func requireWritable() throws {
        try FiniteWeights.require(tensors)
        for (name, slots) in (optimizer?.slots ?? [:]).sorted(by: { $0.key < $1.key }) {
            let named = slots.map { ("\($0.key) of \(name)", $0.value) }
            try FiniteWeights.require(Dictionary(uniqueKeysWithValues: named))
        }
        // One level less than readers allow: every format puts the metadata into an object.
        let text = try JSONValue.array([.array([.object(metadata)])]).serialized(pretty: false)
        _ = try JSONValue.parse(text, file: "metadata")
    }

    // MARK: Writing

    /// Writes all of it, in place of an earlier file, or pair of files, as one.
    ///
    /// Fails before anything is touched on names that the format cannot hold.
    func write(to path: ModelFilePath, files: some FileOperations) throws(FormatError) {
        switch path.format {
        case .marshal:
            let content = try MarshalCheckpointWriter(checkpoint)
            try writeFile(path, files) { sink throws(FormatError) in
                try content.write(to: &sink)
            }
        case .npz: try writeNative(.npz, path, files)
        case .safetensors: try writeNative(.safetensors, path, files)
        case .apr:
            let (tensors, metadata) = try aprContent
            try writeFile(path, files) { sink throws(FormatError) in
                try APRWriter.write(tensors, metadata: metadata, to: &sink)
            }
        }
    }

    private func writeFile(
        _ path: ModelFilePath, _ files: some FileOperations,
        _ body: (inout FileSink) throws(FormatError) -> Void
    ) throws(FormatError) {
        try files.makeDirectories(path.url.deletingLastPathComponent().path)
        try DurableFile.write(to: path.url, files: files, body)
    }

    private func writeNative(
        _ format: MLXRubyCheckpoint.WeightsFormat, _ path: ModelFilePath,
        _ files: some FileOperations
    ) throws(FormatError) {
        let checkpoint = try checkpoint
        var sidecar = try checkpoint.sidecarMembers(for: format)
        try files.makeDirectories(path.url.deletingLastPathComponent().path)
        try FilePair.write(
            to: path.url, companion: MLXRubyCheckpoint.sidecarURL(ofWeights: path.url),
            files: files, digest: Self.statedDigest
        ) { sink throws(FormatError) in
            try checkpoint.writeWeights(as: format, to: &sink)
        } contents: { (sha256, byteCount) throws(FormatError) in
            sidecar["weights_sha256"] = .string(sha256)
            sidecar["weights_bytes"] = .integer(Int64(byteCount))
            return try JSONValue.object(sidecar).serialized(pretty: false)
        }
    }

    /// What a sidecar states; nil where it states nothing, or is no sidecar.
    static func statedDigest(_ sidecar: Data) -> String? {
        (try? JSONValue.parse(sidecar, file: "sidecar"))?["weights_sha256"]?.string
    }
}
