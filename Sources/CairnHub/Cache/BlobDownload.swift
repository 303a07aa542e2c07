// SPDX-License-Identifier: Apache-2.0
/// One file on its way from the Hub into the cache.

import CairnFormats
import Foundation

/// Appends what arrives to a partial file, from where an earlier attempt ended.
final class PartialFile: HubSink {
    private let url: URL
    private let handle: FileHandle
    private let size: Int
    private(set) var byteCount: Int
    private let progress: (Int) -> Void

    /// - Parameter size: of the whole file; more than that is refused.
    init(_ url: URL, size: Int, progress: @escaping (Int) -> Void) throws {
        self.url = url
        self.size = size
        self.progress = progress
        if !FileManager.default.fileExists(atPath: url.path) {
            guard FileManager.default.createFile(atPath: url.path, contents: nil) else {
                throw FormatError.system(
                    operation: "create", path: url.path, reason: "the system refuses it")
            }
        }
        do {
            handle = try FileHandle(forUpdating: url)
            byteCount = Int(try handle.seekToEnd())
        } catch {
            throw FormatError.system(
                operation: "open", path: url.path, reason: error.localizedDescription)
        }
        if byteCount > size { try restart() }
    }

    deinit { try? handle.close() }

    func restart() throws {
        try perform("shorten") {
            try handle.truncate(atOffset: 0)
            try handle.seek(toOffset: 0)
        }
        byteCount = 0
    }

    func prepare(_ request: inout HubRequest) {
        if byteCount > 0 { request.headers["Range"] = "bytes=\(byteCount)-" }
    }

    /// A 206 goes on where it says it does; a 200 starts over.
    func begin(_ response: HubResponse) throws -> Bool {
        if response.status == 206 {
            let range = response[header: "Content-Range"] ?? "none"
            guard range.hasPrefix("bytes \(byteCount)-") else {
                throw HubError.badDownload(
                    file: url.lastPathComponent, what: "Content-Range",
                    expected: "bytes \(byteCount)-", found: range)
            }
            return true
        }
        guard response.status == 200 else { return false }
        if byteCount > 0 { try restart() }
        return true
    }

    func write(_ data: Data) throws {
        guard byteCount + data.count <= size else {
            throw HubError.badDownload(
                file: url.lastPathComponent, what: "size", expected: "\(size) bytes",
                found: "more")
        }
        try perform("write") { try handle.write(contentsOf: data) }
        byteCount += data.count
        progress(byteCount)
    }

    /// Returns when the bytes are on the medium.
    func finish() throws { try perform("synchronize") { try handle.synchronize() } }

    private func perform(_ operation: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw FormatError.system(
                operation: operation, path: url.path, reason: error.localizedDescription)
        }
    }
}

/// Brings one blob into the cache.
struct BlobDownload {
    let client: HubClient
    let layout: CacheLayout
    let commit: String

    /// Bytes that arrived; 0 when the cache had the blob.
    ///
    /// What an earlier attempt left is gone on from by `Range`. The bytes become a blob only when
    /// size and digest are those that the Hub lists; a wrong digest is tried once more from the
    /// start, since what was there may have been spoilt.
    func run(_ file: HubFile, progress: @escaping (Int) -> Void) throws -> Int {
        let blob = layout.blob(file.tag)
        if CacheFiles.size(of: blob) == file.size { return 0 }
        return try FileLock.hold(layout.lock(file.tag)) {
            if CacheFiles.size(of: blob) == file.size { return 0 }
            let partial = try PartialFile(
                layout.partial(file.tag), size: file.size, progress: progress)
            var arrived = 0
            var isResumed = partial.byteCount > 0
            while true {
                let before = partial.byteCount
                if before < file.size { try fetch(file, into: partial) }
                arrived += partial.byteCount - before
                do {
                    try check(file, partial)
                    break
                } catch HubError.badDownload(_, "digest", _, _) where isResumed {
                    isResumed = false
                    try partial.restart()
                }
            }
            try FileManager.default.removeIfThere(blob)
            try FileManager.default.moveItem(at: layout.partial(file.tag), to: blob)
            return arrived
        }
    }

    private func fetch(_ file: HubFile, into partial: PartialFile) throws {
        let target = try RepositoryReference(layout.repository, revision: commit)
        let request = HubRequest(
            url: client.url(
                "/\(layout.repository)/resolve/\(commit)/\(HubPath.encodedPath(file.path))"),
            headers: ["Accept-Encoding": "identity"], idleSeconds: 30)
        let chain = try client.chain(
            request, .init(accepts: [200, 206], subject: target), into: partial)
        do {
            try checkHeaders(chain, request, file)
        } catch {
            try partial.restart()
            throw error
        }
        try partial.finish()
    }

    /// The Hub's own answers must be about this commit and these bytes.
    private func checkHeaders(
        _ chain: HubClient.Chain, _ request: HubRequest, _ file: HubFile
    ) throws(HubError) {
        func last(_ name: String) -> String? {
            chain.own.last { $0[header: name] != nil }?[header: name]
        }
        let tag = (last("X-Linked-ETag") ?? last("ETag")).map(Self.plain)
        for (place, expected, found) in [
            ("X-Repo-Commit", commit, last("X-Repo-Commit")), ("ETag", file.tag, tag),
        ] where found != expected {
            throw .badAnswer(
                request: request.label, place: place, expected: expected, found: found ?? "none")
        }
    }

    /// `W/"abc"` and `"abc"` are `abc`.
    static func plain(_ tag: String) -> String {
        (tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : tag).filter { $0 != "\"" }
    }

    private func check(_ file: HubFile, _ partial: PartialFile) throws {
        guard partial.byteCount == file.size else {
            throw HubError.badDownload(
                file: file.path, what: "size", expected: "\(file.size) bytes",
                found: "\(partial.byteCount)")
        }
        let found = try CacheFiles.digest(of: layout.partial(file.tag), file)
        guard found == file.tag else {
            throw HubError.badDownload(
                file: file.path, what: "digest", expected: file.tag, found: found)
        }
    }
}

extension FileManager {
    func removeIfThere(_ url: URL) throws {
        if fileExists(atPath: url.path) { try removeItem(at: url) }
    }
}
