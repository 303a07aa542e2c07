// SPDX-License-Identifier: Apache-2.0
/// A lock between processes, on a file that the Python client locks too.

import CairnFormats
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

enum FileLock {
    /// Runs `body` while this process holds the lock; waits for whoever holds it.
    ///
    /// The system gives the lock back when the process ends, however it ends.
    static func hold<Value>(_ url: URL, _ body: () throws -> Value) throws -> Value {
        try CacheFiles.makeDirectory(url.deletingLastPathComponent())
        let file = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw FormatError.system(
                operation: "open", path: url.path, reason: String(cString: strerror(errno)))
        }
        defer { close(file) }
        while flock(file, LOCK_EX) != 0 {
            guard errno == EINTR else {
                throw FormatError.system(
                    operation: "lock", path: url.path, reason: String(cString: strerror(errno)))
            }
        }
        return try body()
    }
}
