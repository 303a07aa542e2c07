// SPDX-License-Identifier: Apache-2.0
/// Models by their names on the Hub, wherever a command takes a directory.

import Cairn
import Foundation

enum HubAccess {
    static var userAgent: String { "cairn/\(CairnVersion.string)" }

    static func client() throws -> HubClient {
        HubClient(try HubSettings(), userAgent: userAgent) { Terminal.error("note: \($0)") }
    }

    /// The directory that a word names: one that exists, else a repository through the cache.
    ///
    /// A word that is not ORG/NAME[@REVISION] is left to whoever reads the directory, whose error
    /// says what was expected there: a bare name is far more often a slip than an old repository.
    static func model(_ word: String) throws -> URL {
        let path = URL(fileURLWithPath: word)
        guard !FileManager.default.fileExists(atPath: word),
            (try? RepositoryReference(word))?.repository.namespace != nil
        else { return path }
        let source = try HubCache(client(), report: Pull.report).resolve(word)
        if let snapshot = source.snapshot {
            Terminal.error("\(snapshot.repository) is at commit \(snapshot.commit)")
        }
        return source.directory
    }

    /// The base that an adapter names as on the Hub; nil for any other checkpoint.
    static func base(of checkpoint: URL) throws -> URL? {
        let file = checkpoint.appendingPathComponent(PEFTAdapter.configurationFile)
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let json = try JSONValue.parse(contentsOf: file)
        guard let name = json["base_model_name_or_path"]?.string,
            !FileManager.default.fileExists(atPath: name),
            (try? RepositoryID(name))?.namespace != nil
        else { return nil }
        return try model(name + (json["revision"]?.string.map { "@\($0)" } ?? ""))
    }
}
