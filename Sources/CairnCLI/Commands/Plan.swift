// SPDX-License-Identifier: Apache-2.0
/// `cairn plan`: what finetune would do and need, and afterwards how right that was.

import Cairn
import Foundation

struct Plan: Command {
    static let name = "plan"
    static let summary =
        "Says what finetune would do with the same flags: rows, memory, disk, time. Keeps nothing."
    static let positionals = ["MODEL|PLAN"]
    static let example = """
        cairn plan ./Qwen2.5-0.5B --task classify --data corpus.jsonl --epochs 3 --save plan.json
        """
    static let rules: [FlagRule] =
        [
            .required("--task", unless: "--compare"), .required("--data", unless: "--compare"),
            .alone("--compare", besides: ["--json"]),
        ] + Finetune.rules.filter { if case .excludes = $0 { true } else { false } }
    static let flags =
        [
            Flag("--save", "FILE", "write the plan, to be compared with the run"),
            Flag(
                "--compare", "DIR",
                "the directory of a run that is over: PLAN, which --save wrote, beside what it took"
            ),
        ] + Finetune.flags

    private let arguments: Arguments
    private let minutes: Double?

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        minutes = try arguments.number("--max-minutes", "a positive number") { $0 > 0 }
    }

    func run() throws {
        if let run = arguments.url("--compare") {
            let comparison = try PlanComparison(
                run: run, plan: URL(fileURLWithPath: arguments.positionals[0]))
            for note in comparison.notes { Terminal.error("note: \(note)") }
            return arguments.has("--json")
                ? try comparison.json.printed() : print(PlanText.text(comparison))
        }
        // Where nothing is written, the place is only asked for its room.
        let job = try Finetune(arguments.adding("--output", Self.place)).job()
        for note in job.notes { Terminal.error("note: \(note)") }
        let plan = try FineTunePlan(job)
        if let minutes, plan.seconds.total > 60 * minutes {
            Terminal.error("note: --max-minutes would stop the run before its end")
        }
        if let file = arguments.url("--save") { try plan.write(to: file) }
        if arguments.has("--json") {
            try plan.json.printed()
        } else {
            print(PlanText.text(plan))
        }
    }

    private static let place = "checkpoints"
}

/// Plans and comparisons as a person reads them.
enum PlanText {
    static func text(_ plan: FineTunePlan) -> String {
        var lines = plan.rows.flatMap(lines)
        lines.append(
            "steps       \(plan.steps) in \(plan.epochs) epochs, "
                + String(format: "%.0f tokens/s", plan.tokensPerSecond))
        let memory = plan.memory
        lines.append("memory      \(bytes(memory.peak)) at the peak")
        for (name, count) in [
            ("weights, mapped", memory.weights), ("base in codes", memory.quantized),
            ("parameters", memory.parameters),
            ("gradients", memory.gradients), ("optimizer", memory.optimizer),
            ("activations", memory.activations), ("validation", memory.validation),
            ("copy to save", memory.savedCopy), ("for the journal", memory.journal),
            ("test, at the end", memory.test),
            ("process", memory.process),
        ] where count > 0 {
            lines.append("  \(padded(name, 18))\(bytes(count))")
        }
        let disk = plan.disk
        lines.append(
            "disk        \(bytes(disk.final)) at the end, \(bytes(disk.peak)) at most: "
                + "\(disk.kept) checkpoints of \(bytes(disk.checkpoint)); "
                + "\(bytes(disk.free)) are free")
        let time = plan.seconds
        lines.append("time        \(seconds(time.total))")
        for (name, value) in [
            ("preparing", time.preparing), ("training", time.training),
            ("validation", time.validation), ("saving", time.saving),
            ("recording", time.recording), ("testing", time.testing),
        ] where value > 0 {
            lines.append("  \(padded(name, 18))\(seconds(value))")
        }
        return lines.joined(separator: "\n")
    }

    private static func lines(_ part: PlannedRows) -> [String] {
        let lengths = part.lengths
        var lines = [
            "\(padded(part.name, 12))\(lengths.rows) rows of \(part.file)",
            String(
                format: "  tokens          mean %.1f, median %d, 95%% %d, longest %d", lengths.mean,
                lengths.median, lengths.p95, lengths.maximum),
            "  truncated       \(part.truncatedRows) rows",
        ]
        if !part.report.classCounts.isEmpty {
            let classes = part.report.classCounts.map {
                "\($0.name) \($0.rows)"
                    + String(format: " (%.1f%%)", 100 * Double($0.rows) / Double(lengths.rows))
            }
            lines.append("  classes         \(classes.joined(separator: ", "))")
        }
        lines.append(
            "  duplicates      \(part.report.superfluousRows) rows, "
                + "\(part.report.conflicts.count) texts with two labels")
        if part.name != "train" {
            let shown = part.leakedLines.prefix(5).map(String.init).joined(separator: ", ")
            lines.append(
                "  leaks           \(part.leakedLines.count) rows are training texts too"
                    + (shown.isEmpty ? "" : ", on lines \(shown)")
                    + (part.leakedLines.count > 5 ? ", ..." : ""))
        }
        return lines
    }

    static func text(_ comparison: PlanComparison) -> String {
        let rows = comparison.rows.map { row in
            let isBytes = row.key.hasSuffix("bytes")
            func figure(_ value: Double) -> String {
                isBytes ? bytes(Int(value)) : seconds(value)
            }
            return padded(row.key, 20) + padded(figure(row.predicted), 14)
                + padded(figure(row.measured), 14)
                + (row.errorPercent.map { String(format: "%+.1f %%", $0) } ?? "-")
        }
        let header =
            padded("", 20) + padded("predicted", 14) + padded("measured", 14) + "error"
        return ([header] + rows).joined(separator: "\n")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 1))
    }

    private static func bytes(_ count: Int) -> String {
        String(format: "%.1f MB", Double(count) / 1e6)
    }

    private static func seconds(_ value: Double) -> String {
        value < 120
            ? String(format: "%.1f s", value)
            : String(format: "%d:%02d min", Int(value) / 60, Int(value) % 60)
    }
}
