// SPDX-License-Identifier: Apache-2.0
/// Which parameters weight decay pulls on.

import CairnModels

/// The parameters that are decayed.
public enum DecayScope: String, Sendable, CaseIterable {
    /// Everything that trains.
    case all
    /// Everything but biases and the weights of norms, as transformers' Trainer has it.
    case matrices

    /// An optimizer of a model's parameters that decays these by the rule's weight decay.
    func optimizer(_ rule: UpdateRule, of model: TaskModel) throws -> Optimizer {
        switch self {
        case .all: try Optimizer(rule, parameters: model.parameters)
        case .matrices:
            try Optimizer(
                groups: TransformersCheckpoint.groups(for: model, rule: rule),
                parameters: model.parameters)
        }
    }
}
