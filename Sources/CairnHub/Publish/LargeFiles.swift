// SPDX-License-Identifier: Apache-2.0
/// Large files on their way to storage, by the protocol of git-lfs.

import CairnFormats
import Foundation

/// Stores files whose bytes do not travel in the commit.
///
/// The Hub answers for each digest where its bytes may be put, or that it has them. What was
/// stored before a kill is therefore not sent again.
struct LargeFiles {
    let client: HubClient
    let repository: RepositoryID
    /// The branch; nil for a pull request.
    let revision: String?
    let report: (PublishEvent) -> Void

    /// The most objects that one call may name.
    static let batchSize = 256
    /// A part is held in memory while it is sent.
    static let largestPart = 512 << 20
    /// Storage may think for a while after the last byte.
    static let storageSeconds = 120.0
    private static let type = "application/vnd.git-lfs+json"

    func store(_ files: [PublishFile]) throws {
        var seen: Set<String> = []
        let distinct = files.filter { seen.insert($0.sha256).inserted }
        for start in stride(from: 0, to: distinct.count, by: Self.batchSize) {
            try storeBatch(distinct[start..<min(start + Self.batchSize, distinct.count)])
        }
    }

    private func storeBatch(_ files: ArraySlice<PublishFile>) throws {
        var body: JSONObject = [
            "operation": "upload", "transfers": ["basic", "multipart"],
            "objects": .array(
                files.map {
                    ["oid": .string($0.sha256), "size": JSONValue($0.size)]
                }),
            "hash_algo": "sha256",
        ]
        if let revision { body["ref"] = ["name": .string(revision)] }
        var request = try client.post(
            "/\(repository).git/info/lfs/objects/batch", .object(body), type: Self.type)
        request.headers["Accept"] = Self.type
        let answer = try client.document(try client.send(request, conduct), of: request)
        let objects = try answer.required("objects", "an array", of: request, \.array)
        for file in files {
            guard let object = objects.first(where: { $0["oid"]?.string == file.sha256 }) else {
                throw HubError.badAnswer(
                    request: request.label, place: "objects",
                    expected: "one for \(file.path) (\(file.sha256))", found: "none")
            }
            try store(file, as: object, request)
        }
    }

    private var conduct: HubClient.Conduct {
        .init(subject: try? RepositoryReference(repository, revision: revision ?? "main"))
    }

    private func store(_ file: PublishFile, as object: JSONValue, _ batch: HubRequest) throws {
        if let error = object["error"] {
            throw HubError.badAnswer(
                request: batch.label, place: file.path, expected: "a place to store it",
                found: "error \(error["code"]?.integer ?? 0): "
                    + client.redacted(error["message"]?.string ?? "without a message"))
        }
        guard let actions = object["actions"], let upload = actions["upload"] else {
            report(.alreadyStored(path: file.path))
            return
        }
        report(.storing(path: file.path, size: file.size))
        let target = try address(upload, batch)
        if let size = upload["header"]?["chunk_size"] {
            try storeParts(file, upload, chunk: size, completion: target)
        } else {
            _ = try put(file, to: target)
        }
        if let verify = actions["verify"] {
            let request = HubRequest(
                method: "POST", url: try address(verify, batch),
                headers: ["Content-Type": Self.type, "Accept": Self.type],
                body: .data(
                    try JSONValue.object([
                        "oid": .string(file.sha256), "size": JSONValue(file.size),
                    ]).serialized(pretty: false)))
            _ = try client.send(request, conduct)
        }
        report(.stored(path: file.path))
    }

    // MARK: Bytes

    private func put(_ file: PublishFile, to url: URL) throws -> HubResponse {
        let body: HubRequest.Body
        switch file.content {
        case .rewritten(let data): body = .data(data)
        case .file(let source):
            try checkSize(of: source, file)
            body = .file(source, byteCount: file.size)
        }
        return try client.send(storageRequest(url, body), storageConduct)
    }

