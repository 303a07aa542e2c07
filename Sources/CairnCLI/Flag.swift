// SPDX-License-Identifier: Apache-2.0
/// What a command is: the one table from which parsing, help, manual and completions come.

import Cairn
import Foundation

/// A flag of a command: the one place where its name, value, default and meaning stand.
struct Flag: Sendable {
    let name: String
    /// What the value is called in the help; nil for a switch.
    let value: String?
    /// What holds when the flag is absent.
    let standard: String?
    let help: String
    let short: String?

    init(
        _ name: String, _ value: String, standard: String? = nil, short: String? = nil,
        _ help: String
    ) {
        self.name = name
        self.value = value
        self.standard = standard
        self.short = short
        self.help = help
    }

    /// A flag without a value.
    init(switch name: String, _ help: String) {
        self.name = name
        self.help = help
        value = nil
        standard = nil
        short = nil
    }

    var usage: String {
        [short, name].compactMap { $0 }.joined(separator: ", ") + (value.map { " " + $0 } ?? "")
    }

    /// What kind of value the flag takes, for shells.
    var kind: ValueKind? {
        guard let value else { return nil }
        if let words = Self.words[name] { return .word(words) }
        return ValueKind(named: value)
    }

    /// Flags whose value is one of some words: the same words in every command.
    private static let words: [String: [String]] = [
        "--class-weights": ClassWeights.allCases.map(\.rawValue),
        "--decay-scope": DecayScope.allCases.map(\.rawValue),
        "--ending": ["any"] + Drill.Ending.allCases.map(\.rawValue),
        "--dtype": MergeType.allCases.map(\.rawValue),
        "--format": TensorFormat.allCases.map(\.rawValue),
        "--isa": ISA.allCases.map(\.rawValue), "--method": ["lora", "full"],
        "--monitor": MonitoredFigure.allCases.map(\.rawValue),
        "--precision": Precision.allCases.map(\.rawValue),
        "--init": BaseWeights.allCases.map(\.rawValue),
        "--reuse-prefix": PrefixPolicy.allCases.map(\.rawValue),
        "--problem": Problem.allCases.filter { $0 != .causal }.map(\.rawValue),
        "--schedule": Schedule.Shape.allCases.map(\.rawValue), "--task": ["classify", "causal"],
        "--transformers": TransformersGeneration.allCases.map { "\($0.rawValue)" },
    ]
}

/// What stands for a flag or between the flags.
enum ValueKind: Equatable {
    case word([String])
    case file
    case directory
    /// Numbers, names and texts, of which a shell knows nothing.
    case text

    /// The kind that a value's name in the help stands for.
    init(named name: String) {
        switch name.trimmingCharacters(in: CharacterSet(charactersIn: "[]")) {
        case "FILE", "IN", "OUT", "PATH", "TOKENIZER", "MODEL|PLAN": self = .file
        case "DIR", "MODEL", "CHECKPOINT", "SOURCE": self = .directory
        case "STORAGE": self = .word(BaseStorage.allCases.map(\.rawValue))
        case "SHELL": self = .word(Shell.allCases.map(\.rawValue))
        case "COMMAND": self = .word(CairnCommand.visible.map { $0.name })
        default: self = .text
        }
    }
}

/// What the presence of one flag asks of the others. What depends on values, as `--power` on the
/// shape of the schedule, is checked where the values are read.
enum FlagRule: Sendable {
    /// The flag must be given, unless another one is.
    case required(String, unless: String? = nil)
    /// One of the flags must be given, and only one.
    case oneOf([String])
    /// The flags mean something only beside another one.
    case needs([String], String)
    /// The flag leaves no room for the others.
    case excludes(String, [String])
    /// The flag leaves room for these flags only.
    case alone(String, besides: [String])
    /// Both flags or none.
    case together(String, String)

    /// What is wrong, and what would be right; nil when the rule is kept.
    func problem(_ given: Set<String>, flags: [Flag]) -> String? {
        func usage(_ name: String) -> String {
            flags.first { $0.name == name }.map { "'\($0.usage)'" } ?? name
        }
        switch self {
        case .required(let name, let other):
            guard !given.contains(name), other.map(given.contains) != true else { return nil }
            return "\(name) is missing; give \(usage(name))"
        case .oneOf(let names):
            let found = names.filter(given.contains)
            if found.isEmpty {
                return "expected \(names.joined(separator: " or ")); give "
                    + names.map(usage).joined(separator: " or ")
            }
            return found.count == 1 ? nil : Self.exclusion(found[0], found[1])
        case .needs(let names, let owner):
            guard !given.contains(owner), let name = names.first(where: given.contains) else {
                return nil
            }
            return "\(name) is for \(owner); add \(usage(owner)) or leave \(name) out"
        case .excludes(let name, let others):
            guard given.contains(name), let other = others.first(where: given.contains) else {
                return nil
            }
            return Self.exclusion(name, other)
        case .alone(let name, let kept):
            let others = given.subtracting(kept + [name]).sorted()
            guard given.contains(name), let other = others.first else { return nil }
            return Self.exclusion(name, other)
        case .together(let a, let b):
            guard given.contains(a) != given.contains(b) else { return nil }
            let (one, other) = given.contains(a) ? (a, b) : (b, a)
            return "\(one) goes with \(other); add \(usage(other)) or leave \(one) out"
        }
    }

    /// Pairs of flags that are refused together.
    var conflicts: [(String, String)] {
        switch self {
        case .oneOf(let names):
            names.indices.flatMap { a in names[..<a].map { ($0, names[a]) } }
        case .excludes(let name, let others): others.map { (name, $0) }
        case .required, .needs, .alone, .together: []
        }
    }

    private static func exclusion(_ a: String, _ b: String) -> String {
        "\(a) and \(b) do not go together; leave one of them out"
    }
}

/// A subcommand.
protocol Command {
    static var name: String { get }
    static var summary: String { get }
    /// What stands between the flags: `MODEL`; `[COMMAND]` where it may be left out.
    static var positionals: [String] { get }
    static var flags: [Flag] { get }
    static var rules: [FlagRule] { get }
    static var example: String { get }
    static var isHidden: Bool { get }
    /// Whether several ranks of MPI can run it together.
    static var runsOnRanks: Bool { get }

    init(_ arguments: Arguments) throws
    func run() throws
}

extension Command {
    static var isHidden: Bool { false }
    static var runsOnRanks: Bool { false }
    static var rules: [FlagRule] { [] }

    static func execute(_ arguments: [String]) throws {
        try Launch.check(Self.self)
        try Self(Arguments(arguments, for: Self.self)).run()
    }

    /// Whether the flag must be given in every call.
    static func requires(_ flag: Flag) -> Bool {
        rules.contains {
            if case .required(flag.name, unless: nil) = $0 { true } else { false }
        }
    }
}
