// SPDX-License-Identifier: Apache-2.0
/// Where the token goes, what is followed, what is tried again, and how errors read.

import CairnFormats
import CairnHub
import Foundation
import Testing

@Suite struct HubClientTests {
    static let target = try! RepositoryReference("me/model@v1")  // a plain literal
    static let sha = String(repeating: "a", count: 40)

    /// Follows one redirection and tells what the second request carried.
    static func redirected(to location: String, status: Int = 302) throws -> [HubRequest] {
        let transport = ScriptedTransport { request, count in
            count == 0
                ? HubResponse(status: status, headers: ["location": location])
                : json(["sha": .string(sha)])
        }
        _ = try client(transport).commit(of: target)
        return transport.requests
    }

    @Test func `the token goes to the endpoint`() throws {
        let transport = ScriptedTransport { _, _ in json(["sha": .string(Self.sha)]) }

        _ = try client(transport).commit(of: Self.target)

        #expect(transport.requests[0].headers["Authorization"] == "Bearer hf_secret")
        #expect(
            transport.requests[0].url.absoluteString
                == "https://hub.example/api/models/me/model/revision/v1")
    }

    @Test func `without a token there is no such header`() throws {
        let transport = ScriptedTransport { _, _ in json(["sha": .string(Self.sha)]) }
        _ = try client(transport, token: nil).commit(of: Self.target)
        #expect(transport.requests[0].headers["Authorization"] == nil)
    }

    @Test(arguments: ["/moved", "https://hub.example/moved", "https://HUB.example:443/moved"])
    func `a redirection within the origin keeps the token`(location: String) throws {
        let requests = try Self.redirected(to: location)
        #expect(requests.count == 2)
        #expect(requests[1].url.path == "/moved")
        #expect(requests[1].headers["Authorization"] == "Bearer hf_secret")
    }

    static let elsewhere = [
        "https://storage.example/x", "https://hub.example:444/x", "//other.example/x",
        "https://hub.example.evil.example/x", "https://hub.example@evil.example/x",
    ]

    @Test(arguments: elsewhere)
    func `a redirection to another origin drops the token`(location: String) throws {
        let requests = try Self.redirected(to: location, status: 307)
        #expect(requests.count == 2)
        #expect(requests[1].headers["Authorization"] == nil)
    }

    @Test(arguments: ["http://hub.example/x", "ftp://hub.example/x", ""])
    func `a redirection out of https is refused`(location: String) {
        let sentence = sentence { try Self.redirected(to: location) }
        #expect(sentence.contains("Location of the answer: expected an http"), "\(sentence)")
    }

    @Test func `redirections end`() {
        let transport = ScriptedTransport { _, _ in
            HubResponse(status: 302, headers: ["Location": "/again"])
        }
        let sentence = sentence { try client(transport).commit(of: Self.target) }
        #expect(sentence.contains("at most 10"), "\(sentence)")
        #expect(transport.requests.count == 11)
    }

    @Test func `passing trouble is waited out, twice as long each time`() throws {
        let clock = CountingClock()
        let transport = ScriptedTransport { _, count in
            if count == 0 { throw TransportFailure(reason: "gone") }
            return count < 5 ? HubResponse(status: 503) : json(["sha": .string(Self.sha)])
        }

        #expect(try client(transport, clock: clock).commit(of: Self.target) == Self.sha)

        #expect(clock.sleeps == [1, 2, 4, 8, 8])
    }

    @Test func `trouble that does not pass ends after five retries`() {
        let transport = ScriptedTransport { _, _ in HubResponse(status: 502) }
        let sentence = sentence { try client(transport).commit(of: Self.target) }
        #expect(transport.requests.count == 6)
        #expect(
            sentence
                == "GET https://hub.example/api/models/me/model/revision/v1: the Hub answers 502: "
                + "no explanation")
    }

    @Test func `what the Hub asks to wait is waited, and a long wait is not`() throws {
        let clock = CountingClock()
        let short = ScriptedTransport { _, count in
            count == 0
                ? HubResponse(status: 429, headers: ["retry-after": "6"])
                : json(["sha": .string(Self.sha)])
        }
        _ = try client(short, clock: clock).commit(of: Self.target)
        #expect(clock.sleeps == [7])

        let long = ScriptedTransport { _, _ in
            HubResponse(status: 429, headers: ["Retry-After": "3600"])
        }
        #expect(sentence { try client(long).commit(of: Self.target) }.contains("wait 3600 s"))
        #expect(long.requests.count == 1)
    }

    @Test func `an offline client sends nothing`() throws {
        let transport = ScriptedTransport { _, _ in json([:]) }
        var settings = try settings()
        settings.offlineVariable = "HF_HUB_OFFLINE"
        let client = HubClient(settings, transport: transport)

        let sentence = sentence { try client.commit(of: Self.target) }

        #expect(sentence.hasPrefix("HF_HUB_OFFLINE switches the network off"))
        #expect(transport.requests.isEmpty)
    }

    static let errors: [(Int, [String: String], String, String)] = [
        (404, ["X-Error-Code": "RepoNotFound"], "", "the Hub has no repository me/model that this"),
        (404, ["X-Error-Code": "RevisionNotFound"], "", "me/model has no revision 'v1'"),
        (
            403, ["X-Error-Code": "GatedRepo", "X-Error-Message": "ask"], "",
            "me/model is gated: ask"
        ),
        (
            401, ["X-Error-Message": "Invalid credentials in Authorization header"], "",
            "https://hub.example does not know the token from HF_TOKEN"
        ),
        (400, [:], "{\"error\":\"bad\"}", ": the Hub answers 400: bad"),
        (400, [:], "{\"error\":[\"a\",\"b\"]}", ": the Hub answers 400: a; b"),
        (400, [:], "{\"errors\":[{\"message\":\"c\"}]}", ": the Hub answers 400: c"),
        (400, [:], "<html>\nno", ": the Hub answers 400: <html> no"),
        (403, [:], "", "the token may lack the permission to write there"),
        (400, ["X-Request-Id": "r-1"], "x", "x (request r-1)"),
        (400, ["X-Error-Message": "got hf_secret"], "", "got <token>"),
    ]

    @Test(arguments: errors)
    func `an error reads as what it means`(
        status: Int, headers: [String: String], body: String, expected: String
    ) {
        let transport = ScriptedTransport { _, _ in
            HubResponse(status: status, headers: headers, body: Data(body.utf8))
        }
        let sentence = sentence { try client(transport).commit(of: Self.target) }
        #expect(sentence.contains(expected), "\(sentence)")
        #expect(transport.requests.count == 1)
    }

    @Test func `what is hidden from strangers reads as not found`() {
        let transport = ScriptedTransport { _, _ in HubResponse(status: 401) }
        let sentence = sentence { try client(transport, token: nil).commit(of: Self.target) }
        #expect(
            sentence == "the Hub has no repository me/model that can be seen without a token")
    }

    @Test func `a warning is shown once for each topic`() throws {
        let notices = Notices()
        let transport = ScriptedTransport { _, count in
            json(
                ["sha": .string(Self.sha)], status: 200,
                ["X-HF-Warning": count < 2 ? "quota; nearly full" : "plan; expires"])
        }
        let client = try client(transport, notices: notices)

        for _ in 0..<4 { _ = try client.commit(of: Self.target) }

        #expect(notices.list == ["the Hub warns: nearly full", "the Hub warns: expires"])
    }

    @Test func `a failed request is named without its signature`() {
        let transport = ScriptedTransport { _, count in
            if count == 0 {
                return HubResponse(
                    status: 302, headers: ["Location": "http://storage.example/x?signature=abc"])
            }
            throw TransportFailure(reason: "gone")
        }
        #expect(!sentence { try client(transport).commit(of: Self.target) }.contains("abc"))
        let url = URL(string: "https://u:p@storage.example/x?signature=abc#y")!
        #expect(HubRequest(url: url).label == "GET https://storage.example/x")
    }

    @Test func `the pages of a listing are followed to their end`() throws {
        let transport = ScriptedTransport { _, count in
            json(
                [
                    ["type": "directory", "path": "d", "oid": "x", "size": 0],
                    [
                        "type": "file", "path": .string("f\(count)"), "oid": .string(Self.sha),
                        "size": JSONValue(count),
                    ],
                ], status: 200,
                count < 2
                    ? ["Link": "<https://hub.example/next?cursor=\(count)>; rel=\"next\""] : [:])
        }
        let files = try client(transport).files(of: Self.target)
        #expect(files.map(\.path) == ["f0", "f1", "f2"])
        #expect(files.map(\.size) == [0, 1, 2])
    }

    static let hostile: [JSONValue] = [
        ["type": "file", "path": "../x", "oid": .string(sha), "size": 1],
        ["type": "file", "path": "/x", "oid": .string(sha), "size": 1],
        ["type": "file", "path": "x", "oid": "../../x", "size": 1],
        ["type": "file", "path": "x", "oid": .string(sha), "size": -1],
        [
            "type": "file", "path": "x", "oid": .string(sha), "size": 1,
            "lfs": ["oid": "y", "size": 1],
        ],
    ]

    @Test(arguments: hostile)
    func `a listing that could write elsewhere is refused`(entry: JSONValue) {
        let transport = ScriptedTransport { _, _ in json([entry]) }
        let sentence = sentence { try client(transport).files(of: Self.target) }
        #expect(sentence.contains("of the answer: expected"), "\(sentence)")
    }
}

