// SPDX-License-Identifier: Apache-2.0
/// The Hub's calls about accounts, repositories and branches.

import CairnFormats
import Foundation

/// How the Hub wants a file, and what it has under its path.
struct UploadMode: Equatable {
    let isLarge: Bool
    /// The repository's own .gitignore leaves it out.
    let isIgnored: Bool
    /// SHA-256 of a large file, git's name of a small one; nil when there is none.
    let remote: String?
}

extension HubClient {
    /// Whom the token belongs to. Asked once a run: the Hub limits this call strictly.
    func accountName() throws -> String {
        let request = HubRequest(url: url("/api/whoami-v2"))
        let response = try send(request, Conduct(retries: false, accepts: [200, 401]))
        if response.status == 401, let token = settings.token {
            throw HubError.tokenRefused(endpoint: settings.endpoint, place: token.place)
        }
        return try document(response, of: request).required("name", "a name", of: request, \.string)
    }

    /// Makes a repository; false when it exists already.
    func createRepository(_ repository: RepositoryID, isPrivate: Bool) throws -> Bool {
        var body: JSONObject = ["name": .string(repository.name)]
        body["organization"] = repository.namespace.map { .string($0) } ?? .null
        body["visibility"] = isPrivate ? "private" : "public"
        let request = try post("/api/repos/create", .object(body))
        let conduct = Conduct(retries: false, accepts: [200, 401, 402, 403, 409])
        for wait in RetrySchedule.waits + [nil] {
            let response = try send(request, conduct)
            switch response.status {
            case 200: return true
            case 409:
                let isPassing = Self.message(of: response)
                    .contains("conflicting operation is in progress")
                guard isPassing else { return false }
                guard let wait else { throw error(response, to: request, conduct) }
                clock.sleep(seconds: wait)
            default:
                // Who may write to a repository need not be one who may make it.
                if let target = try? RepositoryReference(repository),
                    (try? commit(of: target)) != nil
                {
                    return false
                }
                throw error(response, to: request, conduct)
            }
        }
        preconditionFailure("the last attempt answers or throws")
    }

    func createBranch(_ target: RepositoryReference) throws {
        let path = "/api/models/\(target.repository)/branch/\(HubPath.encoded(target.revision))"
        _ = try send(
            try post(path, .object([:])),
            Conduct(accepts: [200, 201, 409], subject: RepositoryReference(target.repository)))
    }

    /// What the Hub warns of in a model card.
    ///
    /// - Throws: `HubError.cardRefused` for front matter that it does not take.
    func validateCard(_ text: String) throws -> [String] {
        let request = try post(
            "/api/validate-yaml", .object(["content": .string(text), "repoType": "model"]))
        let response = try send(request, Conduct(retries: false, accepts: [200, 400]))
        let answer = try? document(response, of: request)
        func messages(_ key: String) -> [String] {
            (answer?[key]?.array ?? []).compactMap { $0["message"]?.string }
        }
        if response.status == 400 {
            let errors = messages("errors")
            throw HubError.cardRefused(
                file: "README.md",
                messages: errors.isEmpty ? [redacted(Self.message(of: response))] : errors)
        }
        return messages("warnings")
    }

    /// How the Hub wants each file, in their order.
    func uploadModes(
        of files: [PublishFile], in target: RepositoryReference, createsPullRequest: Bool
    ) throws -> [UploadMode] {
        let entries = files.map { file -> JSONValue in
            [
                "path": .string(file.path), "sample": .string(file.sample.base64EncodedString()),
                "size": JSONValue(file.size),
            ]
        }
        let request = try post(
            "/api/models/\(target.repository)/preupload/\(HubPath.encoded(target.revision))"
                + (createsPullRequest ? "?create_pr=1" : ""), ["files": .array(entries)])
        let answer = try document(try send(request, Conduct(subject: target)), of: request)
        let list = try answer.required("files", "an array", of: request, \.array)
        return try files.map { file in
            guard
                let entry = list.first(where: { $0["path"]?.string?.utf8Equals(file.path) ?? false }
                )
            else {
                throw HubError.badAnswer(
                    request: request.label, place: "files", expected: "one for \(file.path)",
                    found: "none")
            }
            let mode = try entry.required("uploadMode", "lfs or regular", of: request) { value in
                value.string.flatMap { ["lfs", "regular"].contains($0) ? $0 : nil }
            }
            return UploadMode(
                isLarge: mode == "lfs",
                isIgnored: try entry.required("shouldIgnore", "a boolean", of: request, \.bool),
                remote: entry["oid"]?.string)
        }
    }
}
