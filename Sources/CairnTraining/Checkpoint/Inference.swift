// SPDX-License-Identifier: Apache-2.0
/// A checkpoint with its tokenizer: from texts to logits, probabilities and labels.

import CairnEngine
import CairnFormats
import CairnModels
import CairnText
import Foundation

/// Everything that prediction needs, from one directory (and the base it leads to).
public struct Inference {
    /// The model with its labels.
    public let checkpoint: Checkpoint
    private let tokenizer: Tokenizer

    /// Opens a checkpoint directory and its tokenizer; arguments and refusals are those of
    /// `Checkpoint`.
    public init(
        _ directory: URL, base: URL? = nil, maximumLength: Int? = nil, context: Context,
        storage: BaseStorage? = nil
    ) throws {
        checkpoint = try Checkpoint(
            contentsOf: directory, base: base, maximumLength: maximumLength, context: context,
            storage: storage)
        tokenizer = try Tokenizer(
            contentsOf: directory.appendingPathComponent("tokenizer.json"))
    }

    /// The texts of a file, in tokens.
    public func rows(_ file: URL) throws -> DataSet {
        try encoded(try Corpus(contentsOf: file, task: .prediction), targetsToPredict)
    }

    /// Texts in tokens; `file` is what errors call them.
    public func rows(texts: [String], file: String) throws -> DataSet {
        let examples = texts.enumerated().map {
            Example(text: $1, target: .none, line: $0 + 1)
        }
        return try encoded(
            Corpus(file: file, task: .prediction, examples: examples), targetsToPredict)
    }

    /// A language model is asked for the row's own tokens, another one for what no row says.
    private var targetsToPredict: Targets { checkpoint.task == .causal ? .nextTokens : .none }

    /// The labelled rows of a file: where it has a split column, those for testing.
    public func labelledCorpus(_ file: URL) throws -> Corpus {
        try CorpusParts.part(
            .test, of: try Corpus(contentsOf: file, task: checkpoint.task.corpusTask))
    }

    /// Labelled rows in tokens.
    ///
    /// - Throws: `CorpusError` with the lines whose label the checkpoint does not know.
    public func labelledRows(_ corpus: Corpus) throws -> DataSet {
        let space = LabelSpace(names: checkpoint.task.labels, usesFlags: Self.usesFlags(corpus))
        return try encoded(corpus, try checkpoint.task.targets(corpus, space: space))
    }

    /// Whether lists of integers are a 0 or 1 for every class, as the corpus alone tells.
    static func usesFlags(_ corpus: Corpus) -> Bool {
        corpus.task == .multiLabel && ((try? LabelSpace(corpus))?.usesFlags ?? false)
    }

    private func encoded(_ corpus: Corpus, _ targets: Targets) throws -> DataSet {
        let (data, _) = try DataSet.encoded(
            corpus, tokenizer: tokenizer, maximumLength: checkpoint.maximumLength,
            targets: targets)
        try data.requireVocabulary(
            checkpoint.model.base.configuration.vocabularySize, corpus: corpus)
        return data
    }

    /// Logits, and where the rows have targets, loss and metrics. What rows of a decoder that follow
    /// one another begin with alike is computed once, which changes no bit.
    public func evaluate(
        _ data: DataSet, precision: Precision? = nil, tokenBudget: Int = 2048
    ) throws -> Evaluation {
        let evaluator = try Evaluator(
            checkpoint.model, task: checkpoint.task, pooling: checkpoint.pooling,
            precision: precision ?? checkpoint.precision, tokenBudget: tokenBudget,
            hasTargets: data.targets != .none, prefix: nil, sharesPrompts: true)
        guard let evaluation = try evaluator.evaluate(data) else {
            preconditionFailure("an evaluation that nothing stops ends with a result")
        }
        return evaluation
    }
}

/// What logits mean for a task.
public struct Prediction: Sendable {
    /// A number per label.
    public let logits: [Float]
    /// Softmax for a single label, a sigmoid per label for many; empty for regression.
    public let probabilities: [Float]
    /// The most likely label; or every label with a probability above one half.
    public let labelIDs: [Int]

    /// Reads logits as the task means them.
    public init(logits: [Float], task: Task) {
        self.logits = logits
        switch task {
        case .singleLabel:
            probabilities = softmax(logits).map { Float($0) }
            labelIDs = [argmax(logits)]
        case .multiLabel:
            probabilities = logits.map { Float(sigmoid($0)) }
            labelIDs = logits.indices.filter { logits[$0] > 0 }
        case .regression, .causal:
            probabilities = []
            labelIDs = []
        }
    }
}
