// SPDX-License-Identifier: Apache-2.0
/// Command-line arguments, checked against a command's flags.

import Cairn
import Foundation

/// A command was called wrongly; exit code 2.
struct UsageError: Error {
    let sentence: String
    var command: String?

    init(_ sentence: String, command: String? = nil) {
        self.sentence = sentence
        self.command = command
    }
}

/// The arguments of one call: positionals and flags, each at most once.
struct Arguments {
    let positionals: [String]
    private var values: [String: String]
    private let command: any Command.Type

    init(_ arguments: [String], for command: any Command.Type) throws {
        self.command = command
        var positionals: [String] = []
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-"), argument != "-", Double(argument) == nil else {
                positionals.append(argument)
                continue
            }
            let parts = argument.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard let flag = command.flags.first(where: { $0.name == name || $0.short == name })
            else {
                throw UsageError(
                    "unknown flag '\(name)'\(Self.hint(name, command))", command: command.name)
            }
            guard values[flag.name] == nil else {
                throw UsageError(
                    "\(flag.name) is given twice; keep one of them", command: command.name)
            }
            if flag.value == nil {
                guard parts.count == 1 else {
                    throw UsageError(
                        "\(flag.name) takes no value; write '\(flag.name)' alone",
                        command: command.name)
                }
                values[flag.name] = ""
            } else if parts.count == 2 {
                values[flag.name] = String(parts[1])
            } else if let next = rest.first, !Self.isFlag(next, of: command) {
                values[flag.name] = rest.removeFirst()
            } else {
                throw UsageError(
                    "\(flag.name) needs a value; write '\(flag.name) "
                        + "\(flag.standard ?? flag.value!)'", command: command.name)
            }
        }
        let most = command.positionals.count
        let least = command.positionals.count { !$0.hasPrefix("[") }
        guard (least...most).contains(positionals.count) else {
            let expected =
                command.positionals.isEmpty
                ? "no argument" : command.positionals.joined(separator: " ")
            let found = positionals.isEmpty ? "none" : positionals.joined(separator: " ")
            throw UsageError(
                "expected \(expected) beside the flags, found \(found)", command: command.name)
        }
        let given = Set(values.keys)
        for rule in command.rules {
            if let problem = rule.problem(given, flags: command.flags) {
                throw UsageError(problem, command: command.name)
            }
        }
        self.positionals = positionals
        self.values = values
    }

    /// A value may begin with a hyphen, as a negative number does, but not be a flag.
    private static func isFlag(_ word: String, of command: any Command.Type) -> Bool {
        word.hasPrefix("--") || command.flags.contains { $0.short == word }
    }

    /// What an unknown flag may have been meant for: a flag of near spelling, or of another command.
    private static func hint(_ name: String, _ command: any Command.Type) -> String {
        let near = Spelling.suggestion(for: name, among: command.flags.map(\.name))
        guard near.isEmpty else { return near }
        let owners = CairnCommand.visible.filter { $0.flags.contains { $0.name == name } }
        return owners.isEmpty
            ? "" : "; it is a flag of \(owners.map { $0.name }.joined(separator: ", "))"
    }

    /// The same with a value for a flag that was not given.
    func adding(_ name: String, _ value: String) -> Arguments {
        var result = self
        result.values[name] = result.values[name] ?? value
        return result
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    func string(_ name: String) -> String? { values[name] }

    func required(_ name: String) throws -> String {
        guard let value = values[name] else { throw usage("\(name) is missing") }
        return value
    }

    func url(_ name: String) -> URL? { values[name].map { URL(fileURLWithPath: $0) } }

    /// An integer of at least `minimum`; nil when the flag is absent.
    func integer(_ name: String, atLeast minimum: Int) throws -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), number >= minimum else {
            throw usage("\(name) must be a whole number of at least \(minimum), found '\(text)'")
        }
        return number
    }

    /// A finite number in a range; nil when the flag is absent.
    func number(
        _ name: String, _ expected: String, _ isGood: (Double) -> Bool
    ) throws -> Double? {
        guard let text = values[name] else { return nil }
        guard let number = Double(text), number.isFinite, isGood(number) else {
            throw usage("\(name) must be \(expected), found '\(text)'")
        }
        return number
    }

    /// One of an enumeration's names; nil when the flag is absent.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _: Choice.Type
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = values[name] else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue)
            throw usage(
                "\(name) must be one of \(names.joined(separator: ", ")), found '\(text)'"
                    + Spelling.suggestion(for: text, among: names))
        }
        return choice
    }

    func usage(_ sentence: String) -> UsageError { UsageError(sentence, command: command.name) }
}
