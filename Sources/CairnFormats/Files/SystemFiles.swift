// SPDX-License-Identifier: Apache-2.0
/// File operations by system calls, on Linux and on Darwin.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The system's own file operations.
package struct SystemFiles: FileOperations {
    private let synchronizes: Bool

    /// - Parameter synchronizes: false waits for no medium, for tests and to measure the waiting.
    package init(synchronizes: Bool = true) { self.synchronizes = synchronizes }

    package func makeDirectory(_ path: String) throws(FormatError) {
        if mkdir(path, 0o777) != 0 { throw .system("create directory", path, errno) }
    }

    package func createFile(_ path: String) throws(FormatError) -> Int32 {
        try Self.opened(path, O_WRONLY | O_CREAT | O_EXCL, "create")
    }

    package func openForAppending(_ path: String) throws(FormatError) -> Int32 {
        try Self.opened(path, O_WRONLY | O_APPEND | O_CREAT, "open")
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer, to file: Int32, path: String
    ) throws(FormatError) -> Int {
        // Darwin refuses more than 2^31 - 1 bytes at once.
        let count = min(bytes.count, 1 << 30)
        #if canImport(Glibc)
            let written = Glibc.write(file, bytes.baseAddress, count)
        #elseif canImport(Musl)
            let written = Musl.write(file, bytes.baseAddress, count)
        #else
            let written = Darwin.write(file, bytes.baseAddress, count)
        #endif
        if written > 0 { return written }
        if written < 0 && errno == EINTR { return 0 }
        throw .system("write", path, written == 0 ? ENOSPC : errno)
    }

    package func reserve(_ count: Int, in file: Int32, path: String) throws(FormatError) {
        #if canImport(Darwin)
            var room = fstore_t(
                fst_flags: UInt32(F_ALLOCATEALL), fst_posmode: F_PEOFPOSMODE, fst_offset: 0,
                fst_length: off_t(count), fst_bytesalloc: 0)
            let status = Self.untilDone { fcntl(file, F_PREALLOCATE, &room) }
        #else
            guard let fallocate = Self.fallocate else { return }
            let status = Self.untilDone { fallocate(file, 0, 0, off_t(count)) }
        #endif
        // Else the file system has no such operation, or a fault that the writing will meet too.
        if status != 0 && errno == ENOSPC { throw .system("reserve room for", path, errno) }
    }

    package func truncate(_ file: Int32, to count: Int, path: String) throws(FormatError) {
        if Self.untilDone({ ftruncate(file, off_t(count)) }) != 0 {
            throw .system("shorten", path, errno)
        }
    }

    package func synchronize(_ file: Int32, path: String) throws(FormatError) {
        guard synchronizes else { return }
        #if canImport(Darwin)
            // fsync alone leaves the bytes in the drive's cache; some file systems have no more.
            if Self.untilDone({ fcntl(file, F_FULLFSYNC) }) == 0 { return }
            guard errno == ENOTSUP || errno == EINVAL || errno == ENOTTY else {
                throw .system("synchronize", path, errno)
            }
        #endif
        if Self.untilDone({ fsync(file) }) != 0 { throw .system("synchronize", path, errno) }
    }

    package func bypassMemory(_ file: Int32, _ bypasses: Bool) -> Bool {
        #if canImport(Darwin)
            return fcntl(file, F_NOCACHE, bypasses ? 1 : 0) == 0
        #else
            #if arch(arm64)
                let direct: Int32 = 0o200000  // O_DIRECT of the system's fcntl.h, by processor.
            #else
                let direct: Int32 = 0o40000
            #endif
            let flags = fcntl(file, F_GETFL)
            return flags >= 0
                && fcntl(file, F_SETFL, bypasses ? flags | direct : flags & ~direct) == 0
        #endif
    }

    package func close(_ file: Int32, path: String) throws(FormatError) {
        #if canImport(Glibc)
            let status = Glibc.close(file)
        #elseif canImport(Musl)
            let status = Musl.close(file)
        #else
            let status = Darwin.close(file)
        #endif
        // After EINTR the descriptor is gone, and another thread may own its number: no retry.
        if status != 0 && errno != EINTR { throw .system("close", path, errno) }
    }

    package func synchronizeDirectory(_ path: String) throws(FormatError) {
        guard synchronizes else { return }
        let directory = try Self.opened(path, O_RDONLY | O_DIRECTORY, "open")
        defer { try? close(directory, path: path) }
        // EINVAL: the file system has no such operation for directories.
        if Self.untilDone({ fsync(directory) }) != 0 && errno != EINVAL {
            throw .system("synchronize", path, errno)
        }
    }

    package func makeLink(_ path: String, to destination: String) throws(FormatError) {
        if symlink(destination, path) != 0 { throw .system("make a link at", path, errno) }
    }

    package func rename(_ source: String, to target: String) throws(FormatError) {
        #if canImport(Glibc)
            let status = Glibc.rename(source, target)
        #elseif canImport(Musl)
            let status = Musl.rename(source, target)
        #else
            let status = Darwin.rename(source, target)
        #endif
        if status != 0 { throw .system("rename \(source) to", target, errno) }
    }

    package func exchange(_ a: String, with b: String) throws(FormatError) -> Bool {
        #if canImport(Darwin)
            let status = renamex_np(a, b, UInt32(RENAME_SWAP))
        #else
            guard let renameat2 = Self.renameat2 else { return false }
            let renameExchange: UInt32 = 2
            let status = renameat2(AT_FDCWD, a, AT_FDCWD, b, renameExchange)
        #endif
        if status == 0 { return true }
        // The kernel or the file system does not know the operation.
        if errno == ENOSYS || errno == EINVAL || errno == ENOTSUP { return false }
        throw .system("exchange \(a) with", b, errno)
    }

    package func removeFile(_ path: String) throws(FormatError) {
        if unlink(path) != 0 && errno != ENOENT { throw .system("remove", path, errno) }
    }

    package func removeDirectory(_ path: String) throws(FormatError) {
        if rmdir(path) != 0 { throw .system("remove", path, errno) }
    }

    package func kind(of path: String) throws(FormatError) -> FileKind {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return .none }
            throw .system("look at", path, errno)
        }
        return switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .directory
        case S_IFLNK: .link
        default: .other
        }
    }

    /// The size of the regular file at a path, links followed; nil where nothing is.
    func size(of path: String) throws(FormatError) -> Int? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw .system("look at", path, errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .system(operation: "read", path: path, reason: "it is no regular file")
        }
        return Int(status.st_size)
    }

    package func names(in path: String) throws(FormatError) -> [String] {
        guard let stream = opendir(path) else { throw .system("open", path, errno) }
        closedir(stream)
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw .system(operation: "list", path: path, reason: "\(error.localizedDescription)")
        }
    }

    private static func opened(
        _ path: String, _ flags: Int32, _ operation: String
    ) throws(FormatError) -> Int32 {
        let file = untilDone { open(path, flags | O_CLOEXEC, 0o666) }
        if file < 0 { throw .system(operation, path, errno) }
        return file
    }

    /// The result of a system call, made again as long as signals interrupt it.
    private static func untilDone(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }

    #if !canImport(Darwin)
        private typealias RenameAt2 =
            @convention(c) (
                Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32
            ) -> Int32

        private typealias Fallocate = @convention(c) (Int32, Int32, off_t, off_t) -> Int32

        // Looked up, because the headers hide them behind a macro and some C libraries lack them.
        private static let fallocate = dlsym(nil, "fallocate").map {
            unsafeBitCast($0, to: Fallocate.self)
        }
        private static let renameat2 = dlsym(nil, "renameat2").map {
            unsafeBitCast($0, to: RenameAt2.self)
        }
    #endif
}

extension FormatError {
    /// The case for a failed system call.
    static func system(_ operation: String, _ path: String, _ code: Int32) -> FormatError {
        let text = strerror(code).map { String(cString: $0) } ?? "unknown error"
        return .system(operation: operation, path: path, reason: "\(text) (errno \(code))")
    }
}
