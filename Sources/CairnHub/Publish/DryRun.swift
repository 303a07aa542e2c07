// SPDX-License-Identifier: Apache-2.0
/// What would be sent, without sending it.

import CairnFormats
import Foundation

/// Answers as a Hub would that has no such repository yet, and keeps what it was asked.
///
/// Which files are large the Hub alone decides; here it is those with the endings that a new
/// repository lists in its .gitattributes, those that hold a zero byte early, and any above 10 MB.
public final class DryRunTransport: HubTransport, @unchecked Sendable {
    // Unchecked: the list is behind the lock.
    private let lock = NSLock()
    private var list: [HubRequest] = []
    private let account: String

    static let smallestLarge = 10 << 20
    static let largeEndings: Set<String> = [
        "7z", "arrow", "bin", "bz2", "ckpt", "ftz", "gz", "h5", "joblib", "mlmodel", "model",
        "msgpack", "npy", "npz", "onnx", "ot", "parquet", "pb", "pickle", "pkl", "pt", "pth",
        "rar", "safetensors", "tar", "tflite", "tgz", "wasm", "xz", "zip", "zst",
    ]

    /// A Hub that takes the caller for `account`, and keeps nothing of what is sent.
    public init(account: String) { self.account = account }

    /// What would have been asked, in order.
    public var requests: [HubRequest] { lock.withLock { list } }

    /// The requests of a plan, in order; nothing is sent, and no token is needed.
    public static func requests(
        of plan: PublishPlan, settings: HubSettings, userAgent: String = "cairn"
    ) throws -> [HubRequest] {
        var settings = settings
        settings.offlineVariable = nil
        settings.token = try HubToken("token", place: "nowhere")
        let transport = DryRunTransport(account: plan.repository.namespace ?? "")
        let client = HubClient(settings, transport: transport, userAgent: userAgent)
        _ = try HubPublisher(client).publish(plan)
        return transport.requests
    }

    public func send(_ request: HubRequest, into sink: (any HubSink)?) throws -> HubResponse {
        lock.withLock { list.append(request) }
        let path = request.url.path
        let json = Self.json(of: request)
        let answer: JSONValue
        if path.hasSuffix("/whoami-v2") {
            answer = ["name": .string(account)]
        } else if path.contains("/preupload/") {
            answer = ["files": .array((json?["files"]?.array ?? []).map(Self.mode))]
        } else if path.hasSuffix("/objects/batch") {
            answer = ["objects": .array((json?["objects"]?.array ?? []).map(Self.place))]
        } else if path.contains("/commit/") {
            answer = ["commitOid": .string(Self.nowhere)]
        } else {
            answer = ["sha": .string(Self.nowhere), "errors": [], "warnings": []]
        }
        return HubResponse(status: 200, body: try answer.serialized(pretty: false))
    }

    private static let nowhere = String(repeating: "0", count: 40)

    private static func json(of request: HubRequest) -> JSONValue? {
        guard case .data(let data) = request.body else { return nil }
        return try? JSONValue.parse(data, file: "request")
    }

    private static func mode(_ file: JSONValue) -> JSONValue {
        let path = file["path"]?.string ?? ""
        let sample = file["sample"]?.string.flatMap { Data(base64Encoded: $0) } ?? Data()
        let ending = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
        let isLarge =
            path.contains(".") && largeEndings.contains(ending) || sample.contains(0)
            || (file["size"]?.integer ?? 0) > smallestLarge
        return [
            "path": .string(path), "uploadMode": isLarge ? "lfs" : "regular",
            "shouldIgnore": false,
        ]
    }

    private static func place(_ object: JSONValue) -> JSONValue {
        let oid = object["oid"]?.string ?? ""
        return [
            "oid": .string(oid),
            "actions": ["upload": ["href": .string("https://storage.invalid/\(oid)")]],
        ]
    }
}

extension HubRequest {
    /// The request as a dry run prints it: method, address, body with long texts cut short.
    public var summary: String {
        let query = url.query.map { "?\($0)" } ?? ""
        let isStorage = url.host == "storage.invalid"
        let place = isStorage ? "an address that the Hub signs" : Self.publicText(of: url) + query
        let line = "\(method) \(place)"
        switch body {
        case .none: return line
        case .file(_, let count): return "\(line)\n    \(count) bytes from disk"
        case .data(let data):
            if isStorage { return "\(line)\n    \(data.count) bytes" }
            let lines = data.split(separator: 0x0A).map { line -> String in
                guard let json = try? JSONValue.parse(Data(line), file: "request"),
                    let short = try? Self.shortened(json).serialized(pretty: false)
                else { return "\(line.count) bytes" }
                return String(decoding: short, as: UTF8.self)
            }
            return ([line] + lines).joined(separator: "\n    ")
        }
    }

    private static func shortened(_ json: JSONValue) -> JSONValue {
        switch json {
        case .string(let text) where text.utf8.count > 80:
            .string("\(text.prefix(40))... (\(text.utf8.count) bytes)")
        case .array(let elements): .array(elements.map(shortened))
        case .object(let members):
            .object(JSONObject(members.map { ($0.key, shortened($0.value)) }))
        default: json
        }
    }
}
