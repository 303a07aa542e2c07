// SPDX-License-Identifier: Apache-2.0
/// The manifest reads back as it was written, and nothing that differs from it goes unnoticed.

import CairnFormats
import Foundation
import Testing

@Suite struct ManifestTests {
    static let contents = [
        "weights": [UInt8](repeating: 7, count: 10_000), "config.json": Array("{}".utf8),
        "empty": [], "training/state.json": Array("[1]".utf8),
    ]

    /// Commits a directory with a manifest.
    static func commit(to target: URL, parent: String? = "epoch-1") throws -> Manifest {
        let commit = try DirectoryCommit(target: target, subfolders: ["training"])
        for (name, bytes) in contents.sorted(by: { $0.key > $1.key }) {
            try commit.add(name: name, Data(bytes))
        }
        let manifest = Manifest(
            runID: "run-1", name: target.lastPathComponent, parent: parent, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        try commit.commit()
        return manifest
    }

    func withCommitted(_ body: (URL) throws -> Void) throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("epoch-2")
            _ = try Self.commit(to: target)
            try body(target)
        }
    }

    @Test(arguments: [nil, "epoch-1"])
    func `a manifest reads back, and the directory is whole`(parent: String?) throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("epoch-2")
            let written = try Self.commit(to: target, parent: parent)

            #expect(try Manifest(of: target) == written)
            #expect(written.files.map(\.name) == Self.contents.keys.sorted())
            for sizesOnly in [false, true] {
                let result = Manifest.check(target, sizesOnly: sizesOnly)
                #expect(result.isWhole && result.strangers == [])
                #expect(result.verifiedFiles == 4 && result.verifiedBytes == 10_005)
            }
        }
    }

    @Test func `every byte of every file, flipped in turn, is found and placed`() throws {
        try withCommitted { target in
            for name in ["config.json", "training/state.json", "manifest.json"] {
                let url = target.appendingPathComponent(name)
                let original = try Data(contentsOf: url)
                for place in original.indices {
                    for bit in 0..<8 {
                        var changed = original
                        changed[place] ^= 1 << bit
                        try changed.write(to: url)
                        let problems = Manifest.check(target).problems
                        #expect(problems.count == 1, "\(name), byte \(place), bit \(bit)")
                        #expect(problems.first?.description.contains(name) == true)
                    }
                }
                try original.write(to: url)
            }
            #expect(Manifest.check(target).isWhole)
        }
    }

    @Test func `all problems are listed, with the place where it can be known`() throws {
        try withCommitted { target in
            func url(_ name: String) -> URL { target.appendingPathComponent(name) }
            var weights = Data(Self.contents["weights"]!)
            weights.replaceSubrange(4096..., with: [UInt8](repeating: 0, count: 10_000 - 4096))
            try weights.write(to: url("weights"))
            try Data("{".utf8).write(to: url("config.json"))
            try Data("x".utf8).write(to: url("empty"))
            try FileManager.default.removeItem(at: url("training"))

            let sentences = Manifest.check(target).problems.map(\.description)

            #expect(
                sentences == [
                    "config.json ends at byte 1, expected 2 bytes",
                    "empty goes on after byte 0, found 1 bytes",
                    "training/state.json is missing",
                    "weights: expected SHA-256 "
                        + "\(SHA256.hex(of: Data(Self.contents["weights"]!))), found "
                        + "\(SHA256.hex(of: weights)); it holds only zeros from byte 4096",
                ])
            #expect(Manifest.check(target, sizesOnly: true).problems.count == 3)
        }
    }

    @Test func `what a user adds is noted and is no damage`() throws {
        try withCommitted { target in
            for name in ["notes.txt", "training/plot.png", ".hidden"] {
                try Data("x".utf8).write(to: target.appendingPathComponent(name))
            }
            try FileManager.default.createDirectory(
                at: target.appendingPathComponent("figures"), withIntermediateDirectories: false)

            let result = Manifest.check(target)

            #expect(result.isWhole)
            #expect(
                result.strangers == [".hidden", "figures", "notes.txt", "training/plot.png"])
        }
    }

    @Test func `a folder in the place of a file, and no manifest, are problems`() throws {
        try withCommitted { target in
            let empty = target.appendingPathComponent("empty")
            try FileManager.default.removeItem(at: empty)
            try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: false)
            #expect(
                Manifest.check(target).problems.map(\.description)
                    == ["empty: cannot read \(empty.path): it is no regular file"])

            let manifest = target.appendingPathComponent("manifest.json")
            try FileManager.default.removeItem(at: manifest)
            #expect(
                Manifest.check(target).problems.map(\.description)
                    == ["cannot open \(manifest.path): No such file or directory (errno 2)"])
        }
    }

    static let digits = String(repeating: "0", count: 64)
    static let refused: [(String, String)] = [
        (
            #"{"schema_version":2}"#,
            "schema_version: expected 1 to 1, which this version of Cairn reads, found 2"
        ),
        (
            #"{"schema_version":0}"#,
            "schema_version: expected 1 to 1, which this version of Cairn reads, found 0"
        ),
        (#"{"schema_version":"1"}"#, "schema_version: expected an integer, found a string"),
        ("[]", "schema_version: expected an integer, found nothing"),
        (#"{"schema_version":1,"files":[]}"#, "files: expected an object, found an array"),
        (#"{"schema_version":1,"files":{}}"#, "sha256: expected a string, found nothing"),
    ]

    @Test(arguments: refused)
    func `a manifest that is none is refused with its place`(text: String, sentence: String) throws
    {
        let json = try JSONValue.parse(Data(text.utf8), file: "m")
        let error = #expect(throws: FormatError.self) { try Manifest(json, file: "m") }
        #expect(error?.description == "m: \(sentence)")
    }

    static let badFiles: [(String, String, String)] = [
        (
            "../a", #"{"size":1,"sha256":"D"}"#,
            "files: expected names of other files below it, found '../a'"
        ),
        (
            "/a", #"{"size":1,"sha256":"D"}"#,
            "files: expected names of other files below it, found '/a'"
        ),
        (
            "a/b/c", #"{"size":1,"sha256":"D"}"#,
            "files: expected names of other files below it, found 'a/b/c'"
        ),
        (
            "manifest.json", #"{"size":1,"sha256":"D"}"#,
            "files: expected names of other files below it, found 'manifest.json'"
        ),
        ("a", #"{"size":-1,"sha256":"D"}"#, "files, a, size: expected 0 or more, found -1"),
        ("a", #"{"size":1.5,"sha256":"D"}"#, "files, a, size: expected an integer, found a number"),
        (
            "a", #"{"size":1,"sha256":"d"}"#,
            "files, a, sha256: expected 64 lower-case hexadecimal digits, found 'd'"
        ),
        ("a", "[]", "files, a, size: expected an integer, found nothing"),
    ]

    /// Manifests whose own digest is right, so that only the entry is wrong.
    @Test(arguments: badFiles)
    func `an entry that no writer makes is refused`(
        name: String, entry: String, sentence: String
    ) throws {
        let entry = try parse(entry.replacingOccurrences(of: "D", with: Self.digits))
        var json: JSONValue = .object([
            "schema_version": 1, "run_id": "r", "name": "n", "parent": .null,
            "files": .object([name: entry]),
        ])
        json["sha256"] = .string(SHA256.hex(of: try json.serialized(pretty: false)))
        let error = #expect(throws: FormatError.self) { try Manifest(json, file: "m") }
        #expect(error?.description == "m: \(sentence)")
    }
}
