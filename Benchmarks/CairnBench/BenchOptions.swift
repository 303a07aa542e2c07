// SPDX-License-Identifier: Apache-2.0
/// The arguments of `cairn-bench`.

import Cairn
import Foundation

/// What to measure, and on what.
struct BenchOptions {
    enum Subject: String, CaseIterable {
        case kernels, step, files, tokens, ranks, growth, compare
    }

    /// The benchmark was called wrongly; exit code 2.
    struct Wrong: Error {
        let sentence: String
        init(_ sentence: String) { self.sentence = sentence }
    }

    static let usage = """
        usage: cairn-bench kernels [--peer PYTHON] [--threads N] [--isa NAME] [--json] [--quick]
                                   [--compare RUN]
               cairn-bench step --model DIR [--profile] [--threads N] [--isa NAME] [--json]
                                [--quick] [--compare RUN]
               cairn-bench files [--peer PYTHON] [--json] [--quick] [--compare RUN]
               cairn-bench tokens --model DIR --data FILE [--peer PYTHON] [--json] [--quick]
                                  [--compare RUN]
               cairn-bench growth [--threads N] [--isa NAME] [--json] [--quick] [--compare RUN]
               mpirun -n N cairn-bench ranks [--bytes N,...] [--groups N] [--json] [--quick]
               cairn-bench compare RUN RUN [--json]
          --peer   a Python with torch and numpy, for files with safetensors and numpy, for tokens
                   with tokenizers, timed in turns with Cairn on the same work
          --bytes    of gradients that the ranks add up; --groups: how many each has of them
          --profile  prints the share of time and of the roof by kind of operation
          --quick  checks results on the smaller shapes and prints no times
          --compare  names the rows that are slower than those of RUN, a document of --json, as in
                   Benchmarks/Baselines; exit code 1 where there are any
        """

    let subject: Subject
    private(set) var model: URL?
    private(set) var data: URL?
    private(set) var peer: String?
    private(set) var threads = Context.defaultThreads
    private(set) var isa = ISA.best
    private(set) var printsJSON = false
    private(set) var isQuick = false
    private(set) var profiles = false
    /// The runs to compare: with `compare` two, else one at most.
    private(set) var kept: [URL] = []
    /// Sizes of the gradients that ranks add up.
    private(set) var byteCounts = [1 << 20, 1 << 23]
    /// Groups of every rank.
    private(set) var groups = 1

    init(_ arguments: [String]) throws {
        guard let first = arguments.first, let subject = Subject(rawValue: first) else {
            let names = Subject.allCases.map(\.rawValue).joined(separator: ", ")
            throw Wrong("expected one of \(names), found '\(arguments.first ?? "")'")
        }
        self.subject = subject
        var rest = arguments.dropFirst()
        while let flag = rest.popFirst() {
            func value() throws -> String {
                guard let value = rest.popFirst() else { throw Wrong("\(flag) needs a value") }
                return value
            }
            switch flag {
            case "--json": printsJSON = true
            case "--quick" where subject != .compare: isQuick = true
            case "--compare" where subject != .compare:
                kept = [URL(fileURLWithPath: try value())]
            case "--profile" where subject == .step: profiles = true
            case "--data" where subject == .tokens: data = URL(fileURLWithPath: try value())
            case "--model" where [.step, .tokens].contains(subject):
                model = URL(fileURLWithPath: try value())
            case "--peer" where [.kernels, .files, .tokens].contains(subject): peer = try value()
            case "--bytes" where subject == .ranks:
                let text = try value()
                byteCounts = text.split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
                if byteCounts.isEmpty { throw Wrong("--bytes must be numbers, found '\(text)'") }
            case "--groups" where subject == .ranks:
                let text = try value()
                guard let number = Int(text), number > 0 else {
                    throw Wrong("--groups must be a positive number, found '\(text)'")
                }
                groups = number
            case "--threads" where subject != .compare:
                let text = try value()
                guard let number = Int(text), (1...Context.maximumThreads).contains(number) else {
                    throw Wrong(
                        "--threads must be 1 to \(Context.maximumThreads), found '\(text)'")
                }
                threads = number
            case "--isa" where subject != .compare:
                let text = try value()
                guard let isa = ISA(rawValue: text) else {
                    let names = ISA.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Wrong("--isa must be one of \(names), found '\(text)'")
                }
                self.isa = isa
            case _ where subject == .compare && !flag.hasPrefix("-"):
                kept.append(URL(fileURLWithPath: flag))
            default: throw Wrong("'\(flag)' is no flag of \(subject.rawValue)")
            }
        }
        if [.step, .tokens].contains(subject), model == nil { throw Wrong("--model is missing") }
        if subject == .tokens, data == nil { throw Wrong("--data is missing") }
        if subject == .compare, kept.count != 2 {
            throw Wrong("compare needs two runs, found \(kept.count)")
        }
    }
}
