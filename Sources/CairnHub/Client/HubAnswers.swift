// SPDX-License-Identifier: Apache-2.0
/// What the Hub's answers mean: errors by their headers, documents by their members.

import CairnFormats
import Foundation

extension HubClient {
    /// The error that an answer stands for.
    func error(
        _ response: HubResponse, to request: HubRequest, _ conduct: Conduct
    ) -> HubError {
        let message = redacted(Self.message(of: response))
        let hasToken = settings.token != nil
        let name = conduct.subject?.repository.description
        let revision = conduct.subject?.revision ?? "main"
        if message.contains("Invalid credentials in Authorization header"),
            let token = settings.token
        {
            return .tokenRefused(endpoint: settings.endpoint, place: token.place)
        }
        if let name {
            switch response[header: "X-Error-Code"] {
            case "RepoNotFound": return .repositoryNotFound(repository: name, hasToken: hasToken)
            case "RevisionNotFound": return .revisionNotFound(repository: name, revision: revision)
            case "EntryNotFound":
                return .fileNotFound(
                    repository: name, revision: revision, path: request.url.lastPathComponent)
            case "GatedRepo": return .gated(repository: name, message: message)
            default: break
            }
            // The Hub hides what is private from whom it does not know.
            if response.status == 401 && !hasToken {
                return .repositoryNotFound(repository: name, hasToken: false)
            }
        }
        let id = ["X-Request-Id", "X-Amzn-Trace-Id", "X-Amz-Cf-Id"].lazy.compactMap {
            response[header: $0]
        }.first
        let advice =
            response.status == 403 ? "; the token may lack the permission to write there" : ""
        return .refused(
            request: request.label, status: response.status, message: message + advice,
            requestID: id)
    }

    /// The header `X-Error-Message`, else what the JSON body says, else the text of the body.
    static func message(of response: HubResponse) -> String {
        if let text = response[header: "X-Error-Message"], !text.isEmpty { return text }
        if let json = try? JSONValue.parse(response.body, file: "answer") {
            if let text = json["error"]?.string { return text }
            let list = (json["error"]?.array ?? []).compactMap(\.string)
            let errors = (json["errors"]?.array ?? []).compactMap { $0["message"]?.string }
            if !(list + errors).isEmpty { return (list + errors).joined(separator: "; ") }
        }
        let text = String(decoding: response.body.prefix(300), as: UTF8.self)
            .split(whereSeparator: \.isNewline).joined(separator: " ")
        return text.isEmpty ? "no explanation" : text
    }

    /// The JSON document of an answer.
    func document(_ response: HubResponse, of request: HubRequest) throws(HubError) -> JSONValue {
        do throws(FormatError) {
            return try JSONValue.parse(response.body, file: "answer")
        } catch {
            throw .badAnswer(
                request: request.label, place: "the body", expected: "JSON", found: "\(error)")
        }
    }

    /// An address of the endpoint; `path` is encoded and starts with a "/".
    func url(_ path: String) -> URL {
        guard let url = URL(string: settings.endpoint + path) else {
            preconditionFailure("'\(settings.endpoint)\(path)' is no address")
        }
        return url
    }

    /// A POST of a JSON document.
    func post(_ path: String, _ json: JSONValue, type: String = "application/json") throws
        -> HubRequest
    {
        HubRequest(
            method: "POST", url: url(path), headers: ["Content-Type": type],
            body: .data(try json.serialized(pretty: false)))
    }
}

extension JSONValue {
    /// A member that an answer must hold, read by `read`.
    func required<Value>(
        _ key: String, _ expected: String, of request: HubRequest,
        _ read: (JSONValue) -> Value?
    ) throws(HubError) -> Value {
        if let member = self[key], let value = read(member) { return value }
        throw .badAnswer(
            request: request.label, place: "'\(key)'", expected: expected,
            found: self[key]?.kind ?? (object == nil ? kind : "none"))
    }
}
