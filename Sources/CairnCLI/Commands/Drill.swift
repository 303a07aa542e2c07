// SPDX-License-Identifier: Apache-2.0
/// `cairn drill`: a short run, ended at random moments in every way, must end with its own bits.

import Cairn
import Foundation

struct Drill: Command {
    static let name = "drill"
    static let summary =
        "Kills a short run at random moments, resumes it, and shows that nothing was lost."
    static let positionals: [String] = []
    static let example = "cairn drill --kills 5"
    static let rules: [FlagRule] = [.together("--model", "--data")]
    static let flags = [
        Flag("--kills", "N", standard: "12", "how many times the run is ended from outside"),
        Flag(
            "--ending", "KIND", standard: "any",
            "kill (SIGKILL), terminate (SIGTERM), full (a full disk), or any of them by chance"),
        Flag("--model", "DIR", "the base; the tiny one that ships with Cairn"),
        Flag("--data", "FILE", "labelled rows; the ones that ship with Cairn"),
        Flag(
            "--output", "DIR", short: "-o",
            "where the runs are made and stay; without it a folder that is removed"),
        Flag("--epochs", "N", standard: "2", "passes over the training rows"),
        Flag("--save-steps", "N", standard: "4", "save every N optimizer steps"),
        Flag(
            switch: "--journal", "keep every step until a checkpoint holds it, so that none is lost"
        ),
        Flag("--seed", "N", standard: "1", "seed of the moments"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag(switch: "--json", "print one JSON document"),
    ]

    /// How a run is ended.
    enum Ending: String, CaseIterable {
        /// SIGKILL: nothing of the process goes on.
        case kill
        /// SIGTERM: it saves and leaves.
        case terminate
        /// No file may grow beyond a size that no checkpoint fits into, as on a full disk.
        case full
    }

    private let arguments: Arguments
    private let kills: Int
    private let endings: [Ending]
    private var random: RandomStream

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        kills = try arguments.integer("--kills", atLeast: 1) ?? 12
        let ending = arguments.string("--ending") ?? "any"
        guard
            let endings = ending == "any" ? Ending.allCases : Ending(rawValue: ending).map({ [$0] })
        else {
            let known = Ending.allCases.map(\.rawValue) + ["any"]
            throw arguments.usage(
                "--ending must be \(known.joined(separator: ", ")), found '\(ending)'"
                    + Spelling.suggestion(for: ending, among: known))
        }
        self.endings = endings
        let seed = try arguments.integer("--seed", atLeast: 0) ?? 1
        random = RandomStream(seed: UInt64(seed), name: "drill")
    }

    func run() throws {
        let folder =
            arguments.url("--output")
            ?? FileManager.default.temporaryDirectory.appendingPathComponent(
                "cairn-drill-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer {
            if !arguments.has("--output") { try? FileManager.default.removeItem(at: folder) }
        }
        Terminal.error("an undisturbed run ...")
        let start = ContinuousClock.now
        let calm = try ChildRun.finished(finetune(folder.appendingPathComponent("calm")))
        let seconds = Self.seconds(ContinuousClock.now - start)
        guard let expected = calm.digest else {
            throw Failure(description: "the undisturbed run failed: \(calm.output)")
        }
        Terminal.error(String(format: "took %.1f s and ends with %@", seconds, expected))
        var run = try Attempts(drill: self, folder, calmSeconds: seconds)
        let found = try run.finish()
        let isEqual = found == expected
        Terminal.error(
            "ended \(run.counts.values.reduce(0, +)) times ("
                + Ending.allCases.map { "\($0.rawValue) \(run.counts[$0] ?? 0)" }
                .joined(separator: ", ") + "), resumed, and ends with \(found)")
        if let lost = Self.lost(run) {
            Terminal.error(
                String(
                    format: "work lost per kill, of \(run.lostSeconds.count): "
                        + "%.2f s (p50), %.2f s (p99), %.2f s (most)", lost.p50, lost.p99, lost.most
                ))
        }
        if arguments.has("--json") {
            try document(expected, found, run).printed()
        }
        guard isEqual else {
            throw Failure(
                description: "the disturbed run ends with the state \(found), expected \(expected)")
        }
        Terminal.error("the same state: nothing was lost")
    }

    private func document(_ expected: String, _ found: String, _ run: Attempts) -> JSONValue {
        let lost = Self.lost(run)
        return .object([
            "endings": .object(
                JSONObject(
                    Ending.allCases.map { ($0.rawValue, .integer(run.counts[$0] ?? 0)) })),
            "expected": .string(expected), "found": .string(found),
            "equal": .bool(expected == found), "measured_kills": .integer(run.lostSeconds.count),
            "lost_seconds_p50": lost.map { .number($0.p50) } ?? .null,
            "lost_seconds_p99": lost.map { .number($0.p99) } ?? .null,
            "lost_seconds_most": lost.map { .number($0.most) } ?? .null,
        ])
    }

