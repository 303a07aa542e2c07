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
               cairn-bench step --model DIR [--peer PYTHON] [--type fp32|bf16] [--rows N]
                                [--tokens LOW-HIGH] [--adapt NAME,...] [--profile] [--threads N]
                                [--isa NAME] [--json] [--quick] [--compare RUN]
               cairn-bench files [--peer PYTHON] [--json] [--quick] [--compare RUN]
               cairn-bench tokens --model DIR --data FILE [--peer PYTHON] [--json] [--quick]
                                  [--compare RUN]
               cairn-bench growth [--threads N] [--isa NAME] [--json] [--quick] [--compare RUN]
               mpirun -n N cairn-bench ranks [--bytes N,...] [--groups N] [--json] [--quick]
               cairn-bench compare RUN RUN [--json]
          --peer   a Python with torch and numpy, for files with safetensors and numpy, for tokens
                   with tokenizers, for a step with torch, transformers and peft, timed in turns
                   with Cairn on the same work
          --type   both without it; --rows: 16 a step, of --tokens 16-128 each, evenly spread;
                   --adapt: the layers with LoRA, all-linear without it
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
    /// The types of a step.
    private(set) var precisions = [Precision.fp32, .bf16]
    /// Rows of a step, the tokens of the shortest and the longest, and the layers that are adapted.
    private(set) var rows = 16
    private(set) var lengths = 16...128
    private(set) var targets = TargetModules.allLinear
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
            case "--peer" where [.kernels, .step, .files, .tokens].contains(subject):
                peer = try value()
            case "--type" where subject == .step:
                let text = try value()
                guard let precision = Precision(rawValue: text) else {
                    throw Wrong("--type must be fp32 or bf16, found '\(text)'")
                }
                precisions = [precision]
            case "--rows" where subject == .step:
                let text = try value()
                guard let number = Int(text), number > 0 else {
                    throw Wrong("--rows must be a positive number, found '\(text)'")
                }
                rows = number
            case "--tokens" where subject == .step:
                let text = try value()
                let ends = text.split(separator: "-", omittingEmptySubsequences: false)
                    .map { Int($0) ?? 0 }
                guard [1, 2].contains(ends.count), ends[0] > 0, ends[0] <= ends[ends.count - 1]
                else { throw Wrong("--tokens must be LOW-HIGH, found '\(text)'") }
                lengths = ends[0]...ends[ends.count - 1]
            case "--adapt" where subject == .step:
                let text = try value()
                targets =
                    text == "all-linear"
                    ? .allLinear : .names(text.split(separator: ",").map(String.init))
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
        if profiles, peer != nil { throw Wrong("--profile knows no peer") }
        if subject == .compare, kept.count != 2 {
            throw Wrong("compare needs two runs, found \(kept.count)")
        }
    }
}
