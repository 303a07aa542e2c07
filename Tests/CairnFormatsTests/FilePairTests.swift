// SPDX-License-Identifier: Apache-2.0
/// Which companion belongs to a file, and how both are replaced.

import CairnFormats
import Foundation
import TestSupport
import Testing

/// Companions here are the text `DIGEST BYTES NOTE`, or anything without a blank for a silent one.
@Suite struct FilePairTests {
    let directory: TemporaryDirectory
    let target: URL
    let companion: URL
    let next: URL

    init() throws {
        directory = try TemporaryDirectory()
        target = directory.file("w")
        companion = directory.file("w.meta")
        next = directory.file("w.meta.next")
    }

    private static func digest(_ data: Data) -> String? {
        let words = String(decoding: data, as: UTF8.self).split(separator: " ")
        return words.count > 1 ? String(words[0]) : nil
    }

    private func write(_ text: String, note: String, files: FaultyFiles = FaultyFiles()) throws {
        try FilePair.write(
            to: target, companion: companion, files: files, digest: Self.digest
        ) { sink throws(FormatError) in
            try sink.write(Data(text.utf8))
        } contents: { sha256, byteCount in
            Data("\(sha256) \(byteCount) \(note)".utf8)
        }
    }

    private func put(_ text: String, _ url: URL) throws { try Data(text.utf8).write(to: url) }

    private func stating(_ text: String, note: String) -> String {
        "\(SHA256.hex(of: Data(text.utf8))) \(text.utf8.count) \(note)"
    }

    /// The last word of the companion that is read; nil when there is none.
    private func note() throws -> String? {
        try FilePair.companion(of: target, at: companion, digest: Self.digest).map {
            String(decoding: $0.data, as: UTF8.self).split(separator: " ").last.map(String.init)!
        }
    }

    @Test func `a companion states digest and length of the file that it was written with`() throws
    {
        try write("one", note: "first")

        #expect(try Data(contentsOf: companion) == Data(stating("one", note: "first").utf8))
        #expect(!FileManager.default.fileExists(atPath: next.path))
    }

    @Test func `a file alone has no companion`() throws {
        try put("one", target)

        #expect(try note() == nil)
    }

    @Test func `the companion that states the file's digest is the one`() throws {
        try put("new", target)
        try put(stating("old", note: "old"), companion)
        try put(stating("new", note: "new"), next)
        #expect(try note() == "new")

        try put("old", target)
        #expect(try note() == "old")
    }

    @Test func `a silent companion is taken unless the next one states the file's digest`() throws {
        try put("new", target)
        try put("silent", companion)
        #expect(try note() == "silent")

        try put(stating("other", note: "other"), next)
        #expect(try note() == "silent")

        try put(stating("new", note: "new"), next)
        #expect(try note() == "new")
    }

    @Test func `a next companion of another file is no companion`() throws {
        try put("one", target)
        try put(stating("two", note: "two"), next)

        #expect(try note() == nil)
    }

    @Test func `a companion of another file is refused, and the older of both named`() throws {
        try put("new", target)
        try put(stating("old", note: "old"), companion)
        for (old, name) in [(target, "w"), (companion, "w.meta")] {
            for url in [target, companion] {
                let date = Date(timeIntervalSince1970: url == old ? 1_000 : 2_000)
                try FileManager.default.setAttributes(
                    [.modificationDate: date], ofItemAtPath: url.path)
            }

            let error = #expect(throws: FormatError.self) { try note() }

            #expect(
                error?.description == "\(target.path): SHA-256: expected "
                    + "\(SHA256.hex(of: Data("old".utf8))), which w.meta states, found "
                    + "\(SHA256.hex(of: Data("new".utf8))): they were not saved together, or one "
                    + "is damaged; \(name) is the older file")
        }
    }

    @Test func `what a crash left undone is finished before the name is needed again`() throws {
        try put("new", target)
        try put(stating("old", note: "old"), companion)
        try put(stating("new", note: "new"), next)
        let files = FaultyFiles()

        try write("newest", note: "newest", files: files)

        #expect(files.log.contains("rename w.meta.next w.meta"))
        #expect(
            files.log.firstIndex(of: "rename w.meta.next w.meta")! < files.log.firstIndex {
                $0.hasPrefix("create")
            }!)
        #expect(try note() == "newest")
    }

    @Test func `directories on the way are made, those that are there left alone`() throws {
        let files = FaultyFiles()

        try files.makeDirectories(directory.file("a/b/c").path)
        try files.makeDirectories(directory.file("a/b/d").path)

        #expect(
            files.log.filter { $0.hasPrefix("mkdir") }
                == ["a", "b", "c", "d"].map { "mkdir \($0)" })
        #expect(FileManager.default.fileExists(atPath: directory.file("a/b/c").path))
    }
}
