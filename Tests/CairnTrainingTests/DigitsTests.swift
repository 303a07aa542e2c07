// SPDX-License-Identifier: Apache-2.0
/// A network without tokens from end to end: handwritten digits.

import CairnEngine
import CairnGraph
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import Testing

/// Pixels in 0...1 and the digit of 1797 images.
private struct Digits {
    var pixels: [[Float]] = []
    var labels: [Int32] = []

    init() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/digits/digits.csv")
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let numbers = line.split(separator: ",").compactMap { Float($0) }
            pixels.append(numbers.dropLast().map { $0 / 16 })
            labels.append(Int32(numbers.last ?? -1))
        }
    }

    func batch(_ rows: some Collection<Int>) -> Batch {
        var batch = Batch(features: rows.flatMap { pixels[$0] }, rows: rows.count)
        batch.classTargets = rows.map { labels[$0] }
        batch.lossScale = 1 / Float(rows.count)
        return batch
    }
}

@Suite struct DigitsTests {
    @Test func `a network of two layers reads handwritten digits`() throws {
        let digits = try Digits()
        try #require(digits.labels.count == 1797 && digits.pixels.allSatisfy { $0.count == 64 })
        // The file goes by writers: shuffled, so that train and test have all of them.
        let rows = RandomStream.shuffled(1797, "split")
        let train = Array(rows[..<1400])

        let model = Sequential(inputs: 64) {
            Dense(64)
            Activate(.relu)
            Dense(10)
        }
        let parameters = Parameters(context: try Context(threads: 1))
        for tensor in model.parameters {
            try parameters.addTrainable(tensor.name, tensor.initialTensor(seed: 1))
        }
        var recorder = Recorder(training: .everything)
        let logits = model.record(&recorder)
        let program = try Program(
            recorder.graph, outputs: [logits],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: parameters)
        let optimizer = try Optimizer(parameters: parameters)
        for epoch in 0..<20 {
            let order = RandomStream.shuffled(train.count, "epoch \(epoch)").map { train[$0] }
            for start in stride(from: 0, to: train.count, by: 50) {
                program.zeroGradients()
                try program.run(digits.batch(order[start..<start + 50]))
                try optimizer.update(gradientsOf: program, learningRate: 3e-3)
            }
        }

        let held = digits.batch(rows[1400...])
        let outputs = try program.run(held).outputs[0]
        let right = held.classTargets.enumerated().count { row, digit in
            let own = outputs[row * 10..<row * 10 + 10]
            return own.max()! == own[own.startIndex + Int(digit)]
        }
        let accuracy = Double(right) / Double(held.classTargets.count)
        #expect(accuracy >= 0.96, "accuracy \(accuracy)")
    }
}

extension RandomStream {
    fileprivate static func shuffled(_ count: Int, _ name: String) -> [Int] {
        var stream = RandomStream(seed: 1, name: name)
        return stream.permutation(count)
    }
}
