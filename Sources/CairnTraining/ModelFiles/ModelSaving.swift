// SPDX-License-Identifier: Apache-2.0
/// `save`: one model, and what its optimizer remembers, into one file or a file with its sidecar.

import CairnFormats
import CairnModels
import CairnTensor
import Foundation

extension TrainableModel {
    /// Writes the model's parameters, metadata and, if given, the optimizer's state.
    ///
    ///     try model.save(to: "ck/ep-5.safetensors", optimizer: optimizer, metadata: ["epoch": 5])
    ///
    /// Parameters are those of `checkpointNames`: all of a model of one's own, frozen ones
    /// included; of a base with LoRA the adapter and the head only, so that no base is copied. The
    /// file is there in full or not at all, and so are a file of weights and its sidecar together.
    /// Names, keys and sidecar are mlx-ruby's, which reads the three formats other than APR; the
    /// slots of an optimizer are decimal text there, as it has them. For large models and for
    /// runs, the checkpoint directory is the better place.
    ///
    /// - Parameters:
    ///   - url: the file; `ModelFilePath` has the rules for names.
    ///   - optimizer: nil writes the weights alone.
    ///   - metadata: any JSON object.
    ///   - format: nil for what the extension says.
    /// - Returns: the path that was written, which has an extension added where one was needed.
    /// - Throws: before anything is touched, `TrainingError` for an unknown extension and for
    ///   numbers that are not finite, `FormatError` for metadata that is no JSON; and when a file
    ///   cannot be written, and then an earlier one is still there.
    /// - Precondition: the optimizer moves the parameters of this model.
    @discardableResult
    public func save(
        to url: URL, optimizer: Optimizer? = nil, metadata: JSONObject = [:],
        format: CheckpointFormat? = nil
    ) throws -> URL {
        try save(
            to: url, optimizer: optimizer, metadata: metadata, format: format, files: SystemFiles())
    }

    package func save(
        to url: URL, optimizer: Optimizer? = nil, metadata: JSONObject = [:],
        format: CheckpointFormat? = nil, files: some FileOperations
    ) throws -> URL {
        requireOwn(optimizer)
        let path = try ModelFilePath(savingTo: url, format: format)
        let content = ModelFileContent(
            tensors: Dictionary(
                uniqueKeysWithValues: checkpointNames.map { ($0, parameters.tensor($0)) }),
            metadata: metadata, optimizer: optimizer?.state)
        try content.requireWritable()
        try content.write(to: path, files: files)
        return path.url
    }

    func requireOwn(_ optimizer: Optimizer?) {
        precondition(
            optimizer == nil || optimizer!.parameters === parameters,
            "the optimizer moves the parameters of another model")
    }
}
