// SPDX-License-Identifier: Apache-2.0
/// Every flag of every command matters, and every wrong use of one is refused with a suggestion.

import Foundation
import Testing

@Suite struct FlagTests {
    @Test(arguments: FlagCase.all.filter { $0.elsewhere == nil })
    func `a flag makes a difference or is refused`(flagCase: FlagCase) throws {
        let (base, folder) = try FlagBench.Base.result(flagCase.base)
        let before = try flagCase.look.observation(base, in: folder.url)
        let bench = try FlagBench()

        let result = try bench.run(flagCase.flipped)

        let after = try flagCase.look.observation(result, in: bench.url)
        #expect(before != after)
        #expect(!result.errors.contains("unknown flag"), "\(result.errors)")
        if result.exitCode != 0 {
            #expect(after.contains(flagCase.says), "\(result.errors)")
        }
    }

    /// A flag that is added to a command fails here until `FlagCase.all` has a case for it.
    @Test func `the table has a case for every flag of every command`() throws {
        let flags = try CommandTable.all.get().flatMap { command in
            command.flags.map { "\(command.name) \($0.name)" }
        }
        let cases = FlagCase.all.map { "\($0.command) \($0.flag)" }

        #expect(Set(flags).subtracting(cases).sorted() == [], "flags without a case")
        #expect(Set(cases).subtracting(flags).sorted() == [], "cases without a flag")
        #expect(flags.count > 200)
    }

    @Test func `wrong flags are refused by every command, with exit code 2 and a suggestion`()
        throws
    {
        let folder = FileManager.default.temporaryDirectory
        func refused(_ arguments: [String], _ words: [String]) throws {
            let result = try CairnProcess.run(arguments, in: folder)
            let call = Comment(rawValue: "\(arguments): \(result.errors)")
            #expect(result.exitCode == 2, call)
            #expect(result.output == "", call)
            #expect(result.errorLines.count == 2, call)
            #expect(result.errorLines.last == "see 'cairn \(arguments[0]) --help'", call)
            for word in words { #expect(result.errors.contains(word), call) }
        }
        for command in try CommandTable.all.get() {
            try refused(command.call + ["--zzzzzzzzzzzz"], ["unknown flag '--zzzzzzzzzzzz'"])
            try refused(command.call + ["one", "more"], ["beside the flags, found"])
            if let switched = command.flags.first(where: { $0.value == nil }) {
                try refused(
                    command.call + ["\(switched.name)=yes"],
                    ["\(switched.name) takes no value; write '\(switched.name)' alone"])
            }
            // One of each kind: every flag goes through the same lines.
            for flag in [command.flags.first, command.flags.first { $0.value != nil }]
                .compactMap({ $0 })
            {
                let value = flag.value.map { [$0] } ?? []
                try refused(
                    command.call + ["\(flag.name)x"],
                    ["unknown flag '\(flag.name)x', did you mean '\(flag.name)'?"])
                try refused(
                    command.call + [flag.name] + value + [flag.name] + value,
                    ["\(flag.name) is given twice; keep one of them"])
                if let value = flag.value {
                    try refused(
                        command.call + [flag.name],
                        [
                            "\(flag.name) needs a value; write '\(flag.name) \(flag.standard ?? value)'"
                        ])
                }
            }
        }
    }

    @Test func `flags that exclude each other are refused with a way out`() throws {
        var count = 0
        for command in try CommandTable.all.get() {
            let values = Dictionary(
                uniqueKeysWithValues: command.flags.map { ($0.name, $0.value.map { [$0] } ?? []) })
            let base = FlagCase.all.first { $0.command == command.name }?.base ?? command.call
            for pair in command.conflicts {
                let words = pair.flatMap { [$0] + values[$0, default: []] }
                let others = base.contains(pair[0]) || base.contains(pair[1]) ? command.call : base

                let result = try CairnProcess.run(
                    others + words, in: FileManager.default.temporaryDirectory)

                #expect(result.exitCode == 2, "\(words): \(result.errors)")
                #expect(
                    result.errors.contains("do not go together; leave one of them out"),
                    "\(words): \(result.errors)")
                count += 1
            }
        }
        #expect(count > 5)
    }

    @Test func `every command prints help with its example`() throws {
        for command in try CommandTable.all.get() {
            let result = try CairnProcess.run(
                [command.name, "--help"], in: FileManager.default.temporaryDirectory)

            #expect(result.exitCode == 0)
            #expect(result.output.contains("example:\n  cairn \(command.name)"))
        }
    }
}
