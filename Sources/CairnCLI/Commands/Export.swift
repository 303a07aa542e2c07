// SPDX-License-Identifier: Apache-2.0
/// `cairn export`: a run's state for transformers' Trainer.

import Cairn
import Foundation

struct Export: Command {
    static let name = "export"
    static let summary =
        "Writes a run's state as a checkpoint from which transformers' Trainer goes on."
    static let positionals = ["SOURCE"]
    static let example = "cairn export checkpoints -o checkpoint-36"
    static let rules: [FlagRule] = [.required("--output")]
    static let flags = [
        Flag(
            "--output", "DIR", short: "-o", "the checkpoint-N to write; an earlier one is replaced"),
        Flag("--model", "DIR", "where the base lies now"),
        Flag("--data", "FILE", "where the training rows lie now"),
        Flag("--eval-data", "FILE", "where the validation rows lie now"),
        Flag("--transformers", "N", standard: "5", "the generation that reads it: 4 or 5"),
    ]

    private let arguments: Arguments
    private let output: URL
    private let generation: TransformersGeneration

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        output = URL(fileURLWithPath: try arguments.required("--output"))
        let text = arguments.string("--transformers") ?? "5"
        guard
            let generation = TransformersGeneration.allCases.first(where: {
                "\($0.rawValue)" == text
            })
        else { throw arguments.usage("--transformers must be 4 or 5, found '\(text)'") }
        self.generation = generation
    }

    func run() throws {
        let point = try ResumableRun.found(
            at: URL(fileURLWithPath: arguments.positionals[0]),
            note: { Terminal.error("note: \($0)") })
        var options = try point.options(output: output)
        try arguments.relocate(&options)
        let job = try FineTuneJob(options, start: .resumed(point))
        try FileManager.default.createDirectory(
            at: output.deletingLastPathComponent(), withIntermediateDirectories: true)
        try job.writeForTrainer(to: output, generation: generation)
        Terminal.error(
            "\(output.path): after \(point.saved.state.step) steps; give the Trainer the same rows, "
                + "batch size \(options.settings.batchSize), epochs \(options.settings.epochs) and "
                + "schedule, and max_grad_norm \(options.settings.clip.map { "\($0)" } ?? "0")")
    }
}
