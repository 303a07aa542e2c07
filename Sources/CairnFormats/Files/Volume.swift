// SPDX-License-Identifier: Apache-2.0
/// How much more a disk can take.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The volume that holds a path.
public enum Volume {
    /// Bytes that this user can still write to the volume of `url`, which need not exist yet: its
    /// nearest existing ancestor counts.
    public static func freeBytes(at url: URL) throws(FormatError) -> Int {
        var place = url.standardizedFileURL.absoluteURL
        while !FileManager.default.fileExists(atPath: place.path), place.path != "/" {
            place = place.deletingLastPathComponent()
        }
        return try freeBytes(existing: place)
    }

    #if canImport(Darwin)
        /// What the system would make room for is free too: snapshots and caches.
        private static func freeBytes(existing url: URL) throws(FormatError) -> Int {
            let key = URLResourceKey.volumeAvailableCapacityForImportantUsageKey
            let other = URLResourceKey.volumeAvailableCapacityKey
            do {
                let values = try url.resourceValues(forKeys: [key, other])
                // 0 stands for "unknown" on volumes that make no room.
                if let count = values.volumeAvailableCapacityForImportantUsage, count > 0 {
                    return Int(clamping: count)
                }
                if let count = values.volumeAvailableCapacity { return count }
            } catch {
                throw .system(
                    operation: "ask for the free space at", path: url.path,
                    reason: error.localizedDescription)
            }
            throw .system(
                operation: "ask for the free space at", path: url.path,
                reason: "the volume does not say")
        }
    #else
        private static func freeBytes(existing url: URL) throws(FormatError) -> Int {
            var status = statvfs()
            guard statvfs(url.path, &status) == 0 else {
                throw .system("ask for the free space at", url.path, errno)
            }
            let (bytes, overflow) = UInt64(status.f_bavail)
                .multipliedReportingOverflow(by: UInt64(status.f_frsize))
            return overflow ? .max : Int(clamping: bytes)
        }
    #endif
}
