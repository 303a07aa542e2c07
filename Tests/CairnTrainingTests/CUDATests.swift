// SPDX-License-Identifier: Apache-2.0
/// The references of float64 on a CUDA device, or on the simulator of a `CAIRN_CUDA=sim` build.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTraining
import TestSupport
import Testing

@Suite(.enabled(if: Device.cudaCount > 0)) struct CUDATests {
    private static func device() throws -> Context { try Context(device: .cuda(0)) }

    @Test(arguments: Golden.cases)
    func `logits, loss and gradients agree with float64`(name: String) throws {
        let golden = try GoldenCase(name)
        let run = try GoldenRun(golden, context: try Self.device())

        let result = try run.step()

        let loss = golden.list("loss_step")[0]
        #expect(abs(result.loss - loss) <= 1e-5, "\(name): loss \(result.loss), \(loss)")
        let gradients = try run.program.finishedGradients()
        #expect(gradients.count == golden.settings["parameters"]!.array!.count)
        for (parameter, gradient) in gradients {
            let error = relativeError(
                run.context.read(gradient), golden.numbers("grad.\(parameter)"))
            #expect(error <= 1e-4, "\(name): gradient of \(parameter) is off by \(error)")
        }
    }

    /// Training amplifies roundings, so steps are compared by their losses, runs by their bits.
    @Test(arguments: Golden.cases, Precision.allCases)
    func `steps in groups and micro-batches follow the CPU's and repeat to the bit`(
        name: String, precision: Precision
    ) throws {
        let golden = try GoldenCase(name)
        func train(_ context: Context) throws -> (losses: [Double], bits: [UInt32]) {
            let run = try GoldenRun(golden, context: context, precision: precision)
            var losses: [Double] = []
            for _ in 0..<3 {
                losses.append(try run.step(cut: [1, 3], groups: 2).loss)
                try run.optimizer.update(gradientsOf: run.program, learningRate: 1e-3, clip: 1)
            }
            let bits = run.model.parameters.trainableNames.flatMap {
                run.model.parameters.tensor($0).floats().map(\.bitPattern)
            }
            return (losses, bits)
        }

        let expected = try train(Context(threads: 2))
        let first = try train(Self.device())
        let second = try train(Self.device())

        for (step, (loss, other)) in zip(first.losses, expected.losses).enumerated() {
            let bound = precision == .fp32 ? 1e-3 : 5e-3
            #expect(abs(loss - other) <= bound, "\(name), step \(step): \(loss), the CPU \(other)")
        }
        #expect(first.bits == second.bits, "\(name): two runs differ")
        #expect(first.losses == second.losses)
    }

    @Test func `what a snapshot holds is what was trained on the device`() throws {
        let golden = try GoldenCase(try #require(Golden.cases.first))
        let run = try GoldenRun(golden, context: try Self.device())
        let before = RunSnapshot(
            run.model.parameters, optimizer: run.optimizer, state: RunState(runID: "test"))
        try run.step()
        try run.optimizer.update(gradientsOf: run.program, learningRate: 1e-2)

        let after = RunSnapshot(
            run.model.parameters, optimizer: run.optimizer, state: RunState(runID: "test"))
        let logits = try run.logits()

        #expect(after.digest != before.digest)
        // The same numbers on a device of their own give the logits of what was trained.
        let other = try GoldenRun(golden, context: try Self.device())
        for (name, tensor) in after.parameters { other.model.parameters.set(name, to: tensor) }
        other.optimizer.restore(after.optimizer)
        let copy = RunSnapshot(
            other.model.parameters, optimizer: other.optimizer, state: RunState(runID: "test"))
        #expect(copy.digest == after.digest)
        #expect(try other.logits() == logits)
    }

    @Test func `an id outside of the vocabulary ends the run of a program with a sentence`() throws
    {
        let golden = try GoldenCase(try #require(Golden.cases.first))
        let run = try GoldenRun(golden, context: try Self.device())
        var batch = golden.batch()
        batch.ids[0] = Int32(golden.base.configuration.vocabularySize)

        #expect(
            throws: KernelError.deviceFailed(
                "cuda:0: an id of an embedding is outside of its table")
        ) { try run.program.run(batch) }

        #expect(throws: Never.self) { try run.program.run(golden.batch()) }
    }
}
