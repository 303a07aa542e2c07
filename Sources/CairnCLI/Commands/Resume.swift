// SPDX-License-Identifier: Apache-2.0
/// `cairn resume`: the same run, from where it was saved.

import Cairn
import Foundation

struct Resume: Command {
    static let name = "resume"
    static let summary = "Goes on with a run from a checkpoint, with the bits it would have had."
    static let runsOnRanks = true
    static let positionals = ["SOURCE"]
    static let example = "cairn resume checkpoints"
    static let flags =
        [
            Flag(
                "--epochs", "N",
                "another target; the schedule is that of the new length from here on"),
            Flag("--model", "DIR", "where the base lies now"),
            Flag("--data", "FILE", "where the training rows lie now"),
            Flag("--eval-data", "FILE", "where the validation rows lie now"),
            Flag("--test-data", "FILE", "rows that the best checkpoint is judged on at the end"),
            Flag(
                "--output", "DIR", short: "-o",
                "the run's directory; the one that the checkpoint lies in"),
            Flag(
                "--allow", "KEYS",
                "go on although these differ, commas between: data, eval-data, tokenizer, base, "
                    + "numerics, device"),
        ] + RunFlags.saving + RunFlags.running

    private let arguments: Arguments

    init(_ arguments: Arguments) throws { self.arguments = arguments }

    func run() throws { try RunDesk(arguments).run { try job($0) } }

    private func job(_ ranks: Ranks) throws -> FineTuneJob {
        let source = URL(fileURLWithPath: arguments.positionals[0])
        let point = try ResumableRun.found(at: source, note: { Terminal.error("note: \($0)") })
        guard let output = arguments.url("--output") ?? point.runDirectory else {
            throw arguments.usage(
                "\(source.path) is a single file; --output must name the run's directory")
        }
        var options = try point.options(output: output)
        try arguments.relocate(&options)
        options.settings.epochs =
            try arguments.integer("--epochs", atLeast: 1) ?? options.settings.epochs
        options.policy = try arguments.policy(point.saved.policy)
        try arguments.machine().apply(to: &options)
        let job = try FineTuneJob(
            options, start: .resumed(point, allowing: try arguments.allowed()), ranks: ranks)
        if job.tuner.state.status.isFinal {
            Terminal.error(
                "the run is over (\(job.tuner.state.status.rawValue) after "
                    + "\(job.tuner.state.step) steps); --epochs N raises its target")
        }
        return job
    }
}

extension Arguments {
    /// Where a run's inputs lie now.
    func relocate(_ options: inout FineTuneOptions) throws {
        options.model = url("--model") ?? options.model
        options.data = url("--data") ?? options.data
        options.evaluationData = url("--eval-data") ?? options.evaluationData
        options.testData = url("--test-data") ?? options.testData
    }

    /// The refusals that `--allow` overrides.
    func allowed() throws -> Set<String> {
        let keys = ["data", "eval-data", "tokenizer", "base", "numerics", "device"]
        let names = (string("--allow") ?? "").split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        for name in names where !keys.contains(name) {
            throw usage(
                "--allow knows \(keys.joined(separator: ", ")), found '\(name)'"
                    + Spelling.suggestion(for: name, among: keys))
        }
        return Set(names)
    }
}
