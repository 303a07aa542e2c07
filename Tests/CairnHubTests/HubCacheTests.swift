// SPDX-License-Identifier: Apache-2.0
/// The cache: its layout, what is fetched and what is not, what is believed and what is checked.

import CairnFormats
import CairnHub
import Foundation
import TestSupport
import Testing

@Suite struct HubCacheTests {
    static let large = "0123456789"
    static let largeTag = SHA256.hex(of: Data(large.utf8))
    static let smallTag = SHA1.blobID(of: Data("{}".utf8))

    let hub = MemoryHub()
    let directory: TemporaryDirectory
    let clock = CountingClock()

    init() throws {
        directory = try TemporaryDirectory()
        hub.tree = [
            "config.json": Data("{}".utf8), "model.safetensors": Data(Self.large.utf8),
            "sub/dir/é.txt": Data("text".utf8), "empty.txt": Data(),
        ]
    }

    func pull(
        _ name: String = "me/model", _ patterns: [String] = ["*"],
        _ change: (inout HubSettings) -> Void = { _ in },
        report: @escaping (PullEvent) -> Void = { _ in }
    ) throws -> HubSnapshot {
        var settings = try settings(cache: directory.url)
        change(&settings)
        return try HubCache(
            HubClient(settings, transport: hub, clock: clock), report: report
        ).pull(RepositoryReference(name), patterns: patterns)
    }

