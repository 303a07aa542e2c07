// SPDX-License-Identifier: Apache-2.0
/// Fine-tunes a model directory, or goes on with the run that the output holds.

import Cairn
import Foundation

@main struct FineTune {
    static func main() throws {
        let paths = CommandLine.arguments.dropFirst().map { URL(fileURLWithPath: $0) }
        guard paths.count == 3 else {
            print("usage: FineTune MODEL DATA OUTPUT")
            exit(2)
        }
        var options = FineTuneOptions(model: paths[0], data: paths[1], output: paths[2])
        options.method = .lora(AdapterConfiguration(rank: 16, alpha: 32, targets: .allLinear))
        options.settings.epochs = 2
        options.settings.learningRate = 3e-3
        options.settings.precision = .fp32
        options.maximumLength = 96

        var start = JobStart.fresh
        if FileManager.default.fileExists(atPath: options.output.path) {
            let run = try ResumableRun.found(at: options.output) { print("note: \($0)") }
            options = try run.options(output: options.output)
            start = .resumed(run)
        }
        let job = try FineTuneJob(options, start: start)
        for note in job.notes { print("note: \(note)") }
        let report = try job.run(report: { event in
            if case .epoch(let epoch) = event {
                print("epoch \(epoch.epoch): validation loss \(epoch.validationLoss)")
            }
        })
        print("\(report.status.rawValue) after \(report.steps) steps")
        print("state \(report.stateDigest)")
        if let accuracy = try job.evaluateTest()?.accuracy { print("test accuracy \(accuracy)") }
    }
}
