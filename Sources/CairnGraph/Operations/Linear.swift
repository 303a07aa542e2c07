// SPDX-License-Identifier: Apache-2.0
/// Linear layers with an optional LoRA pair, and their gradients.

import CairnEngine

/// A LoRA pair beside a weight: scaling * (x A^T) B^T, with A [rank, in] and B [out, rank].
package struct LoRAPair: Hashable, Sendable {
    package var a: ParameterReference
    package var b: ParameterReference
    package let scaling: Float

    package init(a: ParameterReference, b: ParameterReference, scaling: Float) {
        self.a = a
        self.b = b
        self.scaling = scaling
    }

    package var rank: Int { a.dimensions[0] }
}

/// y = x W^T + scaling * (x' A^T) B^T + bias, one chain per element: base terms, then LoRA's.
///
/// Inputs: x [rows, in] and, when the adapter reads something else (dropout), x' [rows, in].
/// Outputs: y [rows, out] and, with a pair, scaling * x' A^T [rows, rank], which backward needs.
///
/// A weight in 8 bits is multiplied in 8 bits: y = (bias + scaling * (x' A^T) B^T) + q(x) q(W)^T, two
/// sums that meet at their ends. Its backward pass reads the numbers that its codes stand for.
struct Linear: Operation {
    let weight: ParameterReference
    let bias: ParameterReference?
    let pair: LoRAPair?

    var parameters: [ParameterReference] {
        [weight] + [bias, pair?.a, pair?.b].compactMap { $0 }
    }
    var rowRules: [RowRule] { [.follows, .follows] }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0] else { return }
        let x = node.inputs[0]
        if let bias, bias.isTrainable {
            recorder.graph.record(BiasGradient(slot: recorder.slot(for: bias)), [dy], [])
        }
        if weight.isTrainable {
            recorder.graph.record(WeightGradient(slot: recorder.slot(for: weight)), [dy, x], [])
        }
        guard let pair else {
            if recorder.needs(x) {
                recorder.accumulate(InputGradient(weight: weight), [dy], into: x)
            }
            return
        }
        let adapterInput = node.inputs.count > 1 ? node.inputs[1] : x
        let isFused = node.inputs.count == 1 && recorder.needs(x)
        let d =
            isFused
            ? recorder.accumulate(
                InputGradient(weight: weight, pair: pair), [dy], into: x, rest: [pair.rank]
            )
            .first!
            : recorder.graph.record(
                AdapterGradient(b: pair.b, scaling: pair.scaling), [dy], [(dy.rows, pair.rank)])[0]
        if pair.b.isTrainable {
            recorder.graph.record(
                WeightGradient(slot: recorder.slot(for: pair.b)), [dy, node.outputs[1]], [])
        }
        if pair.a.isTrainable {
            recorder.graph.record(
                WeightGradient(slot: recorder.slot(for: pair.a)), [d, adapterInput], [])
        }
        guard node.inputs.count > 1 else { return }
        if recorder.needs(adapterInput) {
            recorder.accumulate(InputGradient(weight: pair.a), [d], into: adapterInput)
        }
        if recorder.needs(x) {
            recorder.accumulate(InputGradient(weight: weight), [dy], into: x)
        }
    }

    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        let (x, y) = (node.inputs[0], node.outputs[0])
        let perRow = x.columns * y.columns + (pair?.rank ?? 0) * (x.columns + y.columns)
        return batch.count(x.rows) * perRow
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let x = node.inputs[0]
        let y = execution.matrix(node.outputs[0])
        let base = execution.weight(weight)
        let bias = bias.map { execution.vector($0) }
        guard let pair else {
            if base.dtype == .i8 {
                return try execution.context.matmulInt8(
                    execution.matrix(x), base, bias: bias, into: y)
            }
            return try execution.context.matmul(
                execution.operand(x), .weight(base, transposed: true), bias: bias,
                precision: execution.precision, into: y)
        }
        let a = MatrixOperand.weight(execution.weight(pair.a), transposed: true)
        let b = MatrixOperand.weight(execution.weight(pair.b), transposed: true)
        let z = execution.matrix(node.outputs[1])
        guard node.inputs.count > 1 || base.dtype == .i8 else {
            return try execution.context.matmulAdapted(
                execution.operand(x), .weight(base, transposed: true), down: a, up: b,
                scaling: pair.scaling, bias: bias, precision: execution.precision, projected: z,
                into: y)
        }
        let adapterInput = node.inputs.count > 1 ? node.inputs[1] : x
        try execution.context.matmul(
            execution.operand(adapterInput), a, scale: pair.scaling,
            precision: execution.precision, into: z)
        let second = (
            a: MatrixOperand.rows(z, rows: execution.count(x.rows), columns: pair.rank), b: b
        )
        guard base.dtype != .i8 else {
            // Two sums that meet at their ends.
            try execution.context.matmulInt8(execution.matrix(x), base, bias: nil, into: y)
            return try execution.context.matmul(
                second.a, second.b, bias: bias, accumulate: true, precision: execution.precision,
                into: y)
        }
        try execution.context.matmul(
            execution.operand(x), .weight(base, transposed: true),
            second: second, bias: bias, precision: execution.precision, into: y)
    }
}

