// SPDX-License-Identifier: Apache-2.0
/// What a run's directory is kept with: the current link, removals, leftovers, free space.

import CairnFormats
import Foundation
import Testing

@Suite struct CurrentLinkTests {
    func withCheckpoints(_ body: (URL) throws -> Void) throws {
        try withScratchDirectory { directory in
            for name in ["a", "b"] {
                try FileManager.default.createDirectory(
                    at: directory.appendingPathComponent(name), withIntermediateDirectories: false)
            }
            try body(directory)
        }
    }

    @Test func `it names nothing at first, and then what it was moved to`() throws {
        try withCheckpoints { directory in
            let link = CurrentLink(in: directory)
            #expect(try link.destination() == nil)
            for name in ["a", "b", "b"] {
                try link.move(to: name)
                #expect(try link.destination() == name)
            }
            let raw = try FileManager.default.destinationOfSymbolicLink(
                atPath: directory.appendingPathComponent("latest").path)
            #expect(raw == "b")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == 3)
        }
    }

    @Test func `it still names what is gone`() throws {
        try withCheckpoints { directory in
            let link = CurrentLink(in: directory)
            try link.move(to: "a")
            try Removal.remove("a", in: directory)
            #expect(try link.destination() == "a")
        }
    }

    @Test(arguments: ["..", "../a", "/tmp", "a/", ""])
    func `it never leads out of the directory`(name: String) throws {
        try withCheckpoints { directory in
            let link = CurrentLink(in: directory)
            #expect(throws: FormatError.self) { try link.move(to: name) }
            if name.isEmpty { return }
            try FileManager.default.createSymbolicLink(
                atPath: directory.appendingPathComponent("latest").path,
                withDestinationPath: name)
            let error = #expect(throws: FormatError.self) { try link.destination() }
            #expect(
                error?.description.hasSuffix(
                    "destination: expected the name of an entry of the same directory, "
                        + "found '\(name)'") == true)
        }
    }

    @Test func `what is not a link is neither read nor replaced`() throws {
        try withCheckpoints { directory in
            let link = CurrentLink("a", in: directory)
            #expect(throws: FormatError.self) { try link.destination() }
            #expect(throws: FormatError.self) { try link.move(to: "b") }
            let none = #expect(throws: FormatError.self) {
                try CurrentLink(in: directory).move(to: "c")
            }
            #expect(none?.description.hasSuffix("/c: it is not a directory") == true)
        }
    }
}

@Suite struct RemovalTests {
    @Test func `a directory goes with all in it, and what its links lead to stays`() throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("a")
            _ = try ManifestTests.commit(to: target)
            let other = directory.appendingPathComponent("b")
            _ = try ManifestTests.commit(to: other)
            try FileManager.default.createSymbolicLink(
                at: target.appendingPathComponent("link"), withDestinationURL: other)

            #expect(try Removal.remove("a", in: directory) == nil)

            #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["b"])
            #expect(Manifest.check(other).isWhole)
        }
    }

    @Test(arguments: ["none", "file", "latest", "..", "a/b", ""])
    func `only a directory of this directory is removed`(name: String) throws {
        try withScratchDirectory { directory in
            let target = directory.appendingPathComponent("a")
            _ = try ManifestTests.commit(to: target)
            try Data().write(to: directory.appendingPathComponent("file"))
            try CurrentLink(in: directory).move(to: "a")
            #expect(throws: FormatError.self) { try Removal.remove(name, in: directory) }
            #expect(Manifest.check(target).isWhole)
        }
    }

    /// Names as commits and removals leave them, and names that only look so.
    @Test func `leftovers are told by their exact names`() throws {
        try withScratchDirectory { directory in
            let names = [
                ".best.tmp-1f", ".epoch-1.old-0", ".v1.0.gone-00ffaa0011223344", ".tmp-1f",
                ".best.tmp-", ".best.tmp-1F", ".best.tmp-11112222333344445", "best.tmp-1f",
                ".best.new-1f", ".DS_Store", "best",
            ]
            for name in names { try Data().write(to: directory.appendingPathComponent(name)) }
            let found = try Leftover.all(in: directory)
            #expect(found.map(\.url.lastPathComponent) == [names[0], names[1], names[2]])
            #expect(found.map(\.name) == ["best", "epoch-1", "v1.0"])
            #expect(found.map(\.kind) == [.staging, .displaced, .removed])
        }
    }

    @Test func `sweeping puts back what was displaced, keeps the only whole copy, and no more`()
        throws
    {
        try withScratchDirectory { directory in
            func url(_ name: String) -> URL { directory.appendingPathComponent(name) }
            _ = try ManifestTests.commit(to: url("a"))
            for name in [".a.tmp-1", ".a.old-2", ".b.tmp-3", ".c.gone-4", ".e.tmp-6"] {
                _ = try ManifestTests.commit(to: url(name))
            }
            try FileManager.default.removeItem(at: url(".e.tmp-6/config.json"))
            try FileManager.default.createDirectory(
                at: url(".d.old-5"), withIntermediateDirectories: false)
            try Data().write(to: url(".f.tmp-7"))
            let lock = try RunLock(directory)

            let kept = try Leftover.sweep(in: directory, holding: lock)

            #expect(kept.map(\.url.lastPathComponent) == [".b.tmp-3"])
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
                    == [".b.tmp-3", RunLock.fileName, "a", "d"])
            #expect(Manifest.check(url("a")).isWhole)
        }
    }
}

@Suite struct VolumeTests {
    @Test func `a path that is not there yet has the free space of its ancestor`() throws {
        try withScratchDirectory { directory in
            let here = try Volume.freeBytes(at: directory)
            let below = try Volume.freeBytes(at: directory.appendingPathComponent("x/y/z"))
            #expect(here > 0)
            // Others write to the same volume meanwhile.
            #expect(abs(here - below) <= max(1 << 30, here / 10))
        }
    }
}
