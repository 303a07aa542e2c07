// SPDX-License-Identifier: Apache-2.0
/// `cairn completions`: what a shell needs to complete commands, flags and their values.

import Cairn
import Foundation

struct Completions: Command {
    static let name = "completions"
    static let summary = "Prints a script that completes cairn's commands and flags in a shell."
    static let positionals = ["SHELL"]
    static let example = "cairn completions bash > cairn.bash"
    static let flags: [Flag] = []

    private let shell: Shell

    init(_ arguments: Arguments) throws {
        let word = arguments.positionals[0]
        let names = Shell.allCases.map(\.rawValue)
        guard let shell = Shell(rawValue: word) else {
            throw arguments.usage(
                "SHELL must be one of \(names.joined(separator: ", ")), found '\(word)'"
                    + Spelling.suggestion(for: word, among: names))
        }
        self.shell = shell
    }

    func run() throws { print(shell.script) }
}
