// SPDX-License-Identifier: Apache-2.0
/// The `cairn` command: finds the subcommand, prints one sentence when something is wrong.

import Cairn
import Foundation

@main
enum CairnCommand {
    static var commands: [any Command.Type] {
        [
            Finetune.self, Plan.self, Resume.self, Continue.self, Branch.self, Verify.self,
            Drill.self, Evaluate.self, Predict.self, Inspect.self, Convert.self, Export.self,
            Merge.self, Publish.self, Pull.self, Quickstart.self, Tokenize.self, Gate.self,
            FormatsProbe.self,
            Completions.self, Man.self,
        ]
    }

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // A file that may not grow is a failed write with a reason, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        do {
            try run(arguments)
        } catch let error as UsageError {
            Terminal.error("cairn: \(error.sentence)")
            Terminal.error(
                "see '\(error.command.map { "cairn \($0) --help" } ?? "cairn --help")'")
            Launch.leave(2)
        } catch {
            Terminal.error("cairn: \(Self.sentence(error))")
            Launch.leave(1)
        }
    }

    private static func run(_ arguments: [String]) throws {
        guard let first = arguments.first else {
            throw UsageError("a command is missing; expected one of \(visibleNames)")
        }
        switch first {
        case "--help", "-h", "help": print(help)
        case "--version": try BuildFacts.show(Array(arguments.dropFirst()))
        default: try dispatch(first, Array(arguments.dropFirst()))
        }
    }

    private static func dispatch(_ name: String, _ arguments: [String]) throws {
        for command in commands where command.name == name {
            if arguments.contains("--help") || arguments.contains("-h") {
                return print(Manual.help(command))
            }
            return try command.execute(arguments)
        }
        throw UsageError(
            "'\(name)' is no command\(Spelling.suggestion(for: name, among: names)); "
                + "expected one of \(visibleNames)")
    }

    /// The commands that the help lists.
    static var visible: [any Command.Type] { commands.filter { !$0.isHidden } }
    private static var names: [String] { visible.map { $0.name } }
    private static var visibleNames: String { names.joined(separator: ", ") }

    private static var help: String {
        let width = visible.map { $0.name.count }.max() ?? 0
        return """
            cairn \(CairnVersion.string): fine-tunes Hugging Face transformers with LoRA, natively.

            \(visible.map {
                "  cairn \($0.name.padding(toLength: width, withPad: " ", startingAt: 0))  \($0.summary)"
            }.joined(separator: "\n"))

            'cairn COMMAND --help' lists a command's flags. Documents that --json asks for go to
            standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
            2 wrong use, 130 after a second interrupt.
            """
    }

    /// An error as one sentence on one line.
    static func sentence(_ error: any Error) -> String {
        // Our own errors describe themselves; Foundation's say more in the user's language.
        let text = error is CocoaError ? error.localizedDescription : String(describing: error)
        return text.replacingOccurrences(of: "\n", with: "; ")
    }
}
