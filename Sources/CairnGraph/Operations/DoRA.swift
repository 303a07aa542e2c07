// SPDX-License-Identifier: Apache-2.0
/// Weight-decomposed LoRA: row norms of the adapted weight, and the magnitude per column.

import CairnEngine

/// norm[o] = ||W[o] + scaling * (B A)[o]||, a constant of the backward pass.
struct DoRANorm: Operation {
    let weight: ParameterReference
    let pair: LoRAPair

    var parameters: [ParameterReference] { [weight, pair.a, pair.b] }

    /// The norm is detached, as the paper has it: nothing flows back.
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {}

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.doraNorm(
            execution.weight(weight), a: execution.vector(pair.a),
            b: execution.vector(pair.b), rank: pair.rank, scale: pair.scaling,
            into: execution.matrix(node.outputs[0]))
    }
}

/// y = z * magnitude / norm + bias, column by column. Inputs: z, norm.
struct ScaleColumns: Operation {
    let magnitude: ParameterReference
    let bias: ParameterReference?

    var parameters: [ParameterReference] { [magnitude] + [bias].compactMap { $0 } }
    var rowRules: [RowRule] { [.follows, .whole] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let (z, norm) = (node.inputs[0], node.inputs[1])
        if let bias, bias.isTrainable {
            recorder.graph.record(BiasGradient(slot: recorder.slot(for: bias)), [dy], [])
        }
        if magnitude.isTrainable {
            recorder.graph.record(
                MagnitudeGradient(slot: recorder.slot(for: magnitude)), [dy, z, norm], [])
        }
        if recorder.needs(z) {
            let dz = recorder.graph.record(
                ScaleColumnsGradient(magnitude: magnitude), [dy, norm], [(z.rows, z.columns)])
            recorder.add(dz[0], to: z)
        }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.scaleColumnsForward(
            execution.matrix(node.inputs[0]), numerator: execution.vector(magnitude),
            denominator: execution.matrix(node.inputs[1]), bias: bias.map { execution.vector($0) },
            into: execution.matrix(node.outputs[0]))
    }
}

/// dz = dy * magnitude / norm.
struct ScaleColumnsGradient: Operation {
    let magnitude: ParameterReference

    var parameters: [ParameterReference] { [magnitude] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.scaleColumnsBackward(
            dy: execution.matrix(node.inputs[0]), numerator: execution.vector(magnitude),
            denominator: execution.matrix(node.inputs[1]),
            into: execution.matrix(node.outputs[0]))
    }
}

/// dm = sum over rows of dy * z / norm, in groups.
struct MagnitudeGradient: Operation {
    let slot: GradientSlot

    var gradientSlots: [GradientSlot] { [slot] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let dy = node.inputs[0]
        for part in execution.parts(of: dy.rows) {
            try execution.context.scaleColumnsGradient(
                dy: execution.matrix(dy, part.rows), z: execution.matrix(node.inputs[1], part.rows),
                denominator: execution.matrix(node.inputs[2]), partition: part.partition,
                into: execution.gradient(slot, part))
        }
    }
}

extension Graph {
    /// y = magnitude / ||W + scaling B A|| * (x W^T + scaling (x A^T) B^T) + bias.
    ///
    /// With `dropped`, the direction x' that dropout left: y = (x - x') W^T + bias, plus the above
    /// on x'; so that only the correction is dropped, as in PEFT.
    ///
    /// Shapes: x [rows, in], W [out, in], A [rank, in], B [out, rank], magnitude, bias [out].
    /// Source: Liu et al. 2024 (arXiv:2402.09353).
    package mutating func dora(
        _ x: Value, weight: ParameterReference, bias: ParameterReference?, pair: LoRAPair,
        magnitude: ParameterReference, dropped: Value? = nil
    ) -> Value {
        let norm = record(
            DoRANorm(weight: weight, pair: pair), [], [(.single, weight.dimensions[0])])[0]
        let z = linear(dropped ?? x, weight: weight, pair: pair)
        let y = record(
            ScaleColumns(magnitude: magnitude, bias: dropped == nil ? bias : nil), [z, norm],
            [(z.rows, z.columns)])[0]
        guard let dropped else { return y }
        let rest = linear(add(x, dropped, scale: -1), weight: weight, bias: bias)
        return add(rest, y)
    }
}
