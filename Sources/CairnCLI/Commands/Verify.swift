// SPDX-License-Identifier: Apache-2.0
/// `cairn verify`: whether what lies on the disk is what was committed, and what was computed.

import Cairn
import Foundation

struct Verify: Command {
    static let name = "verify"
    static let summary =
        "Checks a checkpoint or a run: every byte, the parts against each other, the steps again."
    static let positionals = ["PATH"]
    static let example = "cairn verify checkpoints --replay --steps 20"
    static let rules: [FlagRule] = [
        .needs(["--from", "--steps", "--model", "--data", "--eval-data"], "--replay")
    ]
    static let flags = [
        Flag(switch: "--replay", "take the run's steps again and compare them with its ledger"),
        Flag(
            "--from", "STEP", standard: "0",
            "replay from the newest checkpoint at or before this step"),
        Flag("--steps", "K", "replay so many steps; without it all there are"),
        Flag("--model", "DIR", "where the base lies now"),
        Flag("--data", "FILE", "where the training rows lie now"),
        Flag("--eval-data", "FILE", "where the validation rows lie now"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2, avx512 or avx512bf16; the widest"),
        Machine.deviceFlag,
        Flag(switch: "--json", "print one JSON document"),
    ]

    private let arguments: Arguments
    private let path: URL

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        path = URL(fileURLWithPath: arguments.positionals[0])
    }

    func run() throws {
        if try isFile() { return try verifyFile() }
        var document: JSONObject = ["path": .string(path.path)]
        var problems: [String] = []
        let checkpoints = try checkpoints()
        var entries: [JSONValue] = []
        for directory in checkpoints {
            let check = CheckpointCheck(directory)
            let name = directory.lastPathComponent
            show(check, name)
            problems += check.problems.map { "\(name): \($0)" }
            entries.append(Self.json(check, name))
        }
        document["checkpoints"] = .array(entries)
        if let ledger = try ledger() {
            document["ledger"] = ledger.json
            problems += [ledger.damage].compactMap { $0 }
        }
        if arguments.has("--replay") {
            let result = try replay()
            document["replay"] = result.json
            if let difference = result.difference {
                problems.append(
                    "step \(difference.step) gives \(difference.key) \(difference.found), and the "
                        + "ledger has \(difference.expected)")
            }
        }
        document["problems"] = .array(problems.map { .string($0) })
        if arguments.has("--json") { try JSONValue.object(document).printed() }
        if let first = problems.first {
            throw Damage(
                description: "\(path.path) does not verify: \(first)"
                    + (problems.count > 1 ? " (and \(problems.count - 1) more)" : ""))
        }
        Terminal.error("\(path.path) verifies")
    }

    private func isFile() throws -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path.path, isDirectory: &isDirectory)
            && !isDirectory.boolValue
    }

    /// A single file: its checksums, its structure, every tensor, and its sidecar where it has one.
    private func verifyFile() throws {
        if arguments.has("--replay") {
            throw arguments.usage("--replay is for a run's directory, \(path.path) is a file")
        }
        let file = try TensorFile(contentsOf: path)
        var bytes = 0
        for name in file.names { bytes += try file.tensor(named: name)?.byteCount ?? 0 }
        if let problem = try ModelFiles.problem(of: path) { throw Damage(description: problem) }
        if arguments.has("--json") {
            try JSONValue.object([
                "path": .string(path.path), "format": .string(file.format.rawValue),
                "tensors": .integer(file.names.count), "bytes": .integer(bytes), "problems": [],
            ]).printed()
        }
        Terminal.error(
            "\(path.path) verifies: \(file.format.rawValue), \(file.names.count) tensors, "
                + "\(bytes) bytes")
    }

    private struct Damage: Error, CustomStringConvertible { let description: String }

    /// The checkpoint, or all those of a run's directory.
    private func checkpoints() throws -> [URL] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isDirectory),
            isDirectory.boolValue
        else {
            throw TrainingError.noRun(
                path: path.path, found: isDirectory.boolValue ? "a file" : "nothing")
        }
        let manifest = path.appendingPathComponent(Manifest.fileName)
        if FileManager.default.fileExists(atPath: manifest.path) { return [path] }
        let run = try RunDirectory(path)
        let all =
            run.entries.map(\.url)
            + run.unreadable.map { path.appendingPathComponent($0.name) }
        guard !all.isEmpty else {
            throw TrainingError.noCheckpoint(directory: path.path, skipped: [])
        }
        return all.sorted { $0.path < $1.path }
    }

    private func show(_ check: CheckpointCheck, _ name: String) {
        if check.problems.isEmpty {
            Terminal.error(
                "\(name): \(check.fileCount) files, \(check.byteCount) bytes, as committed"
                    + (check.stateDigest.map { ", state \($0.prefix(16))..." } ?? ""))
        }
        for problem in check.problems { Terminal.error("\(name): \(problem)") }
        for note in check.notes { Terminal.error("note: \(name): \(note)") }
    }

    private static func json(_ check: CheckpointCheck, _ name: String) -> JSONValue {
        .object([
            "name": .string(name), "files": .integer(check.fileCount),
            "bytes": .integer(check.byteCount),
            "state_digest": check.stateDigest.map { .string($0) } ?? .null,
            "problems": .array(check.problems.map { .string($0) }),
            "notes": .array(check.notes.map { .string($0) }),
        ])
    }

    // MARK: The steps

    private func ledger() throws -> (json: JSONValue, damage: String?)? {
        let file = path.appendingPathComponent("\(Ledger.folder)/\(Ledger.file)")
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let ledger = try Ledger(ofRun: path)
        Terminal.error(
            ledger.damage ?? "\(Ledger.file): \(ledger.entries.count) steps, chained")
        return (
            .object([
                "steps": .integer(ledger.entries.count),
                "damage": ledger.damage.map { .string($0) } ?? .null,
            ]), ledger.damage
        )
    }

    private func replay() throws -> (json: JSONValue, difference: Replay.Difference?) {
        let machine = try arguments.machine()
        let replay = try Replay(
            run: path, from: try arguments.integer("--from", atLeast: 0) ?? 0,
            steps: try arguments.integer("--steps", atLeast: 1)
        ) { options in
            try arguments.relocate(&options)
            machine.apply(to: &options)
        }
        Terminal.error(
            "replaying from \(replay.start.map { "\($0.name), step \($0.step)" } ?? "the beginning")"
        )
        let result = try replay.run()
        for note in result.notes { Terminal.error("note: \(note)") }
        if let steps = result.steps, result.difference == nil {
            Terminal.error(
                "steps \(steps.lowerBound) to \(steps.upperBound) gave the bits of the ledger")
        }
        return (
            .object([
                "first_step": result.steps.map { .integer($0.lowerBound) } ?? .null,
                "last_step": result.steps.map { .integer($0.upperBound) } ?? .null,
                "difference": result.difference.map {
                    .object([
                        "step": .integer($0.step), "key": .string($0.key),
                        "expected": .string($0.expected), "found": .string($0.found),
                    ])
                } ?? .null,
            ]), result.difference
        )
    }
}
