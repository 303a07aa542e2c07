// SPDX-License-Identifier: Apache-2.0
/// Attention over packed sequences and rotary position embedding.

import CairnEngine

/// How the heads of an attention layer are cut and what they may see.
package struct AttentionLayout: Hashable, Sendable {
    package let heads: Int
    package let keyValueHeads: Int
    package let headDimension: Int
    package let scale: Float
    package let isCausal: Bool
    /// With `isCausal`: only the last so many keys; 0 means all.
    package let window: Int

    package init(
        heads: Int, keyValueHeads: Int, headDimension: Int, scale: Float, isCausal: Bool,
        window: Int = 0
    ) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.headDimension = headDimension
        self.scale = scale
        self.isCausal = isCausal
        self.window = window
    }
}

/// o = softmax(scale * q k^T + mask) v. Outputs: o, and the log of each row's sum per head.
struct Attention: Operation {
    let shape: AttentionLayout

    var rowRules: [RowRule] { [.follows, .whole, .whole] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let d = recorder.graph.record(
            AttentionGradient(shape: shape), node.inputs + node.outputs + [dy],
            node.inputs.map { ($0.rows, $0.columns) })
        for (input, gradient) in zip(node.inputs, d) where recorder.needs(input) {
            recorder.add(gradient, to: input)
        }
    }

    /// q k^T and p v.
    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        2 * shape.headDimension
            * shape.pairs(batch, queries: node.inputs[0].rows, keys: node.inputs[1].rows)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let (q, k, v) = (node.inputs[0], node.inputs[1], node.inputs[2])
        try execution.context.attentionForward(
            execution.span(shape, queries: q.rows, keys: k.rows), q: execution.matrix(q),
            k: execution.matrix(k), v: execution.matrix(v),
            into: execution.matrix(node.outputs[0]), logSums: execution.matrix(node.outputs[1]))
    }
}

/// Inputs: q, k, v, o, log sums, d_o. Outputs: dq, dk, dv.
struct AttentionGradient: Operation {
    let shape: AttentionLayout

    /// q k^T and d_o v^T; p^T d_o, ds k and ds^T q.
    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        5 * shape.headDimension
            * shape.pairs(batch, queries: node.inputs[0].rows, keys: node.inputs[1].rows)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let inputs = node.inputs.map { execution.matrix($0) }
        try execution.context.attentionBackward(
            execution.span(shape, queries: node.inputs[0].rows, keys: node.inputs[1].rows),
            q: inputs[0], k: inputs[1], v: inputs[2], o: inputs[3], logSums: inputs[4],
            dO: inputs[5], intoQ: execution.matrix(node.outputs[0]),
            k: execution.matrix(node.outputs[1]), v: execution.matrix(node.outputs[2]))
    }
}

/// Rotates each head of each row by the angle of its position; `inverse` turns back.
struct Rope: Operation {
    let heads: Int
    let half: Int
    let cosine: Constant
    let sine: Constant
    var inverse = false

    var rowRules: [RowRule] { [.follows] }
    var inPlaceInput: Int? { 0 }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        var back = self
        back.inverse = true
        let dx = recorder.graph.record(back, [dy], [(dy.rows, dy.columns)])[0]
        recorder.add(dx, to: node.inputs[0])
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let x = node.inputs[0]
        try execution.context.rope(
            execution.matrix(x), heads: heads, half: half, positions: execution.positions(x.rows),
            cosine: execution.constant(cosine), sine: execution.constant(sine), inverse: inverse,
            into: execution.matrix(node.outputs[0]))
    }
}

extension Graph {
    /// o = softmax(scale * q k^T + mask) v within each sequence.
    ///
    /// Shapes: q, o [rows, heads * head_dim]; k, v [tokens, kv_heads * head_dim].
    package mutating func attention(
        _ shape: AttentionLayout, q: Value, k: Value, v: Value
    ) -> Value {
        let width = shape.keyValueHeads * shape.headDimension
        precondition(
            q.columns == shape.heads * shape.headDimension && k.columns == width
                && v.columns == width,
            "attention of \(shape): q \(q.columns), k \(k.columns), v \(v.columns) columns")
        precondition(shape.heads % shape.keyValueHeads == 0, "\(shape.heads) query heads")
        return record(
            Attention(shape: shape), [q, k, v], [(q.rows, q.columns), (q.rows, shape.heads)])[0]
    }

    /// cos and sin of position times frequency, [positions, frequencies], kept as constants.
    package mutating func ropeTables(
        positions: Int, frequencies: [Double]
    ) -> (cosine: Constant, sine: Constant) {
        let table = ropeTable(positions: positions, frequencies: frequencies)
        return (constant(table.cosine), constant(table.sine))
    }

    /// base^exponent by the engine's own exponential and logarithm, the same on every machine.
    package static func power(_ base: Double, _ exponent: Double) -> Double {
        CairnEngine.power(base, exponent)
    }

    /// cos(2 pi x) in double by the engine's own polynomials, rounded to fp32.
    package static func cosine(ofTurns x: Double) -> Double {
        Double(ropeTable(positions: 2, frequencies: [2 * Double.pi * x]).cosine[1])
    }

    /// Rotary position embedding, half-split; the tables are [positions, half].
    package mutating func rope(
        _ x: Value, heads: Int, half: Int, cosine: Constant, sine: Constant
    ) -> Value {
        precondition(
            x.columns == heads * half * 2, "\(heads) heads of \(2 * half) in \(x.columns) columns")
        return record(
            Rope(heads: heads, half: half, cosine: cosine, sine: sine), [x],
            [(x.rows, x.columns)])[0]
    }
}
