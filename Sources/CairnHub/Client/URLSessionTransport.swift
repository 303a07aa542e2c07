// SPDX-License-Identifier: Apache-2.0
/// The network by Foundation's `URLSession`.

import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Sends requests over sessions that keep no cookies, no cache, no credentials.
///
/// Requests without a body share connections. One with a body gets a connection of its own: when
/// a shared one turns out to be closed the system sends the request again by itself, which for a
/// commit is a decision of the caller, and which a body from a file does not survive.
///
/// The calling thread waits; answers arrive on a session's own queue.
public final class URLSessionTransport: HubTransport {
    private let shared = Connections()

    /// More than any answer that is not a file; beyond it the exchange is called off.
    static let mostBytesInMemory = 64 << 20

    /// A transport with sessions of its own.
    public init() {}

    public func send(_ request: HubRequest, into sink: (any HubSink)?) throws -> HubResponse {
        var native = URLRequest(
            url: request.url, cachePolicy: .reloadIgnoringLocalCacheData,
            timeoutInterval: request.idleSeconds)
        native.httpMethod = request.method
        for (name, value) in request.headers { native.setValue(value, forHTTPHeaderField: name) }
        switch request.body {
        case .none:
            return try shared.run(sink) { $0.dataTask(with: native) }
        case .data(let data):
            native.httpBody = data
            return try Connections().run(sink) { $0.dataTask(with: native) }
        case .file(let file, _):
            return try Connections().run(sink) { $0.uploadTask(with: native, fromFile: file) }
        }
    }
}

/// A session and what goes on in it.
private final class Connections: Sendable {
    private let session: URLSession
    private let exchanges = Exchanges()

    init() {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        configuration.urlCache = nil
        configuration.urlCredentialStorage = nil
        session = URLSession(
            configuration: configuration, delegate: exchanges, delegateQueue: nil)
    }

    deinit { session.finishTasksAndInvalidate() }

    func run(
        _ sink: (any HubSink)?, _ makeTask: (URLSession) -> URLSessionTask
    ) throws -> HubResponse {
        let task = makeTask(session)
        let exchange = Exchange(sink)
        exchanges.add(exchange, for: task)
        task.resume()
        exchange.done.wait()
        return try exchange.result()
    }
}

/// What is known of one request under way; touched on the session's queue until `done`.
private final class Exchange {
    let done = DispatchSemaphore(value: 0)
    var failure: (any Error)?
    private let sink: (any HubSink)?
    private var response: HubResponse?
    private var usesSink = false

    init(_ sink: (any HubSink)?) { self.sink = sink }

    func begin(_ native: URLResponse) throws {
        guard let native = native as? HTTPURLResponse else { return }
        var headers: [String: String] = [:]
        for case (let name as String, let value as String) in native.allHeaderFields {
            headers[name] = value
        }
        let response = HubResponse(status: native.statusCode, headers: headers)
        self.response = response
        usesSink = try sink?.begin(response) ?? false
    }

    func receive(_ data: Data) throws {
        if usesSink {
            try sink?.write(data)
        } else {
            response?.body.append(data)
            if response?.body.count ?? 0 > URLSessionTransport.mostBytesInMemory {
                throw TransportFailure(
                    reason: "the answer exceeds \(URLSessionTransport.mostBytesInMemory) bytes")
            }
        }
    }

    func result() throws -> HubResponse {
        if let failure { throw failure }
        guard let response else { throw TransportFailure(reason: "the answer is no HTTP") }
        return response
    }
}

/// Leads what the session reports to the exchange it belongs to.
private final class Exchanges: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    // Unchecked: the table is behind the lock; an exchange belongs to the session's serial queue
    // until its semaphore hands it over.
    private let lock = NSLock()
    private var table: [Int: Exchange] = [:]

    func add(_ exchange: Exchange, for task: URLSessionTask) {
        lock.withLock { table[task.taskIdentifier] = exchange }
    }

    private func exchange(of task: URLSessionTask) -> Exchange? {
        lock.withLock { table[task.taskIdentifier] }
    }

    /// Runs a step of an exchange; a failure calls the task off.
    private func step(_ task: URLSessionTask, _ body: (Exchange) throws -> Void) -> Bool {
        guard let exchange = exchange(of: task), exchange.failure == nil else { return false }
        do {
            try body(exchange)
            return true
        } catch {
            exchange.failure = error
            return false
        }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask,
        willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest,
        completionHandler: @escaping (URLRequest?) -> Void
    ) {
        completionHandler(nil)  // The client decides, and decides whether the token goes along.
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        completionHandler(step(dataTask) { try $0.begin(response) } ? .allow : .cancel)
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data
    ) {
        if !step(dataTask, { try $0.receive(data) }) { dataTask.cancel() }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
    ) {
        guard let exchange = lock.withLock({ table.removeValue(forKey: task.taskIdentifier) })
        else { return }
        if let error, exchange.failure == nil {
            exchange.failure = Self.failure(error)
        }
        exchange.done.signal()
    }

    private static func failure(_ error: any Error) -> TransportFailure {
        let unconnected: Set<URLError.Code> = [
            .cannotConnectToHost, .cannotFindHost, .dnsLookupFailed, .notConnectedToInternet,
        ]
        return TransportFailure(
            reason: error.localizedDescription,
            isUnconnected: (error as? URLError).map { unconnected.contains($0.code) } ?? false)
    }
}
