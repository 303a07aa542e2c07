// SPDX-License-Identifier: Apache-2.0
/// A stack of layers, written as a list.

import CairnGraph

/// Layers one after the other, named as torch.nn.Sequential names them: `0.weight`, `2.bias`.
///
///     let mlp = Sequential(inputs: 64) {
///         Dense(32)
///         Activate(.relu)
///         Dense(10)
///     }
public struct Sequential: Model {
    /// Columns that come in.
    public let inputs: Int
    private let layers: [any Layer]
    /// Columns that go out.
    public let outputs: Int

    /// - Precondition: there is at least one layer.
    public init(inputs: Int, @SequentialBuilder _ blocks: () -> [any SequentialBlock]) {
        var width = inputs
        var layers: [any Layer] = []
        for (index, block) in blocks().enumerated() {
            let (layer, next) = block.layer(name: "\(index)", inputs: width)
            layers.append(layer)
            width = next
        }
        precondition(!layers.isEmpty, "Sequential needs a layer")
        self.inputs = inputs
        self.layers = layers
        outputs = width
    }

    public var parameters: [ParameterSpecification] { layers.flatMap(\.parameters) }
    public var linearLayers: [Linear] { layers.compactMap { $0 as? Linear } }

    public func record(_ recorder: inout Recorder) -> Value {
        layers.reduce(recorder.graph.features(columns: inputs)) { $1($0, &recorder) }
    }
}

/// Something that becomes a layer once it knows its name and how many columns come in.
public protocol SequentialBlock {
    /// The layer under its name, and the columns that it gives for `inputs` columns.
    func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int)
}

/// y = x W^T + b.
public struct Dense: SequentialBlock {
    private let outputs: Int
    private let bias: Bool

    /// A layer of so many outputs; its inputs are what comes in.
    public init(_ outputs: Int, bias: Bool = true) {
        self.outputs = outputs
        self.bias = bias
    }

    /// The linear layer; its weight is [outputs, inputs].
    public func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int) {
        (Linear(name, inputs, outputs, bias: bias), outputs)
    }
}

/// y = f(x), element by element.
public struct Activate: SequentialBlock, Layer {
    private let function: Activation

    /// A layer without parameters.
    public init(_ function: Activation) { self.function = function }

    public var parameters: [ParameterSpecification] { [] }

    public func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        recorder.graph.activation(function, x)
    }

    /// The layer itself, as wide as what comes in.
    public func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int) {
        (self, inputs)
    }
}

/// Layer or RMS normalization over the columns.
public struct Normalize: SequentialBlock {
    /// What rows are normalized by.
    public enum Kind: Sendable {
        /// By mean and variance.
        case layer
        /// By the mean square alone.
        case rms
    }

    private let kind: Kind
    private let epsilon: Float

    /// A normalization as wide as what comes in.
    public init(_ kind: Kind = .layer, epsilon: Float = 1e-5) {
        self.kind = kind
        self.epsilon = epsilon
    }

    /// The normalization, as wide as what comes in.
    public func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int) {
        switch kind {
        case .layer: (LayerNorm(name, width: inputs, epsilon: epsilon), inputs)
        case .rms: (RMSNorm(name, width: inputs, epsilon: epsilon), inputs)
        }
    }
}

/// Zeroes each element with a probability while training.
public struct Drop: SequentialBlock {
    private let probability: Float

    /// - Precondition: the probability is in [0, 1).
    public init(_ probability: Float) { self.probability = probability }

    /// The layer, as wide as what comes in.
    public func layer(name: String, inputs: Int) -> (layer: any Layer, outputs: Int) {
        (DropLayer(name: name, probability: probability), inputs)
    }
}

struct DropLayer: Layer {
    let name: String
    let probability: Float

    var parameters: [ParameterSpecification] { [] }

    func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        guard recorder.drops else { return x }
        return recorder.graph.dropout(
            x, probability: probability, seed: recorder.seed, site: "dropout/\(name)")
    }
}

/// Lists the blocks of a `Sequential`.
@resultBuilder
public enum SequentialBuilder {
    /// One block.
    public static func buildExpression(_ block: any SequentialBlock) -> [any SequentialBlock] {
        [block]
    }

    /// Blocks one after the other.
    public static func buildBlock(_ blocks: [any SequentialBlock]...) -> [any SequentialBlock] {
        blocks.flatMap { $0 }
    }

    /// The blocks of a loop.
    public static func buildArray(_ blocks: [[any SequentialBlock]]) -> [any SequentialBlock] {
        blocks.flatMap { $0 }
    }

    /// The blocks of an `if` without `else`; none where it does not hold.
    public static func buildOptional(_ blocks: [any SequentialBlock]?) -> [any SequentialBlock] {
        blocks ?? []
    }

    /// The blocks of the branch that holds.
    public static func buildEither(first: [any SequentialBlock]) -> [any SequentialBlock] { first }

    /// The blocks of the branch that holds.
    public static func buildEither(second: [any SequentialBlock]) -> [any SequentialBlock] {
        second
    }
}
