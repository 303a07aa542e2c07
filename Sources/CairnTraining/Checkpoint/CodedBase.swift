// SPDX-License-Identifier: Apache-2.0
/// What a checkpoint says of the base that it was trained over.

import CairnFormats
import CairnModels
import Foundation

/// How the base's linear layers were kept in training, and the digest of their codes.
///
/// An adapter is a difference to the numbers that it was trained over. Over others, as the stored
/// ones instead of their codes, it is another function: close, but not the one that was judged.
struct CodedBase {
    let storage: BaseStorage
    let digest: String?

    /// - Parameter metadata: metadata.json; without it, or its keys, the base is as stored.
    init(_ metadata: JSONValue?, of directory: URL) throws(TrainingError) {
        let named = metadata?["base_storage"]?.string ?? BaseStorage.stored.rawValue
        guard let storage = BaseStorage(rawValue: named) else {
            throw TrainingError.badMetadata(
                file: directory.appendingPathComponent("metadata.json").path,
                key: "base_storage",
                expected: BaseStorage.allCases.map(\.rawValue).joined(separator: ", "),
                found: "'\(named)'")
        }
        self.storage = storage
        digest = metadata?["base_storage_sha256"]?.string
    }

    /// Refuses codes of the training's kind that are not the training's codes.
    func requireSame(
        _ codes: QuantizedBase?, as storage: BaseStorage, _ base: BaseModel
    ) throws(TrainingError) {
        guard storage == self.storage, let digest, let codes, codes.digest != digest else { return }
        throw .otherBase(path: base.directory.path, expected: digest, found: codes.digest)
    }
}
