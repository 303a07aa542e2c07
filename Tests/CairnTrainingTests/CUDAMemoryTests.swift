// SPDX-License-Identifier: Apache-2.0
/// A run fits into the part of a GPU's memory that it may use, and ends with the same bits.

import CairnEngine
import CairnGraph
import CairnTraining
import TestSupport
import Testing

@Suite struct DeviceMemoryTests {
    @Test func `the processor has no memory of its own to limit`() throws {
        #expect(try Context(threads: 1, deviceMemory: 1).deviceMemory == nil)
    }

    @Test func `what is too little of a GPU's memory is said with what would do`() {
        let error = TrainingError.deviceMemoryTooSmall(
            device: .cuda(1), limit: 3_000_000, needed: 4_000_001, tokens: 512)
        #expect(
            "\(error)"
                == "the run does not fit into 3M of cuda:1: with micro-batches of 512 tokens and all "
                + "of the forward pass done twice it needs 5M or more; a smaller --token-budget "
                + "needs less")
    }
}

@Suite(.enabled(if: Device.cudaCount > 0)) struct CUDAMemoryTests {
    /// A job whose activations are larger than all else that it holds.
    private func golden(_ variant: RunVariant, memory: Int? = nil) throws -> GoldenJob {
        var golden = try variant.golden()
        golden.options.device = .cuda(0)
        golden.options.memory = memory
        golden.options.settings.batchSize = 40
        golden.options.settings.tokenBudget = 2048
        return golden
    }

    private func memory(_ job: FineTuneJob) throws -> DeviceMemory {
        try #require(job.tuner.model.parameters.context.deviceMemory)
    }

    static let variants = RunVariant.all.filter { $0.storage == .stored }

    @Test(arguments: variants)
    func `less memory than a run would take is kept to, at no cost in bits`(
        variant: RunVariant
    ) throws {
        let plain = try golden(variant)
        let job = try plain.job()
        let expected = try job.run()
        #expect(job.memory == nil, "what is free needs no choice")
        // So much is no longer sure to be enough.
        let limit = try memory(job).peak

        let limited = try golden(variant, memory: limit)
        let other = try limited.job()
        let report = try other.run()

        #expect(report.stateDigest == expected.stateDigest)
        #expect(
            report.epochs.map(\.validationLoss.bitPattern)
                == expected.epochs.map(\.validationLoss.bitPattern))
        let choice = try #require(other.memory)
        #expect(choice.device == .cuda(0) && choice.limit == limit)
        #expect(choice.recompute != Recompute() && choice.tokenBudget == 2048)
        #expect(choice.peak <= limit)
        #expect(try memory(other).budget == limit)
        let taken = try memory(other).peak
        #expect(taken <= choice.peak && taken < limit, "\(choice.peak) foreseen, \(taken) taken")
        #expect(other.notes.contains { $0.contains(" of cuda:0: micro-batches of 2048 tokens, ") })
    }

    @Test func `what does not fit is refused with what would do`() throws {
        let variant = Self.variants[0]
        let plain = try golden(variant)
        let job = try plain.job()
        let held = try memory(job).used

        let error = #expect(throws: TrainingError.self) {
            try golden(variant, memory: held + 4096).job()
        }

        guard case .deviceMemoryTooSmall(.cuda(0), held + 4096, let needed, 2048) = error else {
            Issue.record("expected deviceMemoryTooSmall, found \(String(describing: error))")
            return
        }
        // The operations' own memory comes on top.
        let enough = try golden(variant, memory: needed + (needed - held) / 2)
        #expect(try enough.job().run().status == .completed)
    }

    @Test func `weights alone may be too much, and what is free is the most`() throws {
        let error = #expect(throws: KernelError.self) {
            try golden(Self.variants[0], memory: 4096).job()
        }
        guard case .deviceFailed(let text) = error else {
            Issue.record("expected deviceFailed, found \(String(describing: error))")
            return
        }
        #expect(text.contains(" left of its budget of 4096"))
        #expect(throws: KernelError.self) { try golden(Self.variants[0], memory: .max).job() }
    }
}
