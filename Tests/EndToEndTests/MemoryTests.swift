// SPDX-License-Identifier: Apache-2.0
/// `--memory` through the executable: kept and measured, or refused before anything is written.

import Cairn
import Foundation
import Testing

@Suite struct MemoryTests {
    private func report(_ result: ProcessResult) throws -> JSONValue {
        try #require(result.exitCode == 0, "\(result.errors)")
        return try JSONValue.parse(Data(result.output.utf8), file: "standard output")
    }

    @Test func `the smallest budget is named, and then it is kept with the same bits`() throws {
        let job = try Job()
        let plain = try report(CairnProcess.run(job.finetune("--json"), in: job.url))
        try job.remove(job.output)
        let before = try job.listing()

        let refused = try CairnProcess.run(job.finetune("--memory", "1M"), in: job.url)

        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("cairn: the run does not fit into 1M: "))
        #expect(try job.listing() == before)
        let words = refused.errors.split(whereSeparator: \.isWhitespace)
        let needed = String(try #require(words.last))
        let limit = try #require(ByteSize(needed)).count
        let found = try report(
            CairnProcess.run(job.finetune("--json", "--memory", needed), in: job.url))
        #expect(found["state_digest"] == plain["state_digest"])
        #expect(found["memory"]?["limit_bytes"]?.integer == limit)
        let peak = try #require(found["peak_rss_bytes"]?.integer)
        #expect(peak <= limit && peak > limit / 2)
    }

    @Test func `a run goes on under another budget with the same bits`() throws {
        let job = try Job()
        let plain = try report(CairnProcess.run(job.finetune("--json"), in: job.url))
        try job.remove(job.output)
        let stopped = try report(
            CairnProcess.run(
                job.finetune("--json", "--memory", "4G", "--max-minutes", "0.00001"), in: job.url))
        #expect(stopped["status"]?.string == "interrupted")

        let found = try report(
            CairnProcess.run(
                ["resume", job.output.path, "--json", "--memory", "2G", "--threads", "2"],
                in: job.url))

        #expect(found["state_digest"] == plain["state_digest"])
    }

    @Test func `a plan says what the budget costs`() throws {
        let job = try Job()
        let arguments = ["plan"] + job.finetune("--memory", "4G").dropFirst()

        let result = try CairnProcess.run(arguments, in: job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(result.errors.contains("note: 4000M of memory: micro-batches of 2048 tokens, "))
        #expect(result.errors.contains("nothing is computed twice"))
    }
}
