// SPDX-License-Identifier: Apache-2.0
/// The seam between the Hub client and the network: one request, one answer, nothing followed.

import Foundation

/// One HTTP request.
public struct HubRequest: Sendable {
    /// What is sent with a request.
    public enum Body: Sendable {
        /// Nothing.
        case none
        /// Bytes at hand.
        case data(Data)
        /// A file of `byteCount` bytes, streamed from disk.
        case file(URL, byteCount: Int)
    }

    /// `GET`, `POST`, `PUT`, `HEAD`.
    public var method: String
    /// The address, with its query.
    public var url: URL
    /// Header fields by name.
    public var headers: [String: String]
    /// What is sent.
    public var body: Body
    /// How long the connection may stand still.
    public var idleSeconds: Double

    /// A request of parts.
    public init(
        method: String = "GET", url: URL, headers: [String: String] = [:], body: Body = .none,
        idleSeconds: Double = 60
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.idleSeconds = idleSeconds
    }

    /// The request as errors and logs name it: without the query, where signatures stand.
    public var label: String { "\(method) \(Self.publicText(of: url))" }

    static func publicText(of url: URL) -> String {
        guard var parts = URLComponents(url: url, resolvingAgainstBaseURL: true) else {
            return url.path
        }
        (parts.query, parts.fragment, parts.user, parts.password) = (nil, nil, nil, nil)
        return parts.string ?? url.path
    }
}

/// One HTTP answer; `body` is empty where a sink took it.
public struct HubResponse: Sendable {
    /// The HTTP status.
    public var status: Int
    /// Under lower-case names.
    private var headers: [String: String]
    /// What came, where no sink took it.
    public var body: Data

    /// An answer of parts; names of headers are taken in any case.
    public init(status: Int, headers: [String: String] = [:], body: Data = Data()) {
        self.status = status
        self.headers = Dictionary(
            headers.map { ($0.key.lowercased(), $0.value) }, uniquingKeysWith: { $0 + ", " + $1 })
        self.body = body
    }

    /// A header by its name in any case.
    public subscript(header name: String) -> String? { headers[name.lowercased()] }

    var isRedirect: Bool {
        [301, 302, 303, 307, 308].contains(status) && self[header: "Location"] != nil
    }
}

/// Takes the body of an answer as it arrives, over as many attempts as it needs.
public protocol HubSink: AnyObject {
    /// How many bytes are here; an attempt that adds some does not count as a retry.
    var byteCount: Int { get }
    /// Adapts the request before each attempt, as to ask for what is missing only.
    func prepare(_ request: inout HubRequest)
    /// Whether the body of this answer is wanted here; else it is collected in memory.
    func begin(_ response: HubResponse) throws -> Bool
    /// Takes all of `data`, or throws, which ends the transfer.
    func write(_ data: Data) throws
}

/// The network, or what a test puts in its place.
public protocol HubTransport: Sendable {
    /// Sends one request and waits for the whole answer; follows no redirection.
    ///
    /// - Throws: `TransportFailure` when no answer, or only a part of it, arrives; what the sink
    ///   throws.
    func send(_ request: HubRequest, into sink: (any HubSink)?) throws -> HubResponse
}

/// No answer arrived, or it stopped before its end.
public struct TransportFailure: Error, Equatable, Sendable {
    /// What the system says.
    public let reason: String
    /// No connection came about, so that nothing was sent.
    public let isUnconnected: Bool

    /// A failure with its reason.
    public init(reason: String, isUnconnected: Bool = false) {
        self.reason = reason
        self.isUnconnected = isUnconnected
    }
}

/// Time as the client spends it.
public protocol HubClock: Sendable {
    /// Waits on the calling thread.
    func sleep(seconds: Double)
}

/// The machine's own time.
public struct MachineClock: HubClock {
    /// The system's clock.
    public init() {}

    /// Waits on the calling thread.
    public func sleep(seconds: Double) { Thread.sleep(forTimeInterval: seconds) }
}

/// Scheme, host and port: the border that a token never crosses.
struct Origin: Hashable, Sendable {
    let scheme: String
    let host: String
    let port: Int

    /// Nil for an address that is not `http` or `https`, or has no host.
    init?(_ url: URL) {
        guard let scheme = url.scheme?.lowercased(), scheme == "http" || scheme == "https",
            let host = url.host?.lowercased(), !host.isEmpty
        else { return nil }
        self.scheme = scheme
        self.host = host
        port = url.port ?? (scheme == "https" ? 443 : 80)
    }
}
