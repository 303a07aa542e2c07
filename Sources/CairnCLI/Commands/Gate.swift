// SPDX-License-Identifier: Apache-2.0
/// `cairn gate`, hidden: the process that loads what is about to be published, and nothing else.

import Cairn
import Foundation

/// Reads the receipt and its rows from standard input and judges the directory by them.
///
/// The answer on standard output is one JSON document: `passed`, and either `rows` and
/// `largest_difference` or `reason`. Exit code 0 when it passes, else 1.
struct Gate: Command {
    static let name = "gate"
    static let summary = "Loads a directory by its public files and compares it with a receipt."
    static let positionals = ["DIR"]
    static let example = "cairn gate DIR < QUESTION"
    static let isHidden = true
    static let flags = [
        Flag("--threads", "N", "worker threads; as many as there are cores"),
        Flag("--isa", "NAME", "scalar, neon, avx2 or avx512; the widest there is"),
    ]

    private let arguments: Arguments

    init(_ arguments: Arguments) throws { self.arguments = arguments }

    func run() throws {
        let machine = try arguments.machine()
        let directory = URL(fileURLWithPath: arguments.positionals[0])
        do {
            let question = try FileHandle.standardInput.readToEnd() ?? Data()
            let (receipt, texts) = try ReceiptText.asked(question)
            let check = try ReceiptCheck(
                directory, base: try HubAccess.base(of: directory), receipt: receipt,
                texts: texts, context: try machine.context())
            try JSONValue.object([
                "passed": true, "rows": .integer(check.rows),
                "largest_difference": .number(check.largestDifference),
            ]).printed()
        } catch {
            try JSONValue.object([
                "passed": false, "reason": .string(CairnCommand.sentence(error)),
            ]).printed()
            exit(1)
        }
    }
}
