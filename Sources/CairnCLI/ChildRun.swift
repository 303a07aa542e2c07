// SPDX-License-Identifier: Apache-2.0
/// A run of this program in a process of its own, which may be ended from outside.

import Cairn
import Foundation

/// `cairn finetune` or `cairn resume` with `--json`, as a child process.
struct ChildRun {
    let process: Process
    private let log: URL

    private static var executable: URL {
        Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    }

    /// Prepares the process, whose report goes to a file: a pipe that nobody empties would stop it.
    ///
    /// - Parameter kilobytes: the size beyond which no file of it may grow.
    init(_ words: [String], kilobytes: Int? = nil) throws {
        process = Process()
        if let kilobytes {
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            // POSIX counts ulimit -f in blocks of 512 bytes.
            process.arguments =
                ["-c", "ulimit -f \(2 * kilobytes); exec \"$0\" \"$@\"", Self.executable.path]
                + words
        } else {
            process.executableURL = Self.executable
            process.arguments = words
        }
        process.standardInput = FileHandle.nullDevice
        log = FileManager.default.temporaryDirectory.appendingPathComponent(
            "cairn-child-\(UUID().uuidString).log")
        try Data().write(to: log)
        process.standardOutput = try FileHandle(forWritingTo: log)
        process.standardError = FileHandle.nullDevice
    }

    /// Starts the process.
    func start() throws { try process.run() }

    /// Waits until the process has ended, however it did.
    ///
    /// - Returns: the state digest of its report, nil when the run was not over; and what it
    ///   printed.
    func finish() throws -> (digest: String?, output: String) {
        process.waitUntilExit()
        defer { try? FileManager.default.removeItem(at: log) }
        let data = try Data(contentsOf: log)
        let json = try? JSONValue.parse(data, file: log.path)
        let isOver = ["completed", "stopped_early"].contains(json?["status"]?.string)
        return (
            isOver ? json?["state_digest"]?.string : nil, String(decoding: data, as: UTF8.self)
        )
    }

    /// Runs to the end.
    static func finished(_ words: [String]) throws -> (digest: String?, output: String) {
        let run = try ChildRun(words)
        try run.start()
        return try run.finish()
    }
}
