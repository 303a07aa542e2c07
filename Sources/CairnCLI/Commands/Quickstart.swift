// SPDX-License-Identifier: Apache-2.0
/// `cairn quickstart`: the main job on what ships with Cairn, judged, killed and resumed.

import Cairn
import Foundation

struct Quickstart: Command {
    static let name = "quickstart"
    static let summary =
        "Shows the main job on what ships with Cairn: trains, judges, is killed, resumes."
    static let positionals: [String] = []
    static let example = "cairn quickstart -o cairn-quickstart"
    static let flags = [
        Flag(
            "--output", "DIR", standard: "cairn-quickstart", short: "-o", "where the result goes"),
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2, avx512 or avx512bf16; the widest"),
        Flag(switch: "--json", "print the run's report as one JSON document"),
    ]

    /// What ships: a base, and labelled rows.
    private static let shipped = Bundle.module.bundleURL.appendingPathComponent("Quickstart")
    private static let base = shipped.appendingPathComponent("base")
    private static let data = shipped.appendingPathComponent("glosses.tsv")

    private let arguments: Arguments
    private let output: URL

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        output = arguments.url("--output") ?? Self.freshFolder()
        _ = try arguments.machine()
    }

    /// `cairn-quickstart`, or with the first number that makes it a new one: a run before this one
    /// stays as it is.
    private static func freshFolder() -> URL {
        let names = ["cairn-quickstart"] + (2...1000).map { "cairn-quickstart-\($0)" }
        let fresh = names.first { !FileManager.default.fileExists(atPath: $0) }
        return URL(fileURLWithPath: fresh ?? "cairn-quickstart")
    }

    /// The arguments of the run, as a user would type them.
    private func finetune(_ output: URL, base: String, data: String) -> [String] {
        [
            "finetune", base, "--task", "classify", "--data", data, "-o", output.path, "--epochs",
            "8", "--batch-size", "16", "--learning-rate", "1e-3", "--dropout", "0.1",
            "--max-length", "64", "--monitor", "val-accuracy",
        ] + machineFlags
    }

    private func finetune(_ output: URL) -> [String] {
        finetune(output, base: Self.base.path, data: Self.data.path)
    }

    private var machineFlags: [String] {
        ["--threads", "--isa"].flatMap { flag in
            arguments.string(flag).map { [flag, $0] } ?? []
        }
    }

    func run() throws {
        let start = ContinuousClock.now
        let words = Array(finetune(output).dropFirst())
        let job = try FineTuneJob(
            try Finetune(try Arguments(words, for: Finetune.self)).options)
        introduce(job)
        let stop = StopSignal()
        let report = try job.run(
            stop: { stop.isSet ? .signal : nil },
            report: {
                // What is saved when is told at the end.
                if case .saved = $0 { return }
                progress.report($0)
            })
        guard report.status == .completed, let test = try job.evaluateTest() else {
            Terminal.error("\(report.status.rawValue); what was saved is in \(output.path)")
            return
        }
        let judged = try Judged(test, job: job, data: Self.data)
        Terminal.error(judged.text)
        let proof = try proven(job, report)
        let seconds = (ContinuousClock.now - start).seconds
        Terminal.error(ending(seconds))
        if arguments.has("--json") {
            try document(job, report, test, judged, proof, seconds).printed()
        }
        guard proof.isSame else { throw proof.failure }
    }

    private let progress = Progress()

    // MARK: The parts

    private func introduce(_ job: FineTuneJob) {
        let numbers = job.tuner.model.parameters.trainableNames.reduce(0) {
            $0 + job.tuner.model.parameters.dimensions(of: $1).reduce(1, *)
        }
        Terminal.error(
            """
            The task: tell from a dictionary's definition what it defines, one of
              \(job.task.labels.joined(separator: ", ")).
            The base: a tiny Qwen2 of \(job.base.parameterCount) parameters, which Cairn trained on
              other definitions; it read none of those that it is judged on here.

            1. Fine-tune it: LoRA on every linear layer, \(numbers) numbers to learn from \
            \(job.description.trainRows) rows.
              $ cairn \(finetune(output, base: "BASE", data: "glosses.tsv").joined(separator: " "))
            """)
    }

    private func proven(_ job: FineTuneJob, _ report: FineTuneReport) throws -> ResumeProof {
        Terminal.error(
            """

            3. Do it again in another process, kill that one halfway (SIGKILL), and resume.
            """)
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "cairn-quickstart-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let saving = ["--save-steps", "10", "--keep-last", "1", "--json"]
        let proof = try ResumeProof(
            start: finetune(folder) + saving,
            resume: ["resume", folder.path] + saving + machineFlags, in: folder,
            killAfter: report.steps / 2, expected: report.stateDigest)
        Terminal.error(proof.text)
        return proof
    }

    private func ending(_ seconds: Double) -> String {
        let best = output.appendingPathComponent("best").path
        return String(format: "\nDone in %.0f seconds. ", seconds)
            + """
            What there is now, in \(output.path):
              best/         the checkpoint: PEFT and transformers open it as it is
              report.html   curves, confusion matrix, settings; history.csv has the numbers
              latest        the newest checkpoint, from which 'cairn resume' goes on

            Next ('swift run -c release cairn' where 'cairn' is not installed):
              cairn predict \(best) --text "a small tree with white flowers"
              cairn verify \(output.path) --replay
              cairn finetune --help
            """
    }

    private func document(
        _ job: FineTuneJob, _ report: FineTuneReport, _ test: Evaluation, _ judged: Judged,
        _ proof: ResumeProof, _ seconds: Double
    ) -> JSONValue {
        var document = RunDesk.document(report, test, job).object ?? [:]
        document["baselines"] = judged.baselines
        document["predictions"] = judged.document
        document["resume"] = proof.document
        document["seconds_in_all"] = .number(seconds)
        return .object(document)
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// The test rows' figures beside those of who knows less, and some rows to look at.
private struct Judged {
    private struct Row {
        let text: String
        let truth: String
        let label: String
        let probability: Float
    }

    private static let shown = 6

    private let test: Evaluation
    private let count: Int
    private let words: Double
    private let rows: [Row]

    init(_ test: Evaluation, job: FineTuneJob, data: URL) throws {
        self.test = test
        let corpus = try Corpus(contentsOf: data)
        let labels = job.task.labels
        func part(_ split: Split) -> (texts: [String], classIDs: [Int]) {
            let examples = corpus.examples(in: split).examples
            return (examples.map(\.text), examples.map { labels.firstIndex(of: $0.name)! })
        }
        let (train, judged) = (part(.train), part(.test))
        let baseline = WordBaseline(
            texts: train.texts, classIDs: train.classIDs, classes: labels.count)
        words = baseline.accuracy(texts: judged.texts, classIDs: judged.classIDs)
        count = judged.texts.count
        rows = stride(from: 0, to: count, by: max(count / Self.shown, 1)).prefix(Self.shown).map {
            let prediction = Prediction(logits: test.logits[$0], task: job.task)
            let id = prediction.labelIDs[0]
            return Row(
                text: judged.texts[$0], truth: labels[judged.classIDs[$0]], label: labels[id],
                probability: prediction.probabilities[id])
        }
    }

    private var majority: Double { test.metrics?.majorityBaseline ?? 0 }

    var text: String {
        let lines = rows.map { row in
            let isRight = row.label == row.truth
            return "  " + (isRight ? "right" : "wrong") + "  \(row.label) "
                + String(format: "(%.2f)", row.probability)
                + (isRight ? "" : ", it is \(row.truth)")
                + "  \(row.text.prefix(60))\(row.text.count > 60 ? "..." : "")"
        }
        return String(
            format: """

                2. Judge it on %d rows that neither base nor adapter has seen: the share that is right.
                  %.4f  always the largest class
                  %.4f  a bag of words (logistic regression on the same rows)
                  %.4f  the fine-tuned model; macro F1 %.4f

                """, count, majority, words, test.accuracy ?? 0, test.macroF1 ?? 0)
            + lines.joined(separator: "\n")
    }

    var baselines: JSONValue {
        ["majority_class": .number(majority), "bag_of_words": .number(words)]
    }

    var document: JSONValue {
        .array(
            rows.map {
                [
                    "text": .string($0.text), "truth": .string($0.truth),
                    "label": .string($0.label), "probability": .number(Double($0.probability)),
                ]
            })
    }
}

extension Example {
    /// The label's name; the shipped rows have one each.
    fileprivate var name: String { if case .label(let name) = target { name } else { "" } }
}
