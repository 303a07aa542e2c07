// SPDX-License-Identifier: Apache-2.0
/// The history of a run under the names that TensorBoard shows.

import CairnFormats

extension RunHistory.Step {
    /// The values of the step.
    public var scalars: [TensorBoardEvent.Scalar] {
        scalarList([
            ("train/loss", loss), ("train/learning_rate", learningRate),
            ("train/gradient_norm", gradientNorm),
            ("throughput/rows_per_second", throughput?.rowsPerSecond),
            ("throughput/tokens_per_second", throughput?.tokensPerSecond),
        ])
    }
}

extension RunHistory.Epoch {
    /// The values of the epoch, to be logged at its last step.
    public var scalars: [TensorBoardEvent.Scalar] {
        scalarList([
            ("epoch/number", Double(number)), ("epoch/train_loss", trainLoss),
            ("epoch/train_accuracy", trainAccuracy), ("validation/loss", validationLoss),
            ("validation/accuracy", validationAccuracy),
            ("validation/macro_f1", validationMacroF1),
            ("seconds/training", throughput.seconds), ("seconds/validation", validationSeconds),
        ])
    }
}

/// What is there of the values, rounded to fp32 as TensorBoard keeps them.
private func scalarList(_ values: [(tag: String, value: Double?)]) -> [TensorBoardEvent.Scalar] {
    values.compactMap { tag, value in
        value.map { TensorBoardEvent.Scalar(tag, Float($0)) }
    }
}
