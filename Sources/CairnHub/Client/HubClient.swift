// SPDX-License-Identifier: Apache-2.0
/// Sends requests to the Hub: token, redirections, retries, errors.

import CairnFormats
import Foundation

/// A client of one Hub.
///
/// **The token** goes to the endpoint's own origin (scheme, host and port) and nowhere else: not
/// to storage hosts, not along a redirection to another origin. The calling thread waits.
public final class HubClient: Sendable {
    /// Endpoint, token, cache and whether to stay offline.
    public let settings: HubSettings
    let transport: any HubTransport
    let clock: any HubClock
    private let userAgent: String
    private let notice: @Sendable (String) -> Void
    private let shown = ShownTopics()
    private let origin: Origin
    private let schedule = RetrySchedule()

    static let mostRedirections = 10

    /// A client of an endpoint.
    ///
    /// - Parameters:
    ///   - settings: endpoint, token, cache and whether to stay offline.
    ///   - transport: what sends requests.
    ///   - clock: what waits between attempts.
    ///   - userAgent: what the client calls itself, as `cairn/1.2`.
    ///   - notice: takes one sentence for each retry, and what the Hub warns of, once a topic.
    public init(
        _ settings: HubSettings, transport: any HubTransport = URLSessionTransport(),
        clock: any HubClock = MachineClock(), userAgent: String = "cairn",
        notice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        guard let url = URL(string: settings.endpoint), let origin = Origin(url) else {
            preconditionFailure("endpoint '\(settings.endpoint)' is no address")
        }
        self.settings = settings
        self.transport = transport
        self.clock = clock
        self.userAgent = userAgent
        self.notice = notice
        self.origin = origin
    }

    /// What the client does with a request beyond sending it.
    struct Conduct {
        /// Whether passing trouble is waited out.
        var retries = true
        /// Whether a network that is away is passing trouble; not so for the first word of a call.
        var awaitsNetwork = true
        /// Whether the token goes along, where the origin allows it.
        var sendsToken = true
        /// Statuses that are results and no errors.
        var accepts: Set<Int> = [200, 201, 202, 204]
        /// What a "not found" is about.
        var subject: RepositoryReference?
    }

    /// An answer, and the answers of the endpoint's own origin that led to it by redirection.
    struct Chain {
        var final: HubResponse
        /// The endpoint's own, in order; the final one too where it is of that origin.
        var own: [HubResponse] = []
    }

    /// Sends a request and answers what came, or throws the Hub's own error.
    func send(_ request: HubRequest, _ conduct: Conduct = Conduct()) throws -> HubResponse {
        try chain(request, conduct).final
    }

    func chain(
        _ request: HubRequest, _ conduct: Conduct = Conduct(), into sink: (any HubSink)? = nil
    ) throws -> Chain {
        if let variable = settings.offlineVariable {
            throw HubError.offline(request: request.label, variable: variable)
        }
        var retries = 0
        while true {
            let before = sink?.byteCount ?? 0
            let response: HubResponse?
            let failure: HubError
            do {
                let chain = try follow(request, conduct, into: sink)
                if conduct.accepts.contains(chain.final.status) { return chain }
                (response, failure) = (chain.final, error(chain.final, to: request, conduct))
            } catch let lost as TransportFailure {
                (response, failure) = (nil, network(request, lost))
                if lost.isUnconnected && !conduct.awaitsNetwork { throw failure }
            }
            if !conduct.retries { throw failure }
            if sink?.byteCount ?? 0 > before { retries = 0 }
            switch schedule.verdict(retries: retries, response: response) {
            case .wait(let seconds):
                let reason = response.map { "answer \($0.status)" } ?? "no whole answer"
                notice("\(request.label): \(reason), trying again in \(Int(seconds)) s")
                clock.sleep(seconds: seconds)
                retries += 1
            case .tooLong(let seconds):
                throw HubError.busy(request: request.label, seconds: seconds)
            case .stop: throw failure
            }
        }
    }

    /// One attempt, along redirections.
    private func follow(
        _ request: HubRequest, _ conduct: Conduct, into sink: (any HubSink)?
    ) throws -> Chain {
        var request = request
        sink?.prepare(&request)
        var own: [HubResponse] = []
        for _ in 0...Self.mostRedirections {
            let isOwn = Origin(request.url) == origin
            let response = try transport.send(dressed(request, conduct), into: sink)
            if isOwn {
                own.append(response)
                showWarning(response)
            }
            guard response.isRedirect, !conduct.accepts.contains(response.status) else {
                return Chain(final: response, own: own)
            }
            request = try redirected(request, response)
        }
        throw HubError.badAnswer(
            request: request.label, place: "redirections",
            expected: "at most \(Self.mostRedirections)", found: "more")
    }

    /// The request with the headers that every one carries, and the token where it may go.
    private func dressed(_ request: HubRequest, _ conduct: Conduct) -> HubRequest {
        var request = request
        request.headers["User-Agent"] = userAgent
        request.headers["Authorization"] = nil
        if conduct.sendsToken, let token = settings.token, Origin(request.url) == origin {
            request.headers["Authorization"] = "Bearer \(token.value)"
        }
        return request
    }

    /// The request that a redirection asks for.
    ///
    /// A body goes along within one origin only, and nothing goes from https to http.
    private func redirected(
        _ request: HubRequest, _ response: HubResponse
    ) throws(HubError) -> HubRequest {
        let text = response[header: "Location"] ?? ""
        func refuse(_ expected: String) -> HubError {
            .badAnswer(
                request: request.label, place: "Location", expected: expected,
                found: URL(string: text).map(HubRequest.publicText) ?? "'\(text)'")
        }
        guard let url = URL(string: text, relativeTo: request.url)?.absoluteURL,
            let target = Origin(url), let source = Origin(request.url)
        else { throw refuse("an http(s) address") }
        if source.scheme == "https" && target.scheme != "https" { throw refuse("an https address") }
        if request.method != "GET" && request.method != "HEAD" {
            guard source == target, response.status == 307 || response.status == 308 else {
                throw refuse("no redirection of a \(request.method) to there")
            }
        }
        var next = request
        next.url = url
        return next
    }

    /// Shows an `X-HF-Warning: topic; message` the first time that its topic comes up.
    private func showWarning(_ response: HubResponse) {
        guard let text = response[header: "X-HF-Warning"] else { return }
        let parts = text.split(separator: ";", maxSplits: 1).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        let (topic, message) = parts.count == 2 ? (parts[0], parts[1]) : ("", text)
        if shown.insert(topic) { notice("the Hub warns: \(redacted(message))") }
    }

    private func network(_ request: HubRequest, _ failure: TransportFailure) -> HubError {
        .network(request: request.label, reason: redacted(failure.reason))
    }

    /// A text from outside without the token, should it hold it.
    func redacted(_ text: String) -> String {
        guard let token = settings.token else { return text }
        return text.replacingOccurrences(of: token.value, with: "<token>")
    }
}

/// The topics of warnings that were shown.
private final class ShownTopics: @unchecked Sendable {
    // Unchecked: the set is behind the lock.
    private let lock = NSLock()
    private var topics: Set<String> = []

    func insert(_ topic: String) -> Bool { lock.withLock { topics.insert(topic).inserted } }
}