    func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: directory.file(path).path).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    var folder: String { "models--me--model" }
    var snapshot: String { "\(folder)/snapshots/\(hub.commit)" }
    var resolved: [String] { hub.lines.filter { $0.contains("/resolve/") } }

    // MARK: Layout

    @Test func `a pull lays the cache out as the Python client does`() throws {
        let result = try pull()

        #expect(result.commit == hub.commit)
        #expect(result.files == ["config.json", "empty.txt", "model.safetensors", "sub/dir/é.txt"])
        #expect(result.downloadedBytes == 16)
        #expect(text("\(folder)/refs/main") == hub.commit)
        #expect(text("\(folder)/blobs/\(Self.largeTag)") == Self.large)
        #expect(text("\(folder)/blobs/\(Self.smallTag)") == "{}")
        let manager = FileManager.default
        #expect(
            try manager.destinationOfSymbolicLink(
                atPath: directory.file("\(snapshot)/config.json").path)
                == "../../blobs/\(Self.smallTag)")
        #expect(
            try manager.destinationOfSymbolicLink(
                atPath: directory.file("\(snapshot)/sub/dir/é.txt").path
            ).hasPrefix("../../../../blobs/"))
        for (path, data) in hub.tree {
            #expect(text("\(snapshot)/\(path)") == String(decoding: data, as: UTF8.self))
        }
        #expect(
            text("CACHEDIR.TAG")?.hasPrefix("Signature: 8a477f597d28d172789f06886806bc55\n") == true
        )
        let tree = try JSONValue.parse(
            contentsOf: directory.file("\(folder)/trees/\(hub.commit).json"))
        #expect(tree["format_version"] == 1)
        #expect(
            tree["files"]?["config.json"] == ["size": 2, "blob_id": .string(Self.smallTag)])
        #expect(tree["files"]?["model.safetensors"]?["lfs_sha256"] == .string(Self.largeTag))
        #expect(text(".locks/\(folder)/\(Self.largeTag).lock") == "")
        #expect(text("\(folder)/blobs/\(Self.largeTag).incomplete") == nil)
    }

    @Test func `without links a snapshot holds copies`() throws {
        _ = try pull("me/model", ["*"]) { $0.usesLinks = false }
        let file = directory.file("\(snapshot)/config.json").path
        #expect(FileManager.default.contents(atPath: file) == Data("{}".utf8))
        #expect((try? FileManager.default.destinationOfSymbolicLink(atPath: file)) == nil)
    }

    @Test func `a commit needs no reference and no question about it`() throws {
        let result = try pull("me/model@\(hub.commit)")
        #expect(result.commit == hub.commit)
        #expect(text("\(folder)/refs/\(hub.commit)") == nil)
        #expect(!hub.lines.contains { $0.contains("/revision/") })
    }

    @Test func `patterns choose the files`() throws {
        #expect(try pull("me/model", ["*.json"]).files == ["config.json"])
        #expect(resolved.count == 1)
    }

    @Test func `a folder's name tells repository and commit`() {
        let path = "/x/models--Qwen--Qwen2.5-0.5B/snapshots/\(hub.commit)/"
        let found = CacheLayout.snapshot(ofPath: path)
        #expect(found?.repository.description == "Qwen/Qwen2.5-0.5B")
        #expect(found?.commit == hub.commit)
        #expect(CacheLayout.snapshot(ofPath: "/x/models--a/snapshots/main") == nil)
        #expect(CacheLayout.snapshot(ofPath: "/models/qwen") == nil)
    }

    // MARK: What is fetched

    @Test func `a second pull fetches nothing`() throws {
        _ = try pull()
        let count = hub.requests.count
        #expect(try pull().downloadedBytes == 0)
        #expect(hub.lines.dropFirst(count) == ["GET /api/models/me/model/revision/main"])
    }

    @Test func `a new commit fetches only what is new`() throws {
        _ = try pull()
        hub.tree["config.json"] = Data("{\"a\":1}".utf8)
        hub.commit = String(repeating: "e", count: 40)
        #expect(try pull().downloadedBytes == 7)
        #expect(text("\(folder)/refs/main") == hub.commit)
        #expect(text("\(snapshot)/model.safetensors") == Self.large)
    }

    @Test func `a download that is cut goes on where it was cut, without waiting out retries`()
        throws
    {
        var cuts = 3
        hub.before = { request, hub in
            guard request.url.path.hasPrefix("/get/"), cuts > 0 else { return nil }
            cuts -= 1
            var response = try hub.answer(request)
            response = HubResponse(
                status: response.status,
                headers: [
                    "X-Cut": "2", "Content-Range": response[header: "Content-Range"] ?? "",
                ], body: response.body)
            return response
        }
        let result = try pull("me/model", ["model.safetensors"])
        #expect(result.downloadedBytes == 10)
        #expect(text("\(snapshot)/model.safetensors") == Self.large)
        let ranges = hub.requests.filter { $0.url.path.hasPrefix("/get/") }.map {
            $0.headers["Range"]
        }
        #expect(ranges == [nil, "bytes=2-", "bytes=4-", "bytes=6-"])
        #expect(clock.sleeps == [1, 1, 1])
    }

    @Test func `a part that an earlier process left is gone on from`() throws {
        try directory.write(["\(folder)/blobs/\(Self.largeTag).incomplete": "01234"])
        let result = try pull("me/model", ["model.safetensors"])
        #expect(result.downloadedBytes == 5)
        #expect(hub.requests.last?.headers["Range"] == "bytes=5-")
        #expect(text("\(snapshot)/model.safetensors") == Self.large)
    }

    @Test func `a part that was whole needs no request`() throws {
        try directory.write(["\(folder)/blobs/\(Self.largeTag).incomplete": Self.large])
        #expect(try pull("me/model", ["model.safetensors"]).downloadedBytes == 0)
        #expect(resolved.isEmpty)
    }

    @Test(arguments: ["xxxxx", "xxxxxxxxxx", "xxxxxxxxxxxx"])
    func `a spoilt part is started over`(part: String) throws {
        try directory.write(["\(folder)/blobs/\(Self.largeTag).incomplete": part])
        _ = try pull("me/model", ["model.safetensors"])
        #expect(text("\(snapshot)/model.safetensors") == Self.large)
    }

    @Test func `an answer without the range starts over`() throws {
        try directory.write(["\(folder)/blobs/\(Self.largeTag).incomplete": "01234"])
        hub.before = { request, hub in
            var plain = request
            plain.headers["Range"] = nil
            return try hub.answer(plain)
        }
        _ = try pull("me/model", ["model.safetensors"])
        #expect(text("\(snapshot)/model.safetensors") == Self.large)
    }

    @Test func `storage never sees the token`() throws {
        _ = try pull()
        let storage = hub.requests.filter { $0.url.host == "storage.example" }
        #expect(storage.count == 1)
        #expect(storage[0].headers["Authorization"] == nil)
        #expect(
            hub.requests.filter { $0.url.host == "hub.example" }
                .allSatisfy { $0.headers["Authorization"] == "Bearer hf_secret" })
    }

    // MARK: What is checked

    func lie(_ kind: String) {
        hub.before = { request, hub in
            let isFile = request.url.path.contains("/resolve/")
            let isBytes = request.url.path.hasPrefix("/get/")
            switch kind {
            case "no tag" where isFile:
                return HubResponse(status: 200, headers: ["X-Repo-Commit": hub.commit])
            case "other tag" where isFile:
                return HubResponse(
                    status: 200, headers: ["X-Repo-Commit": hub.commit, "ETag": "\"x\""])
            case "no commit" where isFile:
                return HubResponse(status: 200, headers: ["ETag": "\"x\""])
            case "other bytes" where isBytes:
                return HubResponse(status: 200, body: Data("xxxxxxxxxx".utf8))
            case "fewer bytes" where isBytes:
                return HubResponse(status: 200, body: Data("0123".utf8))
            case "more bytes" where isBytes:
                return HubResponse(status: 200, body: Data("01234567890".utf8))
            case "other range" where isBytes:
                return HubResponse(status: 206, headers: ["Content-Range": "bytes 3-9/10"])
            default: return nil
            }
        }
    }

    static let lieSentences: [(String, String)] = [
        ("no tag", "ETag of the answer: expected \(largeTag), found none"),
        ("other tag", "ETag of the answer: expected \(largeTag), found x"),
        ("no commit", "X-Repo-Commit of the answer: expected"),
        ("other bytes", "model.safetensors: digest of the download: expected \(largeTag)"),
        ("fewer bytes", "model.safetensors: size of the download: expected 10 bytes, found 4"),
        ("more bytes", "size of the download: expected 10 bytes, found more"),
        ("other range", "Content-Range of the download: expected bytes 0-"),
    ]

    @Test(arguments: lieSentences)
    func `what is not what was promised makes no blob`(kind: String, expected: String) {
        lie(kind)
        let sentence = sentence { try pull("me/model", ["model.safetensors"]) }
        #expect(sentence.contains(expected), "\(sentence)")
        #expect(text("\(folder)/blobs/\(Self.largeTag)") == nil)
        #expect(text("\(folder)/refs/main") == nil)
    }

    // MARK: Without a network

    @Test func `offline the cache answers, with no request`() throws {
        let online = try pull()
        let count = hub.requests.count
        let offline = try pull("me/model", ["*"]) { $0.offlineVariable = "HF_HUB_OFFLINE" }
        #expect(offline.commit == online.commit)
        #expect(offline.files == online.files)
        #expect(hub.requests.count == count)
    }

    @Test func `offline what is not there is an error that says why`() throws {
        let sentence = sentence {
            try pull("me/model", ["*"]) { $0.offlineVariable = "HF_HUB_OFFLINE" }
        }
        #expect(
            sentence == "me/model at 'main' is not in \(directory.path), and HF_HUB_OFFLINE "
                + "switches the network off")
    }

    @Test func `offline a snapshot that lacks files is an error that names them`() throws {
        _ = try pull("me/model", ["*.json"])
        let sentence = sentence {
            try pull("me/model", ["*.json", "*.safetensors"]) {
                $0.offlineVariable = "HF_HUB_OFFLINE"
            }
        }
        #expect(sentence.contains("lacks model.safetensors; pull it again"), "\(sentence)")
    }

    @Test func `never is another snapshot taken for the one that was asked for`() throws {
        _ = try pull()
        let sentence = sentence {
            try pull("me/model@v2", ["*"]) { $0.offlineVariable = "HF_HUB_OFFLINE" }
        }
        #expect(sentence.contains("me/model at 'v2' is not in"))
    }

    @Test func `with the Hub away a known revision is used at once and said`() throws {
        _ = try pull()
        hub.before = { _, _ in throw TransportFailure(reason: "unreachable") }
        var events: [PullEvent] = []
        let result = try pull(report: { events.append($0) })
        #expect(result.commit == hub.commit)
        #expect(clock.sleeps.isEmpty)
        guard case .usesCache(let commit, let reason)? = events.last else {
            Issue.record("the last event is \(String(describing: events.last))")
            return
        }
        #expect(commit == hub.commit)
        #expect(reason.contains("unreachable"))
    }

    @Test func `a name that leads nowhere is not waited for`() {
        hub.before = { _, _ in
            throw TransportFailure(reason: "no such host", isUnconnected: true)
        }
        let sentence = sentence { try resolve("checkpoints/bset") }
        #expect(
            sentence.hasPrefix("'checkpoints/bset' is no directory, and GET https://hub.example/"),
            "\(sentence)")
        #expect(sentence.hasSuffix("no answer (no such host)"), "\(sentence)")
        #expect(hub.requests.count == 1)
    }

    @Test func `an answer that is no is believed, whatever the cache holds`() throws {
        _ = try pull()
        hub.before = { _, _ in
            json(["error": "gone"], status: 404, ["X-Error-Code": "RepoNotFound"])
        }
        #expect(sentence { try pull() }.contains("has no repository me/model"))
    }

    // MARK: Models by name

    func resolve(_ word: String) throws -> ModelSource {
        try HubCache(client(hub, cache: directory.url)).resolve(word)
    }

    @Test func `an existing directory wins over the Hub`() throws {
        let source = try resolve(directory.path)
        #expect(source.directory.path == directory.path)
        #expect(source.snapshot == nil)
        #expect(hub.requests.isEmpty)
    }

    @Test func `a model's own files are pulled, and no others`() throws {
        hub.tree["pytorch_model.bin"] = Data("x".utf8)
        hub.tree["onnx/model.json"] = Data("x".utf8)
        let source = try resolve("me/model")
        #expect(
            source.snapshot?.files == ["config.json", "empty.txt", "model.safetensors"])
        #expect(source.directory.lastPathComponent == hub.commit)
    }

    @Test func `a word that is neither says what it lacks`() throws {
        #expect(
            sentence { try resolve("./no/such") }
                == "'./no/such' is no directory, and './no/such' is no repository: "
                + "expected ORG/NAME")
        try directory.write(["file": ""])
        #expect(
            sentence { try resolve(directory.file("file").path) }.hasSuffix("a file is no model"))
    }
}
