// SPDX-License-Identifier: Apache-2.0
/// What a program runs on: packed sequences, their labels, their place in the optimizer step.

/// A micro-batch: whole sequences, one after the other, without padding.
public struct Batch: Sendable {
    /// Token ids of all sequences, one after the other.
    public var ids: [Int32] = []
    /// Segment ids, as many as `ids`.
    public var typeIDs: [Int32] = []
    /// First token of each sequence, then the end: [sequences + 1].
    public var offsets: [UInt32]
    /// Input of a model without tokens: [sequences, columns].
    public var features: [Float] = []
    /// What a frozen prefix gave for these sequences, row-major; empty when all is computed.
    package var stored: [Float] = []
    /// For each sequence, the token row that its pooled row is: [sequences].
    public var pooledRows: [UInt32] = []
    /// The token rows that have a target, ascending.
    public var targetRows: [UInt32] = []
    /// First target of each sequence, then the end: [sequences + 1].
    public var targetOffsets: [UInt32]
    /// Which row of the optimizer step each sequence is: [sequences].
    public var rowIDs: [UInt32]
    /// First sequence of each gradient group, then the end.
    public var groups: [UInt32]
    /// The first group began in an earlier micro-batch of the step.
    public var resumes = false
    /// The last group goes on in a later micro-batch of the step.
    public var suspends = false
    /// The place of the first group among those of the step that are trained here; counts only where
    /// groups are kept apart.
    public var firstGroup = 0
    /// A class id per row of the logits.
    public var classTargets: [Int32] = []
    /// Numbers per row of the logits, row-major.
    public var valueTargets: [Float] = []
    /// Which optimizer step this is, from 0: counts the random numbers of dropout.
    public var step: UInt32 = 0
    /// Factor on the gradient of every row's loss: 1 / (sum of weights of the step).
    public var lossScale: Float = 1

    /// Packs sequences of tokens as one gradient group.
    public init(sequences: [[Int32]]) {
        ids = sequences.flatMap { $0 }
        typeIDs = [Int32](repeating: 0, count: ids.count)
        offsets = sequences.reduce(into: [0]) { $0.append($0.last! + UInt32($1.count)) }
        targetOffsets = [UInt32](repeating: 0, count: sequences.count + 1)
        rowIDs = (0..<UInt32(sequences.count)).map { $0 }
        groups = [0, UInt32(sequences.count)]
        pooledRows = offsets.dropFirst().map { $0 > 0 ? $0 - 1 : 0 }
    }

    /// Rows of numbers, as one gradient group.
    public init(features: [Float], rows: Int) {
        self.features = features
        offsets = [UInt32](repeating: 0, count: rows + 1)
        targetOffsets = offsets
        rowIDs = (0..<UInt32(rows)).map { $0 }
        groups = [0, UInt32(rows)]
    }

    /// How many sequences, or rows of numbers, there are.
    public var sequenceCount: Int { offsets.count - 1 }

    /// How many rows a space has here.
    public func count(_ rows: RowSpace) -> Int {
        switch rows {
        case .tokens: ids.count
        case .sequences: sequenceCount
        case .targets: targetRows.count
        case .single: 1
        }
    }

    /// First row of each sequence in a space, then the end.
    package func offsets(in rows: RowSpace) -> [UInt32] {
        switch rows {
        case .tokens: offsets
        case .sequences: (0...UInt32(sequenceCount)).map { $0 }
        case .targets: targetOffsets
        case .single: preconditionFailure("a function of parameters has no sequences")
        }
    }

    /// The token rows that a space selects.
    package func selection(_ rows: RowSpace) -> [UInt32] {
        switch rows {
        case .tokens: (0..<UInt32(ids.count)).map { $0 }
        case .sequences: pooledRows
        case .targets: targetRows
        case .single: []
        }
    }

    /// For each row of a space: its place in its sequence, and which row of the step that is.
    package func places(_ rows: RowSpace) -> (positions: [UInt32], rowIDs: [UInt32]) {
        if ids.isEmpty {
            return ([UInt32](repeating: 0, count: count(rows)), rowIDs)
        }
        var tokenPositions = [UInt32](repeating: 0, count: ids.count)
        var tokenRows = tokenPositions
        for sequence in 0..<sequenceCount {
            for token in offsets[sequence]..<offsets[sequence + 1] {
                tokenPositions[Int(token)] = token - offsets[sequence]
                tokenRows[Int(token)] = rowIDs[sequence]
            }
        }
        let rows = selection(rows)
        return (rows.map { tokenPositions[Int($0)] }, rows.map { tokenRows[Int($0)] })
    }
}
