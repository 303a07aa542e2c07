// SPDX-License-Identifier: Apache-2.0
/// The trainer on models of this library: digits, losses of one's own, directories, same bits.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TrainerModelTests {
    static let mlp = Sequential(inputs: 6) {
        Dense(8)
        Activate(.tanh)
        Drop(0.25)
        Dense(3)
    }

    static func network(threads: Int = 1) throws -> Network {
        try Network(mlp, seed: 1, parameters: Parameters(context: Context(threads: threads)))
    }

    /// 40 rows of 6 numbers, the class of each the largest of its first three.
    static func rows() -> Pipeline<(x: [Float], y: Int32)> {
        var stream = RandomStream(seed: 3, name: "rows")
        let rows = (0..<40).map { _ in
            let x = [Float].random(6, using: &stream)
            return (x: x, y: Int32((0..<3).max { x[$0] < x[$1] }!))
        }
        return Pipeline(rows)
    }

    static func batch(_ rows: [(x: [Float], y: Int32)], _: BatchContext) -> Batch {
        var batch = Batch(features: rows.flatMap(\.x), rows: rows.count)
        batch.classTargets = rows.map(\.y)
        return batch
    }

    static var train: Feed<Batch> { Feed(rows().shuffle(seed: 2).batch(7), collate: batch) }
    static var held: Feed<Batch> { Feed(rows().take(12).batch(12), collate: batch) }

    static func trainer(threads: Int = 1) throws -> Trainer<Batch> {
        try Trainer(
            network(threads: threads), loss: .crossEntropy, learningRate: .constant(0.01), clip: 1)
    }

    @Test func `a network of two layers reads handwritten digits`() throws {
        let digits = try DigitRows()
        let network = try Network(
            Sequential(inputs: 64) {
                Dense(128)
                Activate(.relu)
                Dense(10)
            }, seed: 1, parameters: Parameters(context: Context(threads: 1)))
        let trainer = try Trainer(network, loss: .crossEntropy, learningRate: .constant(3e-3))
        trainer.metrics = [.validationAccuracy]
        let train = Feed(Pipeline(digits.train).shuffle(seed: 1).batch(50), collate: digits.batch)
        let held = Feed(Pipeline(digits.held).batch(397), collate: digits.batch)
        let report = try trainer.fitReport(train, validation: held) { $0.epochs = 30 }

        let accuracy = report.epochs.last!.metrics["val_accuracy"]!
        #expect(accuracy >= 0.96, "accuracy \(accuracy)")
    }

    @Test func `steps are counted, and the loss falls`() throws {
        let report = try Self.trainer().fitReport(Self.train, validation: Self.held) {
            ($0.epochs, $0.monitor) = (8, .validationLoss)
        }

        #expect(report.steps == 8 * 6)
        #expect(report.epochs.last!.validationLoss! < 0.8 * report.epochs[0].validationLoss!)
    }

    @Test
    func `weakness 30: validation does not drop, and leaves gradients and parameters as they are`()
        throws
    {
        let learner = try GraphLearner(
            Self.network(), optimizer: Optimizer(parameters: Self.network().parameters),
            objective: .crossEntropy)
        let before = learner.stateDigest
        let input = Self.batch(
            [([1, 2, 3, 4, 5, 6], 1)], BatchContext(epoch: 0, index: 0, kind: .validation))

        let scores = try (0..<3).map { _ in try learner.score(input).loss }

        #expect(Set(scores).count == 1 && learner.stateDigest == before)
    }

    @Test func `batches of a step give the gradient of their mean`() throws {
        func digest(_ size: Int, accumulation: Int) throws -> [Float] {
            let network = try Network(
                Sequential(inputs: 6) { Dense(3) }, seed: 1,
                parameters: Parameters(context: Context(threads: 1)))
            let trainer = try Trainer(
                network, loss: .crossEntropy, learningRate: .constant(0.01))
            let feed = Feed(Self.rows().batch(size), collate: Self.batch)
            try trainer.fit(feed) { $0.accumulation = accumulation }
            return network.parameters.tensor("0.weight").floats()
        }

        let whole = try digest(20, accumulation: 1)
        let parts = try digest(5, accumulation: 4)

        #expect(firstMismatch(parts, whole, tolerance: 1e-5) == nil)
    }

    @Test func `a loss recorded by hand trains as the built-in one`() throws {
        func weights(_ objective: Objective) throws -> [Float] {
            let network = try Self.network()
            let feed = Feed(Self.rows().batch(8)) { rows, _ in
                var batch = Batch(features: rows.flatMap(\.x), rows: rows.count)
                batch.valueTargets = rows.flatMap { $0.x.prefix(3) }
                return batch
            }
            let trainer = try Trainer(network, loss: objective, learningRate: .constant(0.01))
            try trainer.fit(feed) { $0.epochs = 2 }
            return network.parameters.tensor("0.weight").floats()
        }
        let byHand = Objective.recorded(name: "mean squared error") { graph, logits in
            let difference = graph.add(logits, graph.targetValues(columns: 3), scale: -1)
            return graph.scaled(
                graph.sumOfColumns(graph.multiply(difference, difference)), by: 1 / 3)
        }

        let expected = try weights(.squaredError)
        let found = try weights(byHand)

        #expect(firstMismatch(found, expected, tolerance: 1e-4) == nil)
    }

    // MARK: Same bits

    /// What a run of two epochs ends with, stopped after `steps` steps and resumed if given.
    private func outcome(
        stoppedAfter steps: Int?, threads: (Int, Int) = (1, 1)
    ) throws -> (digest: String, losses: [Double?]) {
        let folder = try TemporaryDirectory()
        func fit(_ threads: Int, _ source: ResumeSource?, stop: Int?) throws -> FitReport {
            let trainer = try Self.trainer(threads: threads)
            return try trainer.fitReport(Self.train, validation: Self.held) {
                $0.epochs = 2
                $0.accumulation = 2
                $0.monitor = .validationLoss
                $0.checkpointPath = .template(folder.file("ep-%{epoch}/").path + "/")
                $0.shouldStop = { stop.map { trainer.learner.step >= $0 } ?? false }
                $0.resumeFrom = source
            }
        }
        guard let steps else {
            let report = try fit(threads.0, nil, stop: nil)
            return (report.stateDigest, report.history.map(\.validationLoss))
        }
        let first = try fit(threads.0, nil, stop: steps)
        let report = try fit(threads.1, .path(first.checkpoints.last!.path), stop: nil)
        return (report.stateDigest, report.history.map(\.validationLoss))
    }

    @Test(arguments: 0...5)
    func `weakness 2 and 3: a network stopped after any step and resumed has the same bits`(
        steps: Int
    ) throws {
        let whole = try outcome(stoppedAfter: nil)

        let parts = try outcome(stoppedAfter: steps, threads: (1, 2))

        #expect(parts.digest == whole.digest && parts.losses == whole.losses)
    }

    @Test func `weakness 13: a flipped byte of a directory keeps it from being loaded`() throws {
        let folder = try TemporaryDirectory()
        let trainer = try Self.trainer()
        let path = folder.file("ck")
        try trainer.fit(Self.train) { $0.checkpointPath = .template(path.path + "/") }
        let digest = trainer.learner.stateDigest

        for name in ["model.safetensors", "training/optimizer.safetensors", "training/state.json"] {
            let file = path.appendingPathComponent(name)
            let bytes = try Data(contentsOf: file)
            for place in stride(from: 0, to: bytes.count, by: 37) {
                var damaged = bytes
                damaged[place] ^= 4
                try damaged.write(to: file)
                #expect(
                    message { _ = try trainer.learner.read(path, withOptimizer: true) }.contains(
                        "SHA-256"))
            }
            try bytes.write(to: file)
        }
        #expect(trainer.learner.stateDigest == digest)
        #expect(try trainer.learner.read(path, withOptimizer: true).hasOptimizer)
    }

    @Test func `weakness 10, 11 and 37: another model's checkpoint is refused with every problem`()
        throws
    {
        let folder = try TemporaryDirectory()
        try Self.trainer().fit(Self.train) {
            $0.checkpointPath = .template(folder.file("ck").path + "/")
        }
        let other = try Network(
            Sequential(inputs: 6) {
                Dense(9)
                Dense(3)
            }, seed: 1, parameters: Parameters(context: Context(threads: 1)))
        let trainer = try Trainer(
            other, loss: .crossEntropy, learningRate: .constant(0.01), clip: 1)
        let before = trainer.learner.stateDigest

        let text = message {
            try trainer.fit(Self.train) { $0.resumeFrom = .path(folder.file("ck")) }
        }

        for part in [
            "'0.weight' is F32 [8, 6], expected F32 [9, 6]", "'1.weight' is missing",
            "'3.weight' is no parameter of the model",
        ] { #expect(text.contains(part), "\(text)") }
        #expect(trainer.learner.stateDigest == before)
    }

    @Test
    func `weakness 6: another learning rate, optimizer, clip or loss is refused unless allowed`()
        throws
    {
        let folder = try TemporaryDirectory()
        try Self.trainer().fit(Self.train) {
            $0.checkpointPath = .template(folder.file("ck").path + "/")
        }
        let network = try Self.network()
        let other = try Trainer(
            network, optimizer: Optimizer(.adamW(weightDecay: 0.5), parameters: network.parameters),
            loss: .loss(.crossEntropy(weights: nil, labelSmoothing: 0.1, ignoreIndex: -100)),
            learningRate: .constant(0.02), clip: 2)

        let text = message {
            try other.fit(Self.train) { $0.resumeFrom = .path(folder.file("ck")) }
        }
        let report = try other.fitReport(Self.train) {
            ($0.epochs, $0.resumeFrom) = (2, .path(folder.file("ck")))
            $0.allowedDifferences = [.learningRate, .optimizer, .clip, .loss]
        }

        for part in [
            "learning_rate was 0.01, is 0.02", "clip was 1.0, is 2.0", "loss was", "optimizer was",
        ] {
            #expect(text.contains(part), "\(text)")
        }
        #expect(report.startEpoch == 1 && report.learningRate == 0.02)
    }
}

/// Pixels in 0...1 and the digit of 1797 images, 1400 of them to train on.
struct DigitRows {
    let train: [(x: [Float], y: Int32)]
    let held: [(x: [Float], y: Int32)]

    init() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/digits/digits.csv")
        let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map {
            let numbers = $0.split(separator: ",").compactMap { Float($0) }
            return (x: numbers.dropLast().map { $0 / 16 }, y: Int32(numbers.last!))
        }
        // The file goes by writers: shuffled, so that both parts have all of them.
        var stream = RandomStream(seed: 1, name: "split")
        let order = stream.permutation(rows.count)
        train = order[..<1400].map { rows[$0] }
        held = order[1400...].map { rows[$0] }
    }

    func batch(_ rows: [(x: [Float], y: Int32)], _: BatchContext) -> Batch {
        TrainerModelTests.batch(rows, BatchContext(epoch: 0, index: 0, kind: .train))
    }
}
