// SPDX-License-Identifier: Apache-2.0
/// Directories that are there in full or not at all.

import Foundation

/// A file of a committed directory.
public struct CommittedFile: Equatable, Sendable {
    /// Relative to the directory.
    public let name: String
    /// Bytes of the file.
    public let size: Int
    /// In lower-case hexadecimal digits.
    public let sha256: String

    /// A file with its size and digest.
    public init(name: String, size: Int, sha256: String) {
        self.name = name
        self.size = size
        self.sha256 = sha256
    }
}

/// Builds a directory beside its target and puts it in place in one step.
///
/// `.NAME.tmp-<nonce>` is filled; `commit` brings the files and then the directories to the medium,
/// all files one behind the other, so that a file system's journal is written once for all of
/// them; renames (exchanges, where the target exists), brings the parent to the medium and removes
/// what was there before. Any failure removes the temporary directory, leaves the target
/// as it was and throws; after that the commit is over.
///
/// Where the system cannot exchange two directories the old one is renamed aside first: a crash
/// between the two renames leaves it as `.NAME.old-<nonce>`.
public final class DirectoryCommit {
    /// Where the directory comes to stand.
    public let target: URL

    /// The old directory, where it could not be removed after the new one was in place.
    public private(set) var leftover: URL?

    /// The files so far, in the order they were added: what a manifest lists.
    public private(set) var added: [CommittedFile] = []

    private let place: StagingPlace
    private let files: any FileOperations
    private let subfolders: Set<String>
    private var made: Set<String> = []
    private var isOpen = true
    /// Files that are written and not yet on the medium.
    private var unfinished: [FileSink] = []
    /// So many, that a process may have open beside its others.
    private static let mostUnfinished = 64

    /// - Parameters:
    ///   - target: where the directory comes to stand.
    ///   - subfolders: the folders that names may begin with, as `training` in
    ///     `training/state.json`; no other name may hold a "/".
    ///
    /// Fails when the target exists and is no directory, or when nothing can be made beside it.
    public convenience init(
        target: URL, subfolders: Set<String> = []
    ) throws(FormatError) {
        try self.init(target: target, subfolders: subfolders, files: SystemFiles())
    }

    package init(
        target: URL, subfolders: Set<String> = [], files: some FileOperations
    ) throws(FormatError) {
        for folder in subfolders { try FileName.check(folder) }
        self.target = target
        self.files = files
        self.subfolders = subfolders
        place = StagingPlace(for: target)
        guard [.none, .directory].contains(try files.kind(of: place.target)) else {
            throw .system(
                operation: "replace", path: place.target, reason: "it is not a directory")
        }
        try files.makeDirectory(place.temporary)
    }

    deinit { cancel() }

    /// Adds a file of the bytes that `body` writes.
    ///
    /// - Parameter side: a digest that is taken along while the file is hashed.
    public func add(
        name: String, beside side: SideDigest? = nil, _ body: (inout FileSink) throws -> Void
    ) throws {
        precondition(isOpen, "'\(name)' added to a commit that is over")
        do {
            try checkName(name)
            if unfinished.count == Self.mostUnfinished { try unfinished.removeFirst().finish() }
            var sink = try FileSink(
                path: "\(place.temporary)/\(name)", files: files, side: side)
            do {
                try body(&sink)
            } catch {
                sink.abandon()
                throw error
            }
            unfinished.append(sink)
            added.append(
                CommittedFile(name: name, size: sink.byteCount, sha256: sink.hash.hex))
        } catch {
            cancel()
            throw error
        }
    }

    /// Writes a file of the directory from bytes at hand.
    public func add(name: String, _ data: Data) throws {
        try add(name: name) { sink in try sink.write(data) }
    }

    /// Adds the bytes of another file.
    public func addCopy(of source: URL, as name: String) throws {
        try add(name: name) { sink in
            let file = try MappedFile(contentsOf: source)
            defer { withExtendedLifetime(file) {} }
            try sink.write(file.bytes)
        }
    }

    /// Puts the directory in place; the files in the order they were added.
    @discardableResult
    public func commit() throws(FormatError) -> [CommittedFile] {
        precondition(isOpen, "a commit of \(place.target) that is over")
        do {
            while !unfinished.isEmpty { try unfinished.removeFirst().finish() }
            for folder in made.sorted() {
                try files.synchronizeDirectory("\(place.temporary)/\(folder)")
            }
            try files.synchronizeDirectory(place.temporary)
            try putInPlace()
        } catch {
            cancel()
            throw error
        }
        isOpen = false
        return added
    }

    /// Removes the temporary directory; does nothing after `commit` or a failure.
    public func cancel() {
        guard isOpen else { return }
        isOpen = false
        for sink in unfinished { sink.abandon() }
        unfinished = []
        try? files.remove(place.temporary)
    }

    // MARK: Steps

    private func putInPlace() throws(FormatError) {
        guard try files.kind(of: place.target) != .none else {
            try files.rename(place.temporary, to: place.target)
            return try confirm(undo: { () throws(FormatError) in
                try self.files.rename(self.place.target, to: self.place.temporary)
                return true
            })
        }
        if try files.exchange(place.temporary, with: place.target) {
            try confirm(undo: { () throws(FormatError) in
                try self.files.exchange(self.place.temporary, with: self.place.target)
            })
            removeOld(place.temporary)
        } else {
            try files.rename(place.target, to: place.aside)
            do {
                try files.rename(place.temporary, to: place.target)
            } catch {
                try? files.rename(place.aside, to: place.target)
                throw error
            }
            try confirm(undo: { () throws(FormatError) in
                try self.files.rename(self.place.target, to: self.place.temporary)
                try self.files.rename(self.place.aside, to: self.place.target)
                return true
            })
            removeOld(place.aside)
        }
    }

    /// Brings the parent's entries to the medium, or takes the renaming back.
    ///
    /// Where even that fails all stays as it lies: what is called temporary may be the old one.
    private func confirm(undo: () throws(FormatError) -> Bool) throws(FormatError) {
        do {
            try files.synchronizeDirectory(place.parent)
        } catch {
            if (try? undo()) != true { isOpen = false }
            throw error
        }
    }

    /// The new directory is in place and safe: a failure here must not call it off.
    private func removeOld(_ path: String) {
        do {
            try files.remove(path)
        } catch {
            leftover = URL(fileURLWithPath: path, isDirectory: true)
        }
    }

    // MARK: Names

    private func checkName(_ name: String) throws(FormatError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        for part in parts { try FileName.check(part, of: name) }
        if parts.count == 1 { return }
        guard parts.count == 2, subfolders.contains(parts[0]) else {
            let allowed = subfolders.sorted().joined(separator: ", ")
            throw .fileName(
                name,
                expected: allowed.isEmpty
                    ? "no folder" : "no folder but one level of \(allowed)")
        }
        if made.insert(parts[0]).inserted {
            try files.makeDirectory("\(place.temporary)/\(parts[0])")
        }
    }
}
