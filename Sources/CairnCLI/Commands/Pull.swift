// SPDX-License-Identifier: Apache-2.0
/// `cairn pull`: a repository of the Hub comes into the cache.

import Cairn
import Foundation

struct Pull: Command {
    static let name = "pull"
    static let summary = "Pulls a repository into the cache that the Python client uses too."
    static let positionals = ["ORG/NAME[@REVISION]"]
    static let example = "cairn pull Qwen/Qwen2.5-0.5B --include \"*.json,*.safetensors\""
    static let flags = [
        Flag(
            "--include", "PATTERNS", standard: "*",
            "files to pull: * and ?, commas between patterns"),
        Flag(switch: "--json", "print one JSON document with commit, directory and files"),
    ]

    private let reference: RepositoryReference
    private let patterns: [String]
    private let printsJSON: Bool

    init(_ arguments: Arguments) throws {
        do throws(HubError) {
            reference = try RepositoryReference(arguments.positionals[0])
        } catch {
            throw arguments.usage("\(error)")
        }
        patterns = arguments.string("--include")?.split(separator: ",").map(String.init) ?? ["*"]
        printsJSON = arguments.has("--json")
    }

    func run() throws {
        let snapshot = try HubCache(HubAccess.client(), report: Self.report)
            .pull(reference, patterns: patterns)
        Terminal.error(
            "\(snapshot.repository) at commit \(snapshot.commit): \(snapshot.files.count) files, "
                + "\(snapshot.downloadedBytes) bytes downloaded")
        guard printsJSON else { return print(snapshot.directory.path) }
        try JSONValue.object([
            "repository": .string(snapshot.repository.description),
            "revision": .string(snapshot.revision), "commit": .string(snapshot.commit),
            "directory": .string(snapshot.directory.path),
            "files": .array(snapshot.files.map { .string($0) }),
            "downloaded_bytes": .integer(snapshot.downloadedBytes),
        ]).printed()
    }

    static func report(_ event: PullEvent) {
        switch event {
        case .revision, .downloaded: break
        case .downloading(let path, let size): Terminal.error("pulling \(path), \(size) bytes")
        case .progress(_, let bytes, let size):
            if Terminal.isInteractive {
                Terminal.write("\r\(bytes)/\(size) bytes\u{1B}[K" + (bytes == size ? "\n" : ""))
            }
        case .usesCache(let commit, let reason):
            Terminal.error("note: \(reason); using commit \(commit) from the cache")
        }
    }
}
