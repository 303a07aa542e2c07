// SPDX-License-Identifier: Apache-2.0
/// Checks of single files that need no model.

import CairnFormats
import Foundation

/// Files that `TrainableModel.save` writes.
public enum ModelFiles {
    /// What is wrong between a file of weights and its sidecar, as a sentence; nil where they
    /// belong together, and for a file that has none.
    public static func problem(of url: URL) throws -> String? {
        let sidecar = MLXRubyCheckpoint.sidecarURL(ofWeights: url)
        guard FileManager.default.fileExists(atPath: sidecar.path) else { return nil }
        do {
            _ = try ModelFileContent(contentsOf: ModelFilePath(loadingFrom: url))
            return nil
        } catch {
            return "\(error)"
        }
    }
}
