// SPDX-License-Identifier: Apache-2.0
/// Event files as they grow: their names, their first events, restarts and failures.

import CairnFormats
import Foundation
import TestSupport
import Testing

@Suite struct TensorBoardLogTests {
    private let directory: TemporaryDirectory
    private var folder: URL { directory.file("events") }

    init() throws { directory = try TemporaryDirectory() }

    private func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    /// The messages within the records of a file.
    private func messages(_ url: URL) throws -> [Data] {
        var rest = try Data(contentsOf: url)[...]
        var found: [Data] = []
        while !rest.isEmpty {
            let count = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            found.append(Data(rest.dropFirst(12).prefix(count)))
            rest = rest.dropFirst(12 + count + 4)
        }
        return found
    }

    @Test func `a file begins with its version and the step that it starts from`() throws {
        let log = try TensorBoardLog(in: folder, firstStep: 7, clock: { 5.5 })
        try log.append(step: 7, [.init("loss", 1)])
        try log.close()

        let expected = [
            TensorBoardEvent(wallTime: 5.5, step: 0, .fileVersion),
            TensorBoardEvent(wallTime: 5.5, step: 7, .start),
            TensorBoardEvent(wallTime: 5.5, step: 7, .scalars([.init("loss", 1)])),
        ]
        #expect(try messages(log.url) == expected.map(\.encoded))
        #expect(try names() == [log.url.lastPathComponent])
    }

    @Test func `what was appended is there before the log is closed`() throws {
        let log = try TensorBoardLog(in: folder, firstStep: 1)
        try log.append(step: 1, [.init("loss", 1)])

        #expect(try messages(log.url).count == 3)
        withExtendedLifetime(log) {}
    }

    @Test func `a second start within a second, or with a clock set back, sorts behind`() throws {
        let first = try TensorBoardLog(in: folder, firstStep: 1, clock: { 1000 })
        let second = try TensorBoardLog(in: folder, firstStep: 4, clock: { 1000.9 })
        let third = try TensorBoardLog(in: folder, firstStep: 9, clock: { 3 })

        #expect(try names() == [first, second, third].map(\.url.lastPathComponent))
        #expect(third.url.lastPathComponent.hasPrefix("events.out.tfevents.0000001002."))
    }

    @Test func `a name has ten digits of seconds, the host and the process`() {
        let name = TensorBoardLog.fileName(
            now: 1_700_000_000.7, host: "box.lan", process: 12, after: ["notes.txt"])

        #expect(name == "events.out.tfevents.1700000000.box.lan.12")
    }

    @Test func `after a failure the log is closed and harms no run`() throws {
        // look, mkdir, create, version, start, first values, then the values that fail.
        let log = try TensorBoardLog(
            in: folder, firstStep: 1, clock: { 0 }, files: FaultyFiles(failing: [6]))
        try log.append(step: 1, [.init("loss", 1)])

        #expect(throws: FaultyFiles.failure) { try log.append(step: 2, [.init("loss", 1)]) }
        try log.append(step: 3, [.init("loss", 1)])
        try log.close()

        #expect(try messages(log.url).count == 3)
    }

    @Test func `a directory that cannot be made is an error that names it`() throws {
        try Data().write(to: folder)

        #expect {
            try TensorBoardLog(in: folder, firstStep: 1)
        } throws: { "\($0)".contains("cannot list \(folder.path)") }
    }
}
