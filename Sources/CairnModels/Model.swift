// SPDX-License-Identifier: Apache-2.0
/// What a model is: parameters with names and shapes, and a way to record itself.

import CairnGraph

/// Anything that turns a batch into logits.
public protocol Model: Sendable {
    /// Every tensor the model reads, by its name in the file.
    var parameters: [ParameterSpecification] { get }

    /// The linear layers that an adapter may target, in the model's order.
    var linearLayers: [Linear] { get }

    /// Records the model; returns the logits.
    func record(_ recorder: inout Recorder) -> Value
}

/// What a transformer is asked to do.
public enum Head: Sendable, Equatable {
    /// Logits per sequence, of the pooled row.
    case classification(labels: Int)
    /// Logits per token over the vocabulary.
    case languageModel
}
