// SPDX-License-Identifier: Apache-2.0
/// Durable writing: what is in place after success, after every possible failure, and in between.

import CairnFormats
import CairnTensor
import Foundation
import TestSupport
import Testing

@Suite struct DirectoryCommitTests {
    static let old = ["keep.txt": "old", "weights": "old weights"]
    static let new = ["weights": "new weights", "training/state.json": "{}", "note": ""]

    /// The files below a directory with their text; nil where there is none.
    func contents(_ directory: URL) throws -> [String: String]? {
        guard FileManager.default.fileExists(atPath: directory.path) else { return nil }
        var contents: [String: String] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: directory.path) {
            let url = directory.appendingPathComponent(name)
            var isDirectory: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: url.path, isDirectory: &isDirectory)
            if !isDirectory.boolValue {
                contents[name] = String(decoding: try Data(contentsOf: url), as: UTF8.self)
            }
        }
        return contents
    }

    func putOld(at target: URL) throws {
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: false)
        for (name, text) in Self.old {
            try Data(text.utf8).write(to: target.appendingPathComponent(name))
        }
    }

    /// Commits `new`, one file of it copied from beside the target.
    func commitNew(to target: URL, files: some FileOperations) throws -> [CommittedFile] {
        let source = target.deletingLastPathComponent().appendingPathComponent("source")
        try Data("new weights".utf8).write(to: source)
        defer { try? FileManager.default.removeItem(at: source) }
        let commit = try DirectoryCommit(target: target, subfolders: ["training"], files: files)
        try commit.addCopy(of: source, as: "weights")
        try commit.add(name: "training/state.json") { sink in
            try sink.write(Data("{".utf8))
            try sink.write(Data("}".utf8))
        }
        try commit.add(name: "note", Data())
        return try commit.commit()
    }

    @Test(arguments: [(false, true), (true, true), (true, false)])
    func `a commit replaces the whole directory and reports every file`(
        replaces: Bool, canExchange: Bool
    ) throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            if replaces { try putOld(at: target) }

            let files = try commitNew(to: target, files: FaultyFiles(canExchange: canExchange))

            #expect(try contents(target) == Self.new)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["best"])
            #expect(files.map(\.name) == ["weights", "training/state.json", "note"])
            #expect(files.map(\.size) == [11, 2, 0])
            #expect(
                files.map(\.sha256)
                    == ["new weights", "{}", ""].map { SHA256.hex(of: Data($0.utf8)) })
        }
    }

    @Test func `the system's own operations commit too`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            try putOld(at: target)
            let commit = try DirectoryCommit(target: target)
            try commit.add(name: "weights", Data("new".utf8))
            try commit.commit()
            #expect(try contents(target) == ["weights": "new"])
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["best"])
        }
    }

    @Test func `everything is on the medium before the exchange, the old goes after it`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            try putOld(at: target)
            let files = FaultyFiles()

            _ = try commitNew(to: target, files: files)

            let parent = directory.lastPathComponent
            #expect(
                files.log == [
                    "look best", "mkdir .best.tmp",
                    "create weights", "write weights", "mkdir training",
                    "create state.json", "write state.json", "write state.json",
                    "create note", "sync weights", "close weights",
                    "sync state.json", "close state.json", "sync note", "close note",
                    "syncdir training", "syncdir .best.tmp", "look best",
                    "exchange .best.tmp best", "syncdir \(parent)",
                    "look .best.tmp", "list .best.tmp", "look keep.txt", "remove keep.txt",
                    "look weights", "remove weights", "rmdir .best.tmp",
                ])
        }
    }

    /// Fails every operation in turn, until a commit goes through.
    @Test(arguments: [(false, true), (true, true), (true, false)])
    func `whichever operation fails, the target stays as it was and nothing is left behind`(
        replaces: Bool, canExchange: Bool
    ) throws {
        var failing = 0
        var isThrough = false
        while !isThrough {
            try withScratchDirectory { directory in
                let target = directory.appendingPathComponent("best")
                if replaces { try putOld(at: target) }
                let files = FaultyFiles(failing: [failing], canExchange: canExchange)
                do {
                    _ = try commitNew(to: target, files: files)
                    // Only the removal of the old directory may fail without failing the commit.
                    let confirmed = files.log.firstIndex { $0.hasPrefix("syncdir cairn") }
                    #expect(try failing > #require(confirmed), "\(files.log)")
                    #expect(try contents(target) == Self.new, "step \(failing)")
                    isThrough = files.log.count <= failing
                } catch {
                    #expect(error as? FormatError == FaultyFiles.failure)
                    #expect(try contents(target) == (replaces ? Self.old : nil), "\(files.log)")
                    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
                    #expect(names == (replaces ? ["best"] : []), "\(files.log)")
                }
            }
            failing += 1
        }
        #expect(failing > 15)
    }

    @Test func `an old directory that cannot be removed is named`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            try putOld(at: target)
            let commit = try DirectoryCommit(
                target: target, subfolders: [], files: FaultyFiles(failing: [10]))
            try commit.add(name: "weights", Data("new".utf8))
            try commit.commit()

            #expect(try contents(target) == ["weights": "new"])
            let leftover = try #require(commit.leftover)
            #expect(leftover.lastPathComponent.hasPrefix(".best.tmp-"))
            #expect(try contents(leftover) == Self.old)
        }
    }

    /// The steps up to the parent's synchronization are 10 with one file and 12 with two renames.
    @Test(arguments: [(true, [9, 10]), (false, [11, 12])])
    func `where even the way back fails, nothing is deleted`(
        canExchange: Bool, failing: [Int]
    ) throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            try putOld(at: target)
            let files = FaultyFiles(failing: Set(failing), canExchange: canExchange)
            let commit = try DirectoryCommit(target: target, subfolders: [], files: files)
            try commit.add(name: "weights", Data("new".utf8))

            #expect(throws: FaultyFiles.failure) { try commit.commit() }
            commit.cancel()

            #expect(failing.map { files.log[$0].hasPrefix("syncdir cairn") } == [true, false])
            #expect(try contents(target) == ["weights": "new"])
            let other = try FileManager.default.contentsOfDirectory(atPath: directory.path)
                .filter { $0 != "best" }
            #expect(other.count == 1)
            let kept = try #require(other.first)
            #expect(try contents(directory.appendingPathComponent(kept)) == Self.old)
        }
    }

    @Test func `a safetensors file streams in, and a manifest can list it`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            let tensors = ["x": Tensor([1, 2, 3] as [Float], shape: [3])]
            let data = try SafetensorsWriter.data(tensors)

            let commit = try DirectoryCommit(target: target)
            try commit.add(name: "model.safetensors") { sink in
                try SafetensorsWriter.write(tensors, to: &sink)
            }

            #expect(
                commit.added == [
                    CommittedFile(
                        name: "model.safetensors", size: data.count, sha256: SHA256.hex(of: data))
                ])
            try commit.commit()
            #expect(try SafetensorsDirectory(contentsOf: target).names == ["x"])
            #expect(
                try SHA256.hex(ofFile: target.appendingPathComponent("model.safetensors"))
                    == SHA256.hex(of: data))
        }
    }

    @Test func `an error of the writer ends the commit`() throws {
        struct Refused: Error {}
        try withScratchDirectory { directory in
            let commit = try DirectoryCommit(target: directory.appendingPathComponent("best"))
            #expect(throws: Refused.self) {
                try commit.add(name: "a") { _ in throw Refused() }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
        }
    }

    @Test func `a commit that is dropped leaves nothing`() throws {
        try withScratchDirectory { directory in
            do {
                let commit = try DirectoryCommit(target: directory.appendingPathComponent("best"))
                try commit.add(name: "a", Data("x".utf8))
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
        }
    }

    static let badNames: [(String, String)] = [
        ("", "a name that is not empty, '.' or '..'"),
        ("..", "a name that is not empty, '.' or '..'"),
        ("../a", "a name that is not empty, '.' or '..'"),
        ("/a", "a name that is not empty, '.' or '..'"),
        ("training/", "a name that is not empty, '.' or '..'"),
        ("training/..", "a name that is not empty, '.' or '..'"),
        ("a\0b", "a name that is not empty, '.' or '..'"),
        ("other/a", "no folder but one level of training"),
        ("training/a/b", "no folder but one level of training"),
    ]

    @Test(arguments: badNames)
    func `a name that leaves the directory is refused`(name: String, expected: String) throws {
        try withScratchDirectory { directory in
            let commit = try DirectoryCommit(
                target: directory.appendingPathComponent("best"), subfolders: ["training"])
            #expect(throws: FormatError.fileName(name, expected: expected)) {
                try commit.add(name: name, Data())
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
        }
    }

    @Test func `a name given twice and a target that is a file are refused`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("best")
            let commit = try DirectoryCommit(target: target)
            try commit.add(name: "a", Data())
            let twice = #expect(throws: FormatError.self) { try commit.add(name: "a", Data()) }
            #expect(twice?.description.hasSuffix("/a: File exists (errno 17)") == true)

            try Data().write(to: target)
            let file = #expect(throws: FormatError.self) { try DirectoryCommit(target: target) }
            #expect(
                file?.description == "cannot replace \(target.path): it is not a directory")
        }
    }

    @Test func `links in an old directory are removed, not followed`() throws {
        try withScratchDirectory { directory in
            let outside = directory.appendingPathComponent("outside")
            try putOld(at: outside)
            let target = directory.appendingPathComponent("best")
            try putOld(at: target)
            try FileManager.default.createSymbolicLink(
                at: target.appendingPathComponent("link"), withDestinationURL: outside)

            let commit = try DirectoryCommit(target: target)
            try commit.commit()

            #expect(try contents(target) == [:])
            #expect(try contents(outside) == Self.old)
        }
    }
}
