// SPDX-License-Identifier: Apache-2.0
/// Which rows share a prompt, and what a micro-batch makes of them.

import CairnGraph
import CairnTraining
import Testing

@Suite struct SharedPromptTests {
    /// A prompt of `prompt` tokens, then `own` tokens that no other row has.
    private static func row(_ prompt: Int, _ own: Int, _ number: Int, from first: Int = 1)
        -> [Int32]
    {
        (0..<prompt).map { Int32(first + $0) } + (0..<own).map { Int32(1000 * (number + 1) + $0) }
    }

    private func lengths(
        _ rows: [[Int32]], edges: [Int]? = nil, predictsNext: Bool = false, mostTokens: Int = 2048
    ) -> [Int] {
        SharedPrompts.lengths(
            of: rows, edges: edges ?? [0, rows.count], predictsNext: predictsNext,
            mostTokens: mostTokens)
    }

    @Test func `rows leave what they have in common to the first`() {
        let rows = (0..<4).map { Self.row(20, 3 + $0, $0) }

        #expect(lengths(rows) == [0, 20, 20, 20])
        // The last common token predicts each row's own next one.
        #expect(lengths(rows, predictsNext: true) == [0, 19, 19, 19])
    }

    @Test func `sets end with their group`() {
        let rows = (0..<5).map { Self.row(20, 3, $0) }

        #expect(lengths(rows, edges: [0, 2, 5]) == [0, 20, 0, 20, 20])
        #expect(lengths(rows, edges: [0, 1, 2, 3, 4, 5]) == [0, 0, 0, 0, 0])
    }

    @Test func `eight common tokens are worth it, seven are not`() {
        #expect(lengths([Self.row(8, 2, 0), Self.row(8, 2, 1)]) == [0, 8])
        #expect(lengths([Self.row(7, 2, 0), Self.row(7, 2, 1)]) == [0, 0])
        #expect(lengths([Self.row(8, 2, 0), Self.row(8, 2, 1)], predictsNext: true) == [0, 0])
    }

    @Test func `a row keeps a token of its own, though it be another's beginning`() {
        let whole = Self.row(12, 0, 0)

        #expect(lengths([whole, whole]) == [0, 11])
        #expect(lengths([whole, Self.row(12, 4, 1)]) == [0, 11])
        #expect(lengths([Self.row(12, 4, 1), whole], predictsNext: true) == [0, 11])
        #expect(lengths([whole, whole], predictsNext: true) == [0, 11])
    }

    @Test func `a row joins as long as no fewer tokens are saved`() {
        // The first two have 30 in common, all four 20: 3 * 20 are more than 30.
        let near = Self.row(30, 2, 0)
        let rows = [near, Array(near.prefix(30)) + [7000], Self.row(20, 2, 2), Self.row(20, 2, 3)]
        #expect(lengths(rows) == [0, 20, 20, 20])
        // Here they have 60, of which 8 would be left: 2 * 8 are fewer.
        let far = Self.row(60, 2, 0)
        #expect(
            lengths([far, Array(far.prefix(60)) + [7000], Self.row(8, 9, 2), Self.row(8, 9, 3)])
                == [0, 60, 0, 8])
    }

    @Test func `other prompts begin other sets, and lone rows share nothing`() {
        let rows =
            [Self.row(10, 2, 0), Self.row(10, 2, 1)]
            + [Self.row(9, 2, 2, from: 500), Self.row(9, 2, 3, from: 500)] + [Self.row(3, 4, 4)]

        #expect(lengths(rows) == [0, 10, 0, 9, 0])
        #expect(lengths([]) == [])
        #expect(lengths([[], [], [5]]) == [0, 0, 0])
    }

    @Test func `a set is no longer than it may be`() {
        let rows = (0..<6).map { Self.row(20, 10, $0) }

        // 30, then 10 for each that joins.
        #expect(lengths(rows, mostTokens: 50) == [0, 20, 20, 0, 20, 20])
        #expect(lengths(rows, mostTokens: 39) == [0, 0, 0, 0, 0, 0])
    }

    // MARK: Micro-batches

    private func data(_ targets: Targets) -> DataSet {
        // 20 shared and 3, 4, 5, 6 own tokens; the fifth begins otherwise.
        let ids = (0..<4).map { Self.row(20, 3 + $0, $0) } + [Self.row(4, 6, 4, from: 900)]
        return DataSet(ids: ids, typeIDs: ids.map { $0.map { _ in 0 } }, targets: targets)
    }

    @Test func `no micro-batch cuts a set, and a set alone always fits`() {
        let data = data(.classes([0, 1, 0, 1, 1]))
        func cuts(_ budget: Int, groups: Int = 1) -> [Range<Int>] {
            data.step(
                [0, 1, 2, 3, 4], tokenBudget: budget, groups: groups, sharesPrompts: true
            ).microBatches
        }

        // 23 + 4 + 5 + 6 tokens, then 10.
        #expect(cuts(48) == [0..<5])
        #expect(cuts(47) == [0..<4, 4..<5])
        #expect(cuts(1) == [0..<4, 4..<5])
        #expect(cuts(1, groups: 2) == [0..<2, 2..<4, 4..<5])
        let plain = data.step(
            [0, 1, 2, 3, 4], tokenBudget: 48, groups: 1, sharesPrompts: false)
        #expect(plain.microBatches == [0..<2, 2..<3, 3..<5])
    }

    @Test func `a batch has shared tokens once, and pools each row's last`() {
        let data = data(.classes([0, 1, 0, 1, 1]))
        let step = data.step([4, 2, 0], tokenBudget: 100, groups: 1, sharesPrompts: true)

        let batch = data.batch(
            step, 0..<3, pooling: .last(padTokenID: nil), number: 0, lossScale: 1)

        #expect(step.prompts == [0, 0, 20])
        #expect(batch.promptLengths == [0, 0, 20])
        #expect(batch.offsets == [0, 10, 35, 38])
        #expect(batch.typeIDs.count == 38)
        #expect(batch.pooledRows == [9, 34, 37])
        #expect(batch.classTargets == [1, 0, 0])
        #expect(batch.tokenCount == 10 + 25 + 23)
    }

    @Test func `a row that ends in padding is pooled in its prompt`() {
        let (first, second) = (Self.row(10, 2, 0), Self.row(10, 0, 1) + [9999, 9999])
        let data = DataSet(
            ids: [first, second], typeIDs: [first, second].map { $0.map { _ in 0 } },
            targets: .none)
        let step = data.step([0, 1], tokenBudget: 100, groups: 1, sharesPrompts: true)

        let batch = data.batch(
            step, 0..<2, pooling: .last(padTokenID: 9999), number: 0, lossScale: 1)

        #expect(batch.promptLengths == [0, 10])
        #expect(batch.pooledRows == [11, 9])
    }

    @Test func `a shared token is asked once for what every row has next`() {
        let data = data(.nextTokens)
        let step = data.step([0, 1], tokenBudget: 100, groups: 1, sharesPrompts: true)

        let batch = data.batch(step, 0..<2, pooling: .first, number: 0, lossScale: 1)

        #expect(batch.promptLengths == [0, 19])
        // 22 of the first row; of the second its last common token and three more.
        #expect(batch.targetOffsets == [0, 22, 26])
        #expect(batch.targetRows == Array(0..<22) + Array(23..<27))
        #expect(batch.classTargets[19..<26] == [1000, 1001, 1002, 2000, 2001, 2002, 2003])
        let whole = batch.repeatedTargets(batch.classTargets)
        #expect(whole == data.ids[..<2].flatMap { $0.dropFirst() })
    }
}
