// SPDX-License-Identifier: Apache-2.0
/// The requests of a publication: their order, their bodies, and what follows when one fails.

import CairnFormats
import CairnHub
import Foundation
import TestSupport
import Testing

@Suite struct PublisherTests {
    static let files = [
        "README.md": "---\nlicense: mit\n---\n", "adapter_config.json": "{\"r\":8}",
        "adapter_model.safetensors": "0123456789",
    ]
    static let whole = [
        "GET /api/whoami-v2", "POST /api/repos/create", "POST /api/validate-yaml",
        "GET /api/models/me/model/revision/main", "POST /api/models/me/model/preupload/main",
        "POST /me/model.git/info/lfs/objects/batch", "PUT /put/\(weightsDigest)",
        "POST /api/models/me/model/commit/main",
    ]
    static let weightsDigest = SHA256.hex(of: Data("0123456789".utf8))

    let directory: TemporaryDirectory
    let hub = MemoryHub()
    let clock = CountingClock()

    init() throws { directory = try TemporaryDirectory().write(Self.files) }

    func plan(_ change: (inout PublishOptions) -> Void = { _ in }) throws -> PublishPlan {
        var options = PublishOptions()
        change(&options)
        return try PublishPlan(
            directory: directory.url, repository: RepositoryID("me/model"), options: options,
            machine: PrivatePlaces(paths: []))
    }

    @discardableResult
    func publish(
        _ change: (inout PublishOptions) -> Void = { _ in },
        report: @escaping (PublishEvent) -> Void = { _ in }
    ) throws -> PublishResult {
        try HubPublisher(client(hub, clock: clock), report: report).publish(plan(change))
    }

    func request(_ line: String) throws -> HubRequest {
        try #require(hub.requests.last { $0.line == line })
    }

    // MARK: The straight way