/// d = scaling * dy B: the gradient of x' A^T.
struct AdapterGradient: Operation {
    let b: ParameterReference
    let scaling: Float

    var parameters: [ParameterReference] { [b] }

    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        batch.count(node.inputs[0].rows) * b.elementCount
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.matmul(
            execution.operand(node.inputs[0]), .weight(execution.weight(b)),
            scale: scaling, precision: execution.precision,
            into: execution.matrix(node.outputs[0]))
    }
}

/// dx = dy W + d A with d = scaling * dy B, one chain per element; added to what has already reached
/// x, if anything has.
///
/// Inputs: dy, then the earlier gradient when `accumulates`. Outputs: dx and, with a pair, d.
struct InputGradient: Operation, Accumulating {
    let weight: ParameterReference
    var pair: LoRAPair?
    var accumulates = false

    var parameters: [ParameterReference] { [weight] + [pair?.a, pair?.b].compactMap { $0 } }
    var inPlaceInput: Int? { accumulates ? 1 : nil }

    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        let pairs = pair.map { $0.a.elementCount + $0.b.elementCount } ?? 0
        return batch.count(node.inputs[0].rows) * (weight.elementCount + pairs)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let dy = execution.operand(node.inputs[0])
        let base = MatrixOperand.weight(execution.weight(weight))
        let dx = execution.matrix(node.outputs[0])
        guard let pair else {
            return try execution.context.matmul(
                dy, base, accumulate: accumulates, precision: execution.precision, into: dx)
        }
        try execution.context.matmulAdapted(
            dy, base, down: .weight(execution.weight(pair.b)),
            up: .weight(execution.weight(pair.a)),
            scaling: pair.scaling, accumulate: accumulates, precision: execution.precision,
            projected: execution.matrix(node.outputs[1]), into: dx)
    }
}

/// dW = dy^T x, in groups.
struct WeightGradient: Operation {
    let slot: GradientSlot

    var gradientSlots: [GradientSlot] { [slot] }

    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        batch.count(node.inputs[0].rows) * slot.parameter.elementCount
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let dy = node.inputs[0]
        let x = node.inputs[1]
        for part in execution.parts(of: dy.rows) {
            try execution.context.matmulGradient(
                dy: execution.matrix(dy, part.rows), x: execution.matrix(x, part.rows),
                outputs: dy.columns, inputs: x.columns, partition: part.partition,
                precision: execution.precision, into: execution.gradient(slot, part))
        }
    }
}

/// db = sum over rows of dy, in groups.
struct BiasGradient: Operation {
    let slot: GradientSlot

    var gradientSlots: [GradientSlot] { [slot] }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let dy = node.inputs[0]
        for part in execution.parts(of: dy.rows) {
            try execution.context.biasGradient(
                dy: execution.matrix(dy, part.rows), partition: part.partition,
                into: execution.gradient(slot, part))
        }
    }
}

/// An input gradient that can add itself to an earlier one.
protocol Accumulating: Operation {
    var accumulates: Bool { get set }
}

extension GradientRecorder {
    /// Records `operation` so that its result is added to the gradient of `value`.
    ///
    /// - Parameter rest: columns of what it gives besides, row by row.
    @discardableResult
    mutating func accumulate(
        _ operation: some Accumulating, _ inputs: [Value], into value: Value, rest: [Int] = []
    ) -> ArraySlice<Value> {
        var operation = operation
        let earlier = gradient(of: value)
        operation.accumulates = earlier != nil
        let results = graph.record(
            operation, inputs + [earlier].compactMap { $0 },
            ([value.columns] + rest).map { (value.rows, $0) })
        replace(results[0], of: value)
        return results.dropFirst()
    }
}

extension Graph {
    /// y = x W^T + bias, with an optional LoRA pair on x or on `adapterInput`.
    ///
    /// Shapes: x [rows, in], W [out, in], bias [out], A [rank, in], B [out, rank].
    package mutating func linear(
        _ x: Value, weight: ParameterReference, bias: ParameterReference? = nil,
        pair: LoRAPair? = nil, adapterInput: Value? = nil
    ) -> Value {
        precondition(
            weight.dimensions.count == 2 && weight.dimensions[1] == x.columns,
            "\(weight.name) is \(weight.dimensions), its input has \(x.columns) columns")
        let out = weight.dimensions[0]
        precondition(bias == nil || bias!.dimensions == [out], "bias of \(weight.name)")
        if let pair {
            precondition(
                pair.a.dimensions == [pair.rank, x.columns]
                    && pair.b.dimensions == [out, pair.rank],
                "LoRA pair of \(weight.name): A \(pair.a.dimensions), B \(pair.b.dimensions)")
        }
        if let adapterInput { requireSameShape(x, adapterInput, "adapter input") }
        return record(
            Linear(weight: weight, bias: bias, pair: pair), [x] + [adapterInput].compactMap { $0 },
            [(x.rows, out)] + (pair.map { [(x.rows, $0.rank)] } ?? []))[0]
    }
}
