// SPDX-License-Identifier: Apache-2.0
/// Runs the built `cairn` as a process, as a user would.

import Foundation

/// What a finished process left.
struct ProcessResult: Sendable {
    let exitCode: Int32
    let output: String
    let errors: String

    /// The lines of standard error.
    var errorLines: [String] { errors.split(separator: "\n").map(String.init) }
}

/// The executable under test.
enum CairnProcess {
    /// Marks the test bundle, which lies beside the executable.
    private final class Marker {}

    /// `CAIRN_EXECUTABLE`, or the nearest `cairn` above the test bundle or the test runner.
    static let executable: URL? = {
        if let path = ProcessInfo.processInfo.environment["CAIRN_EXECUTABLE"] {
            return URL(fileURLWithPath: path)
        }
        let paths = CommandLine.arguments.filter { $0.hasPrefix("/") || $0.contains("xctest") }
        let starts =
            [Bundle(for: Marker.self).bundleURL, Bundle.main.bundleURL]
            + paths.map { URL(fileURLWithPath: $0) }
        return starts.lazy.compactMap(search).first
    }()

    private static func search(_ start: URL) -> URL? {
        var place = start.standardizedFileURL
        while place.path != "/" {
            let candidate = place.appendingPathComponent("cairn")
            var isDirectory: ObjCBool = false
            if FileManager.default.fileExists(atPath: candidate.path, isDirectory: &isDirectory),
                !isDirectory.boolValue,
                FileManager.default.isExecutableFile(atPath: candidate.path)
            {
                return candidate
            }
            place.deleteLastPathComponent()
        }
        return nil
    }

    struct NotFound: Error, CustomStringConvertible {
        let description =
            "no executable 'cairn' above the test bundle; build the product cairn, or name it in "
            + "CAIRN_EXECUTABLE"
    }

    /// A process that is ready to start, with both outputs as pipes.
    static func prepared(
        _ arguments: [String], in directory: URL, environment: [String: String] = [:],
        program: String = "cairn"
    ) throws -> Process {
        guard let executable else { throw NotFound() }
        let process = Process()
        process.executableURL =
            program == "cairn"
            ? executable : executable.deletingLastPathComponent().appendingPathComponent(program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { _, own in own }
        process.currentDirectoryURL = directory
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs `cairn`, or another program beside it, with the arguments until it ends.
    ///
    /// The outputs go through files: a pipe that nobody empties would stop the process.
    static func run(
        _ arguments: [String], in directory: URL, environment: [String: String] = [:],
        program: String = "cairn"
    ) throws -> ProcessResult {
        let process = try prepared(
            arguments, in: directory, environment: environment, program: program)
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-output-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = try ["output", "errors"].map { name in
            let url = folder.appendingPathComponent(name)
            try Data().write(to: url)
            return (url, try FileHandle(forWritingTo: url))
        }
        process.standardOutput = files[0].1
        process.standardError = files[1].1
        try process.run()
        process.waitUntilExit()
        let texts = try files.map { String(decoding: try Data(contentsOf: $0.0), as: UTF8.self) }
        return ProcessResult(
            exitCode: process.exitCode, output: texts[0], errors: texts[1])
    }
}

extension Process {
    /// The exit code, or 128 + the signal that ended the process, as shells have it.
    var exitCode: Int32 {
        terminationReason == .exit ? terminationStatus : 128 + terminationStatus
    }
}
