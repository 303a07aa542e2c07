// SPDX-License-Identifier: Apache-2.0
/// A file that is read and written at any place, and is not for a user to keep.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Bytes on the disk that can be computed again: nothing is promised of what a crash leaves, so who
/// reads them must be able to tell.
package final class ScratchFile {
    /// Where it lies.
    package let path: String
    private let descriptor: Int32

    /// Opens the file, or makes an empty one; a link is refused.
    package init(_ path: String) throws(FormatError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if descriptor < 0 { throw .system("open", path, errno) }
    }

    deinit { close(descriptor) }

    /// Bytes of the file; 0 where the system does not say.
    package var byteCount: Int {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Makes the file empty.
    package func clear() throws(FormatError) {
        while ftruncate(descriptor, 0) != 0 {
            if errno != EINTR { throw .system("shorten", path, errno) }
        }
    }

    /// Fills `bytes` with those from `offset` on; false, and some may be filled, where the file ends
    /// before or cannot be read.
    package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool {
        var done = 0
        while done < bytes.count {
            // Never none: the loop ends before.
            let read = pread(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if read < 0, errno == EINTR { continue }
            if read <= 0 { return false }
            done += read
        }
        return true
    }

    /// That many bytes from `offset` on; nil where the file ends before or cannot be read.
    package func read(_ count: Int, at offset: Int) -> [UInt8]? {
        var isWhole = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            // The room may be more than was asked for.
            let asked = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
            isWhole = read(into: asked, at: offset)
            initialized = isWhole ? count : 0
        }
        return isWhole ? bytes : nil
    }

    /// Writes bytes from `offset` on.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FormatError) {
        var done = 0
        while done < bytes.count {
            let written = pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if written < 0, errno == EINTR { continue }
            if written <= 0 { throw .system("write", path, written == 0 ? ENOSPC : errno) }
            done += written
        }
    }

    /// Brings what was written to the medium.
    package func synchronize() throws(FormatError) {
        try SystemFiles().synchronize(descriptor, path: path)
    }

    /// Removes the file; it can be used until this object goes.
    package func remove() { unlink(path) }
}
