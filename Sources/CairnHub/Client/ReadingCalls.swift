// SPDX-License-Identifier: Apache-2.0
/// The Hub's calls about what a repository holds.

import CairnFormats
import Foundation

/// A file of a repository at a commit.
public struct HubFile: Equatable, Sendable {
    /// The path in the repository.
    public let path: String
    /// Bytes of the file.
    public let size: Int
    /// git's name of what the repository itself holds: the file, or the pointer to a large one.
    public let blobID: String
    /// Of a large file; nil for one that the repository itself holds.
    public let sha256: String?

    /// A file as the Hub lists it.
    public init(path: String, size: Int, blobID: String, sha256: String?) {
        self.path = path
        self.size = size
        self.blobID = blobID
        self.sha256 = sha256
    }

    /// What the Hub sends as ETag, and the cache names the bytes by.
    public var tag: String { sha256 ?? blobID }
}

extension HubClient {
    /// The commit that a branch, tag or short commit stands for.
    ///
    /// Passing trouble is waited out, unless `retries` is false.
    public func commit(of target: RepositoryReference, retries: Bool = true) throws -> String {
        let request = HubRequest(
            url: url(
                "/api/models/\(target.repository)/revision/\(HubPath.encoded(target.revision))"),
            idleSeconds: 10)
        let response = try send(
            request, Conduct(retries: retries, awaitsNetwork: false, subject: target))
        return try document(response, of: request).required("sha", "a commit", of: request) {
            $0.string.flatMap { HubPath.isCommit($0) ? $0 : nil }
        }
    }

    /// Every file of a repository at a revision, over as many pages as it takes.
    ///
    /// - Throws: `HubError.badAnswer` for a path that could leave a folder, a digest that is none.
    public func files(of target: RepositoryReference) throws -> [HubFile] {
        var next: URL? = url(
            "/api/models/\(target.repository)/tree/\(HubPath.encoded(target.revision))"
                + "?recursive=true&expand=false")
        var files: [HubFile] = []
        var visited: Set<URL> = []
        while let page = next, visited.insert(page).inserted {
            let request = HubRequest(url: page, idleSeconds: 30)
            let response = try send(request, Conduct(subject: target))
            guard let list = try document(response, of: request).array else {
                throw HubError.badAnswer(
                    request: request.label, place: "the body", expected: "an array",
                    found: "another value")
            }
            for entry in list where entry["type"]?.string == "file" {
                files.append(try Self.file(entry, request))
            }
            next = response[header: "Link"].flatMap(Self.nextPage).flatMap {
                URL(string: $0, relativeTo: page)?.absoluteURL
            }
        }
        return files.sorted { $0.path.utf8Precedes($1.path) }
    }

    private static func file(
        _ entry: JSONValue, _ request: HubRequest
    ) throws(HubError) -> HubFile {
        func digest(_ digits: Int) -> (JSONValue) -> String? {
            { $0.string.flatMap { HubPath.isDigest($0, digits: digits) ? $0 : nil } }
        }
        let large = entry["lfs"].flatMap { $0.isNull ? nil : $0 }
        return HubFile(
            path: try entry.required("path", "a path below the repository", of: request) {
                $0.string.flatMap { HubPath.isSafe($0) ? $0 : nil }
            },
            size: try (large ?? entry).required("size", "a size", of: request) {
                $0.integer.flatMap { $0 >= 0 ? $0 : nil }
            },
            blobID: try entry.required("oid", "a git digest", of: request, digest(40)),
            sha256: try large.map { (large) throws(HubError) in
                try large.required("oid", "a SHA-256", of: request, digest(64))
            })
    }

    /// The address that a `Link` header calls next.
    static func nextPage(_ header: String) -> String? {
        for link in header.split(separator: ",") where link.contains("rel=\"next\"") {
            guard let open = link.firstIndex(of: "<"),
                let close = link[open...].firstIndex(of: ">")
            else { continue }
            return String(link[open..<close].dropFirst())
        }
        return nil
    }
}
