// SPDX-License-Identifier: Apache-2.0
/// Operations on one element at a time: sums, activations, the gated unit, dropout.

import CairnEngine

/// y = a + scale * b.
struct Add: Operation {
    let scale: Float

    var rowRules: [RowRule] { [.follows, .follows] }
    var inPlaceInput: Int? { 0 }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        if recorder.needs(node.inputs[0]) { recorder.add(dy, to: node.inputs[0]) }
        if recorder.needs(node.inputs[1]) {
            let db = scale == 1 ? dy : recorder.graph.scaled(dy, by: scale)
            recorder.add(db, to: node.inputs[1])
        }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.add(
            execution.matrix(node.inputs[0]), execution.matrix(node.inputs[1]), scale: scale,
            into: execution.matrix(node.outputs[0]))
    }
}

/// y = scale * x.
struct Scale: Operation {
    let scale: Float

    var rowRules: [RowRule] { [.follows] }
    var inPlaceInput: Int? { 0 }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        recorder.add(recorder.graph.scaled(dy, by: scale), to: node.inputs[0])
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.scale(
            execution.matrix(node.inputs[0]), by: scale, into: execution.matrix(node.outputs[0]))
    }
}

/// y = a * b, element by element.
struct Multiply: Operation {
    var rowRules: [RowRule] { [.follows, .follows] }
    var inPlaceInput: Int? { 0 }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let (a, b) = (node.inputs[0], node.inputs[1])
        if recorder.needs(a) { recorder.add(recorder.graph.multiply(dy, b), to: a) }
        if recorder.needs(b) { recorder.add(recorder.graph.multiply(dy, a), to: b) }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.multiply(
            execution.matrix(node.inputs[0]), execution.matrix(node.inputs[1]),
            into: execution.matrix(node.outputs[0]))
    }
}

/// y = f(x).
struct Activate: Operation {
    let function: Activation

    var rowRules: [RowRule] { [.follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let x = node.inputs[0]
        let dx = recorder.graph.record(
            ActivateGradient(function: function), [x, dy], [(x.rows, x.columns)])[0]
        recorder.add(dx, to: x)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.activationForward(
            function, execution.matrix(node.inputs[0]), into: execution.matrix(node.outputs[0]))
    }
}

/// dx = dy f'(x).
struct ActivateGradient: Operation {
    let function: Activation

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.activationBackward(
            function, execution.matrix(node.inputs[0]), dy: execution.matrix(node.inputs[1]),
            into: execution.matrix(node.outputs[0]))
    }
}

/// slope = f'(x) and y = f(x), in this order: the slope takes the place of x.
struct ActivateWithSlope: Operation {
    let function: Activation

    var rowRules: [RowRule] { [.follows] }
    var inPlaceInput: Int? { 0 }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.activationSlope(
            function, execution.matrix(node.inputs[0]), into: execution.matrix(node.outputs[1]),
            slope: execution.matrix(node.outputs[0]))
    }
}

/// y = f(gate) * up.
struct Gate: Operation {
    let function: Activation

    var rowRules: [RowRule] { [.follows, .follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let (gate, up) = (node.inputs[0], node.inputs[1])
        let d = recorder.graph.record(
            GateGradient(function: function), [gate, up, dy],
            [(gate.rows, gate.columns), (up.rows, up.columns)])
        if recorder.needs(gate) { recorder.add(d[0], to: gate) }
        if recorder.needs(up) { recorder.add(d[1], to: up) }
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.gatedForward(
            function, gate: execution.matrix(node.inputs[0]), up: execution.matrix(node.inputs[1]),
            into: execution.matrix(node.outputs[0]))
    }
}

/// d_gate = dy up f'(gate), d_up = dy f(gate).
struct GateGradient: Operation {
    let function: Activation

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.gatedBackward(
            function, gate: execution.matrix(node.inputs[0]), up: execution.matrix(node.inputs[1]),
            dy: execution.matrix(node.inputs[2]), intoGate: execution.matrix(node.outputs[0]),
            up: execution.matrix(node.outputs[1]))
    }
}

/// y = x * keep / (1 - p): the mask depends on seed, site, step, row, token and feature only.
struct DropoutOperation: Operation {
    let probability: Float
    let key: UInt64

    var rowRules: [RowRule] { [.follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let dx = recorder.graph.record(self, [dy], [(dy.rows, dy.columns)])[0]
        recorder.add(dx, to: node.inputs[0])
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let x = node.inputs[0]
        try execution.context.dropout(
            Dropout(probability: probability, key: key, step: execution.step),
            execution.matrix(x), width: x.columns, rowIDs: execution.rowIDs(x.rows),
            positions: execution.positions(x.rows), into: execution.matrix(node.outputs[0]))
    }
}

extension Graph {
    /// y = a + scale * b. Shapes: all [rows, columns].
    public mutating func add(_ a: Value, _ b: Value, scale: Float = 1) -> Value {
        requireSameShape(a, b, "add")
        return record(Add(scale: scale), [a, b], [(a.rows, a.columns)])[0]
    }

    /// y = scale * x.
    public mutating func scaled(_ x: Value, by scale: Float) -> Value {
        record(Scale(scale: scale), [x], [(x.rows, x.columns)])[0]
    }

    /// y = a * b, element by element. Shapes: all [rows, columns].
    public mutating func multiply(_ a: Value, _ b: Value) -> Value {
        requireSameShape(a, b, "multiply")
        return record(Multiply(), [a, b], [(a.rows, a.columns)])[0]
    }

    /// y = f(x), element by element.
    public mutating func activation(_ function: Activation, _ x: Value) -> Value {
        record(Activate(function: function), [x], [(x.rows, x.columns)])[0]
    }

    /// y = f(gate) * up. Shapes: all [rows, columns].
    public mutating func gated(_ function: Activation, gate: Value, up: Value) -> Value {
        requireSameShape(gate, up, "gated")
        return record(Gate(function: function), [gate, up], [(gate.rows, gate.columns)])[0]
    }

    /// Zeroes each element with the given probability and scales the others by 1 / (1 - p).
    ///
    /// `site` names the stream of random numbers, with `seed`; p = 0 records nothing.
    public mutating func dropout(
        _ x: Value, probability: Float, seed: UInt64, site: String
    ) -> Value {
        precondition(probability >= 0 && probability < 1, "dropout \(probability) not in [0, 1)")
        if probability == 0 { return x }
        let key = Context.dropoutKey(seed: seed, site: site)
        return record(
            DropoutOperation(probability: probability, key: key), [x], [(x.rows, x.columns)])[0]
    }
}
