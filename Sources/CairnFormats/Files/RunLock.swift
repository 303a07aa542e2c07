// SPDX-License-Identifier: Apache-2.0
/// One writer at a time in a run's directory.

import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The right to write into a directory, held until `release`, the last reference or the end of
/// the process, however it ends.
///
/// What holds is `flock` on `.cairn-lock`: the system takes it back with the process, so a crash
/// leaves no lock; it belongs to the open file, so two runs of one process exclude each other and
/// no other use of the file lets it go, both of which `F_SETLK` does not give. What the file says
/// (process, host, boot, start) explains a refusal. Only where the file system knows no locks is
/// it believed: a process of this host that is gone has no right any more, one of another host
/// keeps it until a person removes the file.
public final class RunLock: Sendable {
    /// The lock file's name in its directory.
    public static let fileName = ".cairn-lock"

    /// The directory that is held.
    public let directory: URL
    /// What a user should know: whose lock was taken over, if the last owner did not let go of it.
    public let note: String?

    private let path: String
    private let file: OpenLock

    /// Takes the lock, or fails with `FormatError.inUse`, which says by whom and what to do.
    public convenience init(_ directory: URL) throws(FormatError) {
        try self.init(directory, lock: OpenLock.systemLock)
    }

    /// - Parameter lock: `flock` or what a test puts in its place.
    package init(
        _ directory: URL, owner: ProcessIdentity = .current,
        lock: (Int32) -> OpenLock.Outcome
    ) throws(FormatError) {
        self.directory = directory
        path = directory.appendingPathComponent(Self.fileName).path
        let (file, isNew) = try OpenLock.open(path)
        do throws(FormatError) {
            let holder = LockOwner(readingFrom: file.descriptor)
            switch lock(file.descriptor) {
            case .taken:
                // Its name may have gone while it was opened: then it locks nothing.
                guard file.isStill(at: path) else { throw Self.refusal(directory, nil, path) }
            case .held: throw Self.refusal(directory, holder, path)
            case .unsupported:
                if !isNew, holder?.identity.isAlive ?? true {
                    throw Self.refusal(directory, holder, path, isCertain: false)
                }
            }
            note = isNew ? nil : holder.map { Self.takeover($0) }
        } catch {
            file.close()
            throw error
        }
        do {
            try LockOwner(identity: owner, since: Date()).write(to: file.descriptor, path: path)
        } catch {
            file.close(removing: path)
            throw error
        }
        self.file = file
    }

    deinit { release() }

    /// Lets go of the directory; a second call does nothing.
    public func release() {
        // Removed while it is still locked: who opens it now finds that its name is gone.
        file.close(removing: path)
    }

    private static func takeover(_ owner: LockOwner) -> String {
        "the lock of \(owner) is taken over: nobody holds it any more"
    }

    private static func refusal(
        _ directory: URL, _ owner: LockOwner?, _ path: String, isCertain: Bool = true
    ) -> FormatError {
        .inUse(
            directory: directory.path, owner: owner?.description ?? "another process",
            advice: isCertain
                ? "wait for it, stop it, or use another directory"
                : "its file system has no locks to ask; if that process is gone, remove \(path)")
    }
}

/// Who holds a lock, as its file tells.
struct LockOwner: CustomStringConvertible {
    let identity: ProcessIdentity
    let since: String

    init(identity: ProcessIdentity, since: Date) {
        self.identity = identity
        self.since = since.formatted(.iso8601)
    }

    /// Nil where the file says nothing that can be read, as while its owner is writing it.
    init?(readingFrom descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0,
            let json = try? JSONValue.parse(Data(bytes.prefix(count)), file: RunLock.fileName),
            let pid = json["pid"]?.integer.flatMap(Int32.init(exactly:)),
            let host = json["host"]?.string, let boot = json["boot"]?.string,
            let start = json["start"]?.string, let since = json["since"]?.string
        else { return nil }
        identity = ProcessIdentity(pid: pid, host: host, boot: boot, start: start)
        self.since = since
    }

    var description: String {
        "process \(identity.pid) on host \(identity.host) since \(since)"
    }

    func write(to descriptor: Int32, path: String) throws(FormatError) {
        let text = try JSONValue.object([
            "pid": .integer(Int64(identity.pid)), "host": .string(identity.host),
            "boot": .string(identity.boot), "start": .string(identity.start),
            "since": .string(since),
        ]).serialized()
        guard ftruncate(descriptor, 0) == 0 else { throw .system("shorten", path, errno) }
        let count = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == text.count else {
            throw .system("write", path, count < 0 ? errno : ENOSPC)
        }
    }
}

/// The open file under a lock.
package final class OpenLock: @unchecked Sendable {
    package enum Outcome { case taken, held, unsupported }

    // Unchecked: the only change is under the mutex.
    private let mutex = NSLock()
    private var isOpen = true
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    package static func systemLock(_ file: Int32) -> Outcome {
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR: continue
            case EWOULDBLOCK: return .held
            default: return .unsupported
            }
        }
        return .taken
    }

    /// Opens the file, made new where there is none.
    static func open(_ path: String) throws(FormatError) -> (OpenLock, isNew: Bool) {
        let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW
        #if canImport(Glibc)
            let call = { (extra: Int32) in Glibc.open(path, flags | extra, 0o666) }
        #elseif canImport(Musl)
            let call = { (extra: Int32) in Musl.open(path, flags | extra, 0o666) }
        #else
            let call = { (extra: Int32) in Darwin.open(path, flags | extra, 0o666) }
        #endif
        while true {
            let made = call(O_CREAT | O_EXCL)
            if made >= 0 { return (OpenLock(made), true) }
            guard errno == EEXIST || errno == EINTR else { throw .system("lock", path, errno) }
            let found = call(0)
            if found >= 0 { return (OpenLock(found), false) }
            // Between the two calls its owner may have let go of it.
            guard errno == ENOENT || errno == EINTR else { throw .system("lock", path, errno) }
        }
    }

    /// Whether the path leads to this file.
    func isStill(at path: String) -> Bool {
        var (own, other) = (stat(), stat())
        return fstat(descriptor, &own) == 0 && lstat(path, &other) == 0
            && own.st_ino == other.st_ino && own.st_dev == other.st_dev
    }

    func close(removing path: String? = nil) {
        mutex.withLock {
            guard isOpen else { return }
            isOpen = false
            if let path, isStill(at: path) { unlink(path) }
            #if canImport(Glibc)
                _ = Glibc.close(descriptor)
            #elseif canImport(Musl)
                _ = Musl.close(descriptor)
            #else
                _ = Darwin.close(descriptor)
            #endif
        }
    }
}
