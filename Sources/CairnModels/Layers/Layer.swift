// SPDX-License-Identifier: Apache-2.0
/// Layers: values with named parameters that record themselves into a graph.

import CairnGraph

/// How the numbers of a parameter start when no file has them.
public enum Initialization: Sendable, Equatable {
    /// All 0.
    case zeros
    /// All 1.
    case ones
    /// Normal around 0.
    case normal(deviation: Float)
    /// Uniform in [-bound, bound).
    case uniform(bound: Float)
}

/// A tensor that a layer needs: its name in the file, its shape, how it starts.
public struct ParameterSpecification: Sendable, Equatable {
    /// The name in files.
    public let name: String
    /// The shape, row-major.
    public let dimensions: [Int]
    /// How it starts.
    public let initialization: Initialization
    /// Part of a task's head: trained in full whatever the method, absent from a base's files.
    public var isHead = false

    /// A parameter of a name and a shape.
    public init(_ name: String, _ dimensions: [Int], _ initialization: Initialization) {
        self.name = name
        self.dimensions = dimensions
        self.initialization = initialization
    }
}

/// A part of a model: parameters under their names in the file, and what they compute.
public protocol Layer: Sendable {
    /// Every tensor the layer reads, in the order of use.
    var parameters: [ParameterSpecification] { get }

    /// Records the layer on `x`.
    func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value
}

/// Which parameters of a model train.
public enum Training: Sendable {
    /// Every one, head included.
    case everything
    /// The LoRA pairs of the adapter, and the head.
    case adapter
    /// Exactly those of these names.
    case names(Set<String>)
}

/// Where layers record themselves, and what they must know to do so.
public struct Recorder: Sendable {
    /// What was recorded so far.
    public var graph = Graph()
    /// The LoRA pairs to add; nil for the plain model.
    public let adapter: Adapter?
    /// Which parameters train.
    public let training: Training
    /// Seed of the dropout masks.
    public let seed: UInt64
    /// Constants kept across layers: rotary tables.
    var ropeTables: [RopeKey: RopeTables] = [:]

    /// Whether dropout drops: in training, not in evaluation.
    public let drops: Bool

    /// An empty graph to record into.
    public init(
        adapter: Adapter? = nil, training: Training = .adapter, seed: UInt64 = 0,
        drops: Bool = false
    ) {
        self.adapter = adapter
        self.training = training
        self.seed = seed
        self.drops = drops
    }

    func reference(_ specification: ParameterSpecification) -> ParameterReference {
        let trains: Bool =
            switch training {
            case .everything: true
            case .adapter: specification.isHead
            case .names(let names): names.contains(specification.name)
            }
        return ParameterReference(
            name: specification.name, dimensions: specification.dimensions, isTrainable: trains)
    }

    /// A parameter of the adapter, which trains unless it was frozen.
    func reference(adapted parameter: ParameterReference) -> ParameterReference {
        guard case .names(let names) = training else { return parameter }
        return ParameterReference(
            name: parameter.name, dimensions: parameter.dimensions,
            isTrainable: names.contains(parameter.name))
    }
}

/// y = x W^T + b, with a LoRA pair where the recorder's adapter targets this layer.
///
/// Shapes: x [rows, in], `NAME.weight` [out, in], `NAME.bias` [out].
public struct Linear: Layer {
    /// The name in files, without `.weight`.
    public let name: String
    /// Columns of x.
    public let inputs: Int
    /// Columns of y.
    public let outputs: Int
    /// Whether b is there.
    public let hasBias: Bool
    /// How weight and bias start; torch's default is uniform within 1/sqrt(in).
    public let weightInitialization: Initialization
    /// How the bias starts.
    public let biasInitialization: Initialization
    /// Whether it belongs to a task's head.
    public var isHead = false

