// SPDX-License-Identifier: Apache-2.0
/// Rows of a step: packing, gradient groups, pooled rows, and the scale of the loss.

import CairnGraph
import CairnTraining
import Testing

@Suite struct StepRowsTests {
    private let lengths = [3, 5, 2, 8, 1, 4]

    private func data(_ targets: Targets = .classes([0, 1, 0, 1, 2, 2])) -> DataSet {
        let ids = lengths.enumerated().map { row, length in
            (0..<length).map { Int32(row * 10 + $0 + 1) }
        }
        return DataSet(ids: ids, typeIDs: ids.map { $0.map { _ in 0 } }, targets: targets)
    }

    private func ranges(_ rows: [Int], budget: Int) -> [Range<Int>] {
        StepRows(rows: rows, lengths: lengths, tokenBudget: budget).microBatches
    }

    @Test func `rows are taken in order as long as they fit`() {
        #expect(ranges([0, 1, 2, 3, 4, 5], budget: 10) == [0..<3, 3..<5, 5..<6])
        #expect(ranges([0, 1, 2, 3, 4, 5], budget: 8) == [0..<2, 2..<3, 3..<4, 4..<6])
        #expect(ranges([3, 0], budget: 100) == [0..<2])
        #expect(ranges([], budget: 10) == [])
    }

    @Test func `a language model is asked for every token but the first of its row`() {
        let data = data(.nextTokens)
        let step = StepRows(rows: [4, 2, 0], lengths: lengths, tokenBudget: 100)

        let batch = data.batch(
            step, step.microBatches[0], pooling: .last(padTokenID: nil), number: 0, lossScale: 1)

        // Rows of 1, 2 and 3 tokens: nothing, the second, the second and the third.
        #expect(batch.targetOffsets == [0, 0, 1, 3])
        #expect(batch.targetRows == [1, 3, 4])
        #expect(batch.classTargets == [22, 2, 3])
        #expect(data.lossScale(rows: [4, 2, 0], classWeights: nil) == 1 / Float(3))
        #expect(data.lossScale(rows: [4], classWeights: nil) == 1)
    }

    @Test func `a row longer than the budget goes alone`() {
        #expect(ranges([3, 4, 3], budget: 2) == [0..<1, 1..<2, 2..<3])
    }

    @Test func `a batch has the rows' tokens, targets and places in the step`() {
        let data = data()
        let step = StepRows(rows: [5, 2, 0], lengths: lengths, tokenBudget: 6)

        let batch = data.batch(
            step, step.microBatches[1], pooling: .last(padTokenID: nil), number: 7, lossScale: 0.5)

        #expect(step.microBatches == [0..<2, 2..<3])
        #expect(batch.ids == [1, 2, 3])
        #expect(batch.classTargets == [0])
        #expect(batch.rowIDs == [2])
        #expect(batch.step == 7)
        #expect(batch.lossScale == 0.5)
        #expect(batch.pooledRows == [2])
    }

    @Test func `pooling takes the first token, or the last that does not pad`() {
        let data = DataSet(
            ids: [[5, 6, 9, 9], [9, 9], [7]], typeIDs: [[0, 0, 0, 0], [0, 0], [0]], targets: .none)
        let step = StepRows(rows: [0, 1, 2], lengths: [4, 2, 1], tokenBudget: 100)
        func pooled(_ pooling: Pooling) -> [UInt32] {
            data.batch(step, 0..<3, pooling: pooling, number: 0, lossScale: 1).pooledRows
        }

        #expect(pooled(.first) == [0, 4, 6])
        #expect(pooled(.last(padTokenID: nil)) == [3, 5, 6])
        // Nothing but padding: transformers takes the first token then.
        #expect(pooled(.last(padTokenID: 9)) == [1, 4, 6])
    }

    @Test func `groups fall by position in the step, whatever the cut`() {
        let data = data()
        func batches(_ budget: Int) -> [Batch] {
            let step = StepRows(
                rows: Array(0..<6), lengths: lengths, tokenBudget: budget, groups: 3)
            return step.microBatches.map {
                data.batch(step, $0, pooling: .first, number: 0, lossScale: 1)
            }
        }

        // Groups of two rows: edges at 0, 2, 4, 6.
        let whole = batches(100)
        #expect(whole.map(\.groups) == [[0, 2, 4, 6]])
        #expect(whole.map(\.resumes) == [false] && whole.map(\.suspends) == [false])
        // Cut at 3 and 5.
        let cut = batches(10)
        #expect(cut.map(\.groups) == [[0, 2, 3], [0, 1, 2], [0, 1]])
        #expect(cut.map(\.resumes) == [false, true, true])
        #expect(cut.map(\.suspends) == [true, true, false])
    }

    @Test func `fewer rows than groups leave groups out`() {
        let step = StepRows(rows: [0, 1, 2], lengths: lengths, tokenBudget: 100, groups: 8)

        let batch = data().batch(step, 0..<3, pooling: .first, number: 0, lossScale: 1)

        #expect(batch.groups == [0, 1, 2, 3])
        #expect(!batch.resumes && !batch.suspends)
    }

    @Test func `the scale makes a sum of losses the mean that torch defines`() {
        let classes = data()
        #expect(classes.lossScale(rows: [0, 1, 4], classWeights: nil) == 1 / 3.0 as Float)
        // Weights 2, 3 and 5 of classes 0, 1 and 2.
        #expect(classes.lossScale(rows: [0, 1, 4], classWeights: [2, 3, 5]) == 0.1)
        let values = data(.values([Float](repeating: 1, count: 12), columns: 2))
        #expect(values.lossScale(rows: [0, 1], classWeights: nil) == 0.25)
    }

    @Test func `values go with their rows`() {
        let data = data(.values((0..<12).map(Float.init), columns: 2))
        let step = StepRows(rows: [4, 1], lengths: lengths, tokenBudget: 100)

        let batch = data.batch(step, 0..<2, pooling: .first, number: 0, lossScale: 1)

        #expect(batch.valueTargets == [8, 9, 2, 3])
        #expect(batch.classTargets == [])
        #expect(data.classCounts(3) == [])
        #expect(self.data().classCounts(3) == [2, 2, 2])
        #expect(data.tokenCount == 23 && data.longestRow == 8)
    }
}
