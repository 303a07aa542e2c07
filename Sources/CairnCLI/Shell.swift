// SPDX-License-Identifier: Apache-2.0
/// Completion scripts from the table of the flags.

import Foundation

enum Shell: String, CaseIterable {
    case bash, zsh, fish

    var script: String {
        switch self {
        case .bash: Self.bashScript
        case .zsh: Self.zshScript
        case .fish: Self.fishScript
        }
    }

    private static var names: String {
        CairnCommand.visible.map { $0.name }.joined(separator: " ")
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }

    // MARK: bash

    private static var bashScript: String {
        var values: [String] = []
        var words: [String] = []
        for command in CairnCommand.visible {
            for flag in command.flags {
                guard let kind = flag.kind else { continue }
                let spelled = [flag.name, flag.short].compactMap { $0 }
                    .map { "'\(command.name) \($0)'" }.joined(separator: "|")
                values.append("        \(spelled)) \(bashReply(kind)); return ;;")
            }
            let flags =
                command.flags.flatMap { [$0.name, $0.short].compactMap { $0 } } + ["--help"]
            words.append(
                """
                        \(command.name))
                            case $cur in
                            -*) _cairn_words \(quoted(flags.joined(separator: " "))) ;;
                            *) \(bashReply(command.positionals.first.map { ValueKind(named: $0) } ?? .text)) ;;
                            esac ;;
                """)
        }
        return """
            # Completes cairn in bash: source this file, or put it where bash-completion looks.
            _cairn_words() {
                local IFS=$' \\n'
                COMPREPLY=($(compgen -W "$1" -- "$cur"))
            }
            _cairn_paths() {
                local IFS=$'\\n'
                COMPREPLY=($(compgen "$1" -- "$cur"))
                compopt -o filenames 2>/dev/null
            }
            _cairn() {
                local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
                local command=${COMP_WORDS[1]}
                COMPREPLY=()
                if [ "$COMP_CWORD" -eq 1 ]; then
                    _cairn_words '\(names) --help --version'
                    return
                fi
                case "$command $prev" in
            \(values.joined(separator: "\n"))
                esac
                case $command in
            \(words.joined(separator: "\n"))
                esac
            }
            complete -F _cairn cairn
            """
    }

    private static func bashReply(_ kind: ValueKind) -> String {
        switch kind {
        case .word(let words): "_cairn_words \(quoted(words.joined(separator: " ")))"
        case .file: "_cairn_paths -f"
        case .directory: "_cairn_paths -d"
        case .text: ":"
        }
    }

    // MARK: zsh

    private static var zshScript: String {
        let commands = CairnCommand.visible.map {
            "    " + quoted("\($0.name):\(zshText($0.summary))")
        }
        let cases = CairnCommand.visible.map { command in
            var specs = command.flags.map { zshSpec($0) }
            specs.append(quoted("--help[print the flags and an example]"))
            for (index, name) in command.positionals.enumerated() {
                let optional = name.hasPrefix("[") ? ":" : ""
                specs.append(
                    quoted(
                        "\(index + 1):\(optional)\(zshText(name)):\(zshAction(ValueKind(named: name)))"
                    ))
            }
            return """
                    \(command.name))
                        _arguments \\
                            \(specs.joined(separator: " \\\n            "))
                        ;;
                """
        }
        return """
            #compdef cairn
            # Completes cairn in zsh: put this file as _cairn into a folder of $fpath.
            _cairn() {
                local -a commands=(
            \(commands.joined(separator: "\n"))
                )
                if (( CURRENT == 2 )); then
                    _describe -t commands command commands
                    return
                fi
                local command=$words[2]
                shift words
                (( CURRENT-- ))
                case $command in
            \(cases.joined(separator: "\n"))
                esac
            }
            if [ "$funcstack[1]" = _cairn ]; then _cairn "$@"; else compdef _cairn cairn; fi
            """
    }

    private static func zshSpec(_ flag: Flag) -> String {
        let value =
            flag.kind.map { ":\(zshText(flag.value!)):\(zshAction($0))" } ?? ""
        let meaning = "[\(zshText(flag.help))]\(value)"
        guard let short = flag.short else { return quoted(flag.name + meaning) }
        return "'(\(short) \(flag.name))'{\(short),\(flag.name)}" + quoted(meaning)
    }

    private static func zshText(_ text: String) -> String {
        ["\\", "[", "]", ":"].reduce(text) {
            $0.replacingOccurrences(of: $1, with: "\\" + $1)
        }
    }

    private static func zshAction(_ kind: ValueKind) -> String {
        switch kind {
        case .word(let words): "(\(words.joined(separator: " ")))"
        case .file: "_files"
        case .directory: "_files -/"
        case .text: " "
        }
    }

    // MARK: fish

    private static var fishScript: String {
        var lines = [
            "# Completes cairn in fish: put this file into ~/.config/fish/completions.",
            "complete -c cairn -f",
            "complete -c cairn -n __fish_use_subcommand -l version -d 'print the version'",
        ]
        for command in CairnCommand.visible {
            lines.append(
                "complete -c cairn -n __fish_use_subcommand -a \(command.name) "
                    + "-d \(fishQuoted(command.summary))")
            let here = "complete -c cairn -n '__fish_seen_subcommand_from \(command.name)'"
            for flag in command.flags {
                let short = flag.short.map { " -s \($0.dropFirst())" } ?? ""
                lines.append(
                    "\(here) -l \(flag.name.dropFirst(2))\(short)\(fishValue(flag.kind)) "
                        + "-d \(fishQuoted(flag.help))")
            }
            if let kind = command.positionals.first.map({ ValueKind(named: $0) }) {
                switch kind {
                case .word(let words): lines.append("\(here) -a '\(words.joined(separator: " "))'")
                case .file, .directory: lines.append("\(here) -F")
                case .text: break
                }
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func fishQuoted(_ text: String) -> String {
        "'"
            + text.replacingOccurrences(of: "\\", with: "\\\\")
            .replacingOccurrences(of: "'", with: "\\'") + "'"
    }

    private static func fishValue(_ kind: ValueKind?) -> String {
        switch kind {
        case nil: ""
        case .word(let words): " -x -a '\(words.joined(separator: " "))'"
        case .file: " -r -F"
        case .directory: " -x -a '(__fish_complete_directories)'"
        case .text: " -x"
        }
    }
}