    /// Of the work behind the newest checkpoint, by nearest rank; nil without a SIGKILL.
    private static func lost(_ run: Attempts) -> (p50: Double, p99: Double, most: Double)? {
        let lost = run.lostSeconds.sorted()
        guard let most = lost.last else { return nil }
        func rank(_ part: Double) -> Double {
            lost[max(Int((part * Double(lost.count)).rounded(.up)) - 1, 0)]
        }
        return (rank(0.5), rank(0.99), most)
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    // MARK: Processes

    /// The arguments of the short run.
    private func finetune(_ output: URL) -> [String] {
        let shipped = Bundle.module.bundleURL.appendingPathComponent("Quickstart")
        let base = arguments.string("--model") ?? shipped.appendingPathComponent("base").path
        let data = arguments.string("--data") ?? shipped.appendingPathComponent("glosses.tsv").path
        return [
            "finetune", base, "--task", "classify", "--data", data, "-o", output.path, "--dropout",
            "0.1", "--rank", "8", "--epochs", arguments.string("--epochs") ?? "2", "--batch-size",
            "8", "--max-length", "48",
        ] + saving
    }

    private var saving: [String] {
        ["--save-steps", arguments.string("--save-steps") ?? "4", "--keep-last", "2", "--json"]
            + (arguments.has("--journal") ? ["--journal"] : [])
            + (arguments.string("--threads").map { ["--threads", $0] } ?? [])
    }

    // MARK: Attempts

    /// The disturbed run: started, ended, resumed, until it is over.
    private struct Attempts {
        private let drill: Drill
        private let output: URL
        private let calmSeconds: Double
        private var random: RandomStream
        private(set) var counts: [Ending: Int] = [:]
        /// For every kill, the seconds of work behind the newest checkpoint.
        private(set) var lostSeconds: [Double] = []

        init(drill: Drill, _ folder: URL, calmSeconds: Double) throws {
            self.drill = drill
            output = folder.appendingPathComponent("disturbed")
            self.calmSeconds = calmSeconds
            random = drill.random
        }

        /// Ends the run `kills` times, then lets it finish; its digest.
        ///
        /// A run that ends before it could be disturbed often enough is begun anew.
        mutating func finish() throws -> String {
            var last: String?
            var told = 0
            while counts.values.reduce(0, +) < drill.kills {
                let done = counts.values.reduce(0, +)
                if done >= told + 50 {
                    told = done
                    Terminal.error("ended \(done) of \(drill.kills) times")
                }
                if let digest = try disturb() {
                    if let last, last != digest { return digest }
                    last = digest
                    try FileManager.default.removeItem(at: output)
                }
            }
            let end = try ChildRun.finished(words)
            guard let digest = end.digest else {
                throw Failure(description: "the last resume failed: \(end.output)")
            }
            if let last, last != digest { return last }
            return digest
        }

        /// A resume where there is something to resume, else a fresh start.
        private var words: [String] {
            let hasCheckpoint = (try? RunDirectory(output))?.entries.isEmpty == false
            return hasCheckpoint
                ? ["resume", output.path] + drill.saving : drill.finetune(output)
        }

        /// One start and its ending; a digest when the run was over first.
        private mutating func disturb() throws -> String? {
            let choice = random.index(below: drill.endings.count)
            let ending = drill.endings[choice]
            let wait = Double(random.uniform()) * calmSeconds
            let newest = (try? RunDirectory(output))?.entries.first
            let before = newest?.step ?? 0
            let run = try ChildRun(words, kilobytes: ending == .full ? 64 : nil)
            let process = run.process
            let start = ContinuousClock.now
            try run.start()
            if ending != .full {
                while process.isRunning, Drill.seconds(ContinuousClock.now - start) < wait {
                    usleep(2000)
                }
                if process.isRunning {
                    Foundation.kill(
                        process.processIdentifier, ending == .kill ? SIGKILL : SIGTERM)
                }
            }
            let (digest, text) = try run.finish()
            let ran = Drill.seconds(ContinuousClock.now - start)
            // A kill may come so late that all is saved: then there is nothing left to disturb.
            if let digest, newest?.status.isFinal == true { return digest }
            if ending == .full || digest == nil { counts[ending, default: 0] += 1 }
            // On the full disk the run ends without its checkpoints, and must say so.
            if ending == .full {
                guard process.terminationStatus == 1 else {
                    throw Failure(
                        description: "a full disk gave exit code \(process.terminationStatus), "
                            + "expected 1: \(text)")
                }
                return nil
            }
            if ending == .kill, digest == nil {
                lostSeconds.append(lost(ran, from: before))
            }
            return digest
        }

        /// The time of the steps behind the newest checkpoint, from the ledger's length.
        private func lost(_ seconds: Double, from before: Int) -> Double {
            let reached = (try? Ledger(ofRun: output))?.entries.last?.step ?? before
            let saved = (try? RunDirectory(output).reachedStep) ?? 0
            let taken = max(reached - before, 1)
            return seconds * Double(max(reached - saved, 0)) / Double(taken)
        }
    }
}
