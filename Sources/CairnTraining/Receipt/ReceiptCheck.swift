// SPDX-License-Identifier: Apache-2.0
/// Whether a directory gives what its receipt says.

import CairnEngine
import CairnFormats
import Foundation

/// A directory that was loaded and has given the logits and labels, or the losses, of a receipt.
public struct ReceiptCheck: Equatable, Sendable {
    /// How many rows were compared.
    public let rows: Int
    /// Of any logit or loss, in units of max(1, |number|).
    public let largestDifference: Double

    /// Loads a directory, runs the rows and compares.
    ///
    /// - Parameters:
    ///   - base: where the base is, instead of what adapter_config.json says.
    ///   - texts: the receipt's rows, in its order.
    /// - Throws: `ReceiptError` at the first row that has other token ids, logits, losses or labels; and
    ///   whatever keeps the directory from being loaded.
    public init(
        _ directory: URL, base: URL? = nil, receipt: Receipt, texts: [ReceiptText],
        context: Context
    ) throws {
        guard texts.count == receipt.rows.count else {
            throw ReceiptError.count(receipt: receipt.rows.count, rows: texts.count)
        }
        let inference = try Inference(
            directory, base: base, maximumLength: receipt.maximumLength, context: context)
        let task = inference.checkpoint.task
        guard task.problemType == receipt.task.problemType else {
            throw ReceiptError.task(
                expected: receipt.task.problemType, found: task.problemType)
        }
        guard task == receipt.task else {
            throw ReceiptError.labels(expected: receipt.task.labels, found: task.labels)
        }
        let data = try inference.rows(texts: texts.map(\.text), file: "the receipt's rows")
        for (row, text) in texts.enumerated()
        where ReceiptRows.digest(of: data.ids[row]) != text.idsDigest {
            throw ReceiptError.tokens(
                row: row + 1, place: text.place, expected: text.tokens,
                found: data.ids[row].count)
        }
        let values = Receipt.values(
            try inference.evaluate(data, precision: receipt.precision))
        var largest = 0.0
        for (row, text) in texts.enumerated() {
            let (found, expected) = (values[row], receipt.rows[row].values)
            let difference = Self.difference(found, expected)
            guard difference <= receipt.bound, receipt.agree(found, row) else {
                throw ReceiptError.differs(
                    row: row + 1, place: text.place,
                    what: task == .causal ? "a mean loss of" : "logits", expected: expected,
                    found: found, labels: [expected, found].map(receipt.labels(of:)),
                    note: try Self.baseNote(inference, receipt))
            }
            largest = max(largest, difference)
        }
        rows = texts.count
        largestDifference = largest
    }

    /// The largest difference in units of max(1, |expected|); NaN, which no bound admits, where a
    /// number is NaN.
    private static func difference(_ found: [Float], _ expected: [Float]) -> Double {
        var largest = 0.0
        for (a, b) in zip(found, expected) {
            let difference = abs(Double(a) - Double(b)) / max(1, abs(Double(b)))
            if !(difference <= largest) { largest = difference }
            if largest.isNaN { break }
        }
        return largest
    }

    /// What explains a difference where it does: another base than in training.
    private static func baseNote(_ inference: Inference, _ receipt: Receipt) throws -> String? {
        guard let expected = receipt.base else { return nil }
        let base = inference.checkpoint.model.base
        guard try InputDigests.digest(of: base) != expected else { return nil }
        return "\(base.directory.path) is not the base that it was trained on"
    }
}

extension Receipt {
    /// Whether values mean the labels of a row: no other ones than a difference within the bound
    /// could have made of them.
    fileprivate func agree(_ values: [Float], _ row: Int) -> Bool {
        let expected = rows[row].values
        let ids = Prediction(logits: values, task: task).labelIDs
        let own = Prediction(logits: expected, task: task).labelIDs
        if ids == own { return true }
        func slack(_ id: Int) -> Double { bound * max(1, abs(Double(expected[id]))) }
        switch task {
        case .singleLabel:
            let (a, b) = (own[0], ids[0])
            return Double(expected[a]) - Double(expected[b]) <= slack(a) + slack(b)
        case .multiLabel:
            return Set(ids).symmetricDifference(own).allSatisfy {
                abs(Double(expected[$0])) <= slack($0)
            }
        case .regression, .causal: return true
        }
    }
}
