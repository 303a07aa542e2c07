// SPDX-License-Identifier: Apache-2.0
/// LoRA: which layers get a pair, how large it is, how it starts.

import CairnTensor
import CairnGraph
import Foundation

/// Settings of a LoRA adapter, under PEFT's names.
public struct AdapterConfiguration: Sendable, Equatable {
    /// r: rows of A, columns of B.
    public var rank: Int
    /// The numerator of the scaling.
    public var alpha: Double
    /// Scale by alpha / sqrt(rank) instead of alpha / rank.
    public var usesRSLoRA: Bool
    /// Whether the directions are trained apart from the magnitudes (DoRA).
    public var usesDoRA: Bool
    /// Probability of dropping an input of the pair while training.
    public var dropout: Float
    /// Which linear layers get a pair.
    public var targets: TargetModules
    /// Of those, the ones in these layers of the model, counted from 0; nil is all of them. PEFT's
    /// `layers_to_transform`.
    public var layers: [Int]?

    /// The settings of an adapter.
    public init(
        rank: Int = 16, alpha: Double = 32, usesRSLoRA: Bool = false, usesDoRA: Bool = false,
        dropout: Float = 0, targets: TargetModules = .allLinear, layers: [Int]? = nil
    ) {
        precondition(rank > 0, "rank is at least 1, got \(rank)")
        precondition(dropout >= 0 && dropout < 1, "dropout is in [0, 1), got \(dropout)")
        self.rank = rank
        self.alpha = alpha
        self.usesRSLoRA = usesRSLoRA
        self.usesDoRA = usesDoRA
        self.dropout = dropout
        self.targets = targets
        self.layers = layers
    }

    /// Whether a layer of this name gets a pair, by PEFT's rule: a name that is an entry as a whole
    /// does wherever it lies.
    public func targets(_ module: String) -> Bool {
        guard targets.matches(module) else { return false }
        guard let layers else { return true }
        if case .names(let names) = targets, names.contains(module) { return true }
        return Self.layer(of: module).map(layers.contains) ?? false
    }

    /// The layer in which a module lies: the last number between dots that has a list's name and
    /// something else before it, as in `model.layers.4.mlp.up_proj`.
    static func layer(of module: String) -> Int? {
        let parts = module.split(separator: ".", omittingEmptySubsequences: false)
        return parts.dropFirst(2).dropLast().last { $0.allSatisfy(\.isNumber) && !$0.isEmpty }
            .flatMap { Int($0) }
    }

    /// The factor on B A x.
    public var scaling: Float {
        Float(usesRSLoRA ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
    }
}

/// Which linear layers get a pair, by PEFT's rule.
public enum TargetModules: Sendable, Equatable, CustomStringConvertible {
    /// Every linear layer but the output head.
    case allLinear
    /// A layer whose name is an entry, or ends in "." and an entry.
    case names([String])
    /// A layer whose whole name matches the expression.
    case pattern(String)

    public var description: String {
        switch self {
        case .allLinear: "all-linear"
        case .names(let names): names.joined(separator: ",")
        case .pattern(let pattern): pattern
        }
    }

    /// Whether a layer of this name is meant.
    public func matches(_ module: String) -> Bool {
        switch self {
        case .allLinear: return true
        case .names(let names):
            return names.contains { module == $0 || module.hasSuffix("." + $0) }
        case .pattern(let pattern):
            // The whole name, as Python's re.fullmatch: anchored, so that alternatives backtrack.
            return module.range(of: "^(?:\(pattern))$", options: .regularExpression) != nil
        }
    }
}

/// An adapter for one model: its settings and the layers it targets.
public struct Adapter: Sendable, Equatable {
    /// Its settings.
    public let configuration: AdapterConfiguration
    /// Names of the layers with a pair.
    public let modules: Set<String>
    /// The same, in the model's order.
    public let orderedModules: [String]

    /// Selects the layers of `model` that the settings target.
    public init(_ configuration: AdapterConfiguration, for model: some Model) throws(ModelError) {
        let names = model.linearLayers.map(\.name)
        if let layers = configuration.layers {
            let known = Set(names.compactMap(AdapterConfiguration.layer))
            if let layer = layers.first(where: { !known.contains($0) }) {
                throw .noLayer(layer, count: (known.max() ?? -1) + 1)
            }
        }
        let matched = names.filter { configuration.targets($0) }
        guard !matched.isEmpty else {
            let kinds = Set(names.map { $0.split(separator: ".").last.map(String.init) ?? $0 })
            throw .noTargetMatches(
                targets: configuration.targets.description, examples: kinds.sorted())
        }
        // An entry that matches nothing is a misspelling, even when another one matches.
        if case .names(let entries) = configuration.targets {
            for entry in entries
            where !names.contains(where: { TargetModules.names([entry]).matches($0) }) {
                let kinds = Set(names.map { $0.split(separator: ".").last.map(String.init) ?? $0 })
                throw .noTargetMatches(targets: entry, examples: kinds.sorted())
            }
        }
        self.configuration = configuration
        modules = Set(matched)
        orderedModules = matched
    }

    func pair(for layer: Linear) -> LoRAPair {
        let rank = configuration.rank
        func reference(_ name: String, _ dimensions: [Int]) -> ParameterReference {
            ParameterReference(
                name: layer.name + name, dimensions: dimensions, isTrainable: true)
        }
        return LoRAPair(
            a: reference(".lora_A.weight", [rank, layer.inputs]),
            b: reference(".lora_B.weight", [layer.outputs, rank]),
            scaling: configuration.scaling)
    }

    func magnitude(for layer: Linear) -> ParameterReference {
        ParameterReference(
            name: layer.name + ".lora_magnitude_vector", dimensions: [layer.outputs],
            isTrainable: true)
    }

    /// The tensors of the adapter, with how they start: A uniform within 1/sqrt(in), as PEFT's
    /// Kaiming initialization has it; B zero. DoRA's magnitudes start at the row norms of W, which
    /// only the caller, who has the weights, can set.
    public func parameters(of model: some Model) -> [ParameterSpecification] {
        model.linearLayers.filter { modules.contains($0.name) }.flatMap { layer in
            let pair = pair(for: layer)
            let bound = 1 / Float(layer.inputs).squareRoot()
            return [
                ParameterSpecification(pair.a.name, pair.a.dimensions, .uniform(bound: bound)),
                ParameterSpecification(pair.b.name, pair.b.dimensions, .zeros),
            ]
                + (configuration.usesDoRA
                    ? [
                        ParameterSpecification(
                            magnitude(for: layer).name, [layer.outputs], .ones)
                    ] : [])
        }
    }
}

extension ParameterSpecification {
    /// The numbers it starts with: a stream of its own, named after it, under the run's seed.
    public func initialTensor(seed: UInt64) -> Tensor {
        let count = dimensions.reduce(1, *)
        var stream = RandomStream(seed: seed, name: "init/" + name)
        let numbers: [Float] =
            switch initialization {
            case .zeros: [Float](repeating: 0, count: count)
            case .ones: [Float](repeating: 1, count: count)
            case .normal(let deviation): (0..<count).map { _ in deviation * stream.normal() }
            case .uniform(let bound): (0..<count).map { _ in (2 * stream.uniform() - 1) * bound }
            }
        return Tensor(numbers, shape: Shape(dimensions))
    }
}
