// SPDX-License-Identifier: Apache-2.0
/// How the cost of a step grows: with tokens, length, rank, layers and threads.

import Cairn
import Foundation

/// Times steps of a decoder with random weights, one number of it changed at a time.
///
/// The decoder has the shapes of SmolLM2-135M (hidden 576, 9 heads of 64, 3 of keys and values,
/// ffn 1536) with fewer layers and a smaller vocabulary, which a step hardly touches.
struct GrowthBench {
    private let options: BenchOptions
    private let report: Report

    init(_ options: BenchOptions, _ report: Report) {
        self.options = options
        self.report = report
    }

    struct WrongLoss: Error, CustomStringConvertible { let description: String }

    /// The numbers of a row; one of them is what the row is about.
    struct Point {
        var rows = 16
        var length = 64
        var rank = 16
        var layers = 4
        var threads: Int

        var tokens: Int { rows * length }
    }

    /// What grows along a part of the table.
    private enum Axis: String, CaseIterable {
        case tokens, length, rank, layers, threads

        /// The points of a part, the smallest first.
        func points(_ options: BenchOptions) -> [Point] {
            var plain = Point(threads: options.threads)
            if options.isQuick { (plain.rows, plain.layers) = (2, 1) }
            func changed(_ values: [Int], _ change: (inout Point, Int) -> Void) -> [Point] {
                (options.isQuick ? Array(values.prefix(2)) : values).map { value in
                    var point = plain
                    change(&point, value)
                    return point
                }
            }
            switch self {
            case .tokens:
                return changed([1, 2, 4, 8, 16, 32, 64]) { $0.rows = $1 }
            case .length:
                return changed([32, 64, 128, 256, 512, 1024, 2048, 4096]) {
                    $0.length = $1
                    $0.rows = max(4096 / $1, 1)
                }
            case .rank: return changed([1, 4, 16, 64, 256]) { $0.rank = $1 }
            case .layers: return changed([1, 2, 4, 8, 16]) { $0.layers = $1 }
            case .threads:
                let powers = sequence(first: 1) { $0 * 2 }.prefix { $0 < options.threads }
                return changed(powers + [options.threads]) { $0.threads = $1 }
            }
        }

        func value(_ point: Point) -> Int {
            switch self {
            case .tokens: point.tokens
            case .length: point.length
            case .rank: point.rank
            case .layers: point.layers
            case .threads: point.threads
            }
        }
    }

    func run() throws {
        report.machine(options)
        if !options.isQuick { report.line(Self.header) }
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-bench-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        var checked = 0
        var bases: [Int: BaseModel] = [:]
        for precision in [Precision.fp32, .bf16] {
            for axis in Axis.allCases {
                for point in axis.points(options) {
                    let base =
                        try bases[point.layers] ?? Self.base(layers: point.layers, in: folder)
                    bases[point.layers] = base
                    try row(axis, point, base, precision)
                    checked += 1
                }
            }
        }
        report.fact(
            "checked", JSONValue(checked), text: "\(checked) rows have the bits of one thread")
    }

    private func row(
        _ axis: Axis, _ point: Point, _ base: BaseModel, _ precision: Precision
    ) throws {
        let subject = try self.subject(point, base, precision, threads: point.threads)
        let found = try subject.step()
        let alone = try self.subject(point, base, precision, threads: 1).step()
        guard found.bitPattern == alone.bitPattern, found.isFinite else {
            throw WrongLoss(
                description: "\(axis.rawValue) \(axis.value(point)), \(precision.rawValue): the "
                    + "loss is \(found), expected \(alone) as on one thread")
        }
        if options.isQuick { return }
        var samples = Samples()
        for _ in 0..<Samples.count { samples.add(try Samples.time { _ = try subject.step() }) }
        let perToken = samples.median / Double(point.tokens)
        report.row(
            [
                "axis": .string(axis.rawValue), "value": JSONValue(axis.value(point)),
                "type": .string(precision.rawValue), "tokens": JSONValue(point.tokens),
                "length": JSONValue(point.length), "rank": JSONValue(point.rank),
                "layers": JSONValue(point.layers), "threads": JSONValue(point.threads),
                "milliseconds": .number(samples.median * 1e3), "spread": .number(samples.spread),
                "microseconds_per_token": .number(perToken * 1e6),
                "activation_bytes": JSONValue(subject.activationBytes),
                "gradient_bytes": JSONValue(subject.gradientBytes),
            ],
            text: Report.padded(precision.rawValue, 6) + Report.padded(axis.rawValue, 9)
                + String(
                    format: "%6d %10.2f %6.1f %10.2f %12.1f %10.1f", axis.value(point),
                    samples.median * 1e3, samples.spread * 100, perToken * 1e6,
                    Double(subject.activationBytes) * 1e-6, Double(subject.gradientBytes) * 1e-6))
    }

    private func subject(
        _ point: Point, _ base: BaseModel, _ precision: Precision, threads: Int
    ) throws -> StepCase {
        var stream = RandomStream(seed: 1, name: "bench/growth")
        let ids = (0..<point.rows).map { _ in
            (0..<point.length).map { _ in
                Int32(stream.index(below: base.configuration.vocabularySize))
            }
        }
        let data = DataSet(
            ids: ids, typeIDs: ids.map { [Int32](repeating: 0, count: $0.count) },
            targets: .classes((0..<point.rows).map { Int32($0 % Self.labels) }))
        return try StepCase(
            base, data, precision, Context(isa: options.isa, threads: threads), rank: point.rank,
            tokenBudget: point.tokens)
    }

    private static let labels = 4

    /// A directory of the decoder with so many layers, its weights drawn from a seed, in bf16.
    private static func base(layers: Int, in folder: URL) throws -> BaseModel {
        let directory = folder.appendingPathComponent("\(layers)", isDirectory: true)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        let config: JSONValue = [
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
            "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9,
            "num_key_value_heads": 3, "num_hidden_layers": JSONValue(layers),
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "vocab_size": 8192, "initializer_range": 0.02,
            "torch_dtype": "bfloat16",
        ]
        try config.serialized().write(to: directory.appendingPathComponent("config.json"))
        let head = Head.classification(labels: labels)
        let untrained = try TaskModel(
            BaseModel(contentsOf: directory, head: head, weights: .random), method: .full, seed: 1,
            parameters: Parameters(context: Context(threads: 1)))
        let names = untrained.base.model.parameters.filter { !$0.isHead }.map(\.name)
        let weights = names.map { ($0, Self.rounded(untrained.parameters.tensor($0))) }
        try DurableFile.write(to: directory.appendingPathComponent("model.safetensors")) {
            sink throws(FormatError) in
            try SafetensorsWriter.write(
                Dictionary(uniqueKeysWithValues: weights), to: &sink)
        }
        return try BaseModel(contentsOf: directory, head: head)
    }

    /// The numbers in bf16.
    private static func rounded(_ tensor: Tensor) -> Tensor {
        Tensor(tensor.shape, dtype: .bf16) { bytes in
            let places = bytes.bindMemory(to: UInt16.self)
            for (index, number) in tensor.floats().enumerated() {
                places[index] = BFloat16(number).bitPattern
            }
        }
    }

    private static let header =
        "type  what       value         ms  ±MAD%   us/token  activ. MB   grad. MB"
}
