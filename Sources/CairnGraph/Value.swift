// SPDX-License-Identifier: Apache-2.0
/// What a graph is made of: symbolic matrices, the rows they have, parameters they read.

import CairnEngine

/// A set of rows whose number is known only when a batch comes.
public enum RowSpace: String, Hashable, Sendable, CaseIterable {
    /// Every token of the packed sequences.
    case tokens
    /// One row per sequence: pooled, or the input of a model without tokens.
    case sequences
    /// The tokens that a language model is asked to predict from.
    case targets
    /// A single row, whatever the batch: a function of parameters alone.
    case single
    /// Every token of every sequence in full: those of a prompt that sequences share are there again
    /// for each of them.
    case repeated
}

/// A matrix of the graph: fp32, [rows, columns], rows symbolic.
public struct Value: Hashable, Sendable {
    package let id: Int
    /// What its rows are; how many there are is known with the batch.
    public let rows: RowSpace
    /// Numbers per row.
    public let columns: Int
}

/// A tensor that a model reads, by its name in the Hugging Face file.
public struct ParameterReference: Hashable, Sendable {
    /// The parameter's name in files.
    public let name: String
    /// [out, in] for a matrix, [n] for a vector.
    public let dimensions: [Int]
    /// Whether gradients flow to it.
    public let isTrainable: Bool

    /// A parameter of a shape, which trains or stands still.
    public init(name: String, dimensions: [Int], isTrainable: Bool) {
        self.name = name
        self.dimensions = dimensions
        self.isTrainable = isTrainable
    }

    package var elementCount: Int { dimensions.reduce(1, *) }
}

/// Numbers fixed when the graph is recorded: rotary tables, class weights.
package struct Constant: Hashable, Sendable {
    package let index: Int
    package let count: Int
}

/// An operation with what it reads and writes.
package struct Node: Sendable {
    package var operation: any Operation
    package var inputs: [Value]
    package var outputs: [Value]
}

/// The engine's functions of one number, under this module's name for the models above.
public typealias Activation = CairnEngine.Activation
