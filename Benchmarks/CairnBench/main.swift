// SPDX-License-Identifier: Apache-2.0
/// `cairn-bench`: how fast kernels, a training step and files are, checked before they are timed.

import Cairn
import Foundation

do {
    let options = try BenchOptions(Array(CommandLine.arguments.dropFirst()))
    #if DEBUG
        guard options.isQuick else {
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
    case .ranks: try RanksBench(options: options, report: report).run()
    }
    try report.finish()
} catch let wrong as BenchOptions.Wrong {
    FileHandle.standardError.write(Data("cairn-bench: \(wrong.sentence)\n".utf8))
    FileHandle.standardError.write(Data((BenchOptions.usage + "\n").utf8))
    exit(2)
} catch {
    FileHandle.standardError.write(Data("cairn-bench: \(error)\n".utf8))
    exit(1)
}
