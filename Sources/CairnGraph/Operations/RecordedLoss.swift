// SPDX-License-Identifier: Apache-2.0
/// The parts of a loss of one's own: the batch's targets as values, sums over columns, row losses.

import CairnEngine

/// The batch's numbers, [rows, columns].
struct TargetValues: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        execution.copy(execution.batch.valueTargets, into: node.outputs[0], "target values")
    }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {}
}

/// 1 in the column of each row's class and 0 elsewhere; 0 everywhere for a negative class.
struct OneHotTargets: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let columns = node.outputs[0].columns
        var numbers = [Float](
            repeating: 0, count: execution.batch.classTargets.count * columns)
        for (row, target) in execution.batch.classTargets.enumerated() where target >= 0 {
            guard Int(target) < columns else {
                throw .invalidOperand(operation: "one-hot targets")
            }
            numbers[row * columns + Int(target)] = 1
        }
        execution.copy(numbers, into: node.outputs[0], "class targets")
    }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {}
}

/// y = x M^T with fixed numbers M [out, in], always in fp32.
struct Project: Operation {
    let matrix: Constant
    let outputs: Int
    let inputs: Int
    /// Whether y = x M instead, from [rows, out] to [rows, in].
    var isBackward = false

    var rowRules: [RowRule] { [.follows] }

    func multiplyAdds(_ node: Node, _ batch: Batch) -> Int {
        batch.count(node.inputs[0].rows) * inputs * outputs
    }

    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard let dy = gradients[0], recorder.needs(node.inputs[0]) else { return }
        var reverse = self
        reverse.isBackward.toggle()
        let x = node.inputs[0]
        let dx = recorder.graph.record(reverse, [dy], [(x.rows, x.columns)])[0]
        recorder.add(dx, to: x)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let weight = Weight(execution.constant(matrix), rows: outputs, columns: inputs)
        try execution.context.matmul(
            execution.operand(node.inputs[0]), .weight(weight, transposed: !isBackward),
            precision: .fp32, into: execution.matrix(node.outputs[0]))
    }
}

/// The gradient that every row's loss begins with: the batch's loss scale.
struct LossSeed: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let rows = execution.count(node.outputs[0].rows)
        execution.copy(
            [Float](repeating: execution.lossScale, count: rows), into: node.outputs[0],
            "loss scale")
    }
}

extension Graph {
    /// The batch's target values as [rows, columns]; no gradient flows to them.
    public mutating func targetValues(columns: Int, rows: RowSpace = .sequences) -> Value {
        record(TargetValues(), [], [(rows, columns)])[0]
    }

    /// The batch's class ids as rows of [rows, classes] with a single 1.
    public mutating func oneHotTargets(classes: Int, rows: RowSpace = .sequences) -> Value {
        record(OneHotTargets(), [], [(rows, classes)])[0]
    }

    /// y = x M^T with fixed numbers. Shapes: x [rows, in], M [out, in] row-major, y [rows, out].
    public mutating func project(_ x: Value, by matrix: [Float], outputs: Int) -> Value {
        precondition(
            matrix.count == outputs * x.columns,
            "\(matrix.count) numbers for [\(outputs), \(x.columns)]")
        let operation = Project(matrix: constant(matrix), outputs: outputs, inputs: x.columns)
        return record(operation, [x], [(x.rows, outputs)])[0]
    }

    /// y[i] = sum over j of x[i, j]. Shapes: x [rows, n], y [rows, 1].
    public mutating func sumOfColumns(_ x: Value) -> Value {
        project(x, by: [Float](repeating: 1, count: x.columns), outputs: 1)
    }

    /// y[i, j] = x[i]. Shapes: x [rows, 1], y [rows, columns].
    public mutating func broadcast(_ x: Value, columns: Int) -> Value {
        precondition(x.columns == 1, "broadcast takes one column, got \(x.columns)")
        return project(x, by: [Float](repeating: 1, count: columns), outputs: columns)
    }

    /// The loss of each row as a value to go on with. Shapes: logits [rows, n], result [rows, 1].
    public mutating func rowLosses(_ loss: Loss, _ logits: Value) -> Value {
        self.loss(loss, logits, isScaled: false).losses
    }
}
