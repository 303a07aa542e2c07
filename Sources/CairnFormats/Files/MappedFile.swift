// SPDX-License-Identifier: Apache-2.0
/// Files as memory, read by the system when touched.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file mapped read-only; the mapping lasts as long as the object.
///
/// Nobody may shorten the file meanwhile: the system answers a read beyond its end with a signal.
/// Files of this project are replaced by renaming, which leaves a mapping as it was.
public final class MappedFile: @unchecked Sendable {
    // Unchecked: the bytes are never written and go away with the last reference.
    /// The file that is mapped.
    public let url: URL
    /// Its bytes, valid as long as this object lives.
    public let bytes: UnsafeRawBufferPointer

    /// Fails when `url` is no regular file, or when the system refuses to open or to map it.
    public init(contentsOf url: URL) throws(FormatError) {
        let (file, count) = try Self.opened(url)
        defer { close(file) }
        self.url = url
        guard count > 0 else {  // mmap refuses a length of zero
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, file, 0), start != MAP_FAILED
        else { throw .system("map", url.path, errno) }
        bytes = UnsafeRawBufferPointer(start: start, count: count)
    }

    /// Lets the system take back the memory that was read of these bytes; who reads them again, reads
    /// the file again.
    func release(_ range: Range<Int>) {
        guard let start = bytes.baseAddress else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        // Pages on the edges hold neighbours too.
        let first = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound == bytes.count ? bytes.count : range.upperBound / page * page
        guard first < end else { return }
        _ = madvise(
            UnsafeMutableRawPointer(mutating: start + first), end - first, MADV_DONTNEED)
    }

    /// A descriptor of a regular file, and how many bytes it has.
    private static func opened(_ url: URL) throws(FormatError) -> (file: Int32, count: Int) {
        let path = url.path
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("open", path, errno) }
        var status = stat()
        guard fstat(file, &status) == 0 else {
            defer { close(file) }
            throw .system("open", path, errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(file)
            let isDirectory = status.st_mode & S_IFMT == S_IFDIR
            throw .system("open", path, isDirectory ? EISDIR : EINVAL)
        }
        return (file, Int(status.st_size))
    }

    /// Gives a file's bytes in order, a piece at a time; no more of it is ever in memory, which a
    /// mapping of a large file would be.
    static func read(
        _ url: URL, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(FormatError) {
        let (file, _) = try opened(url)
        defer { close(file) }
        let size = 1 << 20
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { piece.deallocate() }
        while true {
            #if canImport(Glibc)
                let count = Glibc.read(file, piece.baseAddress, size)
            #elseif canImport(Musl)
                let count = Musl.read(file, piece.baseAddress, size)
            #else
                let count = Darwin.read(file, piece.baseAddress, size)
            #endif
            if count == 0 { return }
            if count > 0 {
                body(UnsafeRawBufferPointer(rebasing: piece[..<count]))
            } else if errno != EINTR {
                throw .system("read", url.path, errno)
            }
        }
    }

    deinit {
        if let start = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
        }
    }
}
