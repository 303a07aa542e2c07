// SPDX-License-Identifier: Apache-2.0
/// The body of a commit: one JSON object on each line.

import CairnFormats
import Foundation

/// A commit of files, small ones by their bytes and large ones by their digests.
enum CommitBody {
    /// What one commit takes of small files, before base64.
    static let mostBytes = 100 << 20

    /// - Parameters:
    ///   - parent: the commit that the branch must be at; the Hub refuses another with 412.
    ///   - large: whether a file was stored as a large one.
    static func data(
        message: String, parent: String?, files: [PublishFile], large: Set<String>
    ) throws -> Data {
        let bytes = files.reduce(0) { $0 + (large.contains($1.path) ? 0 : $1.size) }
        guard bytes <= mostBytes else {
            throw HubError.commitTooLarge(bytes: bytes, limit: mostBytes)
        }
        var body = try line("header", header(message, parent))
        for file in files {
            body.append(
                large.contains(file.path)
                    ? try line(
                        "lfsFile",
                        [
                            "path": .string(file.path), "algo": "sha256",
                            "oid": .string(file.sha256), "size": JSONValue(file.size),
                        ])
                    : try line(
                        "file",
                        [
                            "content": .string(try file.bytes().base64EncodedString()),
                            "path": .string(file.path), "encoding": "base64",
                        ]))
        }
        return body
    }

    private static func header(_ message: String, _ parent: String?) -> JSONObject {
        let lines = message.split(
            separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        var header: JSONObject = [
            "summary": .string(String(lines[0])),
            "description": .string(
                lines.count > 1
                    ? lines[1].trimmingCharacters(in: .whitespacesAndNewlines) : ""),
        ]
        if let parent { header["parentCommit"] = .string(parent) }
        return header
    }

    private static func line(_ key: String, _ value: JSONObject) throws(FormatError) -> Data {
        try JSONValue.object(["key": .string(key), "value": .object(value)])
            .serialized(pretty: false) + Data("\n".utf8)
    }
}