    /// A layer with torch's own initialization: uniform within 1/sqrt(in), weight and bias.
    public init(_ name: String, _ inputs: Int, _ outputs: Int, bias: Bool = true) {
        let bound = 1 / Float(inputs).squareRoot()
        self.init(
            name, inputs, outputs, bias: bias, weight: .uniform(bound: bound),
            biasStart: .uniform(bound: bound))
    }

    init(
        _ name: String, _ inputs: Int, _ outputs: Int, bias: Bool, weight: Initialization,
        biasStart: Initialization = .zeros, isHead: Bool = false
    ) {
        precondition(inputs > 0 && outputs > 0, "\(name): \(inputs) inputs, \(outputs) outputs")
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        hasBias = bias
        weightInitialization = weight
        biasInitialization = biasStart
        self.isHead = isHead
    }

    var weight: ParameterSpecification {
        var weight = ParameterSpecification(
            name + ".weight", [outputs, inputs], weightInitialization)
        weight.isHead = isHead
        return weight
    }

    var bias: ParameterSpecification? {
        guard hasBias else { return nil }
        var bias = ParameterSpecification(name + ".bias", [outputs], biasInitialization)
        bias.isHead = isHead
        return bias
    }

    public var parameters: [ParameterSpecification] { [weight] + [bias].compactMap { $0 } }

    public func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        let weight = recorder.reference(weight)
        let bias = bias.map { recorder.reference($0) }
        guard !isHead, let adapter = recorder.adapter, adapter.modules.contains(name) else {
            return recorder.graph.linear(x, weight: weight, bias: bias)
        }
        var pair = adapter.pair(for: self)
        pair.a = recorder.reference(adapted: pair.a)
        pair.b = recorder.reference(adapted: pair.b)
        var dropped: Value?
        if recorder.drops, adapter.configuration.dropout > 0 {
            dropped = recorder.graph.dropout(
                x, probability: adapter.configuration.dropout, seed: recorder.seed,
                site: "dropout/\(name)")
        }
        guard adapter.configuration.usesDoRA else {
            return recorder.graph.linear(
                x, weight: weight, bias: bias, pair: pair, adapterInput: dropped)
        }
        return recorder.graph.dora(
            x, weight: weight, bias: bias, pair: pair,
            magnitude: recorder.reference(adapted: adapter.magnitude(for: self)),
            dropped: dropped)
    }
}

/// y = x / sqrt(mean(x^2) + epsilon) * w, over each run of `width` columns.
public struct RMSNorm: Layer {
    /// The name in files, without `.weight`.
    public let name: String
    /// Columns of a row.
    public let width: Int
    /// What is added to the mean square.
    public let epsilon: Float

    /// A normalization of rows of `width` columns.
    public init(_ name: String, width: Int, epsilon: Float = 1e-6) {
        self.name = name
        self.width = width
        self.epsilon = epsilon
    }

    public var parameters: [ParameterSpecification] {
        [ParameterSpecification(name + ".weight", [width], .ones)]
    }

    public func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        let weight = recorder.reference(parameters[0])
        return recorder.graph.rmsNorm(x, weight: weight, epsilon: epsilon)
    }
}

/// y = (x - mean(x)) / sqrt(var(x) + epsilon) * w + b.
public struct LayerNorm: Layer {
    /// The name in files, without `.weight`.
    public let name: String
    /// Columns of a row.
    public let width: Int
    /// What is added to the variance.
    public let epsilon: Float

    /// A normalization of rows of `width` columns.
    public init(_ name: String, width: Int, epsilon: Float = 1e-5) {
        self.name = name
        self.width = width
        self.epsilon = epsilon
    }

    public var parameters: [ParameterSpecification] {
        [
            ParameterSpecification(name + ".weight", [width], .ones),
            ParameterSpecification(name + ".bias", [width], .zeros),
        ]
    }

    public func callAsFunction(_ x: Value, _ recorder: inout Recorder) -> Value {
        let weight = recorder.reference(parameters[0])
        let bias = recorder.reference(parameters[1])
        return recorder.graph.layerNorm(x, weight: weight, bias: bias, epsilon: epsilon)
    }
}
