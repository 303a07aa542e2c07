// SPDX-License-Identifier: Apache-2.0
/// A directory for the files of one test.

internal import CairnFormats
package import Foundation

/// An empty directory of its own, removed with its contents when the last reference goes.
package final class TemporaryDirectory: Sendable {
    package let url: URL

    package init() throws {
        url = ScratchPlace.url
            .appendingPathComponent("cairn-test-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    package var path: String { url.path }

    package func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// Where tests put files that live no longer than they do.
package enum ScratchPlace {
    /// Memory, where the system offers a good piece of it as a folder; else the system's own place.
    ///
    /// Tests write some hundred thousand files; bringing each to a disk is what would take the time.
    package static let url: URL = {
        let memory = URL(fileURLWithPath: "/dev/shm", isDirectory: true)
        let free = (try? Volume.freeBytes(at: memory)) ?? 0
        return FileManager.default.isWritableFile(atPath: memory.path) && free >= 2 << 30
            ? memory : FileManager.default.temporaryDirectory
    }()
}
