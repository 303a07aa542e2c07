// SPDX-License-Identifier: Apache-2.0
/// Why a directory is not known to be the model that was trained.

import Foundation

/// Every case says what was expected, what was found, and what to do.
public enum ReceiptError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The directory has no receipt; others of the same run have one.
    case none(directory: String, instead: [String])
    /// The receipt's rows are not known there.
    case noRows(directory: String)
    /// The receipt is of another checkpoint than the rows.
    case otherCheckpoint(directory: String, checkpoint: String)
    /// A row of the run's files is not what it was.
    case changedRow(file: String, line: Int)
    /// The directory is of another kind of task than in training.
    case task(expected: String, found: String)
    /// The labels are not those of training.
    case labels(expected: [String], found: [String])
    /// A row has other token ids than in training.
    case tokens(row: Int, place: String, expected: Int, found: Int)
    /// A row has other logits, labels or another loss than the receipt says.
    case differs(
        row: Int, place: String, what: String, expected: [Float], found: [Float],
        labels: [[String]], note: String?)
    /// The receipt is of another number of rows.
    case count(receipt: Int, rows: Int)

    public var description: String {
        switch self {
        case .none(let directory, let instead):
            "\(directory) has no receipt.json, by which a publication is checked: best and epoch-N "
                + "of a run have one, step-N and directories of other programs do not; publish "
                + (instead.isEmpty ? "one of those" : instead.joined(separator: " or "))
                + ", or say --no-gate, which the card will tell"
        case .noRows(let directory):
            "\(directory) has a receipt and does not tell which rows it is about: that stands in "
                + "the training/ folder of the checkpoint that it came from; name that with "
                + "--checkpoint DIR, or say --no-gate, which the card will tell"
        case .otherCheckpoint(let directory, let checkpoint):
            "the receipt of \(directory) is not about the rows and numbers of \(checkpoint); name "
                + "the checkpoint that it came from"
        case .changedRow(let file, let line):
            "\(file), line \(line): the row is not the one that the receipt is about; name the "
                + "files where the run's rows lie now with --data and --eval-data"
        case .task(let expected, let found):
            "config.json: expected a model for \(expected), as in the receipt, found one for "
                + found
        case .labels(let expected, let found):
            "config.json: expected the labels \(Self.list(expected)), as in the receipt, found "
                + Self.list(found)
        case .tokens(let row, let place, let expected, let found):
            "row \(row) of the receipt (\(place)): expected the \(expected) token ids of training, "
                + (expected == found ? "found others" : "found \(found)")
                + "; is tokenizer.json of another model?"
        case .differs(
            let row, let place, let what, let expected, let found, let labels, let note):
            "row \(row) of the receipt (\(place)): expected \(what) \(expected)"
                + Self.named(labels[0]) + ", found \(found)" + Self.named(labels[1])
                + "; these files are not the model that was saved" + (note.map { "; " + $0 } ?? "")
        case .count(let receipt, let rows):
            "the receipt has \(receipt) rows, expected \(rows), as its checkpoint has"
        }
    }

    private static func list(_ names: [String]) -> String {
        names.map { "'\($0)'" }.joined(separator: ", ")
    }

    private static func named(_ labels: [String]) -> String {
        labels.isEmpty ? "" : " (\(list(labels)))"
    }
}
