// SPDX-License-Identifier: Apache-2.0
/// `cairn quickstart`: the main job on what ships with Cairn.

import Cairn
import Foundation

struct Quickstart: Command {
    static let name = "quickstart"
    static let summary =
        "Runs the main job on a tiny model and a small corpus that ship with Cairn."
    static let positionals: [String] = []
    static let example = "cairn quickstart -o cairn-quickstart"
    static let flags = [
        Flag(
            "--output", "DIR", standard: "cairn-quickstart", short: "-o", "where the result goes"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2 or avx512; the widest there is"),
        Flag(switch: "--json", "print the run's report as one JSON document"),
    ]

    private let arguments: Arguments

    init(_ arguments: Arguments) throws { self.arguments = arguments }

    func run() throws {
        let folder = Bundle.module.bundleURL.appendingPathComponent("Quickstart")
        let output = arguments.url("--output") ?? Self.freshFolder()
        let data = folder.appendingPathComponent("glosses.tsv")
        let base = folder.appendingPathComponent("base")
        var options = FineTuneOptions(model: base, data: data, output: output)
        options.method = .full
        options.settings.epochs = 3
        options.settings.batchSize = 32
        options.settings.learningRate = 3e-3
        options.settings.precision = .fp32
        options.maximumLength = 96
        try arguments.machine().apply(to: &options)
        Terminal.error(
            "A tiny Qwen2 with random weights learns to sort dictionary glosses by topic.\n")

        let job = try FineTuneJob(options)
        for note in job.notes { Terminal.error("note: \(note)") }
        let stop = StopSignal()
        let report = try job.run(
            stop: { stop.isSet ? .signal : nil }, report: Progress().report)
        guard report.status == .completed, let test = try job.evaluateTest() else {
            Terminal.error("\(report.status.rawValue); what was saved is in \(output.path)")
            return
        }
        try show(test, job, data: data, output: output)
        if arguments.has("--json") { try RunDesk.document(report, test, output).printed() }
    }

    /// `cairn-quickstart`, or with the first number that makes it a new one: a run before this one
    /// stays as it is.
    private static func freshFolder() -> URL {
        let names = ["cairn-quickstart"] + (2...1000).map { "cairn-quickstart-\($0)" }
        let fresh = names.first { !FileManager.default.fileExists(atPath: $0) }
        return URL(fileURLWithPath: fresh ?? "cairn-quickstart")
    }

    private func show(_ test: Evaluation, _ job: FineTuneJob, data: URL, output: URL) throws {
        let rows = try Corpus(contentsOf: data).examples(in: .test).examples
        Terminal.error(
            String(
                format: "\ntest rows %d: accuracy %.4f (always the largest class: %.4f), "
                    + "macro F1 %.4f\n", rows.count, test.accuracy ?? 0,
                test.metrics?.majorityBaseline ?? 0, test.macroF1 ?? 0))
        for row in stride(from: 0, to: rows.count, by: max(rows.count / 5, 1)).prefix(5) {
            let prediction = Prediction(logits: test.logits[row], task: job.task)
            let label = job.task.labels[prediction.labelIDs[0]]
            let probability = prediction.probabilities[prediction.labelIDs[0]]
            let truth: String
            if case .label(let name) = rows[row].target { truth = name } else { truth = "" }
            Terminal.error(
                "  \(label == truth ? "right" : "wrong")  \(label) "
                    + String(format: "(%.2f)", probability)
                    + "  \(rows[row].text.prefix(60))\(rows[row].text.count > 60 ? "..." : "")")
        }
        Terminal.error(
            """

            The best checkpoint is \(output.path)/best; transformers opens it as it is.
            Next ('swift run -c release cairn' where 'cairn' is not installed):
              cairn predict \(output.path)/best --text "a small tree with white flowers"
              cairn evaluate \(output.path)/best --data \(data.path)
              cairn finetune --help
            """)
    }
}