    private func storeParts(
        _ file: PublishFile, _ upload: JSONValue, chunk: JSONValue, completion: URL
    ) throws {
        let request = HubRequest(method: "PUT", url: completion)
        let size = chunk.integer ?? chunk.string.flatMap { Int($0) } ?? 0
        guard size > 0, size <= Self.largestPart else {
            throw HubError.badAnswer(
                request: request.label, place: "chunk_size",
                expected: "1 to \(Self.largestPart) bytes", found: "\(size)")
        }
        let urls = try partAddresses(upload, request)
        let count = (file.size + size - 1) / size
        guard urls.count == count else {
            throw HubError.badAnswer(
                request: request.label, place: "parts",
                expected: "\(count) for \(file.size) bytes by \(size)", found: "\(urls.count)")
        }
        var parts: [JSONValue] = []
        for (index, url) in urls.enumerated() {
            let bytes = try slice(of: file, index * size..<min((index + 1) * size, file.size))
            let part = storageRequest(url, .data(bytes))
            let answer = try client.send(part, storageConduct)
            guard let tag = answer[header: "ETag"], !tag.isEmpty else {
                throw HubError.badAnswer(
                    request: part.label, place: "ETag of part \(index + 1)", expected: "one",
                    found: "none")
            }
            parts.append(["partNumber": JSONValue(index + 1), "etag": .string(tag)])
        }
        var done = HubRequest(
            method: "POST", url: completion,
            headers: ["Content-Type": Self.type, "Accept": Self.type])
        done.body = .data(
            try JSONValue.object(["oid": .string(file.sha256), "parts": .array(parts)])
                .serialized(pretty: false))
        _ = try client.send(done, storageConduct)
    }

    /// The addresses of the parts: the members of the header named by digits, in that order.
    private func partAddresses(_ upload: JSONValue, _ request: HubRequest) throws -> [URL] {
        let members = upload["header"]?.object.map(Array.init) ?? []
        let numbered = members.compactMap { member in
            member.key.utf8.allSatisfy { (48...57) ~= $0 }
                ? Int(member.key).map { ($0, member.value) } : nil
        }.sorted { $0.0 < $1.0 }
        return try numbered.map { try address(["href": $0.1], request) }
    }

    private func slice(of file: PublishFile, _ range: Range<Int>) throws -> Data {
        switch file.content {
        case .rewritten(let data): return data.dropFirst(range.lowerBound).prefix(range.count)
        case .file(let source):
            try checkSize(of: source, file)
            let mapped = try MappedFile(contentsOf: source)
            defer { withExtendedLifetime(mapped) {} }
            return Data(mapped.bytes[range])
        }
    }

    /// Storage compares the digest; a size is caught before the bytes are sent.
    private func checkSize(of source: URL, _ file: PublishFile) throws(HubError) {
        let attributes = try? FileManager.default.attributesOfItem(
            atPath: source.resolvingSymlinksInPath().path)
        let size = (attributes?[.size] as? NSNumber)?.intValue
        guard size == file.size else {
            throw .changedFile(
                file: source.path, expected: "\(file.size) bytes",
                found: size.map { "\($0)" } ?? "no file")
        }
    }

    private var storageConduct: HubClient.Conduct { .init(sendsToken: false) }

    private func storageRequest(_ url: URL, _ body: HubRequest.Body) -> HubRequest {
        HubRequest(
            method: "PUT", url: url, headers: ["Content-Type": "application/octet-stream"],
            body: body, idleSeconds: Self.storageSeconds)
    }

    /// An action's address; one of the public Hub is taken to the endpoint that is set.
    private func address(_ action: JSONValue, _ request: HubRequest) throws -> URL {
        let text = try action.required("href", "an address", of: request, \.string)
        let endpoint = client.settings.endpoint
        let own =
            text.hasPrefix(HubSettings.standardEndpoint + "/")
            ? endpoint + text.dropFirst(HubSettings.standardEndpoint.count) : text
        guard let url = URL(string: own), let origin = Origin(url),
            origin.scheme == "https" || !endpoint.hasPrefix("https:")
        else {
            throw HubError.badAnswer(
                request: request.label, place: "href", expected: "an https address",
                found: URL(string: own).map(HubRequest.publicText) ?? "another text")
        }
        return url
    }
}
