// SPDX-License-Identifier: Apache-2.0
/// What stands between a plan and its first byte: a process of its own that loads the files.

import Cairn
import Foundation

/// The gate of one publication.
struct PublishGate {
    /// What the receipt's rows are, unless the user goes without.
    private let question: (receipt: Receipt, rows: () throws -> [ReceiptText])?

    /// - Throws: `ReceiptError` when the directory has no receipt, and `--no-gate` was not said.
    init(_ arguments: Arguments, directory: URL) throws {
        guard !arguments.has("--no-gate") else {
            question = nil
            return
        }
        let receipt = try Receipt(of: directory)
        let checkpoint = arguments.url("--checkpoint") ?? directory
        question = (
            receipt,
            {
                guard try Receipt(of: checkpoint).rows == receipt.rows else {
                    throw ReceiptError.otherCheckpoint(
                        directory: directory.path, checkpoint: checkpoint.path)
                }
                return try ReceiptText.rows(of: checkpoint) { options in
                    try arguments.relocate(&options)
                }
            }
        )
    }

    /// What the card says, provided that the gate lets the plan pass.
    var cardSection: String {
        question?.receipt.cardSection ?? Receipt.ungatedCardSection
    }

    /// Judges a plan.
    ///
    /// - Returns: what the process found; nil without a gate.
    /// - Throws: `Closed` with the sentence of what is wrong.
    func judge(_ plan: PublishPlan) throws -> JSONValue? {
        guard let question else {
            Terminal.error("note: --no-gate: nothing compares these files with a receipt")
            return nil
        }
        let rows = try question.rows()
        Terminal.error("gate: loading the files alone and running \(rows.count) held-out rows")
        let stage = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-gate-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: stage) }
        try plan.stage(in: stage)
        let answer = try Self.ask(
            try ReceiptText.question(question.receipt, rows), about: stage)
        guard answer["passed"]?.bool == true else {
            throw Closed(reason: answer["reason"]?.string ?? "no reason was given")
        }
        Terminal.error(
            "gate: passed, \(rows.count) rows, largest difference "
                + "\(answer["largest_difference"]?.number ?? .nan)")
        return answer
    }

    struct Closed: Error, CustomStringConvertible {
        let reason: String
        var description: String { "the gate is closed, nothing was sent: \(reason)" }
    }

    // MARK: The process

    /// Starts this program again, on the staged files, and hands it the question over a pipe: the
    /// rows are in no argument and in no file.
    private static func ask(_ question: Data, about stage: URL) throws -> JSONValue {
        // A process that ends early makes the write fail, and not this process end.
        signal(SIGPIPE, SIG_IGN)
        guard let program = Bundle.main.executableURL else {
            throw Closed(reason: "this program does not find its own executable")
        }
        let process = Process()
        process.executableURL = program
        process.arguments = [Gate.name, stage.path]
        // A base is named as on the Hub: no directory of that name may stand in for it.
        process.currentDirectoryURL = stage
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        do {
            try process.run()
        } catch {
            throw Closed(
                reason: "\(program.path) does not start (\(error.localizedDescription))")
        }
        try? input.fileHandleForWriting.write(contentsOf: question)
        try? input.fileHandleForWriting.close()
        let answer = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let isExit = process.terminationReason == .exit
        guard isExit, !answer.isEmpty else {
            let end = isExit ? "exit code" : "signal"
            throw Closed(
                reason: "its process ended with \(end) \(process.terminationStatus), unasked for")
        }
        return try JSONValue.parse(answer, file: "the gate's answer")
    }
}
