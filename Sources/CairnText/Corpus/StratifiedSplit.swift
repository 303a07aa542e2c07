// SPDX-License-Identifier: Apache-2.0
/// Cutting a corpus into training and validation rows.

import CairnTensor

extension Corpus {
    /// Takes about `fraction` of the rows of every class out for validation.
    ///
    /// Rows with the same text stay on one side. Every class keeps a text for training; a class
    /// that has only one is not validated. Both sides keep the order of the file. For multi-label
    /// corpora a class is a combination of labels; a regression corpus is one class.
    ///
    /// The choice is a function of the seed, the texts and the labels: it draws from the stream
    /// "split".
    ///
    /// - Throws: `fraction` outside (0, 1), or too few texts to have both sides.
    public func split(
        fraction: Double, seed: UInt64
    ) throws(CorpusError) -> (train: Corpus, validation: Corpus) {
        guard fraction > 0, fraction < 1 else {
            throw .cannotSplit(
                file: file, reason: "the fraction must be between 0 and 1, got \(fraction)")
        }
        let strata = strata()
        let wanted = Self.quotas(strata.map { $0.reduce(0) { $0 + $1.count } }, fraction)
        var stream = RandomStream(seed: seed, name: "split")
        var isValidation = [Bool](repeating: false, count: examples.count)
        for (groups, quota) in zip(strata, wanted) {
            var taken = 0
            var left = groups.count
            for index in stream.permutation(groups.count) {
                let size = groups[index].count
                // A group that would overshoot is passed over; a smaller one may still fit.
                guard left > 1, taken + size <= quota else { continue }
                for row in groups[index] { isValidation[row] = true }
                taken += size
                left -= 1
            }
        }
        guard isValidation.contains(true) else {
            throw .cannotSplit(
                file: file,
                reason: "\(examples.count) rows in \(strata.count) classes leave none for a "
                    + "validation part of \(fraction)")
        }
        return (rows(where: { !isValidation[$0] }), rows(where: { isValidation[$0] }))
    }

    private func rows(where isWanted: (Int) -> Bool) -> Corpus {
        Corpus(
            file: file, task: task,
            examples: examples.indices.filter(isWanted).map { examples[$0] })
    }

    /// Groups of rows with one text, by the label of their first row, in order of label.
    private func strata() -> [[[Int]]] {
        var byLabel: [[UInt8]: [[Int]]] = [:]
        for group in rowsByText() {
            let target = examples[group[0]].target
            let label = task == .regression ? "" : target.summary
            byLabel[Array(label.utf8), default: []].append(group)
        }
        return byLabel.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// Validation rows per stratum: the whole parts first, then the largest remainders until the
    /// total is that of the corpus.
    private static func quotas(_ sizes: [Int], _ fraction: Double) -> [Int] {
        let exact = sizes.map { Double($0) * fraction }
        var quotas = exact.map { Int($0) }
        let total = Int((Double(sizes.reduce(0, +)) * fraction).rounded())
        let rest = exact.map { $0 - $0.rounded(.down) }
        let byRemainder = exact.indices.sorted {
            rest[$0] != rest[$1] ? rest[$0] > rest[$1] : $0 < $1
        }
        for index in byRemainder.prefix(max(0, total - quotas.reduce(0, +))) { quotas[index] += 1 }
        return quotas
    }
}
