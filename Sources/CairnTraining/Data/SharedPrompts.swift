// SPDX-License-Identifier: Apache-2.0
/// Which rows of a step begin alike, so that what they begin with is computed once.

import CairnGraph

/// Rows that follow one another in a step and begin with the same tokens make a set: the first has
/// all of its tokens, the others leave the common ones to it.
///
/// Sets depend on the rows and on their gradient groups alone, and no micro-batch cuts one: so they
/// are the same, and the gradients' bits with them, whatever the token budget and however many ranks.
package enum SharedPrompts {
    /// Fewer common tokens are not worth the copies of keys and values that sharing takes.
    package static let leastTokens = 8
    /// A set ends before it would have more tokens than so many, shared ones counted once.
    package static let mostTokens = 2048

    /// How many tokens each row leaves to the first of its set; 0 for that one.
    ///
    /// - Parameters:
    ///   - edges: the first row of every group, then the number of rows; sets end there.
    ///   - predictsNext: each token predicts the next one of its row, so the last of the common
    ///     tokens is each row's own.
    package static func lengths(
        of rows: [[Int32]], edges: [Int], predictsNext: Bool, mostTokens: Int = mostTokens
    ) -> [Int] {
        var lengths = [Int](repeating: 0, count: rows.count)
        for (start, end) in zip(edges, edges.dropFirst()) {
            var first = start
            while first < end {
                let set = set(rows[first..<end], predictsNext, mostTokens)
                for row in first + 1..<first + set.count { lengths[row] = set.prompt }
                first += set.count
            }
        }
        return lengths
    }

    /// The set that begins with the first of `rows`: a row joins as long as no fewer tokens are saved
    /// with it than without, for it may have less in common with the first than the others.
    private static func set(
        _ rows: ArraySlice<[Int32]>, _ predictsNext: Bool, _ mostTokens: Int
    ) -> (count: Int, prompt: Int) {
        let leader = rows.first!
        var (count, prompt, tokens) = (1, leader.count - 1, leader.count)
        for row in rows.dropFirst() {
            let alike = zip(leader, row).prefix { $0 == $1 }.count
            let common = min(prompt, predictsNext ? alike - 1 : min(alike, row.count - 1))
            guard common >= leastTokens, count * common >= (count - 1) * prompt,
                tokens + row.count - count * common <= mostTokens
            else { break }
            (count, prompt, tokens) = (count + 1, common, tokens + row.count)
        }
        return (count, prompt)
    }
}

extension DataSet {
    /// The micro-batches of a step over `rows`; with `sharesPrompts` rows that begin alike share it.
    ///
    /// - Parameter longestSet: where sets end; the gradients' bits depend on it.
    package func step(
        _ rows: [Int], tokenBudget: Int, groups: Int, sharesPrompts: Bool, rank: Int = 0,
        ranks: Int = 1, longestSet: Int = SharedPrompts.mostTokens
    ) -> StepRows {
        let prompts =
            sharesPrompts
            ? SharedPrompts.lengths(
                of: rows.map { ids[$0] }, edges: StepRows.edges(rows.count, groups),
                predictsNext: targets == .nextTokens, mostTokens: longestSet) : []
        return StepRows(
            rows: rows, lengths: ids.map(\.count), tokenBudget: tokenBudget, groups: groups,
            prompts: prompts, rank: rank, ranks: ranks)
    }
}

extension FineTuner {
    /// The micro-batches of a step over these training rows.
    package func step(_ rows: [Int], tokenBudget: Int, rank: Int = 0, ranks: Int = 1) -> StepRows {
        train.step(
            rows, tokenBudget: tokenBudget, groups: settings.groups,
            sharesPrompts: settings.sharesPrompts, rank: rank, ranks: ranks)
    }

    /// Tokens of the first epoch's rows that are left to other rows, when they fall into so many
    /// groups.
    package func sharedTokens(groups: Int) -> Int {
        plannedSteps.prefix(plannedSteps.count / settings.epochs).reduce(0) { sum, rows in
            let step = train.step(
                rows, tokenBudget: settings.tokenBudget, groups: groups, sharesPrompts: true)
            return step.prompts.reduce(sum, +)
        }
    }
}
