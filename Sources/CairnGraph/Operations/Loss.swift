// SPDX-License-Identifier: Apache-2.0
/// Losses: one number per row, with the gradient of the logits; and softmax for prediction.

import CairnEngine

/// How logits are compared with what the batch says.
public enum Loss: Sendable, Hashable {
    /// Cross-entropy with a class id per row, as torch's with weights, smoothing, ignore_index.
    case crossEntropy(weights: [Float]?, labelSmoothing: Float, ignoreIndex: Int32)
    /// Binary cross-entropy with logits, a 0 or 1 (or between) per column.
    case binaryCrossEntropy
    /// Squared error, a number per column.
    case squaredError
}

/// Outputs: the loss of each row [rows, 1]; its gradient, times the batch's loss scale if it is the
/// end of the graph.
struct LossOperation: Operation {
    let loss: Loss
    let weights: Constant?
    let isScaled: Bool

    /// Of a loss at the end of the graph the second output is what `Program` seeds the backward
    /// pass with; one that is read further on hands down d * gradient.
    func backward(_ node: Node, _ gradients: [Value?], _ recorder: inout GradientRecorder) {
        guard !isScaled, let d = gradients[0], recorder.needs(node.inputs[0]) else { return }
        let logits = node.inputs[0]
        let wide = recorder.graph.broadcast(d, columns: logits.columns)
        recorder.add(recorder.graph.multiply(node.outputs[1], wide), to: logits)
    }

    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        let logits = execution.matrix(node.inputs[0])
        let losses = execution.matrix(node.outputs[0])
        let gradient = execution.matrix(node.outputs[1])
        let columns = node.inputs[0].columns
        let scale = isScaled ? execution.lossScale : 1
        switch loss {
        case .crossEntropy(_, let smoothing, let ignored):
            let rows = node.inputs[0].rows
            for run in execution.lossRuns(rows, within: 0..<execution.count(rows)) {
                let numbers = run.rows.lowerBound * columns..<run.rows.upperBound * columns
                try execution.context.crossEntropy(
                    CrossEntropy(
                        classWeights: weights.map { execution.constant($0) },
                        labelSmoothing: smoothing, ignoreIndex: ignored),
                    logits: logits[numbers], classes: columns,
                    targets: execution.classTargets()[run.rows],
                    scale: isScaled ? run.scale : 1, into: losses[run.rows],
                    gradient: gradient[numbers])
            }
        case .binaryCrossEntropy:
            try execution.context.binaryCrossEntropy(
                logits: logits, targets: execution.valueTargets(), scale: scale,
                into: losses, gradient: gradient)
        case .squaredError:
            try execution.context.squaredError(
                logits, targets: execution.valueTargets(), scale: scale,
                into: losses, gradient: gradient)
        }
    }
}

/// p = softmax(x) over each row.
struct Softmax: Operation {
    func run(_ node: Node, _ execution: Execution) throws(KernelError) {
        try execution.context.softmax(
            execution.matrix(node.inputs[0]), classes: node.inputs[0].columns,
            into: execution.matrix(node.outputs[0]))
    }
}

extension Graph {
    /// The loss of each row, and the gradient of the logits.
    mutating func loss(
        _ loss: Loss, _ logits: Value, isScaled: Bool = true
    ) -> (losses: Value, gradient: Value) {
        var weights: Constant?
        if case .crossEntropy(let numbers?, _, _) = loss {
            precondition(
                numbers.count == logits.columns,
                "\(numbers.count) class weights for \(logits.columns) classes")
            weights = constant(numbers)
        }
        let values = record(
            LossOperation(loss: loss, weights: weights, isScaled: isScaled), [logits],
            [(logits.rows, 1), (logits.rows, logits.columns)])
        return (values[0], values[1])
    }

    /// p = softmax(x) over each row; for prediction, it has no gradient.
    public mutating func softmax(_ x: Value) -> Value {
        record(Softmax(), [x], [(x.rows, x.columns)])[0]
    }
}
