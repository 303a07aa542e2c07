// SPDX-License-Identifier: Apache-2.0
/// The name of the newest checkpoint, as a link beside the checkpoints.

import Foundation

/// A relative symbolic link in a directory that names one of its entries, like `latest`.
///
/// It is replaced in one step: a link `.NAME.tmp-<nonce>` is made, renamed over it, and the
/// directory brought to the medium. A reader finds the old destination or the new one.
public struct CurrentLink: Sendable {
    /// The folder that holds the link and what it names.
    public let directory: URL
    /// The link's own name.
    public let name: String
    private let files: any FileOperations

    /// The link `name` of `directory`; nothing is read or made yet.
    public init(_ name: String = "latest", in directory: URL) {
        self.init(name, in: directory, files: SystemFiles())
    }

    package init(_ name: String, in directory: URL, files: some FileOperations) {
        self.directory = directory
        self.name = name
        self.files = files
    }

    private var path: String { directory.appendingPathComponent(name).path }

    /// Names `entry` from now on.
    ///
    /// Fails when `entry` is not the plain name of a directory here, when something that is not a
    /// link stands in the way, or when the system refuses; then the link names what it did, but
    /// where the last step fails, which brings the renaming to the medium, it may name either.
    public func move(to entry: String) throws(FormatError) {
        try FileName.check(entry)
        let target = directory.appendingPathComponent(entry).path
        guard try files.kind(of: target) == .directory else {
            throw .system(
                operation: "make \(path) name", path: target, reason: "it is not a directory")
        }
        guard [.none, .link].contains(try files.kind(of: path)) else {
            throw .system(operation: "replace", path: path, reason: "it is not a symbolic link")
        }
        let place = StagingPlace(for: directory.appendingPathComponent(name))
        do {
            try files.makeLink(place.temporary, to: entry)
            try files.rename(place.temporary, to: place.target)
        } catch {
            try? files.removeFile(place.temporary)
            throw error
        }
        try files.synchronizeDirectory(place.parent)
    }

    /// The entry that is named, which may be gone; nil where there is no link.
    ///
    /// Fails on what is no link, and on a link that leads out of the directory.
    public func destination() throws(FormatError) -> String? {
        switch try files.kind(of: path) {
        case .none: return nil
        case .link: break
        default:
            throw .system(operation: "read", path: path, reason: "it is not a symbolic link")
        }
        let entry: String
        do {
            entry = try FileManager.default.destinationOfSymbolicLink(atPath: path)
        } catch {
            throw .system(operation: "read", path: path, reason: error.localizedDescription)
        }
        guard FileName.isPlain(entry) else {
            throw .entry(
                file: path, entry: "destination",
                expected: "the name of an entry of the same directory", found: "'\(entry)'")
        }
        return entry
    }
}

/// What may name an entry of a directory.
enum FileName {
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(0)
            && !name.utf8.contains(UInt8(ascii: "/"))
    }

    /// - Parameter whole: the name that `part` is a part of, for the error.
    static func check(_ part: String, of whole: String? = nil) throws(FormatError) {
        if !isPlain(part) {
            throw .fileName(whole ?? part, expected: "a name that is not empty, '.' or '..'")
        }
    }
}
