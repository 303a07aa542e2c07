// SPDX-License-Identifier: Apache-2.0
/// `cairn branch`: what the rest of a run would have been under other settings.

import Cairn
import Foundation

struct Branch: Command {
    static let name = "branch"
    static let summary =
        "Goes on from a checkpoint under other settings, in a directory of its own."
    static let runsOnRanks = true
    static let positionals = ["SOURCE"]
    static let example =
        "cairn branch checkpoints/epoch-1 --set learning_rate=1e-4,clip=none -o lower-rate"
    static let rules: [FlagRule] = [.required("--output"), .required("--set")]
    static let flags =
        [
            Flag(
                "--set", "KEY=VALUE",
                "settings of state.json that change, commas between: "
                    + FineTuneSettings.changeableKeys.joined(separator: ", ")),
            Flag("--output", "DIR", short: "-o", "where checkpoints go"),
            Flag("--model", "DIR", "where the base lies now"),
            Flag("--data", "FILE", "where the training rows lie now"),
            Flag("--eval-data", "FILE", "where the validation rows lie now"),
            Flag("--test-data", "FILE", "rows that the best checkpoint is judged on at the end"),
            Flag(
                "--allow", "KEYS",
                "go on although these differ, commas between: data, eval-data, tokenizer, base, "
                    + "numerics"),
        ] + RunFlags.saving + RunFlags.running

    private let arguments: Arguments
    private let output: URL
    private let changes: [(key: String, value: String)]

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        output = URL(fileURLWithPath: try arguments.required("--output"))
        changes = try arguments.required("--set").split(separator: ",").map { part in
            let halves = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard halves.count == 2 else {
                throw arguments.usage("--set must be KEY=VALUE, found '\(part)'")
            }
            return (halves[0].trimmingCharacters(in: .whitespaces), halves[1])
        }
    }

    func run() throws { try RunDesk(arguments).run { try job($0) } }

    private func job(_ ranks: Ranks) throws -> FineTuneJob {
        let point = try ResumableRun.found(
            at: URL(fileURLWithPath: arguments.positionals[0]),
            note: { Terminal.error("note: \($0)") })
        var options = try point.options(output: output)
        try arguments.relocate(&options)
        for (key, value) in changes {
            do {
                options.settings = try options.settings.changed(key, to: value)
            } catch let error as SettingError {
                let hint = Spelling.suggestion(for: key, among: FineTuneSettings.changeableKeys)
                throw arguments.usage("--set \(error)\(error.isUnknown ? hint : "")")
            }
        }
        options.policy = try arguments.policy(SavePolicy())
        try arguments.machine().apply(to: &options)
        return try FineTuneJob(
            options, start: .branched(point, allowing: try arguments.allowed()), ranks: ranks)
    }
}
