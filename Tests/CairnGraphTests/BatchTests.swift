// SPDX-License-Identifier: Apache-2.0
/// A batch's own arithmetic: offsets, places and selections of each row space.

import CairnEngine
import CairnGraph
import Testing

@Suite struct BatchTests {
    private var batch: Batch {
        var batch = Batch(sequences: [[7, 8, 9], [5], [1, 2]])
        batch.rowIDs = [4, 0, 9]
        batch.pooledRows = [0, 3, 4]
        batch.targetRows = [1, 4, 5]
        batch.targetOffsets = [0, 1, 1, 3]
        return batch
    }

    @Test func `sequences are packed one after the other, the last token pooled`() {
        let batch = Batch(sequences: [[7, 8, 9], [5], [1, 2]])

        #expect(batch.ids == [7, 8, 9, 5, 1, 2])
        #expect(batch.offsets == [0, 3, 4, 6])
        #expect(batch.pooledRows == [2, 3, 5])
        #expect(batch.typeIDs == [0, 0, 0, 0, 0, 0])
        #expect(batch.rowIDs == [0, 1, 2])
        #expect(batch.groups == [0, 3])
        #expect(!batch.resumes && !batch.suspends)
    }

    @Test func `each space has its count and its offsets`() {
        #expect(RowSpace.allCases.map(batch.count) == [6, 3, 3, 1, 6])
        #expect(batch.offsets(in: .tokens) == [0, 3, 4, 6])
        #expect(batch.offsets(in: .sequences) == [0, 1, 2, 3])
        #expect(batch.offsets(in: .targets) == [0, 1, 1, 3])
    }

    @Test func `each row knows its place in its sequence and in the step`() {
        let tokens = batch.places(.tokens)
        let sequences = batch.places(.sequences)
        let targets = batch.places(.targets)

        #expect(tokens.positions == [0, 1, 2, 0, 0, 1])
        #expect(tokens.rowIDs == [4, 4, 4, 0, 9, 9])
        #expect(sequences.positions == [0, 0, 0])
        #expect(sequences.rowIDs == [4, 0, 9])
        #expect(targets.positions == [1, 0, 1])
        #expect(targets.rowIDs == [4, 9, 9])
    }

    @Test func `selections are token rows`() {
        #expect(batch.selection(.tokens) == [0, 1, 2, 3, 4, 5])
        #expect(batch.selection(.sequences) == [0, 3, 4])
        #expect(batch.selection(.targets) == [1, 4, 5])
    }

    @Test func `rows of features are sequences without tokens`() {
        let batch = Batch(features: [1, 2, 3, 4, 5, 6], rows: 3)

        #expect(RowSpace.allCases.map(batch.count) == [0, 3, 0, 1, 0])
        #expect(batch.offsets(in: .sequences) == [0, 1, 2, 3])
        #expect(batch.places(.sequences).rowIDs == [0, 1, 2])
        #expect(batch.places(.sequences).positions == [0, 0, 0])
        #expect(batch.groups == [0, 3])
    }

    @Test func `a capacity holds what is no larger in any respect`() {
        let capacity = Capacity(tokens: 8, sequences: 2, targets: 3)

        #expect(capacity.holds(Capacity(tokens: 8, sequences: 2, targets: 3)))
        #expect(!capacity.holds(Capacity(tokens: 9, sequences: 2, targets: 3)))
        #expect(!capacity.holds(Capacity(tokens: 8, sequences: 3, targets: 3)))
        #expect(!capacity.holds(Capacity(tokens: 8, sequences: 2, targets: 4)))
        #expect(
            capacity.union(Capacity(tokens: 1, sequences: 5))
                == Capacity(tokens: 8, sequences: 5, targets: 3))
    }
}
