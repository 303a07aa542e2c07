// SPDX-License-Identifier: Apache-2.0
/// Takes this machine out of the files that leave it.

import CairnFormats
import Foundation

/// Turns the files of a directory into those that are published.
struct FileCleaner {
    static let adapter = "adapter_config.json"

    let machine: PrivatePlaces
    let directory: URL
    /// The base by its name on the Hub, where that is known.
    let base: HubBase?
    /// What the card is to say besides.
    let cardSection: String?

    /// A model on the Hub, and the commit of it where that is known.
    struct HubBase: Equatable {
        let id: String
        let commit: String?
    }

    /// - Parameter base: what the caller says; else a snapshot of the Hub's cache tells its own.
    init(
        directory: URL, machine: PrivatePlaces, base: RepositoryID?, cardSection: String? = nil
    ) throws {
        self.cardSection = cardSection
        self.directory = directory
        self.machine = machine
        let named = try Self.namedBase(in: directory)
        let snapshot = named.flatMap(CacheLayout.snapshot(ofPath:))
        if let base {
            let isSame = snapshot?.repository == base
            self.base = HubBase(id: base.description, commit: isSame ? snapshot?.commit : nil)
        } else {
            self.base = snapshot.map {
                HubBase(id: $0.repository.description, commit: $0.commit)
            }
        }
    }

    /// What the directory calls its base.
    private static func namedBase(in directory: URL) throws -> String? {
        for (name, key) in [(adapter, "base_model_name_or_path"), ("metadata.json", "base_model")] {
            let file = directory.appendingPathComponent(name)
            guard FileManager.default.fileExists(atPath: file.path) else { continue }
            let json = try JSONValue.parse(contentsOf: file, allowNonFinite: true)
            if let text = json[key]?.string { return text }
        }
        return nil
    }

    // MARK: Files

    func published(_ path: String, _ file: URL) throws -> PublishFile {
        if path == "README.md" { return try publishedCard(path, file) }
        if path.hasSuffix(".json"), !AllowList.vocabularies.contains(path),
            let json = try? JSONValue.parse(contentsOf: file, allowNonFinite: true)
        {
            return try publishedJSON(path, file, json)
        }
        let mapped = try MappedFile(contentsOf: file)
        defer { withExtendedLifetime(mapped) {} }
        if path.hasSuffix(".apr"), let byte = Self.place(of: "__training__", in: mapped.bytes) {
            throw HubError.trainingState(file: path, found: "'__training__' at byte \(byte)")
        }
        if !AllowList.vocabularies.contains(path) {
            try check(Self.head(of: mapped.bytes, path), path) { bytes, byte in
                Self.isBinary(path) ? "byte \(byte)" : Self.line(of: byte, in: bytes)
            }
        }
        return try PublishFile(path: path, file: file)
    }

    /// A JSON file, rewritten where one of its members is the path of a model.
    private func publishedJSON(_ path: String, _ file: URL, _ json: JSONValue) throws -> PublishFile
    {
        var result = json
        var changes: [String] = []
        let keys = ["base_model_name_or_path", "base_model", "_name_or_path", "name_or_path"]
        for key in keys {
            guard let name = json[key]?.string, !name.isEmpty else { continue }
            let isLocal = PrivatePlaces.isLocalPath(name, besides: directory)
            let isBase = key.hasPrefix("base_model")
            if let base, isBase ? name != base.id : isLocal {
                result[key] = .string(base.id)
                changes.append("\(key) is \(base.id)")
                if path == Self.adapter, let commit = base.commit, json["revision"]?.isNull ?? true
                {
                    result["revision"] = .string(commit)
                    changes.append("revision is \(commit)")
                }
            } else if isLocal, path == Self.adapter, isBase {
                throw HubError.localPath(
                    file: path, place: key, found: name,
                    advice: "name the base on the Hub with --base-model ORG/NAME")
            } else if isLocal {
                result[key] = isBase ? .null : nil
                changes.append(isBase ? "\(key) is null" : "\(key) left out")
            }
        }
        try check(result, path, place: "$")
        if changes.isEmpty { return try PublishFile(path: path, file: file) }
        return PublishFile(
            path: path, rewritten: try result.serialized(),
            change: changes.joined(separator: ", "))
    }

