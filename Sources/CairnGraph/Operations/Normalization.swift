// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm, and their gradients.

import CairnEngine

/// y = x / rms(x) * w over each run of `width` columns. Outputs: y, and 1 / rms per run.
struct RMSNorm: Operation {
    let weight: ParameterReference
    let epsilon: Float

    var parameters: [ParameterReference] { [weight] }
    var rowRules: [RowRule] { [.follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let x = node.inputs[0]
        if weight.isTrainable {
            recorder.graph.record(
                RMSNormWeightGradient(slot: recorder.slot(for: weight)), [x, node.outputs[1], dy],
                [])
        }
        if recorder.needs(x) {
            let dx = recorder.graph.record(
                RMSNormGradient(weight: weight), [x, node.outputs[1], dy], [(x.rows, x.columns)])
            recorder.add(dx[0], to: x)
        }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.rmsNormForward(
            execution.matrix(node.inputs[0]), weight: execution.weight(weight), epsilon: epsilon,
            into: execution.matrix(node.outputs[0]),
            inverseRMS: execution.matrix(node.outputs[1]))
    }
}

struct RMSNormGradient: Operation {
    let weight: ParameterReference

    var parameters: [ParameterReference] { [weight] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.rmsNormBackward(
            execution.matrix(node.inputs[0]), weight: execution.weight(weight),
            inverseRMS: execution.matrix(node.inputs[1]), dy: execution.matrix(node.inputs[2]),
            into: execution.matrix(node.outputs[0]))
    }
}

struct RMSNormWeightGradient: Operation {
    let slot: GradientSlot

    var gradientSlots: [GradientSlot] { [slot] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let x = node.inputs[0]
        let width = slot.parameter.elementCount
        for part in execution.parts(of: x.rows) {
            try execution.context.rmsNormWeightGradient(
                execution.matrix(x, part.rows),
                inverseRMS: execution.matrix(node.inputs[1], part.rows),
                dy: execution.matrix(node.inputs[2], part.rows), repeats: x.columns / width,
                partition: part.partition, into: execution.gradient(slot, part))
        }
    }
}

/// y = (x - mean) / deviation * w + b. Outputs: y, mean, 1 / deviation.
struct LayerNorm: Operation {
    let weight: ParameterReference
    let bias: ParameterReference
    let epsilon: Float

    var parameters: [ParameterReference] { [weight, bias] }
    var rowRules: [RowRule] { [.follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let x = node.inputs[0]
        let saved = [x, node.outputs[1], node.outputs[2], dy]
        // One kernel gives both gradients; that of a frozen one of the two is not used.
        if weight.isTrainable || bias.isTrainable {
            let slots = (recorder.slot(for: weight), recorder.slot(for: bias))
            recorder.graph.record(
                LayerNormWeightGradient(weight: slots.0, bias: slots.1), saved, [])
        }
        if recorder.needs(x) {
            let dx = recorder.graph.record(
                LayerNormGradient(weight: weight), saved, [(x.rows, x.columns)])
            recorder.add(dx[0], to: x)
        }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.layerNormForward(
            execution.matrix(node.inputs[0]), weight: execution.weight(weight),
            bias: execution.weight(bias), epsilon: epsilon,
            into: execution.matrix(node.outputs[0]), mean: execution.matrix(node.outputs[1]),
            inverseDeviation: execution.matrix(node.outputs[2]))
    }
}

struct LayerNormGradient: Operation {
    let weight: ParameterReference

    var parameters: [ParameterReference] { [weight] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.layerNormBackward(
            execution.matrix(node.inputs[0]), weight: execution.weight(weight),
            mean: execution.matrix(node.inputs[1]),
            inverseDeviation: execution.matrix(node.inputs[2]),
            dy: execution.matrix(node.inputs[3]), into: execution.matrix(node.outputs[0]))
    }
}

struct LayerNormWeightGradient: Operation {
    let weight: GradientSlot
    let bias: GradientSlot

    var gradientSlots: [GradientSlot] { [weight, bias] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let x = node.inputs[0]
        for part in execution.parts(of: x.rows) {
            try execution.context.layerNormWeightGradient(
                execution.matrix(x, part.rows), mean: execution.matrix(node.inputs[1], part.rows),
                inverseDeviation: execution.matrix(node.inputs[2], part.rows),
                dy: execution.matrix(node.inputs[3], part.rows), partition: part.partition,
                intoWeight: execution.gradient(weight, part),
                bias: execution.gradient(bias, part))
        }
    }
}

extension Graph {
    /// y = x / sqrt(mean(x^2) + epsilon) * w, over each run of as many columns as w has.
    ///
    /// Shapes: x [rows, n * width], w [width]; n = heads for a norm per head, else 1.
    package mutating func rmsNorm(
        _ x: Value, weight: ParameterReference, epsilon: Float
    ) -> Value {
        precondition(
            weight.dimensions.count == 1 && x.columns % weight.dimensions[0] == 0,
            "\(weight.name) is \(weight.dimensions), its input has \(x.columns) columns")
        return record(
            RMSNorm(weight: weight, epsilon: epsilon), [x],
            [(x.rows, x.columns), (x.rows, x.columns / weight.dimensions[0])])[0]
    }

    /// y = (x - mean(x)) / sqrt(var(x) + epsilon) * w + b. Shapes: x [rows, width], w, b [width].
    package mutating func layerNorm(
        _ x: Value, weight: ParameterReference, bias: ParameterReference, epsilon: Float
    ) -> Value {
        precondition(
            weight.dimensions == [x.columns] && bias.dimensions == [x.columns],
            "\(weight.name) is \(weight.dimensions), its input has \(x.columns) columns")
        return record(
            LayerNorm(weight: weight, bias: bias, epsilon: epsilon), [x],
            [(x.rows, x.columns), (x.rows, 1), (x.rows, 1)])[0]
    }
}
