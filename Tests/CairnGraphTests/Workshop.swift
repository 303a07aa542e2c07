// SPDX-License-Identifier: Apache-2.0
/// What tests of graphs need: parameters with random numbers, and a decoder in miniature.

import CairnEngine
import CairnGraph
import CairnTensor
import TestSupport

/// A context and the parameters of one test.
final class Workshop {
    let context: Context
    let parameters: Parameters
    private var stream: RandomStream
    /// What each parameter started with.
    private(set) var start: [String: [Float]] = [:]

    init(isa: ISA = .scalar, threads: Int = 1, seed: UInt64 = 1) throws {
        context = try Context(isa: isa, threads: threads)
        parameters = Parameters(context: context)
        stream = RandomStream(seed: seed, name: "workshop")
    }

    /// A parameter of normal numbers around `center`.
    func parameter(
        _ name: String, _ dimensions: [Int], trains: Bool = true, center: Float = 0,
        deviation: Float = 0.5
    ) throws -> ParameterReference {
        let count = dimensions.reduce(1, *)
        let numbers = [Float].random(count, using: &stream).map { center + deviation * $0 }
        start[name] = numbers
        let tensor = Tensor(numbers, shape: Shape(dimensions))
        if trains {
            try parameters.addTrainable(name, tensor)
        } else {
            try parameters.addFrozen(name, tensor)
        }
        return ParameterReference(name: name, dimensions: dimensions, isTrainable: trains)
    }

    func numbers(_ count: Int) -> [Float] { .random(count, using: &stream) }

    /// The gradient of every parameter, after a step.
    func gradients(_ program: Program) throws -> [String: [Float]] {
        try program.finishedGradients().mapValues { context.read($0) }
    }
}

extension Sequence<Node> {
    func count(of kind: String, on rows: RowSpace? = nil) -> Int {
        count { node in
            node.kind == kind
                && (rows == nil || (node.outputs.first ?? node.inputs[0]).rows == rows)
        }
    }
}

/// Which parameters of the small decoder train.
enum Trained {
    case everything
    /// The LoRA pairs of q and v of every layer, and the head.
    case adapters
    /// The LoRA pairs of the last layer alone, and the head.
    case lastAdapters
    /// Nothing but the head.
    case head
}

/// Two pre-norm blocks of rotary attention and a gated feed-forward layer, and a classifier.
struct SmallDecoder {
    static let width = 8
    static let inner = 12
    static let vocabulary = 11
    static let labels = 3

    let workshop: Workshop
    let trained: Trained
    private(set) var graph = Graph()
    private(set) var hidden: Value
    private(set) var logits: Value

    init(_ workshop: Workshop, trained: Trained = .adapters, dropout: Float = 0) throws {
        self.workshop = workshop
        self.trained = trained
        let table = try workshop.parameter(
            "embed", [Self.vocabulary, Self.width], trains: trained == .everything)
        hidden = graph.embedding(.tokens, table: table)
        logits = hidden
        for layer in 0..<2 { try block(layer, dropout) }
        hidden = graph.rmsNorm(
            hidden, weight: try norm("norm", Self.width), epsilon: 1e-6)
        let score = try workshop.parameter("score", [Self.labels, Self.width])
        hidden = graph.linear(hidden, weight: score)
        logits = graph.selectRows(hidden, .sequences)
    }

    private func norm(_ name: String, _ width: Int) throws -> ParameterReference {
        try workshop.parameter(
            name, [width], trains: trained == .everything, center: 1, deviation: 0.1)
    }

    private mutating func linear(
        _ x: Value, _ name: String, _ outputs: Int, rank: Int?, _ dropout: Float
    ) throws -> Value {
        let weight = try workshop.parameter(
            name, [outputs, x.columns], trains: trained == .everything)
        guard let rank else { return graph.linear(x, weight: weight) }
        let pair = LoRAPair(
            a: try workshop.parameter(name + ".A", [rank, x.columns]),
            b: try workshop.parameter(name + ".B", [outputs, rank]), scaling: 0.5)
        let dropped =
            dropout > 0
            ? graph.dropout(x, probability: dropout, seed: 3, site: name) : nil
        return graph.linear(x, weight: weight, pair: pair, adapterInput: dropped)
    }

    private mutating func block(_ layer: Int, _ dropout: Float) throws {
        let rank: Int? =
            switch trained {
            case .everything: nil
            case .adapters: 2
            case .lastAdapters: layer == 1 ? 2 : nil
            case .head: nil
            }
        let name = "\(layer)."
        let width = Self.width
        let h = graph.rmsNorm(hidden, weight: try norm(name + "in", width), epsilon: 1e-6)
        var q = try linear(h, name + "q", width, rank: rank, dropout)
        var k = try linear(h, name + "k", width / 2, rank: nil, 0)
        let v = try linear(h, name + "v", width / 2, rank: rank, dropout)
        let tables = graph.ropeTables(positions: 16, frequencies: [1, 0.1])
        q = graph.rope(q, heads: 2, half: 2, cosine: tables.cosine, sine: tables.sine)
        k = graph.rope(k, heads: 1, half: 2, cosine: tables.cosine, sine: tables.sine)
        let attended = graph.attention(
            AttentionLayout(
                heads: 2, keyValueHeads: 1, headDimension: 4, scale: 0.5, isCausal: true),
            q: q, k: k, v: v)
        let y = graph.add(hidden, try linear(attended, name + "o", width, rank: nil, 0))
        let n = graph.rmsNorm(y, weight: try norm(name + "post", width), epsilon: 1e-6)
        let gate = try linear(n, name + "gate", Self.inner, rank: nil, 0)
        let up = try linear(n, name + "up", Self.inner, rank: nil, 0)
        let gated = graph.gated(.silu, gate: gate, up: up)
        hidden = graph.add(y, try linear(gated, name + "down", width, rank: nil, 0))
    }

    /// A program that trains; `pruned` false also asks for every token's logits, which keeps
    /// every row.
    func program(pruned: Bool = true) throws -> Program {
        try Program(
            graph, outputs: pruned ? [logits] : [logits, hidden],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: workshop.parameters)
    }

    /// Four sequences of 5, 1, 7 and 3 tokens.
    static var batch: Batch {
        var batch = Batch(sequences: [
            [1, 4, 2, 9, 3], [10], [5, 5, 0, 7, 8, 6, 1], [2, 3, 4],
        ])
        batch.classTargets = [0, 2, 1, 2]
        batch.lossScale = 0.25
        return batch
    }

    /// Sequences `range` of the batch, as a micro-batch of a step of two groups of two.
    static func part(_ range: Range<Int>) -> Batch {
        let whole = batch
        let tokens = range.map {
            Array(whole.ids[Int(whole.offsets[$0])..<Int(whole.offsets[$0 + 1])])
        }
        var part = Batch(sequences: tokens)
        part.rowIDs = range.map { UInt32($0) }
        part.classTargets = Array(whole.classTargets[range])
        part.lossScale = whole.lossScale
        part.groups =
            [0]
            + (range.contains(2) && range.lowerBound < 2
                ? [UInt32(2 - range.lowerBound)] : []) + [UInt32(range.count)]
        part.resumes = range.lowerBound % 2 != 0
        part.suspends = range.upperBound % 2 != 0
        return part
    }
}
