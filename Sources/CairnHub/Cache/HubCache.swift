// SPDX-License-Identifier: Apache-2.0
/// Repositories on this machine: pulled once, found again without a network.

import CairnFormats
import Foundation

/// What happens while a repository is pulled.
public enum PullEvent: Equatable, Sendable {
    /// The commit is known, with the number and the bytes of the files that are wanted.
    case revision(commit: String, files: Int, bytes: Int)
    /// A file begins to arrive.
    case downloading(path: String, size: Int)
    /// Bytes of a file that have arrived.
    case progress(path: String, bytes: Int, size: Int)
    /// A file is in the cache, with its digest.
    case downloaded(path: String)
    /// The Hub cannot be reached; the cache knows the revision.
    case usesCache(commit: String, reason: String)
}

/// A repository at one commit, in the cache.
public struct HubSnapshot: Equatable, Sendable {
    /// The repository.
    public let repository: RepositoryID
    /// As it was asked for.
    public let revision: String
    /// Forty hexadecimal digits that stand for the same bytes for ever.
    public let commit: String
    /// The folder of its files.
    public let directory: URL
    /// Their paths in the repository.
    public let files: [String]
    /// 0 when everything was there.
    public let downloadedBytes: Int
}

/// Where a model is: a directory, and what it came from.
public struct ModelSource: Equatable, Sendable {
    /// The directory.
    public let directory: URL
    /// Nil for a directory that the caller named.
    public let snapshot: HubSnapshot?
}

/// The cache that the Python client uses too.
public struct HubCache {
    /// Who asks the Hub.
    public let client: HubClient
    private let report: (PullEvent) -> Void

    /// The files by which Cairn reads a model; other weights of the same model stay on the Hub.
    public static let modelFiles = [
        "*.json", "*.safetensors", "*.txt", "*.jinja", "tokenizer.model", "README.md", "LICENSE*",
    ]

    /// The cache that the client's settings name; `report` is told what happens.
    public init(_ client: HubClient, report: @escaping (PullEvent) -> Void = { _ in }) {
        self.client = client
        self.report = report
    }

