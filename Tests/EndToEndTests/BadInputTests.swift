// SPDX-License-Identifier: Apache-2.0
/// Every bad input: the exit code, one sentence that helps, and nothing written.

import Foundation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite struct BadInputTests {
    @Test(arguments: BadInput.models)
    func `a damaged model is refused with one sentence`(input: BadInput) throws { try check(input) }

    @Test(arguments: BadInput.data)
    func `damaged rows are refused with one sentence`(input: BadInput) throws { try check(input) }

    @Test(arguments: BadInput.usage + BadInput.foreignISAs)
    func `wrong use is refused with one sentence`(input: BadInput) throws { try check(input) }

    @Test(arguments: BadInput.checkpoints)
    func `a damaged checkpoint is refused with one sentence`(input: BadInput) throws {
        try check(input)
    }

    @Test(.enabled(if: geteuid() != 0, "root may write anywhere"), arguments: BadInput.permissions)
    func `a place without permission is refused with one sentence`(input: BadInput) throws {
        try check(input)
    }

    @Test func `the table has a name for every case`() {
        let names = BadInput.all.map(\.name)

        #expect(Set(names).count == names.count)
        #expect(names.count >= 45)
    }

    /// The good job does not fail: otherwise every case above would pass for the wrong reason.
    @Test func `the job that the cases spoil is good`() throws {
        let job = try Job()

        let result = try CairnProcess.run(job.finetune(), in: job.url)

        #expect(result.exitCode == 0, "\(result.errors)")
        #expect(FileManager.default.fileExists(atPath: job.output.path))
    }

    private func check(_ input: BadInput) throws {
        let job = try Job()
        try input.spoil(job)
        let before = try job.listing()

        let result = try CairnProcess.run(input.arguments(job), in: job.url)

        #expect(result.exitCode == input.code.rawValue, "\(result.errors)")
        #expect(result.output == "")
        let lines = result.errorLines
        let sentence = lines.first ?? ""
        #expect(sentence.hasPrefix("cairn: "), "\(result.errors)")
        switch input.code {
        case .failed: #expect(lines.count == 1, "\(result.errors)")
        case .wrongUse:
            #expect(lines.count == 2, "\(result.errors)")
            #expect(lines.last?.hasPrefix("see 'cairn ") == true, "\(result.errors)")
        }
        for words in input.says {
            #expect(sentence.contains(words), "expected '\(words)' in '\(sentence)'")
        }
        #expect(try job.listing() == before)
    }
}

extension BadInput {
    static let all = models + data + usage + foreignISAs + checkpoints + permissions
}
