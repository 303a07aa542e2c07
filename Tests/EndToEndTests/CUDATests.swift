// SPDX-License-Identifier: Apache-2.0
/// `--device` through the executable: refusals in every build, whole runs where there is a device.

import Cairn
import Foundation
import Testing

@Suite struct DeviceFlagTests {
    @Test func `a device that has no meaning is wrong use`() throws {
        let job = try Job()

        let result = try CairnProcess.run(job.finetune("--device", "gpu"), in: job.url)

        #expect(result.exitCode == 2)
        #expect(result.errors.contains("--device must be cpu, cuda:N or cuda-fixed:N, found 'gpu'"))
    }

    @Test(.enabled(if: Device.cudaCount == 0))
    func `cuda without a device fails and writes nothing`() throws {
        let job = try Job()
        let before = try job.listing()

        let result = try CairnProcess.run(job.finetune("--device", "cuda"), in: job.url)

        #expect(result.exitCode == 1)
        #expect(result.errors.contains("cuda:0 cannot be used: "))
        #expect(try job.listing() == before)
    }
}

@Suite(.enabled(if: Device.cudaCount > 0)) struct CUDARunTests {
    /// Logits of a checkpoint on the job's evaluation rows.
    private func logits(_ checkpoint: URL, _ job: Job, device: String) throws -> [Double] {
        let result = try CairnProcess.run(
            [
                "predict", checkpoint.path, "--data", job.evaluationData.path, "--device", device,
                "--precision", "fp32", "--base", job.model.path, "--json",
            ], in: job.url)
        guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
        let document = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
        return (document["rows"]?.array ?? []).flatMap {
            ($0["logits"]?.array ?? []).compactMap(\.number)
        }
    }

    private func digest(_ arguments: [String], in job: Job) throws -> String {
        let result = try CairnProcess.run(arguments + ["--device", "cuda", "--json"], in: job.url)
        guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
        let document = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
        #expect(document["status"]?.string == "completed")
        return document["state_digest"]?.string ?? ""
    }

    @Test func `a run on the device saves what it trained, and goes on with the same bits`() throws
    {
        let job = try Job()
        let whole = try digest(
            job.finetune("--batch-size", "8", "--save-steps", "2", "--learning-rate", "1e-3"),
            in: job)

        // The logits of what was saved are those of either engine.
        let best = job.output.appendingPathComponent("best")
        let device = try logits(best, job, device: "cuda")
        let processor = try logits(best, job, device: "cpu")
        #expect(!device.isEmpty && device.count == processor.count)
        let worst = zip(device, processor).map { abs($0 - $1) }.max() ?? .infinity
        #expect(worst <= 1e-4, "the engines differ by \(worst)")

        // From its second step on the run gives the state that it gave as a whole.
        let second = job.output.appendingPathComponent("step-2")
        let resumed = try digest(
            ["resume", second.path, "-o", job.url.appendingPathComponent("again").path], in: job)
        #expect(resumed == whole)

        // On the other engine it would be another run.
        let refused = try CairnProcess.run(
            ["resume", second.path, "-o", job.url.appendingPathComponent("other").path], in: job.url
        )
        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("the engine is not what the run had: expected cuda"))
    }

    @Test func `evaluate computes the same figures on either engine`() throws {
        let job = try Job()
        _ = try digest(job.finetune("--batch-size", "8"), in: job)
        let figures = try ["cuda", "cpu"].map { device in
            let result = try CairnProcess.run(
                [
                    "evaluate", job.output.appendingPathComponent("best").path, "--data",
                    job.evaluationData.path, "--base", job.model.path, "--device", device,
                    "--json",
                ], in: job.url)
            guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
            let document = try JSONValue.parse(Data(result.output.utf8), file: "standard output")
            return document["loss"]?.number ?? .nan
        }
        #expect(abs(figures[0] - figures[1]) <= 1e-3, "\(figures)")
    }

    @Test func `a device with little memory computes some of it twice, and says so`() throws {
        let job = try Job()
        let arguments = job.finetune("--batch-size", "24", "--device", "cuda", "--json")
        func run(_ environment: [String: String]) throws -> (JSONValue, errors: String) {
            let result = try CairnProcess.run(arguments, in: job.url, environment: environment)
            guard result.exitCode == 0 else { throw Job.Failure(description: result.errors) }
            try FileManager.default.removeItem(at: job.output)
            return (
                try JSONValue.parse(Data(result.output.utf8), file: "standard output"),
                result.errors
            )
        }
        let (whole, quiet) = try run([:])
        let peak = try #require(whole["device_memory"]?["peak_bytes"]?.integer)
        #expect(whole["memory"] == nil && !quiet.contains("computed twice"))

        // The simulator's device has as much as it is told; so much is not sure to be enough.
        let little = peak
        let (cut, said) = try run(["CUSIM_MEMORY": "\(little)"])

        #expect(cut["state_digest"]?.string == whole["state_digest"]?.string)
        #expect(said.contains(" of cuda:0: micro-batches of 2048 tokens, "))
        #expect(said.contains("computed twice"))
        #expect(cut["memory"]?["device"]?.string == "cuda:0")
        #expect((cut["device_memory"]?["peak_bytes"]?.integer ?? .max) < little)

        let nothing = try CairnProcess.run(
            arguments, in: job.url, environment: ["CUSIM_MEMORY": "5000"])
        #expect(nothing.exitCode == 1)
        #expect(nothing.errors.contains("left of its budget of"))
    }
}
