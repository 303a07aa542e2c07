// SPDX-License-Identifier: Apache-2.0
/// Where results go: a table as they come, or one JSON document at the end.

import Cairn
import Foundation

/// Collects facts and rows; prints them at once, or as JSON when finished.
final class Report {
    private var printsJSON: Bool
    private var facts: JSONObject = [:]
    private var rows: [JSONValue] = []

    init(printsJSON: Bool) { self.printsJSON = printsJSON }

    /// A line of the head: `cpu  AMD EPYC`.
    func fact(_ name: String, _ value: JSONValue, text: String? = nil) {
        facts[name] = value
        line(Self.padded(name, 12) + (text ?? value.string ?? ""))
    }

    func line(_ text: String) {
        // Unbuffered: a run takes minutes, and its rows should be seen as they come.
        if !printsJSON { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }
    }

    func row(_ values: JSONObject, text: String) {
        rows.append(.object(values))
        line(text)
    }

    /// The head that every benchmark begins with.
    func machine(_ options: BenchOptions) {
        fact("cpu", .string(Machine.processor))
        fact("threads", JSONValue(options.threads), text: "\(options.threads)")
        fact("isa", .string(options.isa.rawValue))
        fact("compiler", .string(Machine.compiler))
        if let commit = Machine.commit { fact("commit", .string(commit)) }
    }

    /// Everything so far as one document.
    var document: JSONValue {
        var document = facts
        document["rows"] = .array(rows)
        return .object(document)
    }

    /// Of several ranks one has the results.
    func mute() { printsJSON = false }

    func finish() throws {
        guard printsJSON else { return }
        FileHandle.standardOutput.write(try document.serialized() + Data("\n".utf8))
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
    }
}
