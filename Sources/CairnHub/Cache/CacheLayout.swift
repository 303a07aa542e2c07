// SPDX-License-Identifier: Apache-2.0
/// Where the Hub's cache keeps what, as the Python client lays it out.

import Foundation

/// The paths of one repository in a cache.
///
///     models--ORG--NAME/blobs/TAG             bytes, by git's name or, when large, by SHA-256
///     models--ORG--NAME/refs/REVISION         the commit that a branch was at
///     models--ORG--NAME/snapshots/COMMIT/...  links to the blobs, under the files' own names
///     models--ORG--NAME/trees/COMMIT.json     every file of the commit with size and digests
///     .locks/models--ORG--NAME/TAG.lock       held while a blob is made
public struct CacheLayout: Sendable {
    /// The folder of the whole cache.
    public let root: URL
    /// The repository whose places these are.
    public let repository: RepositoryID

    /// The places of a repository in a cache.
    public init(root: URL, repository: RepositoryID) {
        self.root = root
        self.repository = repository
    }

    private var folderName: String {
        "models--" + repository.description.replacingOccurrences(of: "/", with: "--")
    }

    /// The repository's own folder.
    public var folder: URL { root.appendingPathComponent(folderName, isDirectory: true) }
    var blobs: URL { folder.appendingPathComponent("blobs", isDirectory: true) }

    func blob(_ tag: String) -> URL { blobs.appendingPathComponent(tag) }

    /// The part of a blob that has arrived; the older Python client goes on from it too.
    func partial(_ tag: String) -> URL { blobs.appendingPathComponent(tag + ".incomplete") }

    func reference(_ revision: String) -> URL {
        folder.appendingPathComponent("refs").appendingPathComponent(revision)
    }

    /// The folder of a commit's files.
    public func snapshot(_ commit: String) -> URL {
        folder.appendingPathComponent("snapshots").appendingPathComponent(
            commit, isDirectory: true)
    }

    func tree(_ commit: String) -> URL {
        folder.appendingPathComponent("trees").appendingPathComponent(commit + ".json")
    }

    func lock(_ tag: String) -> URL {
        root.appendingPathComponent(".locks").appendingPathComponent(folderName)
            .appendingPathComponent(tag + ".lock")
    }

    /// The way from `snapshots/COMMIT/PATH` to `blobs/TAG`.
    static func link(from path: String, to tag: String) -> String {
        let depth = path.utf8.reduce(0) { $0 + ($1 == UInt8(ascii: "/") ? 1 : 0) }
        return String(repeating: "../", count: depth + 2) + "blobs/" + tag
    }

    /// The commit that the cache knows for a revision: a commit is its own, another has a file.
    func commit(of revision: String) -> String? {
        if let data = FileManager.default.contents(atPath: reference(revision).path) {
            let text = String(decoding: data, as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            if HubPath.isCommit(text) { return text }
        }
        return HubPath.isCommit(revision) ? revision : nil
    }

    /// What a path `.../models--ORG--NAME/snapshots/COMMIT` is a snapshot of; nil for other paths.
    public static func snapshot(
        ofPath path: String
    ) -> (repository: RepositoryID, commit: String)? {
        var parts = path.split(separator: "/").map(String.init)
        guard parts.count >= 3, let commit = parts.popLast(), HubPath.isCommit(commit),
            parts.popLast() == "snapshots", let folder = parts.popLast(),
            folder.hasPrefix("models--"),
            let repository = try? RepositoryID(
                String(folder.dropFirst("models--".count)).replacing("--", with: "/"))
        else { return nil }
        return (repository, commit)
    }
}
