// SPDX-License-Identifier: Apache-2.0
/// What a committed directory consists of: the file that is written last and proves the others.

import Foundation

/// `manifest.json`: the size and SHA-256 of every other file of a directory.
///
///     {"schema_version": 1, "run_id": "...", "name": "epoch-3", "parent": "epoch-2" or null,
///      "files": {"config.json": {"size": 612, "sha256": "64 digits"}, "training/...": ...},
///      "sha256": "64 digits"}
///
/// The last member is the digest of the others: of the document without it, in their order and
/// without white space. So every byte that says anything is covered, the manifest's own too.
public struct Manifest: Equatable, Sendable {
    /// The manifest's name in its directory.
    public static let fileName = "manifest.json"
    /// What this version writes, and the newest that it reads.
    public static let currentSchema = 1

    /// Which run wrote the directory.
    public let runID: String
    /// The name that the directory was committed under; it may be copied to another.
    public let name: String
    /// The checkpoint that this one follows, by name.
    public let parent: String?
    /// In order of their names; none is the manifest itself.
    public let files: [CommittedFile]

    /// The manifest of files that were written.
    public init(runID: String, name: String, parent: String?, files: [CommittedFile]) {
        self.runID = runID
        self.name = name
        self.parent = parent
        self.files = files.sorted { $0.name.utf8Precedes($1.name) }
    }

    /// The document as it stands in the file.
    public func serialized() throws(FormatError) -> Data {
        let entries = files.map { file in
            (
                file.name,
                JSONValue.object([
                    "size": .integer(Int64(file.size)), "sha256": .string(file.sha256),
                ])
            )
        }
        var json = JSONValue.object([
            "schema_version": .integer(Int64(Self.currentSchema)), "run_id": .string(runID),
            "name": .string(name), "parent": parent.map { .string($0) } ?? .null,
            "files": .object(JSONObject(entries)),
        ])
        json["sha256"] = .string(try Self.digest(of: json))
        return try json.serialized()
    }

    /// The digest of a manifest's document, apart from the member that holds it.
    private static func digest(of json: JSONValue) throws(FormatError) -> String {
        var rest = json
        rest["sha256"] = nil
        return SHA256.hex(of: try rest.serialized(pretty: false))
    }
}

// MARK: Reading

extension Manifest {
    /// Reads the manifest of a directory.
    public init(of directory: URL) throws(FormatError) {
        let url = directory.appendingPathComponent(Self.fileName)
        try self.init(try JSONValue.parse(contentsOf: url), file: url.path)
    }

    /// Reads a manifest; `file` is what errors call the document.
    public init(_ json: JSONValue, file: String) throws(FormatError) {
        let reader = EntryReader(file: file)
        let schema = try reader.integer(json["schema_version"], "schema_version")
        guard (1...Self.currentSchema).contains(schema) else {
            throw .entry(
                file: file, entry: "schema_version",
                expected: "1 to \(Self.currentSchema), which this version of Cairn reads",
                found: "\(schema)")
        }
        let entries = try reader.object(json["files"], "files")
        let expected = try reader.string(json["sha256"], "sha256")
        let found = try Self.digest(of: json)
        guard expected == found else {
            throw .entry(
                file: file, entry: "sha256", expected: "\(found), the digest of the rest",
                found: "'\(expected)'")
        }
        var files: [CommittedFile] = []
        for (name, entry) in entries {
            files.append(try Self.file(name, entry, reader))
        }
        self.init(
            runID: try reader.string(json["run_id"], "run_id"),
            name: try reader.string(json["name"], "name"),
            parent: json["parent"]?.isNull == true
                ? nil : try reader.string(json["parent"], "parent"),
            files: files)
    }

    private static func file(
        _ name: String, _ entry: JSONValue, _ reader: EntryReader
    ) throws(FormatError) -> CommittedFile {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy(FileName.isPlain), name != fileName else {
            throw .entry(
                file: reader.file, entry: "files", expected: "names of other files below it",
                found: "'\(name)'")
        }
        let place = "files, \(name)"
        let size = try reader.integer(entry["size"], "\(place), size")
        let sha256 = try reader.string(entry["sha256"], "\(place), sha256")
        guard size >= 0 else {
            throw .entry(
                file: reader.file, entry: "\(place), size", expected: "0 or more",
                found: "\(size)")
        }
        guard sha256.utf8.count == 64, sha256.allSatisfy({ "0123456789abcdef".contains($0) })
        else {
            throw .entry(
                file: reader.file, entry: "\(place), sha256",
                expected: "64 lower-case hexadecimal digits", found: "'\(sha256)'")
        }
        return CommittedFile(name: name, size: size, sha256: sha256)
    }
}

/// Members of a document, or errors that name them.
private struct EntryReader {
    let file: String

    func integer(_ value: JSONValue?, _ entry: String) throws(FormatError) -> Int {
        guard let integer = value?.integer else { throw wrong(value, entry, "an integer") }
        return integer
    }

    func string(_ value: JSONValue?, _ entry: String) throws(FormatError) -> String {
        guard let string = value?.string else { throw wrong(value, entry, "a string") }
        return string
    }

    func object(_ value: JSONValue?, _ entry: String) throws(FormatError) -> JSONObject {
        guard let object = value?.object else { throw wrong(value, entry, "an object") }
        return object
    }

    private func wrong(_ value: JSONValue?, _ entry: String, _ expected: String) -> FormatError {
        .entry(file: file, entry: entry, expected: expected, found: value?.kind ?? "nothing")
    }
}
