// SPDX-License-Identifier: Apache-2.0
/// One repository of a Hub, in memory: enough of it to publish and to pull.

import CairnFormats
import CairnHub
import Foundation

/// Large is what ends in `.safetensors`. Storage answers at another origin.
final class MemoryHub: HubTransport, @unchecked Sendable {
    // Unchecked: one test, one thread.
    var exists = false
    var commit = String(repeating: "a", count: 40)
    var tree: [String: Data] = [:]
    var stored: [String: Data] = [:]
    /// Bytes in a part, where uploads come in parts.
    var partSize: Int?
    var verifies = false
    private(set) var requests: [HubRequest] = []
    private var parts: [Int: Data] = [:]
    /// Looked at before each request; an answer or an error of its own goes first.
    var before: (HubRequest, MemoryHub) throws -> HubResponse? = { _, _ in nil }

    var lines: [String] { requests.map(\.line) }

    func send(_ request: HubRequest, into sink: (any HubSink)?) throws -> HubResponse {
        requests.append(request)
        var response = try before(request, self) ?? answer(request)
        if let sink, try sink.begin(response) {
            let cut = response[header: "X-Cut"].flatMap { Int($0) }
            try sink.write(response.body.prefix(cut ?? response.body.count))
            response.body = Data()
            if cut != nil { throw TransportFailure(reason: "cut") }
        }
        return response
    }

    func answer(_ request: HubRequest) throws -> HubResponse {
        let path = request.url.path
        if request.url.host == "storage.example" { return storage(request) }
        switch path {
        case "/api/whoami-v2": return json(["name": "me"])
        case "/api/repos/create":
            defer { exists = true }
            return exists
                ? json(["error": "You already created this model repo"], status: 409) : json([:])
        case "/api/validate-yaml": return json(["errors": [], "warnings": [["message": "thin"]]])
        case "/me/model.git/info/lfs/objects/batch": return batch(request)
        case "/complete": return complete(request)
        case "/verify": return HubResponse(status: 200)
        default: break
        }
        if path.hasPrefix("/api/models/me/model/revision/") {
            return json(["sha": .string(commit)])
        }
        if path.hasPrefix("/api/models/me/model/preupload/") { return modes(request) }
        if path.hasPrefix("/api/models/me/model/commit/") { return try take(request) }
        if path.hasPrefix("/api/models/me/model/tree/") { return json(.array(listing)) }
        if path.hasPrefix("/me/model/resolve/\(commit)/") { return resolve(request) }
        return json(["error": "no such route"], status: 404)
    }

    static func isLarge(_ path: String) -> Bool { path.hasSuffix(".safetensors") }

    func tag(_ path: String, _ data: Data) -> String {
        Self.isLarge(path) ? SHA256.hex(of: data) : SHA1.blobID(of: data)
    }

    private var listing: [JSONValue] {
        tree.sorted { $0.key < $1.key }.map { path, data in
            var entry: JSONObject = [
                "type": "file", "path": .string(path), "size": JSONValue(data.count),
                "oid": .string(SHA1.blobID(of: data)),
            ]
            if Self.isLarge(path) {
                entry["lfs"] = [
                    "oid": .string(SHA256.hex(of: data)), "size": JSONValue(data.count),
                ]
            }
            return .object(entry)
        }
    }

    private func modes(_ request: HubRequest) -> HubResponse {
        let files = request.document["files"]?.array ?? []
        return json([
            "files": .array(
                files.map { file in
                    let path = file["path"]?.string ?? ""
                    return [
                        "path": .string(path), "shouldIgnore": false,
                        "uploadMode": Self.isLarge(path) ? "lfs" : "regular",
                        "oid": tree[path].map { .string(tag(path, $0)) } ?? .null,
                    ]
                })
        ])
    }

    // MARK: Large files

