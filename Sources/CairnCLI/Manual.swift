// SPDX-License-Identifier: Apache-2.0
/// Help, manual pages and a JSON document from the table of a command.

import Cairn
import Foundation

enum Manual {
    static let exitCodes: [(code: Int, meaning: String)] = [
        (0, "done"), (1, "failed"), (2, "wrong use"), (130, "after a second interrupt"),
    ]

    /// What stands after the command's name.
    static func synopsis(_ command: any Command.Type) -> String {
        ([command.name] + command.positionals
            + command.flags.filter(command.requires).map { "\($0.short ?? $0.name) \($0.value!)" })
            .joined(separator: " ") + " [flags]"
    }

    static func help(_ command: any Command.Type) -> String {
        let width = command.flags.map(\.usage.count).max() ?? 0
        let lines = command.flags.map { flag in
            let usage = flag.usage.padding(toLength: width, withPad: " ", startingAt: 0)
            return "  \(usage)  \(meaning(of: flag, command))"
        }
        return """
            usage: cairn \(synopsis(command))

            \(command.summary)

            \(lines.joined(separator: "\n"))

            example:
              \(command.example)
            """
    }

    private static func meaning(of flag: Flag, _ command: any Command.Type) -> String {
        let remark = command.requires(flag) ? "required" : flag.standard
        return flag.help + (remark.map { " (\($0))" } ?? "")
    }

    // MARK: Manual pages

    /// A page in roff, for `man`.
    static func page(_ command: any Command.Type) -> String {
        var lines = header("cairn-\(command.name)", command.summary)
        lines += [".SH SYNOPSIS", ".B cairn " + escaped(synopsis(command))]
        lines += [".SH DESCRIPTION", text(command.summary)]
        lines.append(".SH OPTIONS")
        for flag in command.flags {
            lines += [".TP", ".B " + escaped(flag.usage), text(meaning(of: flag, command))]
        }
        lines += [".TP", ".B \\-\\-help", "print the flags and an example"]
        lines += [".SH EXAMPLES", ".EX", text(command.example), ".EE"]
        lines += status + [".SH SEE ALSO", ".BR cairn (1)"]
        return lines.joined(separator: "\n")
    }

    /// The page of `cairn` itself.
    static var page: String {
        var lines = header("cairn", summary)
        lines += [".SH SYNOPSIS", ".B cairn", "COMMAND [flags]", ".br", ".B cairn"]
        lines += [
            "\\-\\-version [\\-\\-json]", ".SH DESCRIPTION", text(summary + "."), conventions,
        ]
        lines.append(".SH COMMANDS")
        for command in CairnCommand.visible {
            lines += [
                ".TP", ".BR cairn\\-\(escaped(command.name)) (1)", text(command.summary),
            ]
        }
        return (lines + status).joined(separator: "\n")
    }

    static let summary = "fine-tunes Hugging Face transformers with LoRA, natively"
    private static let conventions =
        "Documents that \\-\\-json asks for go to standard output, everything else to standard error."

    private static func header(_ name: String, _ summary: String) -> [String] {
        [
            ".TH \(escaped(name).uppercased()) 1 \"\" \"cairn \(CairnVersion.string)\"",
            ".SH NAME",
            "\(escaped(name)) \\- \(escaped(summary.hasSuffix(".") ? String(summary.dropLast()) : summary))",
        ]
    }

    private static var status: [String] {
        [".SH EXIT STATUS"]
            + exitCodes.flatMap { [".TP", ".B \($0.code)", text($0.meaning)] }
    }

    private static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "\\", with: "\\e")
            .replacingOccurrences(of: "-", with: "\\-")
    }

    /// A line of text: one that begins with a period or a quote would be a request.
    private static func text(_ line: String) -> String {
        (line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" : "") + escaped(line)
    }

    // MARK: JSON

    static func document(_ command: any Command.Type) -> JSONValue {
        [
            "name": .string(command.name), "summary": .string(command.summary),
            "positionals": .array(command.positionals.map { .string($0) }),
            "example": .string(command.example),
            "conflicts": .array(
                command.rules.flatMap(\.conflicts).map { [.string($0), .string($1)] }),
            "flags": .array(
                command.flags.map { flag in
                    var words: JSONValue = .null
                    if case .word(let names)? = flag.kind {
                        words = .array(names.map { .string($0) })
                    }
                    return [
                        "name": .string(flag.name),
                        "short": flag.short.map { .string($0) } ?? .null,
                        "value": flag.value.map { .string($0) } ?? .null,
                        "default": flag.standard.map { .string($0) } ?? .null,
                        "help": .string(flag.help), "words": words,
                        "required": .bool(command.requires(flag)),
                    ]
                }),
        ]
    }
}
