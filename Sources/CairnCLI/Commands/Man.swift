// SPDX-License-Identifier: Apache-2.0
/// `cairn man`: the manual, from the table of the flags.

import Cairn
import Foundation

struct Man: Command {
    static let name = "man"
    static let summary = "Prints the manual page of a command, or of cairn, for 'man -l'."
    static let positionals = ["[COMMAND]"]
    static let example = "cairn man finetune > cairn-finetune.1"
    static let rules: [FlagRule] = [.excludes("--output", ["--json"])]
    static let flags = [
        Flag("--output", "DIR", short: "-o", "write the pages of all commands there"),
        Flag(switch: "--json", "print the table of commands and flags as one JSON document"),
    ]

    private let arguments: Arguments
    private let commands: [any Command.Type]

    init(_ arguments: Arguments) throws {
        self.arguments = arguments
        guard let name = arguments.positionals.first else {
            commands = CairnCommand.visible
            return
        }
        if arguments.has("--output") {
            throw arguments.usage("--output writes the pages of all commands; leave '\(name)' out")
        }
        let names = CairnCommand.visible.map { $0.name }
        guard let command = CairnCommand.visible.first(where: { $0.name == name }) else {
            throw arguments.usage(
                "'\(name)' is no command\(Spelling.suggestion(for: name, among: names))")
        }
        commands = [command]
    }

    func run() throws {
        if arguments.has("--json") {
            let table: JSONValue = [
                "version": .string(CairnVersion.string),
                "commands": .array(commands.map(Manual.document)),
            ]
            try table.printed()
        } else if let folder = arguments.url("--output") {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for command in commands {
                try write(Manual.page(command), "cairn-\(command.name).1", folder)
            }
            try write(Manual.page, "cairn.1", folder)
            Terminal.error("\(commands.count + 1) pages are in \(folder.path)")
        } else if arguments.positionals.isEmpty {
            print(Manual.page)
        } else {
            print(Manual.page(commands[0]))
        }
    }

    private func write(_ page: String, _ name: String, _ folder: URL) throws {
        try DurableFile.write(Data((page + "\n").utf8), to: folder.appendingPathComponent(name))
    }
}
