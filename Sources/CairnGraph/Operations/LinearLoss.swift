// SPDX-License-Identifier: Apache-2.0
/// Cross-entropy of a linear layer's outputs, made and used a few rows at a time.

import CairnEngine

/// loss[t] = cross-entropy(x[t] W^T, target[t]), and its gradients, without all logits in memory.
///
/// A language model has as many classes as tokens: the logits of a batch and their gradient would
/// be by far the largest matrices of a step. Here they exist for `chunk` rows at once.
///
/// Input: x [rows, in]. Outputs: losses [rows, 1]; with gradients dx [rows, in], times the batch's
/// loss scale; last the memory for the logits of a chunk. The bits are those of a linear layer
/// followed by its loss, whatever the chunk.
struct LinearLoss: Operation {
    let weight: ParameterReference
    let labelSmoothing: Float
    let ignoreIndex: Int32
    /// Rows whose logits are in memory at once.
    let chunk: Int
    let computesGradients: Bool

    /// Logits in memory at once, unless 64 rows take more.
    static let chunkElements = 1 << 22

    static func chunk(classes: Int) -> Int { max(64, chunkElements / classes / 16 * 16) }

    var parameters: [ParameterReference] { [weight] }

    /// The first use of the weight that is differentiated: uses upstream come behind it.
    var gradientSlots: [GradientSlot] {
        computesGradients && weight.isTrainable ? [GradientSlot(parameter: weight, use: 0)] : []
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let space = node.inputs[0].rows
        let memory = execution.matrix(node.outputs.last!)
        for piece in execution.partition(space).pieces(upTo: chunk) {
            if !piece.rows.isEmpty { try run(piece, node, execution, memory) }
            for slot in gradientSlots {
                let x = node.inputs[0]
                let (dy, classes) = (memory, weight.dimensions[0])
                for part in execution.parts(of: piece.partition, firstGroup: piece.firstGroup) {
                    let rows = part.rows.lowerBound + piece.rows.lowerBound
                    try execution.context.matmulGradient(
                        dy: Self.slice(dy, part.rows, classes),
                        x: Self.slice(
                            execution.matrix(x), rows..<rows + part.rows.count, x.columns),
                        outputs: classes, inputs: x.columns, partition: part.partition,
                        precision: execution.precision, into: execution.gradient(slot, part))
                }
            }
        }
    }

    /// Losses and dx of some rows; leaves the gradient of their logits in `memory`.
    private func run(
        _ piece: PartitionPiece, _ node: Node, _ execution: Execution, _ memory: Floats
    ) throws(KernelError) {
        let (rows, x) = (piece.rows, node.inputs[0])
        let classes = weight.dimensions[0]
        let logits = memory[0..<rows.count * classes]
        let stored = execution.weight(weight)
        try execution.context.matmul(
            .rows(
                Self.slice(execution.matrix(x), rows, x.columns), rows: rows.count,
                columns: x.columns),
            .weight(stored, transposed: true), precision: execution.precision, into: logits)
        for run in execution.lossRuns(x.rows, within: rows) {
            let numbers = Self.slice(
                logits,
                run.rows.lowerBound - rows.lowerBound..<run.rows.upperBound - rows.lowerBound,
                classes)
            try execution.context.crossEntropy(
                CrossEntropy(labelSmoothing: labelSmoothing, ignoreIndex: ignoreIndex),
                logits: numbers, classes: classes, targets: execution.classTargets()[run.rows],
                scale: run.scale, into: execution.matrix(node.outputs[0])[run.rows],
                gradient: computesGradients ? numbers : nil)
        }
        guard computesGradients else { return }
        try execution.context.matmul(
            .rows(logits, rows: rows.count, columns: classes), .weight(stored),
            precision: execution.precision,
            into: Self.slice(execution.matrix(node.outputs[1]), rows, x.columns))
    }

    private static func slice(_ matrix: Floats, _ rows: Range<Int>, _ columns: Int) -> Floats {
        matrix[rows.lowerBound * columns..<rows.upperBound * columns]
    }
}

/// Rows of a partition that follow one another, and their part of its groups.
struct PartitionPiece {
    let rows: Range<Int>
    let partition: Partition
    /// The place of its first group among those of the whole.
    let firstGroup: Int
}

extension Partition {
    /// Cuts the rows into pieces of at most `limit`; a weight gradient over the pieces in order has
    /// the bits of one over the whole.
    ///
    /// A sequence is cut at even places only: bf16 products are added in pairs, which begin with
    /// the sequence. A sequence without rows belongs to a piece too, for its group may end there.
    ///
    /// - Precondition: `limit` is at least 2.
    func pieces(upTo limit: Int) -> [PartitionPiece] {
        precondition(limit >= 2, "a pair of rows must fit, got \(limit)")
        var pieces: [PartitionPiece] = []
        var open = Fragments(start: 0)
        var group = 0
        for sequence in 0..<sequenceCount {
            while group + 1 < groupCount, groups[group + 1] <= sequence { group += 1 }
            var row = Int(offsets[sequence])
            let end = Int(offsets[sequence + 1])
            repeat {
                let room = limit - open.count
                let taken = end - row <= room ? end - row : room / 2 * 2
                if taken == 0, end > row {
                    pieces.append(open.piece(of: self, goesOn: group))
                    open = Fragments(start: row)
                    continue
                }
                open.append(taken, group: group, begins: isStart(row, sequence, of: group))
                row += taken
            } while row < end
        }
        if !open.groups.isEmpty { pieces.append(open.piece(of: self, goesOn: nil)) }
        return pieces
    }

    /// Whether a group's part of this partition begins at a sequence's first row.
    private func isStart(_ row: Int, _ sequence: Int, of group: Int) -> Bool {
        Int(groups[group]) == sequence && row == Int(offsets[sequence])
    }

    /// The sequences, whole or in part, that a piece is made of.
    private struct Fragments {
        let start: Int
        var offsets: [UInt32] = [0]
        /// Per fragment: its group in the whole.
        var groups: [Int] = []
        private var firstBegins = false

        init(start: Int) { self.start = start }

        var count: Int { Int(offsets.last!) }

        mutating func append(_ rows: Int, group: Int, begins: Bool) {
            if groups.isEmpty { firstBegins = begins }
            offsets.append(offsets.last! + UInt32(rows))
            groups.append(group)
        }

        /// - Parameter goesOn: the group of the row behind this piece; nil behind the last.
        func piece(of whole: Partition, goesOn: Int?) -> PartitionPiece {
            let edges = groups.indices.dropFirst().filter { groups[$0] != groups[$0 - 1] }
            let first = groups[0]
            let last = groups[groups.count - 1]
            return PartitionPiece(
                rows: start..<start + count,
                partition: Partition(
                    offsets: offsets,
                    groups: ([0] + edges + [groups.count]).map { UInt32($0) },
                    resumes: first == 0 && whole.resumes || !firstBegins,
                    suspends: goesOn == last
                        || goesOn == nil && last == whole.groupCount - 1 && whole.suspends),
                firstGroup: first)
        }
    }
}
