// SPDX-License-Identifier: Apache-2.0
/// The lock of a run's directory: who gets it, who is told what, and that nothing stays locked.

import CairnFormats
import Foundation
import Testing

@Suite struct RunLockTests {
    static let gone = ProcessIdentity(
        pid: 1, host: ProcessIdentity.current.host, boot: "an earlier one", start: "0")
    static let elsewhere = ProcessIdentity(pid: 77, host: "far.away", boot: "b", start: "0")

    /// The lock as a crash of `owner` leaves it: its file is there, and nobody holds it.
    func leaveLock(of owner: ProcessIdentity, in directory: URL) throws {
        let url = directory.appendingPathComponent(RunLock.fileName)
        try RunLock(directory, owner: owner) { _ in .taken }.keep(url)
    }

    @Test func `a second writer is refused and told by whom`() throws {
        try withScratchDirectory { directory in
            let lock = try RunLock(directory)
            #expect(lock.note == nil)

            let error = #expect(throws: FormatError.self) { try RunLock(directory) }

            let own = ProcessIdentity.current
            let text = error?.description ?? ""
            #expect(
                text.hasPrefix(
                    "\(directory.path) is in use by process \(own.pid) on host \(own.host) since"))
            #expect(text.hasSuffix(": wait for it, stop it, or use another directory"))
            withExtendedLifetime(lock) {}
        }
    }

    @Test func `a lock that is released or dropped is free and leaves no file`() throws {
        try withScratchDirectory { directory in
            for _ in 0..<3 {
                let lock = try RunLock(directory)
                lock.release()
                lock.release()
                #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
                do { _ = try RunLock(directory) }
                #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
            }
        }
    }

    @Test(arguments: [Self.gone, Self.elsewhere])
    func `a lock that nobody holds is taken over with a note`(owner: ProcessIdentity) throws {
        try withScratchDirectory { directory in
            try leaveLock(of: owner, in: directory)

            let lock = try RunLock(directory)

            let note = try #require(lock.note)
            #expect(
                note.hasPrefix("the lock of process \(owner.pid) on host \(owner.host) since "))
            #expect(note.hasSuffix(" is taken over: nobody holds it any more"))
        }
    }

    @Test func `a file that says nothing does not lock`() throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent(RunLock.fileName)
            for text in ["", "{", "\0\0\0"] {
                try Data(text.utf8).write(to: url)
                let lock = try RunLock(directory)
                #expect(lock.note == nil)
            }
        }
    }

    @Test func `without locks of the file system the process that is named decides`() throws {
        let none: (Int32) -> OpenLock.Outcome = { _ in .unsupported }
        try withScratchDirectory { directory in
            let lock = try RunLock(directory, lock: none)
            let busy = #expect(throws: FormatError.self) { try RunLock(directory, lock: none) }
            #expect(busy?.description.contains("its file system has no locks to ask") == true)
            lock.release()

            try leaveLock(of: Self.gone, in: directory)
            #expect(try RunLock(directory, lock: none).note != nil)

            try leaveLock(of: Self.elsewhere, in: directory)
            let path = directory.appendingPathComponent(RunLock.fileName).path
            let far = #expect(throws: FormatError.self) { try RunLock(directory, lock: none) }
            #expect(far?.description.contains("process 77 on host far.away since ") == true)
            #expect(
                far?.description.hasSuffix("if that process is gone, remove \(path)") == true)
        }
    }

    /// A process started later may have the number of the one that is gone.
    @Test func `a number that another process has now is not taken for the owner`() throws {
        let own = ProcessIdentity.current
        let namesake = ProcessIdentity(
            pid: own.pid, host: own.host, boot: own.boot, start: own.start + "0")
        try withScratchDirectory { directory in
            try leaveLock(of: namesake, in: directory)
            #expect(try RunLock(directory) { _ in .unsupported }.note != nil)
            try leaveLock(of: own, in: directory)
            #expect(throws: FormatError.self) { try RunLock(directory) { _ in .unsupported } }
        }
    }

    @Test func `a link in the place of the lock is not followed`() throws {
        try withScratchDirectory { directory in
            let other = directory.appendingPathComponent("other")
            try Data("precious".utf8).write(to: other)
            try FileManager.default.createSymbolicLink(
                at: directory.appendingPathComponent(RunLock.fileName), withDestinationURL: other)
            #expect(throws: FormatError.self) { try RunLock(directory) }
            #expect(try Data(contentsOf: other) == Data("precious".utf8))
        }
    }
}

extension RunLock {
    /// Lets go of the lock as a crash does: the file stays.
    func keep(_ url: URL) throws {
        let content = try Data(contentsOf: url)
        release()
        try content.write(to: url)
    }
}
