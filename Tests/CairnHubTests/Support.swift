// SPDX-License-Identifier: Apache-2.0
/// A Hub in memory, a clock that only counts, and the client between them.

import CairnFormats
import CairnHub
import Foundation
import TestSupport

/// Answers by a closure and keeps every request.
final class ScriptedTransport: HubTransport, @unchecked Sendable {
    // Unchecked: one test, one thread.
    private(set) var requests: [HubRequest] = []
    private let answer: (HubRequest, Int) throws -> HubResponse

    /// - Parameter answer: takes the request and how many came before it.
    init(_ answer: @escaping (HubRequest, Int) throws -> HubResponse) { self.answer = answer }

    func send(_ request: HubRequest, into sink: (any HubSink)?) throws -> HubResponse {
        requests.append(request)
        var response = try answer(request, requests.count - 1)
        if let sink, try sink.begin(response) {
            // A body that says where it is cut arrives up to there, and then no more.
            let cut = response[header: "X-Cut"].flatMap { Int($0) }
            try sink.write(response.body.prefix(cut ?? response.body.count))
            response.body = Data()
            if cut != nil { throw TransportFailure(reason: "cut") }
        }
        return response
    }
}

/// Keeps what it is asked to sleep.
final class CountingClock: HubClock, @unchecked Sendable {
    // Unchecked: one test, one thread.
    private(set) var sleeps: [Double] = []

    func sleep(seconds: Double) { sleeps.append(seconds) }
}

/// Keeps sentences.
final class Notices: @unchecked Sendable {
    // Unchecked: one test, one thread.
    private(set) var list: [String] = []

    func add(_ text: String) { list.append(text) }
}

let hubAddress = "https://hub.example"
let storageAddress = "https://storage.example"

func settings(token: String? = "hf_secret", cache: URL? = nil) throws -> HubSettings {
    var environment = ["HF_ENDPOINT": hubAddress, "HF_TOKEN_PATH": "/nowhere/token"]
    environment["HF_TOKEN"] = token
    environment["HF_HUB_CACHE"] = cache?.path
    return try HubSettings(environment: environment, homeDirectory: "/nowhere")
}

func client(
    _ transport: some HubTransport, token: String? = "hf_secret", cache: URL? = nil,
    clock: some HubClock = CountingClock(), notices: Notices = Notices()
) throws -> HubClient {
    HubClient(
        try settings(token: token, cache: cache), transport: transport, clock: clock,
        notice: { notices.add($0) })
}

func json(_ value: JSONValue, status: Int = 200, _ headers: [String: String] = [:]) -> HubResponse {
    HubResponse(
        status: status, headers: headers, body: (try? value.serialized(pretty: false)) ?? Data())
}

extension HubRequest {
    var data: Data {
        switch body {
        case .none: Data()
        case .data(let data): data
        case .file(let url, _): (try? Data(contentsOf: url)) ?? Data()
        }
    }

    var document: JSONValue { (try? JSONValue.parse(data, file: "request")) ?? .null }
    var line: String { "\(method) \(url.path)" }
}

extension TemporaryDirectory {
    /// Writes files by their paths.
    @discardableResult
    func write(_ files: [String: String]) throws -> TemporaryDirectory {
        for (path, text) in files {
            let url = file(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        return self
    }
}

func sentence(_ body: () throws -> some Any) -> String {
    do {
        return "no error: \(try body())"
    } catch {
        return "\(error)"
    }
}
