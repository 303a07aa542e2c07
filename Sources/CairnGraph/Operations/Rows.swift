// SPDX-License-Identifier: Apache-2.0
/// Inputs of a graph, and operations that pick and average rows.

import CairnEngine

/// Which integers of the batch an embedding reads.
package enum IndexInput: Hashable, Sendable {
    case tokens
    case types
    /// The place of a token in its sequence plus a constant (RoBERTa counts from pad id + 1).
    case positions(offset: Int)
}

/// y[t] = table[index[t]].
struct Embedding: Operation {
    let table: ParameterReference
    let index: IndexInput
    let rows: RowSpace

    var parameters: [ParameterReference] { [table] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], table.isTrainable else { return }
        recorder.graph.record(
            EmbeddingGradient(slot: recorder.slot(for: table), index: index), [dy], [])
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.embeddingForward(
            ids: execution.indices(index), table: execution.weight(table),
            into: execution.matrix(node.outputs[0]))
    }
}

struct EmbeddingGradient: Operation {
    let slot: GradientSlot
    let index: IndexInput

    var gradientSlots: [GradientSlot] { [slot] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let dy = node.inputs[0]
        for part in execution.parts(of: dy.rows) {
            try execution.context.embeddingGradient(
                ids: execution.indices(index)[part.rows], dy: execution.matrix(dy, part.rows),
                vocabulary: slot.parameter.dimensions[0], width: dy.columns,
                partition: part.partition, into: execution.gradient(slot, part))
        }
    }
}

/// The batch's own numbers, [sequences, columns]: the input of a model without tokens.
struct Features: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        execution.copyFeatures(into: node.outputs[0])
    }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {}
}

/// y[i] = x[rows selected by the batch for the output's row space]. Moved up by row pruning.
struct SelectRows: Operation {
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let x = node.inputs[0]
        let dx = recorder.graph.record(PlaceRows(), [dy], [(x.rows, x.columns)])[0]
        recorder.add(dx, to: x)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (x, y) = (node.inputs[0], node.outputs[0])
        try execution.context.gatherRows(
            execution.matrix(x), indices: execution.selection(y.rows), width: x.columns,
            into: execution.matrix(y))
    }
}

/// dx = 0, then dx[selected rows] += dy.
struct PlaceRows: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (dy, dx) = (node.inputs[0], node.outputs[0])
        try execution.context.scatterRows(
            dy: execution.matrix(dy), indices: execution.selection(dy.rows), width: dy.columns,
            into: execution.matrix(dx))
    }
}

/// y[i] = x[token row of the i-th repeated token]: what sequences share, for each of them.
///
/// It stays where it was recorded: whatever moved behind it would be computed for every repetition.
struct RepeatRows: Operation {
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let x = node.inputs[0]
        // Sequences in order: what reaches a shared token is summed as it comes.
        let dx = recorder.graph.record(PlaceRows(), [dy], [(x.rows, x.columns)])[0]
        recorder.add(dx, to: x)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (x, y) = (node.inputs[0], node.outputs[0])
        try execution.context.gatherRows(
            execution.matrix(x), indices: execution.selection(y.rows), width: x.columns,
            into: execution.matrix(y))
    }
}

/// y[s] = mean of the token rows of sequence s.
struct MeanRows: Operation {
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let x = node.inputs[0]
        let dx = recorder.graph.record(MeanRowsGradient(), [dy], [(x.rows, x.columns)])[0]
        recorder.add(dx, to: x)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (x, y) = (node.inputs[0], node.outputs[0])
        try execution.context.meanRowsForward(
            execution.matrix(x), offsets: execution.offsets(x.rows), width: x.columns,
            into: execution.matrix(y))
    }
}

struct MeanRowsGradient: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (dy, dx) = (node.inputs[0], node.outputs[0])
        try execution.context.meanRowsBackward(
            dy: execution.matrix(dy), offsets: execution.offsets(dx.rows), width: dy.columns,
            into: execution.matrix(dx))
    }
}

extension Graph {
    /// y[t] = table[index[t]] for every token. Shapes: table [vocabulary, width], y [tokens, width].
    package mutating func embedding(_ index: IndexInput, table: ParameterReference) -> Value {
        precondition(table.dimensions.count == 2, "\(table.name) is \(table.dimensions)")
        return record(
            Embedding(table: table, index: index, rows: .tokens), [],
            [(.tokens, table.dimensions[1])])[0]
    }

    /// The batch's features, [sequences, columns].
    public mutating func features(columns: Int) -> Value {
        record(Features(), [], [(.sequences, columns)])[0]
    }

    /// The rows that the batch selects for `space`: one per sequence, or the targets.
    public mutating func selectRows(_ x: Value, _ space: RowSpace) -> Value {
        precondition(
            x.rows == .tokens && (space == .sequences || space == .targets),
            "rows are selected from tokens for sequences or targets, not \(x.rows) for \(space)")
        return record(SelectRows(), [x], [(space, x.columns)])[0]
    }

    /// y[s] = mean of the rows of sequence s. Shapes: x [tokens, n], y [sequences, n].
    public mutating func meanRows(_ x: Value) -> Value {
        precondition(x.rows == .tokens, "meanRows averages tokens, not \(x.rows)")
        return record(MeanRows(), [x], [(.sequences, x.columns)])[0]
    }
}
