// SPDX-License-Identifier: Apache-2.0
/// A run killed halfway and resumed, beside the digest of one that nothing disturbed.

import Cairn
import Foundation

/// Starts a run in a process of its own, kills it once it has saved often enough, and resumes it.
struct ResumeProof {
    /// The last step that the killed process is known to have taken.
    let killedAfter: Int
    /// The step of the checkpoint that the resume went on from.
    let resumedFrom: Int
    let expected: String
    let found: String

    var isSame: Bool { expected == found }

    struct Failure: Error, CustomStringConvertible { let description: String }

    /// - Parameters:
    ///   - start: the arguments of the run.
    ///   - resume: those that go on with it.
    ///   - folder: where the run is.
    ///   - step: the process is killed when a checkpoint of this step or a later one is there.
    ///   - expected: the state digest of the undisturbed run.
    init(
        start: [String], resume: [String], in folder: URL, killAfter step: Int, expected: String
    ) throws {
        let run = try ChildRun(start)
        try run.start()
        while run.process.isRunning, Self.newest(folder) < step { usleep(5000) }
        guard run.process.isRunning else {
            throw Failure(
                description: "the run ended before it could be killed: \(try run.finish().output)")
        }
        Foundation.kill(run.process.processIdentifier, SIGKILL)
        let killed = try run.finish()
        guard run.process.terminationReason == .uncaughtSignal else {
            throw Failure(description: "the run outlived its end: \(killed.output)")
        }
        resumedFrom = Self.newest(folder)
        killedAfter = max((try? Ledger(ofRun: folder))?.entries.last?.step ?? 0, resumedFrom)
        let end = try ChildRun.finished(resume)
        guard let digest = end.digest else {
            throw Failure(description: "the resume failed: \(end.output)")
        }
        found = digest
        self.expected = expected
    }

    /// The step of the newest checkpoint; 0 without one.
    private static func newest(_ folder: URL) -> Int {
        (try? RunDirectory(folder))?.entries.first?.step ?? 0
    }

    var text: String {
        """
          killed after step \(killedAfter), resumed from the checkpoint of step \(resumedFrom)
          \(expected)  weights and optimizer, undisturbed
          \(found)  killed and resumed\(isSame ? ": the same bits" : "")
        """
    }

    var document: JSONValue {
        [
            "killed_after_step": JSONValue(killedAfter),
            "resumed_from_step": JSONValue(resumedFrom), "expected": .string(expected),
            "found": .string(found), "equal": .bool(isSame),
        ]
    }

    var failure: Failure {
        Failure(
            description: "the resumed run ends with the state \(found), expected \(expected)")
    }
}
