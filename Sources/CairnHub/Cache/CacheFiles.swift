// SPDX-License-Identifier: Apache-2.0
/// The files of the cache that are no blobs: links, references, listings.

import CairnFormats
import Foundation

enum CacheFiles {
    static func makeDirectory(_ url: URL) throws {
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw FormatError.system(
                operation: "create directory", path: url.path,
                reason: error.localizedDescription)
        }
    }

    /// The size of a file, links followed; nil when there is none.
    static func size(of url: URL) -> Int? {
        let path = url.resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            attributes[.type] as? FileAttributeType == .typeRegular
        else { return nil }
        return (attributes[.size] as? NSNumber)?.intValue
    }

    /// Makes the cache's root and the tag by which backup programs leave it out.
    static func makeRoot(_ root: URL) throws {
        try makeDirectory(root)
        let tag = root.appendingPathComponent("CACHEDIR.TAG")
        if FileManager.default.fileExists(atPath: tag.path) { return }
        // Source: bford.info/cachedir, version 0.6.
        let text = """
            Signature: 8a477f597d28d172789f06886806bc55
            # Models pulled from a Hub; whatever is here can be pulled again.

            """
        try DurableFile.write(Data(text.utf8), to: tag)
    }

    /// Writes the commit that a branch is at; a commit needs no such note.
    static func note(_ commit: String, for revision: String, in layout: CacheLayout) throws {
        guard revision != commit else { return }
        let file = layout.reference(revision)
        try makeDirectory(file.deletingLastPathComponent())
        try DurableFile.write(Data(commit.utf8), to: file)
    }

    /// Puts a blob into a snapshot under a file's name: a relative link, or a copy.
    static func place(
        _ file: HubFile, of commit: String, in layout: CacheLayout, asLink: Bool
    ) throws {
        let target = layout.snapshot(commit).appendingPathComponent(file.path)
        try makeDirectory(target.deletingLastPathComponent())
        let manager = FileManager.default
        let link = CacheLayout.link(from: file.path, to: file.tag)
        if let old = try? manager.destinationOfSymbolicLink(atPath: target.path) {
            if old == link, asLink { return }
            try manager.removeItem(at: target)
        } else if manager.fileExists(atPath: target.path) {
            if try digest(of: target, file) == file.tag { return }
            try manager.removeItem(at: target)
        }
        if asLink,
            (try? manager.createSymbolicLink(atPath: target.path, withDestinationPath: link)) != nil
        {
            return
        }
        let blob = try MappedFile(contentsOf: layout.blob(file.tag))
        defer { withExtendedLifetime(blob) {} }
        try DurableFile.write(Data(blob.bytes), to: target)
    }

    /// What the bytes of a file are called: as the Hub calls those of `file`.
    static func digest(of url: URL, _ file: HubFile) throws -> String {
        try file.sha256 == nil ? SHA1.blobID(ofFile: url) : SHA256.hex(ofFile: url)
    }

    // MARK: Listings

    /// Writes what a commit holds, in the words of the Python client.
    static func write(_ files: [HubFile], of commit: String, in layout: CacheLayout) throws {
        let entries = files.map { file -> (String, JSONValue) in
            var entry: JSONObject = [
                "size": JSONValue(file.size), "blob_id": .string(file.blobID),
            ]
            if let sha256 = file.sha256 {
                entry["lfs_sha256"] = .string(sha256)
                entry["lfs_size"] = JSONValue(file.size)
            }
            return (file.path, .object(entry))
        }
        let url = layout.tree(commit)
        try makeDirectory(url.deletingLastPathComponent())
        let json: JSONValue = ["format_version": 1, "files": .object(JSONObject(entries))]
        try DurableFile.write(try json.serialized(), to: url)
    }

    /// What a commit holds; nil when the cache does not say, or says it in another format.
    static func files(of commit: String, in layout: CacheLayout) -> [HubFile]? {
        guard let json = try? JSONValue.parse(contentsOf: layout.tree(commit)),
            json["format_version"]?.integer == 1, let entries = json["files"]?.object
        else { return nil }
        var files: [HubFile] = []
        for (path, entry) in entries {
            guard let size = entry["size"]?.integer, let blob = entry["blob_id"]?.string,
                HubPath.isSafe(path)
            else { return nil }
            files.append(
                HubFile(
                    path: path, size: size, blobID: blob, sha256: entry["lfs_sha256"]?.string))
        }
        return files
    }
}
