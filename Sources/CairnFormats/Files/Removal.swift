// SPDX-License-Identifier: Apache-2.0
/// Deleting directories so that no half of one is ever found under its name.

import Foundation

/// Deletes a committed directory: it loses its name in one durable step, and then its content.
///
/// `NAME` becomes `.NAME.gone-<nonce>`, the parent goes to the medium, and only then do files go.
/// A crash in between leaves a hidden directory that `Leftover.sweep` finds.
public enum Removal {
    /// Deletes the directory `name` of `directory`.
    ///
    /// - Returns: what is left where the name is gone but the content could not be removed.
    ///
    /// Fails when there is no directory of that name (a link is none), or when the system refuses
    /// the renaming; then it is still there in full.
    @discardableResult
    public static func remove(_ name: String, in directory: URL) throws(FormatError) -> URL? {
        try remove(name, in: directory, files: SystemFiles())
    }

    package static func remove(
        _ name: String, in directory: URL, files: some FileOperations
    ) throws(FormatError) -> URL? {
        try FileName.check(name)
        let place = StagingPlace(for: directory.appendingPathComponent(name))
        guard try files.kind(of: place.target) == .directory else {
            throw .system(
                operation: "remove", path: place.target, reason: "it is not a directory")
        }
        try files.rename(place.target, to: place.gone)
        do {
            try files.synchronizeDirectory(place.parent)
        } catch {
            // Nothing is deleted of what may have its name again after a crash.
            try? files.rename(place.gone, to: place.target)
            throw error
        }
        do {
            try files.remove(place.gone)
        } catch {
            return URL(fileURLWithPath: place.gone, isDirectory: true)
        }
        return nil
    }
}

/// What a process that ended in the middle left in a directory under a hidden name.
public struct Leftover: Sendable, Equatable {
    /// Which work was cut off.
    public enum Kind: String, Sendable, CaseIterable {
        /// A commit that was not put in place, or what stood there before it.
        case staging = "tmp"
        /// What stood there before a commit, where the system cannot exchange.
        case displaced = "old"
        /// A removal that was not finished.
        case removed = "gone"
    }

    /// Where it lies.
    public let url: URL
    /// The name that the content was to have, or had.
    public let name: String
    /// Which work left it.
    public let kind: Kind

    /// The leftovers in `directory`, by name; only what is named exactly as commits name it.
    public static func all(in directory: URL) throws(FormatError) -> [Leftover] {
        try all(in: directory, files: SystemFiles())
    }

    package static func all(
        in directory: URL, files: some FileOperations
    ) throws(FormatError) -> [Leftover] {
        try files.names(in: directory.path).sorted().compactMap { entry in
            parse(entry).map { name, kind in
                Leftover(url: directory.appendingPathComponent(entry), name: name, kind: kind)
            }
        }
    }

    /// Puts back what lost its name, deletes the leftovers that nobody can miss, and returns the
    /// others.
    ///
    /// A displaced directory gets its name again where that is free. Gone for good are what was
    /// being removed; a commit that its manifest does not describe in full; and all else once a
    /// directory that is whole has the name. A whole commit, and what was displaced, stay while
    /// nothing whole has the name: they are the only copy. The lock shows that no other process
    /// writes here, so that each leftover's is dead.
    public static func sweep(
        in directory: URL, holding lock: RunLock
    ) throws(FormatError) -> [Leftover] {
        try sweep(in: directory, holding: lock, files: SystemFiles())
    }

    package static func sweep(
        in directory: URL, holding lock: RunLock, files: some FileOperations
    ) throws(FormatError) -> [Leftover] {
        precondition(
            lock.directory.standardizedFileURL.path == directory.standardizedFileURL.path,
            "a lock of \(lock.directory.path) for \(directory.path)")
        let found = try all(in: directory, files: files)
        for leftover in found where leftover.kind == .displaced {
            let target = directory.appendingPathComponent(leftover.name).path
            guard try files.kind(of: target) == .none else { continue }
            try files.rename(leftover.url.path, to: target)
            try files.synchronizeDirectory(directory.path)
        }
        var kept: [Leftover] = []
        for leftover in found where try files.kind(of: leftover.url.path) != .none {
            if leftover.isNeeded {
                kept.append(leftover)
            } else {
                try files.remove(leftover.url.path)
            }
        }
        return kept
    }

    private var isNeeded: Bool {
        if kind == .removed || kind == .staging && !Self.isWhole(url) { return false }
        return !Self.isWhole(url.deletingLastPathComponent().appendingPathComponent(name))
    }

    private static func isWhole(_ directory: URL) -> Bool {
        Manifest.check(directory, sizesOnly: true).problems.isEmpty
    }

    /// `.NAME.KIND-<nonce>` in its parts.
    private static func parse(_ entry: String) -> (String, Kind)? {
        guard entry.hasPrefix("."), let dash = entry.lastIndex(of: "-") else { return nil }
        let nonce = entry[entry.index(after: dash)...]
        let digits = "0123456789abcdef"
        guard (1...16).contains(nonce.count), nonce.allSatisfy({ digits.contains($0) }) else {
            return nil
        }
        let front = entry[..<dash].dropFirst()
        guard let dot = front.lastIndex(of: "."), dot > front.startIndex,
            let kind = Kind(rawValue: String(front[front.index(after: dot)...]))
        else { return nil }
        return (String(front[..<dot]), kind)
    }
}
