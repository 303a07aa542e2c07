// SPDX-License-Identifier: Apache-2.0
/// The directories on the way to a file.

import Foundation

extension FileOperations {
    /// Makes a directory and those above it where they are missing, each brought to the medium.
    package func makeDirectories(_ path: String) throws(FormatError) {
        guard try kind(of: path) == .none else { return }
        let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
        if parent != path { try makeDirectories(parent) }
        do {
            try makeDirectory(path)
        } catch {
            // Another process may have made it meanwhile.
            if try kind(of: path) != .directory { throw error }
        }
        try synchronizeDirectory(parent)
    }
}
