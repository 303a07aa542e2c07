// SPDX-License-Identifier: Apache-2.0
/// Checkpoints as mlx-ruby writes them, made by `Tests/Fixtures/mlx_ruby/make_mlx_ruby.rb`.

import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct MLXRubyFileTests {
    private static func fixture(_ name: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/mlx_ruby/\(name)")
    }

    /// Number i is (offset + i) / 64, as in the script.
    private static func numbers(_ count: Int, from offset: Int) -> [Float] {
        (0..<count).map { Float(offset + $0) / 64 }
    }

    private static let sizes = ["0.bias": 4, "0.weight": 12, "2.bias": 2, "2.weight": 8]

    @Test(arguments: ["adam.bin", "adam.safetensors"])
    func `both forms load with weights, metadata and optimizer`(name: String) throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(.adam(), parameters: run.parameters)

        let payload = try run.network.load(from: Self.fixture(name), optimizer: optimizer)

        #expect(payload.metadata == ["epoch": 1, "tag": "first", "epoch_loss": 0.5])
        #expect(optimizer.step == 5)
        #expect(payload.optimizer?.learningRate == 0.125)
        for (parameter, count) in Self.sizes {
            #expect(run.numbers[parameter] == Self.numbers(count, from: 2))
            let slots = optimizer.state.slots[parameter]!
            #expect(slots["m"]!.floats() == Self.numbers(count, from: -3))
            #expect(slots["v"]!.floats() == Self.numbers(count, from: 1))
        }
        #expect(
            payload.remarks == ["the file does not say which optimizer wrote it; its slots fit"])
    }

    @Test func `a MultiOptimizer loads into groups`() throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(
            groups: [
                ParameterGroup("w", .suffix("weight"), .adamW()),
                ParameterGroup("b", .everything, .sgd(momentum: 0.9)),
            ], parameters: run.parameters)

        try run.network.load(from: Self.fixture("multi.bin"), optimizer: optimizer)

        let slots = optimizer.state.slots
        #expect(slots["2.weight"]!["m"]!.floats() == Self.numbers(8, from: -3))
        #expect(slots["0.bias"]!.mapValues { $0.floats() } == ["v": Self.numbers(4, from: 7)])
    }

    @Test func `the velocity of zeros of a descent without momentum is left out`() throws {
        let run = try SmallRun()
        let optimizer = try Optimizer(.sgd(), parameters: run.parameters)

        try run.network.load(from: Self.fixture("sgd.bin"), optimizer: optimizer)

        #expect(optimizer.step == 5)
    }

    /// mlx-ruby takes both, the second with second moments for velocities.
    @Test(arguments: [UpdateRule.lion(), .sgd(momentum: 0.9)])
    func `slots of another optimizer are refused`(rule: UpdateRule) throws {
        let run = try SmallRun()
        let before = run.numbers

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(
                from: Self.fixture("adam.bin"),
                optimizer: Optimizer(rule, parameters: run.parameters))
        }

        #expect(error?.description.contains("belongs to nothing that trains") == true)
        #expect(run.numbers == before)
    }

    /// What we write has the same tree as what mlx-ruby wrote, plus members of our own.
    @Test func `a file that was read is written again with mlx-ruby's keys and numbers`() throws {
        let directory = try TemporaryDirectory()
        let run = try SmallRun()
        let optimizer = try Optimizer(.adam(), parameters: run.parameters)
        let original = Self.fixture("adam.safetensors")
        let payload = try run.network.load(from: original, optimizer: optimizer)

        let url = try run.network.save(
            to: directory.file("again.safetensors"), optimizer: optimizer,
            metadata: payload.metadata)

        let theirs = try JSONValue.parse(
            contentsOf: MLXRubyCheckpoint.sidecarURL(ofWeights: original))
        let ours = try JSONValue.parse(contentsOf: MLXRubyCheckpoint.sidecarURL(ofWeights: url))
        for key in theirs.object!.keys {
            #expect(try Self.sorted(ours[key]) == Self.sorted(theirs[key]), "\(key)")
        }
        let (a, b) = (
            try SafetensorsFile(contentsOf: original), try SafetensorsFile(contentsOf: url)
        )
        for name in a.names {
            #expect(a.tensor(named: name)!.floats() == b.tensor(named: name)!.floats())
        }
        #expect(a.names == b.names)
    }

    private static func sorted(_ value: JSONValue?) throws -> Data {
        try #require(value).serialized(sortedKeys: true)
    }
}
