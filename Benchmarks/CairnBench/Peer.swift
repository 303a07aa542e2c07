// SPDX-License-Identifier: Apache-2.0
/// The peers' work in a process of its own, timed in turns with ours.

import Cairn
import Foundation

/// Talks to a script in `Benchmarks`: a JSON request per line, a JSON answer per line.
final class Peer {
    private let process = Process()
    private let requests = Pipe()
    private let answers = Pipe()
    private var unread = Data()
    let version: String

    struct Failure: Error, CustomStringConvertible { let description: String }

    init(python: String, threads: Int, script name: String = "peer.py") throws {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(name)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [python, script.path, "\(threads)"]
        process.standardInput = requests
        process.standardOutput = answers
        try process.run()
        var first = Data()
        let hello = try Self.answer(answers, &first, "a greeting")
        guard let text = hello["version"]?.string else {
            throw Failure(description: "peer.py: expected its version, found something else")
        }
        version = text
        unread = first
    }

    /// Makes the operands of a row and picks the faster peer; returns that peer's name.
    func prepare(_ subject: KernelCase) throws -> String {
        let answer = try ask([
            "do": "prepare", "operation": .string(subject.operation.stored.rawValue),
            "type": .string(subject.precision.rawValue), "tokens": JSONValue(subject.shape.tokens),
            "in": JSONValue(subject.shape.inputs), "out": JSONValue(subject.shape.outputs),
            "rank": JSONValue(LayerShape.rank),
        ])
        guard let name = answer["peer"]?.string else {
            throw Failure(description: "peer.py: expected the name of a peer")
        }
        return name
    }

    /// Seconds of one run of the prepared row.
    func sample() throws -> Double {
        guard let seconds = try ask(["do": "sample"])["seconds"]?.number, seconds > 0 else {
            throw Failure(description: "peer.py: expected seconds above 0")
        }
        return seconds
    }

    func ask(_ request: JSONValue) throws -> JSONValue {
        let line = try request.serialized(pretty: false) + Data("\n".utf8)
        try requests.fileHandleForWriting.write(contentsOf: line)
        return try Self.answer(answers, &unread, "an answer")
    }

    private static func answer(
        _ pipe: Pipe, _ unread: inout Data, _ expected: String
    ) throws -> JSONValue {
        while true {
            if let end = unread.firstIndex(of: 0x0A) {
                let line = Data(unread[..<end])
                unread = Data(unread[(end + 1)...])
                return try JSONValue.parse(line, file: "peer.py")
            }
            let more = pipe.fileHandleForReading.availableData
            guard !more.isEmpty else {
                throw Failure(description: "peer.py: expected \(expected), but it ended")
            }
            unread += more
        }
    }

    func stop() {
        try? requests.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