    private func publishedCard(_ path: String, _ file: URL) throws -> PublishFile {
        let mapped = try MappedFile(contentsOf: file)
        defer { withExtendedLifetime(mapped) {} }
        var card = CardText(String(decoding: mapped.bytes, as: UTF8.self))
        if let named = card.base, base == nil,
            PrivatePlaces.isLocalPath(named, besides: directory)
        {
            throw HubError.localPath(
                file: path, place: "base_model", found: named,
                advice: "name the base on the Hub with --base-model ORG/NAME")
        }
        var changes: [String] = []
        if let base, card.setBase(base.id) { changes.append("base_model is \(base.id)") }
        if let cardSection, card.setSection(cardSection) { changes.append("tells of the gate") }
        try Array(card.text.utf8).withUnsafeBytes { bytes in
            try check(bytes, path) { Self.line(of: $1, in: $0) }
        }
        if changes.isEmpty { return try PublishFile(path: path, file: file) }
        return PublishFile(
            path: path, rewritten: Data(card.text.utf8),
            change: changes.joined(separator: ", "))
    }

    /// The manifest of the files that it lists and that are published, as they are published.
    ///
    /// A document of that name without Cairn's members is a file like any other.
    ///
    /// - Throws: `HubError.changedFile` when a file is not the one that the manifest lists; texts
    ///   for readers may have been edited since. `FormatError` for a damaged manifest.
    func publishedManifest(
        _ file: URL, of files: [PublishFile], taken: [(path: String, file: URL)]
    ) throws -> PublishFile {
        let json = try JSONValue.parse(contentsOf: file)
        guard json["schema_version"] != nil, json["files"] != nil, json["sha256"] != nil else {
            return try publishedJSON(Manifest.fileName, file, json)
        }
        let manifest = try Manifest(json, file: file.path)
        var kept: [CommittedFile] = []
        for listed in manifest.files {
            guard let published = files.first(where: { $0.path.utf8Equals(listed.name) }),
                let source = taken.first(where: { $0.path.utf8Equals(listed.name) })
            else { continue }
            try checkUnchanged(listed, published, source.file)
            kept.append(
                CommittedFile(
                    name: listed.name, size: published.size, sha256: published.sha256))
        }
        let result = Manifest(
            runID: manifest.runID, name: manifest.name, parent: manifest.parent, files: kept)
        if result == manifest { return try PublishFile(path: Manifest.fileName, file: file) }
        return PublishFile(
            path: Manifest.fileName, rewritten: try result.serialized(),
            change: "lists what is published")
    }

    private func checkUnchanged(
        _ listed: CommittedFile, _ published: PublishFile, _ source: URL
    ) throws {
        if listed.name.hasSuffix(".md") || listed.name.hasSuffix(".txt") { return }
        let found =
            try published.change == nil ? published.sha256 : SHA256.hex(ofFile: source)
        guard found == listed.sha256 else {
            throw HubError.changedFile(
                file: source.path, expected: "SHA-256 \(listed.sha256), as manifest.json lists",
                found: found)
        }
    }

    // MARK: Checks

    private static let advice = "take it out before publishing"

    private func check(_ json: JSONValue, _ path: String, place: String) throws(HubError) {
        switch json {
        case .string(let text):
            if let found = machine.firstFound(in: text) {
                throw .localPath(
                    file: path, place: place, found: found.place, advice: Self.advice)
            }
        case .array(let elements):
            for (index, element) in elements.enumerated() {
                try check(element, path, place: "\(place)[\(index)]")
            }
        case .object(let members):
            for (key, value) in members {
                try check(.string(key), path, place: "a key of \(place)")
                try check(value, path, place: "\(place).\(key)")
            }
        default: break
        }
    }

    private func check(
        _ bytes: UnsafeRawBufferPointer, _ path: String,
        place: (UnsafeRawBufferPointer, Int) -> String
    ) throws(HubError) {
        guard let found = machine.firstFound(in: bytes) else { return }
        throw .localPath(
            file: path, place: place(bytes, found.byte), found: found.place, advice: Self.advice)
    }

    private static func isBinary(_ path: String) -> Bool {
        path.hasSuffix(".safetensors") || path.hasSuffix(".apr")
    }

    /// The part of a file that can hold text: of weights, what stands before them.
    private static func head(
        of bytes: UnsafeRawBufferPointer, _ path: String
    ) -> UnsafeRawBufferPointer {
        var count = isBinary(path) ? 4 << 20 : bytes.count
        if path.hasSuffix(".safetensors"), bytes.count >= 8 {
            let header = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
            count = 8 + Int(min(header, 1 << 32))
        }
        return UnsafeRawBufferPointer(rebasing: bytes.prefix(count))
    }

    private static func line(of byte: Int, in bytes: UnsafeRawBufferPointer) -> String {
        "line \(1 + bytes[..<byte].reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) })"
    }

    private static func place(of word: String, in bytes: UnsafeRawBufferPointer) -> Int? {
        let word = Array(word.utf8)
        var start = 0
        while let first = bytes[start...].firstIndex(of: word[0]) {
            if bytes[first...].starts(with: word) { return first }
            start = first + 1
        }
        return nil
    }
}
