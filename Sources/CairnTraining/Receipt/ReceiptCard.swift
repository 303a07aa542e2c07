// SPDX-License-Identifier: Apache-2.0
/// What a published card says of the receipt and of the check before the publication.

import Foundation

extension Receipt {
    /// The section for a card that is published only if the check passes.
    public var cardSection: String {
        let isLanguageModel = task == .causal
        let way =
            bound == 0
            ? "to the bit" : "to within \(bound) of max(1, |\(isLanguageModel ? "loss" : "logit")|)"
        let figures = rows.enumerated().map { index, row in
            let start = "| \(index + 1) | \(row.tokens) | "
            if isLanguageModel {
                return start + String(format: "%.4f | %.2f |", row.values[0], exp(row.values[0]))
            }
            let logits = row.values.map { String(format: "%.4f", $0) }.joined(separator: ", ")
            let names = labels(of: row.values).joined(separator: ", ")
                .replacingOccurrences(of: "|", with: "\\|")
            return start + "\(names) | \(logits) |"
        }
        return """
            ## Receipt

            `\(Self.fileName)` has \(isLanguageModel ? "the mean loss of a token" : "the logits") of \
            \(rows.count) held-out rows from when the model was saved (\(precision.rawValue) \
            products, Cairn's numerics \(numericsVersion)). Before these files were published, a \
            separate process loaded them alone and gave the same \
            \(isLanguageModel ? "losses" : "labels, and the same logits") \(way).

            | row | tokens | \(isLanguageModel ? "loss | perplexity" : "label | logits") |
            |---|---|---|---|
            \(figures.joined(separator: "\n"))

            """
    }

    /// The section for a card of what is published without the check.
    public static let ungatedCardSection = """
        ## Receipt

        Published with `--no-gate`: nothing compared these files with the model that was trained.

        """
}
