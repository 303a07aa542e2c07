// SPDX-License-Identifier: Apache-2.0
/// `cairn-bench`: how fast kernels, a training step, files and tokenizers are and how their cost grows, each
/// checked before it is timed.

import Cairn
import Foundation

do {
    let options = try BenchOptions(Array(CommandLine.arguments.dropFirst()))
    #if DEBUG
        guard options.isQuick || options.subject == .compare else {
            throw BenchOptions.Wrong(
                "times of a debug build mean nothing; run: swift run -c release cairn-bench "
                    + options.subject.rawValue)
        }
    #endif
    let report = Report(printsJSON: options.printsJSON)
    switch options.subject {
    case .kernels: try KernelBench(options, report).run()
    case .step: try StepBench(options, report).run()
    case .files: try FilesBench(options, report).run()
    case .tokens: try TokensBench(options, report).run()
    case .ranks: try RanksBench(options: options, report: report).run()
    case .growth: try GrowthBench(options, report).run()
    case .compare: break
    }
    var isSlower = false
    if let first = options.kept.first {
        let second = try options.kept.dropFirst().first.map { try JSONValue.parse(contentsOf: $0) }
        let comparison = try Comparison(
            JSONValue.parse(contentsOf: first), second ?? report.document)
        comparison.print(to: report)
        isSlower = !comparison.slower.isEmpty
    }
    try report.finish()
    if isSlower { exit(1) }
} catch let wrong as BenchOptions.Wrong {
    FileHandle.standardError.write(Data("cairn-bench: \(wrong.sentence)\n".utf8))
    FileHandle.standardError.write(Data((BenchOptions.usage + "\n").utf8))
    exit(2)
} catch {
    FileHandle.standardError.write(Data("cairn-bench: \(error)\n".utf8))
    exit(1)
}