    /// The directory of a model that is named by a path or as `ORG/NAME[@REVISION]`.
    ///
    /// An existing directory wins. Else the repository is pulled, of its top level the files that
    /// Cairn reads; what the cache has is not fetched again, and with the network off or away the
    /// cache alone answers.
    ///
    /// - Throws: `HubError.notAModel` for a word that is neither.
    public func resolve(_ model: String) throws -> ModelSource {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: model, isDirectory: &isDirectory) {
            if isDirectory.boolValue {
                return ModelSource(
                    directory: URL(fileURLWithPath: model, isDirectory: true), snapshot: nil)
            }
            throw HubError.notAModel(model, reason: "a file is no model")
        }
        let reference: RepositoryReference
        do {
            reference = try RepositoryReference(model)
        } catch {
            throw HubError.notAModel(model, reason: "\(error)")
        }
        let snapshot: HubSnapshot
        do {
            snapshot = try pull(reference, patterns: Self.modelFiles, topLevelOnly: true)
        } catch let error as HubError where Self.isAbsent(error) {
            // The word may just as well be a path with a slip in it.
            throw HubError.notAModel(model, reason: "\(error)")
        }
        return ModelSource(directory: snapshot.directory, snapshot: snapshot)
    }

    /// Brings a repository at a revision into the cache.
    ///
    /// The patterns say which files: `*` and `?` over their whole paths; `topLevelOnly` leaves out
    /// those in folders.
    ///
    /// - Throws: `HubError`; what has arrived stays, and the next pull goes on from it.
    public func pull(
        _ reference: RepositoryReference, patterns: [String] = ["*"], topLevelOnly: Bool = false
    ) throws -> HubSnapshot {
        func isWanted(_ path: String) -> Bool {
            !(topLevelOnly && path.contains("/"))
                && patterns.contains { AllowList.matches(path, $0) }
        }
        let layout = CacheLayout(
            root: client.settings.cache, repository: reference.repository)
        if let variable = client.settings.offlineVariable {
            return try cached(
                reference, layout, isWanted, reason: "\(variable) switches the network off")
        }
        let known = layout.commit(of: reference.revision)
        let commit: String
        do {
            // With an answer at hand nobody has to wait for a network that is away.
            commit =
                HubPath.isCommit(reference.revision)
                ? reference.revision : try client.commit(of: reference, retries: known == nil)
        } catch let error as HubError where known != nil && Self.isUnreachable(error) {
            let snapshot = try cached(reference, layout, isWanted, reason: "\(error)")
            report(.usesCache(commit: snapshot.commit, reason: "\(error)"))
            return snapshot
        }
        let files = try listing(reference, commit, layout).filter { isWanted($0.path) }
        report(
            .revision(
                commit: commit, files: files.count, bytes: files.reduce(0) { $0 + $1.size }))
        let bytes = try download(files, commit, layout)
        try CacheFiles.note(commit, for: reference.revision, in: layout)
        return HubSnapshot(
            repository: reference.repository, revision: reference.revision, commit: commit,
            directory: layout.snapshot(commit), files: files.map(\.path), downloadedBytes: bytes)
    }

    // MARK: Steps

    /// What a commit holds, which never changes: from the cache, else from the Hub.
    private func listing(
        _ reference: RepositoryReference, _ commit: String, _ layout: CacheLayout
    ) throws -> [HubFile] {
        if let files = CacheFiles.files(of: commit, in: layout) { return files }
        let files = try client.files(
            of: RepositoryReference(reference.repository, revision: commit))
        try CacheFiles.makeRoot(layout.root)
        try CacheFiles.write(files, of: commit, in: layout)
        return files
    }

    private func download(
        _ files: [HubFile], _ commit: String, _ layout: CacheLayout
    ) throws -> Int {
        try CacheFiles.makeDirectory(layout.blobs)
        let blobs = BlobDownload(client: client, layout: layout, commit: commit)
        var bytes = 0
        for file in files {
            if CacheFiles.size(of: layout.blob(file.tag)) != file.size {
                report(.downloading(path: file.path, size: file.size))
                bytes += try blobs.run(file) { [report] count in
                    report(.progress(path: file.path, bytes: count, size: file.size))
                }
                report(.downloaded(path: file.path))
            }
            try CacheFiles.place(
                file, of: commit, in: layout, asLink: client.settings.usesLinks)
        }
        return bytes
    }

    private static func isAbsent(_ error: HubError) -> Bool {
        switch error {
        case .repositoryNotFound, .network, .notCached: true
        default: false
        }
    }

    /// No answer, or one that is the Hub's own trouble.
    private static func isUnreachable(_ error: HubError) -> Bool {
        switch error {
        case .network: true
        case .refused(_, let status, _, _): status >= 500
        default: false
        }
    }

    // MARK: Without a network

    /// The snapshot that the cache has; whole, as far as the cache can tell.
    private func cached(
        _ reference: RepositoryReference, _ layout: CacheLayout, _ isWanted: (String) -> Bool,
        reason: String
    ) throws -> HubSnapshot {
        let missing = HubError.notCached(
            repository: reference.repository.description, revision: reference.revision,
            cache: layout.root.path, reason: reason)
        guard let commit = layout.commit(of: reference.revision) else { throw missing }
        let directory = layout.snapshot(commit)
        guard FileManager.default.fileExists(atPath: directory.path) else { throw missing }
        let files: [String]
        if let listed = CacheFiles.files(of: commit, in: layout) {
            let wanted = listed.filter { isWanted($0.path) }
            let absent = wanted.filter {
                CacheFiles.size(of: directory.appendingPathComponent($0.path)) != $0.size
            }
            guard absent.isEmpty else {
                throw HubError.incompleteSnapshot(
                    directory: directory.path, missing: absent.map(\.path))
            }
            files = wanted.map(\.path)
        } else {
            files = try FileManager.default.subpathsOfDirectory(atPath: directory.path).sorted()
                .filter {
                    isWanted($0)
                        && CacheFiles.size(of: directory.appendingPathComponent($0)) != nil
                }
        }
        return HubSnapshot(
            repository: reference.repository, revision: reference.revision, commit: commit,
            directory: directory, files: files, downloadedBytes: 0)
    }
}