    @Test func `a publication is these requests in this order, and the files arrive`() throws {
        let result = try publish()

        #expect(hub.lines == Self.whole)
        #expect(
            hub.tree == Self.files.mapValues { Data($0.utf8) })
        #expect(result.commit == hub.commit)
        #expect(result.address == "https://hub.example/me/model")
        #expect(result.isNewRepository)
        #expect(result.published == Self.files.keys.sorted())
    }

    @Test func `the bodies are those that the Hub documents`() throws {
        try publish {
            $0.isPrivate = true
            $0.message = "First\n\nThe rest"
        }

        #expect(
            try request("POST /api/repos/create").document
                == ["name": "model", "organization": "me", "visibility": "private"])
        let question = try request("POST /api/models/me/model/preupload/main").document
        #expect(
            question["files"]?.array?[1]
                == ["path": "adapter_config.json", "sample": "eyJyIjo4fQ==", "size": 7])
        let batch = try request("POST /me/model.git/info/lfs/objects/batch")
        #expect(batch.headers["Accept"] == "application/vnd.git-lfs+json")
        #expect(batch.headers["Content-Type"] == "application/vnd.git-lfs+json")
        #expect(
            batch.document == [
                "operation": "upload", "transfers": ["basic", "multipart"],
                "objects": [["oid": .string(Self.weightsDigest), "size": 10]],
                "hash_algo": "sha256", "ref": ["name": "main"],
            ])
        let commit = try request("POST /api/models/me/model/commit/main")
        #expect(commit.headers["Content-Type"] == "application/x-ndjson")
        let parent = String(repeating: "a", count: 40)
        #expect(
            String(decoding: commit.data, as: UTF8.self) == """
                {"key":"header","value":{"summary":"First","description":"The rest",\
                "parentCommit":"\(parent)"}}
                {"key":"file","value":{"content":"LS0tCmxpY2Vuc2U6IG1pdAotLS0K",\
                "path":"README.md","encoding":"base64"}}
                {"key":"file","value":{"content":"eyJyIjo4fQ==","path":"adapter_config.json",\
                "encoding":"base64"}}
                {"key":"lfsFile","value":{"path":"adapter_model.safetensors","algo":"sha256",\
                "oid":"\(Self.weightsDigest)","size":10}}

                """)
    }

    @Test func `large bytes come from disk, and storage never sees the token`() throws {
        hub.verifies = true
        try publish()
        let put = try request("PUT /put/\(Self.weightsDigest)")
        guard case .file(_, byteCount: 10) = put.body else {
            Issue.record("the body is \(put.body)")
            return
        }
        for request in hub.requests {
            let isStorage = request.url.host == "storage.example"
            #expect((request.headers["Authorization"] == nil) == isStorage, "\(request.label)")
        }
        #expect(
            try request("POST /verify").document
                == ["oid": .string(Self.weightsDigest), "size": 10])
    }

    @Test func `parts are cut where the Hub says and named by their tags`() throws {
        hub.partSize = 4
        try publish()

        let parts = hub.requests.filter { $0.url.path.hasPrefix("/part/") }
        #expect(parts.map { String(decoding: $0.data, as: UTF8.self) } == ["0123", "4567", "89"])
        let done = try request("POST /complete")
        #expect(
            done.document["parts"] == [
                ["partNumber": 1, "etag": "\"tag-1\""], ["partNumber": 2, "etag": "\"tag-2\""],
                ["partNumber": 3, "etag": "\"tag-3\""],
            ])
        #expect(hub.tree["adapter_model.safetensors"] == Data("0123456789".utf8))
    }

    @Test func `a part without a tag ends the publication before the commit`() {
        hub.partSize = 4
        hub.before = { request, _ in
            request.url.path == "/part/2" ? HubResponse(status: 200) : nil
        }
        let sentence = sentence { try publish() }
        #expect(sentence.contains("ETag of part 2 of the answer: expected one, found none"))
        #expect(hub.tree.isEmpty)
    }

    @Test func `a branch that is missing is made, a pull request goes to main`() throws {
        hub.before = { request, hub in
            let made = hub.lines.contains("POST /api/models/me/model/branch/new/x")
            guard request.line == "GET /api/models/me/model/revision/new/x", !made else {
                return request.url.path.contains("/branch/") ? json([:]) : nil
            }
            return json(["error": "no"], status: 404, ["X-Error-Code": "RevisionNotFound"])
        }
        try publish { $0.revision = "new/x" }
        #expect(hub.lines.contains("POST /api/models/me/model/branch/new/x"))
        let urls = hub.requests.map(\.url.absoluteString)
        #expect(urls.contains("https://hub.example/api/models/me/model/commit/new%2Fx"))

        hub.tree = [:]
        try publish { $0.createsPullRequest = true }
        #expect(hub.requests.last?.url.query == "create_pr=1")
        let batch = try request("POST /me/model.git/info/lfs/objects/batch")
        #expect(batch.document["operation"] == "upload")
        #expect(batch.document["ref"] == nil)
    }

    // MARK: What need not be sent

    @Test func `what is there already makes no commit`() throws {
        try publish()
        let head = hub.commit
        let count = hub.requests.count

        let result = try publish()

        #expect(result.published.isEmpty)
        #expect(result.unchanged == Self.files.keys.sorted())
        #expect(result.commit == head)
        #expect(
            !hub.lines.dropFirst(count).contains { $0.contains("/commit/") || $0.hasPrefix("PUT") })
    }

    @Test func `what was stored before a kill is not stored again`() throws {
        hub.before = { request, _ in
            if request.line.contains("/commit/") { throw Killed() }
            return nil
        }
        #expect(sentence { try publish() } == "Killed()")
        hub.before = { _, _ in nil }
        let count = hub.requests.count

        var events: [PublishEvent] = []
        try publish(report: { events.append($0) })

        #expect(!hub.lines.dropFirst(count).contains { $0.hasPrefix("PUT") })
        #expect(events.contains(.alreadyStored(path: "adapter_model.safetensors")))
        #expect(hub.tree.count == 3)
    }

    @Test func `an empty file is small whatever the Hub calls it`() throws {
        try directory.write(["model.safetensors": ""])
        try publish()
        #expect(hub.tree["model.safetensors"] == Data())
    }

    struct Killed: Error {}

    // MARK: Before the first byte

    @Test func `the gate runs before the first request and ends it all`() throws {
        let plan = try plan()
        let publisher = try HubPublisher(client(hub))
        var seen: [String] = []
        let sentence = sentence {
            try publisher.publish(plan) { plan in
                seen = plan.files.map(\.path)
                throw Killed()
            }
        }
        #expect(sentence == "Killed()")
        #expect(seen == Self.files.keys.sorted())
        #expect(hub.requests.isEmpty)
    }

    @Test func `without a token nothing is sent`() throws {
        let plan = try plan()
        let sentence = sentence { try HubPublisher(client(hub, token: nil)).publish(plan) }
        #expect(sentence.hasPrefix("no token for the Hub: none in HF_TOKEN"))
        #expect(hub.requests.isEmpty)
    }

    @Test func `front matter that the Hub refuses ends it before an upload`() {
        hub.before = { request, _ in
            request.line == "POST /api/validate-yaml"
                ? json(["errors": [["message": "bad mapping"]]], status: 400) : nil
        }
        let sentence = sentence { try publish() }
        #expect(sentence == "README.md: the Hub refuses its front matter: bad mapping")
        #expect(!hub.lines.contains { $0.hasPrefix("PUT") })
    }

    @Test func `a dry run prints the requests that are sent`() throws {
        let plan = try plan()
        let dry = try DryRunTransport.requests(of: plan, settings: settings(token: nil))

        try publish()

        func lines(_ requests: [HubRequest]) -> [String] {
            requests.map { $0.method == "PUT" ? "PUT" : $0.line }
        }
        #expect(lines(dry) == lines(hub.requests))
        #expect(
            dry[1].summary
                == "POST https://hub.example/api/repos/create\n    "
                + "{\"name\":\"model\",\"organization\":\"me\",\"visibility\":\"public\"}")
        #expect(dry[6].summary == "PUT an address that the Hub signs\n    10 bytes from disk")
    }

    // MARK: The commit

    /// Lets commits through as `outcomes` say: true applies the commit, then the answer is lost.
    func loseCommits(_ outcomes: [Bool]) {
        var rest = outcomes[...]
        hub.before = { request, hub in
            guard request.line.contains("/commit/"), let applies = rest.popFirst() else {
                return nil
            }
            if applies { _ = try hub.take(request) }
            throw TransportFailure(reason: "reset")
        }
    }

    func commitCount() -> Int { hub.lines.filter { $0.contains("/commit/") }.count }

    @Test func `a commit whose answer was lost is found and not sent again`() throws {
        loseCommits([true])
        let result = try publish()
        #expect(commitCount() == 1)
        #expect(result.commit == hub.commit)
        #expect(hub.tree.count == 3)
    }

    @Test func `a commit that never arrived is sent again, on the same parent`() throws {
        loseCommits([false])
        let result = try publish()
        #expect(commitCount() == 2)
        #expect(result.commit == hub.commit)
        #expect(clock.sleeps == [1])
    }

    @Test func `a commit that arrives behind our back is not doubled`() throws {
        // The first one lands between the question and the second attempt.
        var attempts = 0
        hub.before = { request, hub in
            guard request.line.contains("/commit/") else { return nil }
            attempts += 1
            if attempts == 1 { throw TransportFailure(reason: "reset") }
            hub.commit = String(repeating: "d", count: 40)
            return nil
        }
        let sentence = sentence { try publish() }
        #expect(sentence.contains("got another commit on 'main' meanwhile"), "\(sentence)")
    }

    @Test func `a stale parent ends it with the way on`() {
        hub.before = { request, hub in
            if request.line.contains("/preupload/") {
                hub.commit = String(repeating: "d", count: 40)
            }
            return nil
        }
        let sentence = sentence { try publish() }
        #expect(
            sentence == "me/model got another commit on 'main' meanwhile, so nothing was "
                + "committed; run the same command again")
        #expect(commitCount() == 1)
    }

    @Test func `a pull request is never sent twice`() {
        loseCommits([false])
        let sentence = sentence { try publish { $0.createsPullRequest = true } }
        #expect(commitCount() == 1)
        #expect(sentence.contains("look at the repository before running the command again"))
    }

    @Test func `a commit that stays lost ends after the schedule`() {
        loseCommits(Array(repeating: false, count: 9))
        let sentence = sentence { try publish() }
        #expect(commitCount() == 6)
        #expect(sentence.contains("its answer was lost (reset)"), "\(sentence)")
    }

    // MARK: Storage

    @Test func `storage that stumbles gets the whole file again`() throws {
        var failures = 2
        hub.before = { request, _ in
            guard request.method == "PUT", failures > 0 else { return nil }
            failures -= 1
            return HubResponse(status: 500)
        }
        try publish()
        #expect(hub.requests.filter { $0.method == "PUT" }.map(\.data.count) == [10, 10, 10])
        #expect(clock.sleeps == [1, 2])
    }

    @Test func `a repository that one may write to and not make is used`() throws {
        hub.exists = true
        hub.before = { request, _ in
            request.line == "POST /api/repos/create"
                ? json(["error": "You don't have the rights"], status: 403) : nil
        }
        #expect(try !publish().isNewRepository)
    }

    @Test func `an object that the Hub does not take ends it`() {
        hub.before = { request, _ in
            request.line.hasSuffix("/objects/batch")
                ? json([
                    "objects": [
                        [
                            "oid": .string(Self.weightsDigest),
                            "error": ["code": 422, "message": "too big"],
                        ]
                    ]
                ]) : nil
        }
        #expect(sentence { try publish() }.contains("found error 422: too big"))
    }
}