@Suite struct RetryScheduleTests {
    static func response(_ status: Int, _ headers: [String: String] = [:]) -> HubResponse {
        HubResponse(status: status, headers: headers)
    }

    @Test(arguments: [408, 429, 500, 502, 503, 504])
    func `these statuses pass`(status: Int) {
        #expect(
            RetrySchedule().verdict(retries: 0, response: Self.response(status))
                == .wait(seconds: 1))
    }

    @Test(arguments: [200, 301, 400, 401, 403, 404, 409, 412, 416, 501, 505])
    func `these statuses stay`(status: Int) {
        #expect(RetrySchedule().verdict(retries: 0, response: Self.response(status)) == .stop)
    }

    static let asked: [([String: String], RetrySchedule.Verdict)] = [
        (["Retry-After": "0"], .wait(seconds: 1)), (["Retry-After": "30"], .wait(seconds: 31)),
        (["Retry-After": "300"], .wait(seconds: 301)),
        (["Retry-After": "301"], .tooLong(seconds: 301)),
        (["Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"], .wait(seconds: 4)),
        (["Retry-After": "-5"], .wait(seconds: 4)),
        (["RateLimit": "\"api\";r=0;t=55"], .wait(seconds: 56)),
        (["RateLimit": "\"api\";r=0"], .wait(seconds: 4)),
        (["Retry-After": "9223372036854775807"], .wait(seconds: 4)),
    ]

    @Test(arguments: asked)
    func `what is asked for replaces the schedule`(
        headers: [String: String], verdict: RetrySchedule.Verdict
    ) {
        #expect(
            RetrySchedule().verdict(retries: 2, response: Self.response(429, headers)) == verdict)
    }

    @Test func `the sixth failure is the last`() {
        #expect(RetrySchedule().verdict(retries: 4, response: nil) == .wait(seconds: 8))
        #expect(RetrySchedule().verdict(retries: 5, response: nil) == .stop)
    }
}
