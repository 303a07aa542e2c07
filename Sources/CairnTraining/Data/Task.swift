// SPDX-License-Identifier: Apache-2.0
/// What is learned: which labels there are, and how a row's target becomes a loss.

import CairnGraph
import CairnModels

/// A task on whole rows of text.
public enum Task: Sendable, Equatable {
    /// One of the labels per row: cross-entropy.
    case singleLabel(labels: [String])
    /// Any number of the labels per row: binary cross-entropy per label.
    case multiLabel(labels: [String])
    /// Numbers per row: squared error.
    case regression(names: [String])
    /// The next token at each place of the row: cross-entropy over the vocabulary.
    case causal

    /// Names of the logits, by id; of a language model none, its logits are the vocabulary's.
    public var labels: [String] {
        switch self {
        case .singleLabel(let labels), .multiLabel(let labels), .regression(let labels): labels
        case .causal: []
        }
    }

    /// The head that a model needs for it.
    var head: Head {
        self == .causal ? .languageModel : .classification(labels: labels.count)
    }

    /// What PEFT calls it.
    var taskType: TaskType { self == .causal ? .causalLanguageModel : .sequenceClassification }

    /// The name under which transformers knows the task; a language model's is Cairn's own.
    public var problemType: String {
        switch self {
        case .singleLabel: "single_label_classification"
        case .multiLabel: "multi_label_classification"
        case .regression: "regression"
        case .causal: "causal_language_model"
        }
    }

    /// The task that transformers calls so; nil for another name.
    public init?(problemType: String, labels: [String]) {
        switch problemType {
        case "single_label_classification": self = .singleLabel(labels: labels)
        case "multi_label_classification": self = .multiLabel(labels: labels)
        case "regression": self = .regression(names: labels)
        default: return nil
        }
    }

    /// The loss; class weights are for a single label only.
    public func loss(classWeights: [Float]?) -> Loss {
        switch self {
        case .singleLabel, .causal:
            .crossEntropy(weights: classWeights, labelSmoothing: 0, ignoreIndex: -100)
        case .multiLabel: .binaryCrossEntropy
        case .regression: .squaredError
        }
    }
}

/// How much a row of each class counts.
public enum ClassWeights: String, Sendable, CaseIterable {
    /// All rows count the same.
    case none
    /// n / (classes * n_c): every class counts the same in sum.
    case balanced
    /// The square root of the balanced weights.
    case sqrt

    /// Weights by class id from the counts of the training rows; nil for `none`.
    ///
    /// A class without a training row gets weight 1: it takes part in no loss.
    public func weights(counts: [Int]) -> [Float]? {
        let total = counts.reduce(0, +)
        let balanced = counts.map {
            $0 == 0 ? 1 : Double(total) / (Double(counts.count) * Double($0))
        }
        switch self {
        case .none: return nil
        case .balanced: return balanced.map(Float.init)
        case .sqrt: return balanced.map { Float($0.squareRoot()) }
        }
    }
}
