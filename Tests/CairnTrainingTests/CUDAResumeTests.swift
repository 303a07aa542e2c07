// SPDX-License-Identifier: Apache-2.0
/// Runs on a GPU go on with the bits of undisturbed ones, from every step, with less memory too.

import CairnEngine
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite(.enabled(if: Device.cudaCount > 0)) struct CUDAResumeTests {
    static let variants = RunVariant.all.filter { $0.storage == .stored }

    @Test(arguments: variants)
    func `from every step a run on the device ends as if it had never stopped`(
        variant: RunVariant
    ) throws {
        var golden = try variant.golden()
        golden.options.device = .cuda(0)
        golden.options.policy.steps = 1
        let job = try golden.job()
        let expected = Outcome(try job.run())
        let peak = try #require(job.tuner.model.parameters.context.deviceMemory).peak
        #expect(expected.status == (variant.name == "early stopping" ? .stoppedEarly : .completed))
        #expect(expected.steps >= 4)

        for (step, point) in zip(1..., try golden.points(expected.steps)) {
            var options = try point.options(output: golden.directory.file("from-\(step)"))
            options.device = .cuda(0)
            // So much is no longer sure to be enough, and some of the forward pass is done twice.
            options.memory = step.isMultiple(of: 2) ? peak : nil
            let other = try FineTuneJob(options, start: .resumed(point))
            #expect((other.memory != nil) == step.isMultiple(of: 2))
            #expect(Outcome(try other.run()) == expected, "step \(step)")
        }
    }
}
