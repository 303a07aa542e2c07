// SPDX-License-Identifier: Apache-2.0
/// `cairn continue`: a new run that begins with the weights of another.

import Cairn
import Foundation

struct Continue: Command {
    static let name = "continue"
    static let summary =
        "Starts a new run with a checkpoint's weights, on new data or under another schedule."
    static let runsOnRanks = true
    static let positionals = ["SOURCE"]
    static let example = "cairn continue checkpoints/best --data new.jsonl --epochs 1 -o second"
    static let rules: [FlagRule] = [.required("--output")]
    static let flags =
        [
            Flag("--data", "FILE", "training rows; the ones of the first run"),
            Flag("--eval-data", "FILE", "validation rows"),
            Flag("--test-data", "FILE", "rows that the best checkpoint is judged on at the end"),
            Flag("--model", "DIR", "where the base lies now"),
            Flag("--output", "DIR", short: "-o", "where checkpoints go"),
            Flag(switch: "--keep-optimizer", "go on with the optimizer's slots too"),
        ] + Finetune.settingFlags + RunFlags.saving + RunFlags.running

    private let arguments: Arguments
    private let output: URL

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        output = URL(fileURLWithPath: try arguments.required("--output"))
    }

    func run() throws { try RunDesk(arguments).run { try job($0) } }

    private func job(_ ranks: Ranks) throws -> FineTuneJob {
        let point = try ResumableRun.found(
            at: URL(fileURLWithPath: arguments.positionals[0]),
            note: { Terminal.error("note: \($0)") })
        var options = try point.options(output: output)
        if arguments.has("--data") {
            // The other files were chosen for the first run's rows.
            options.evaluationData = nil
            options.testData = nil
        }
        try arguments.relocate(&options)
        options.settings = try Finetune.settings(arguments, over: options.settings)
        options.policy = try arguments.policy(SavePolicy())
        try arguments.machine().apply(to: &options)
        return try FineTuneJob(
            options,
            start: .continued(point, keepsOptimizer: arguments.has("--keep-optimizer")),
            ranks: ranks)
    }
}
