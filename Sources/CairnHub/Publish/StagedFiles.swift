// SPDX-License-Identifier: Apache-2.0
/// The model in a plan, as one who downloads it will load it.

import CairnFormats
import Foundation

extension PublishPlan {
    /// Makes a directory of the files by which the model is loaded, as they will be published:
    /// config.json, the tokenizer, and the adapter, or without one the weights. Files that go out
    /// byte for byte are links.
    ///
    /// Whatever else a directory holds cannot help a loader that is shown this one.
    ///
    /// - Throws: `HubError.changedFile` when a file is no longer the one that was planned.
    public func stage(in stage: URL) throws {
        let manager = FileManager.default
        try manager.createDirectory(
            at: stage, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        for file in files where isOfModel(file.path) {
            let place = stage.appendingPathComponent(file.path)
            switch file.content {
            case .rewritten(let data): try data.write(to: place)
            case .file(let source):
                let found = try SHA256.hex(ofFile: source)
                guard found == file.sha256 else {
                    throw HubError.changedFile(
                        file: file.path, expected: "SHA-256 \(file.sha256)", found: found)
                }
                try manager.createSymbolicLink(
                    at: place, withDestinationURL: source.standardizedFileURL)
            }
        }
    }

    private func isOfModel(_ path: String) -> Bool {
        let isAdapter = files.contains { $0.path == FileCleaner.adapter }
        let weights =
            isAdapter
            ? path == FileCleaner.adapter || path == "adapter_model.safetensors"
            : path == "model.safetensors" || path == "model.safetensors.index.json"
                || AllowList.isShard(path)
        return weights || path == "config.json" || AllowList.tokenizer.contains(path)
    }
}
