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
    /// How many tokens at the start of each sequence are not among `ids`, because the nearest
    /// sequence before it that has all of its own begins with the same ones; empty when no sequence
    /// shares any. Only programs made from graphs with `promptsShared` take such batches.
    package internal(set) var promptLengths: [UInt32] = []
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

    /// Packs sequences of which some leave their first tokens to an earlier one.
    ///
    /// - Parameter promptLengths: per sequence, how many tokens it leaves to the nearest one before
    ///   it that leaves none.
    /// - Precondition: these are the same tokens.
    package init(sequences: [[Int32]], promptLengths: [Int]) {
        precondition(
            promptLengths.count == sequences.count && promptLengths.first ?? 0 == 0,
            "\(sequences.count) sequences, prompts \(promptLengths)")
        self.init(
            sequences: zip(sequences, promptLengths).map { Array($0.dropFirst($1)) })
        var leader: [Int32] = []
        for (sequence, length) in zip(sequences, promptLengths) {
            if length == 0 { leader = sequence }
            precondition(
                length <= min(leader.count, sequence.count)
                    && leader[..<length] == sequence[..<length],
                "a sequence leaves \(length) tokens to one that begins otherwise")
        }
        if promptLengths.contains(where: { $0 > 0 }) {
            self.promptLengths = promptLengths.map { UInt32($0) }
        }
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
        case .repeated: tokenCount
        }
    }

    /// Tokens of all sequences in full.
    package var tokenCount: Int { promptLengths.reduce(ids.count) { $0 + Int($1) } }

    /// Tokens that a sequence leaves to an earlier one.
    package func promptLength(_ sequence: Int) -> Int {
        promptLengths.isEmpty ? 0 : Int(promptLengths[sequence])
    }

    /// Calls `body` with every sequence and the token rows that it is made of: those of a prompt
    /// that it shares, and its own.
    package func forEachSequence(
        _ body: (_ sequence: Int, _ prompt: Range<UInt32>, _ own: Range<UInt32>) -> Void
    ) {
        var leader = 0
        for sequence in 0..<sequenceCount {
            let length = UInt32(promptLength(sequence))
            if length == 0 { leader = sequence }
            body(
                sequence, offsets[leader]..<offsets[leader] + length,
                offsets[sequence]..<offsets[sequence + 1])
        }
    }

    /// First row of each sequence in a space, then the end.
    package func offsets(in rows: RowSpace) -> [UInt32] {
        switch rows {
        case .tokens: return offsets
        case .sequences: return (0...UInt32(sequenceCount)).map { $0 }
        case .targets: return targetOffsets
        case .single: preconditionFailure("a function of parameters has no sequences")
        case .repeated:
            var offsets: [UInt32] = [0]
            forEachSequence { _, prompt, own in
                offsets.append(offsets.last! + UInt32(prompt.count + own.count))
            }
            return offsets
        }
    }

    /// The token rows that a space selects.
    package func selection(_ rows: RowSpace) -> [UInt32] {
        switch rows {
        case .tokens: return (0..<UInt32(ids.count)).map { $0 }
        case .sequences: return pooledRows
        case .targets: return targetRows
        case .single: return []
        case .repeated:
            var rows: [UInt32] = []
            forEachSequence { _, prompt, own in
                rows += prompt
                rows += own
            }
            return rows
        }
    }

    /// For each row of a space: its place in its sequence, and which row of the step that is.
    package func places(_ rows: RowSpace) -> (positions: [UInt32], rowIDs: [UInt32]) {
        if ids.isEmpty {
            return ([UInt32](repeating: 0, count: count(rows)), rowIDs)
        }
        var tokenPositions = [UInt32](repeating: 0, count: ids.count)
        var tokenRows = tokenPositions
        forEachSequence { sequence, prompt, own in
            for token in own {
                tokenPositions[Int(token)] = token - own.lowerBound + UInt32(prompt.count)
                tokenRows[Int(token)] = rowIDs[sequence]
            }
        }
        let rows = selection(rows)
        return (rows.map { tokenPositions[Int($0)] }, rows.map { tokenRows[Int($0)] })
    }
}