    private func batch(_ request: HubRequest) -> HubResponse {
        let objects = request.document["objects"]?.array ?? []
        return json([
            "objects": .array(
                objects.map { object in
                    let oid = object["oid"]?.string ?? ""
                    if stored[oid] != nil { return ["oid": .string(oid)] }
                    var actions: JSONObject = [
                        "upload": upload(oid, size: object["size"]?.integer ?? 0)
                    ]
                    if verifies { actions["verify"] = ["href": .string(hubAddress + "/verify")] }
                    return ["oid": .string(oid), "actions": .object(actions)]
                })
        ])
    }

    private func upload(_ oid: String, size: Int) -> JSONValue {
        guard let partSize else {
            return ["href": .string("\(storageAddress)/put/\(oid)?signature=abc")]
        }
        var header: JSONObject = ["chunk_size": .string("\(partSize)")]
        for part in 1...max(1, (size + partSize - 1) / partSize) {
            header["0000\(part)"] = .string("\(storageAddress)/part/\(part)?signature=abc")
        }
        return ["href": .string(hubAddress + "/complete"), "header": .object(header)]
    }

    private func storage(_ request: HubRequest) -> HubResponse {
        let path = request.url.path
        if path.hasPrefix("/get/") {
            return ranged(
                stored[request.url.lastPathComponent] ?? Data(), request, ["ETag": "\"x\""])
        }
        if let number = Int(request.url.lastPathComponent), path.hasPrefix("/part/") {
            parts[number] = request.data
            return HubResponse(status: 200, headers: ["ETag": "\"tag-\(number)\""])
        }
        stored[request.url.lastPathComponent] = request.data
        return HubResponse(status: 200, headers: ["ETag": "\"whole\""])
    }

    private func complete(_ request: HubRequest) -> HubResponse {
        let data = parts.sorted { $0.key < $1.key }.reduce(Data()) { $0 + $1.value }
        guard SHA256.hex(of: data) == request.document["oid"]?.string else {
            return json(["error": "digest"], status: 400)
        }
        stored[SHA256.hex(of: data)] = data
        return json([:])
    }

    // MARK: Commits and files

    /// Applies a commit; refuses another parent than the head.
    func take(_ request: HubRequest) throws -> HubResponse {
        for line in request.data.split(separator: 0x0A) {
            let entry = try JSONValue.parse(Data(line), file: "commit")
            let value = entry["value"] ?? .null
            let path = value["path"]?.string ?? ""
            switch entry["key"]?.string {
            case "header":
                guard value["parentCommit"]?.string == commit else {
                    return json(["error": "A commit has happened since."], status: 412)
                }
            case "file": tree[path] = Data(base64Encoded: value["content"]?.string ?? "")
            case "lfsFile": tree[path] = stored[value["oid"]?.string ?? ""]
            default: return json(["error": "key"], status: 400)
            }
        }
        commit = String(repeating: "b", count: 40)
        return json(["commitOid": .string(commit)])
    }

    private func resolve(_ request: HubRequest) -> HubResponse {
        let path = request.url.path.split(separator: "/").dropFirst(4).joined(separator: "/")
        guard let data = tree[path] else {
            return json(["error": "none"], status: 404, ["X-Error-Code": "EntryNotFound"])
        }
        if Self.isLarge(path) {
            let oid = SHA256.hex(of: data)
            stored[oid] = data
            return HubResponse(
                status: 302,
                headers: [
                    "X-Repo-Commit": commit, "X-Linked-ETag": "\"\(oid)\"",
                    "Location": "\(storageAddress)/get/\(oid)?signature=abc",
                ])
        }
        return ranged(
            data, request, ["X-Repo-Commit": commit, "ETag": "\"\(SHA1.blobID(of: data))\""])
    }

    private func ranged(
        _ data: Data, _ request: HubRequest, _ headers: [String: String]
    ) -> HubResponse {
        guard let range = request.headers["Range"], let start = Int(range.dropFirst(6).dropLast())
        else { return HubResponse(status: 200, headers: headers, body: data) }
        return HubResponse(
            status: 206,
            headers: headers.merging(
                ["Content-Range": "bytes \(start)-\(data.count - 1)/\(data.count)"]
            ) { $1 }, body: data.dropFirst(start))
    }
}
