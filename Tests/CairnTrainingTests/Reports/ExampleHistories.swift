// SPDX-License-Identifier: Apache-2.0
/// Histories of runs that never were, for reports of every shape.

import CairnTensor
import CairnTraining
import Foundation

enum ExampleHistories {
    static let all: [(name: String, history: RunHistory)] = [
        ("usual", usual()), ("one-step", oneStep), ("long", long), ("broken", broken),
        ("labels", labels), ("numbers", numbers), ("empty", empty), ("classes", classes),
    ]

    /// A run of `epochs` epochs with falling, noisy losses.
    static func usual(
        title: String = "MiniLM on six kinds of glosses", epochs: Int = 4, steps: Int = 180
    ) -> RunHistory {
        var stream = RandomStream(seed: 1, name: title)
        var history = RunHistory(title: title, status: "completed")
        let total = epochs * steps
        for number in 1...total {
            let share = Double(number) / Double(total)
            let noise = Double(stream.normal())
            let spike = number == total / 40 ? 30.0 : 0
            history.steps.append(
                RunHistory.Step(
                    number: number, epoch: (number - 1) / steps + 1,
                    loss: 0.25 + 1.6 * exp(-6 * share) + 0.12 * noise * noise,
                    learningRate: 2e-4 * min(1, share * 10) * (1 + cos(.pi * share)) / 2,
                    gradientNorm: 0.8 + 2 * exp(-8 * share) + 0.2 * abs(noise) + spike,
                    throughput: Throughput(
                        rows: 16, tokens: 420 + Int(20 * noise), seconds: 0.05)))
        }
        for epoch in 1...epochs {
            let share = Double(epoch) / Double(epochs)
            history.epochs.append(
                RunHistory.Epoch(
                    number: epoch, step: epoch * steps, trainLoss: 0.3 + 0.9 * exp(-3 * share),
                    trainAccuracy: 0.95 - 0.4 * exp(-3 * share),
                    validationLoss: 0.42 + 0.5 * exp(-4 * share) + 0.08 * share,
                    validationAccuracy: 0.87 - 0.3 * exp(-5 * share),
                    validationMacroF1: 0.86 - 0.3 * exp(-5 * share), learningRate: 2e-4,
                    throughput: Throughput(rows: 16 * steps, tokens: 420 * steps, seconds: 9.1),
                    validationSeconds: 1.2))
        }
        history.bestEpoch = max(1, epochs * 3 / 4)
        history.timing = RunTiming(
            training: 9.1 * Double(epochs), validation: 1.2 * Double(epochs),
            saving: 0.31 * Double(epochs))
        history.rows = 16 * total
        history.tokens = 420 * total
        history.settings = [
            .init("base model", "all-MiniLM-L6-v2"), .init("LoRA", "rank 16, alpha 32"),
            .init("optimizer", "AdamW, weight decay 0.01"),
            .init("learning rate", "0.0002, cosine, warm-up 0.1"), .init("batch size", "16"),
            .init("epochs", "\(epochs)"), .init("precision", "bf16"), .init("seed", "42"),
        ]
        history.digests = [
            .init("training data", String(repeating: "6ce1", count: 16)),
            .init("final state", String(repeating: "a07f", count: 16)),
        ]
        history.peakByteCount = 412_300_000
        history.setTest(
            names: ["animal", "artifact", "body", "food", "person", "plant"], rows: 600)
        return history
    }

    static var oneStep: RunHistory {
        var history = RunHistory(title: "One step", status: "interrupted")
        history.steps = [
            .init(
                number: 1, epoch: 1, loss: 0.7, learningRate: 1e-5, gradientNorm: nil,
                throughput: Throughput(rows: 1, tokens: 3, seconds: 0.004))
        ]
        history.timing.training = 0.004
        (history.rows, history.tokens) = (1, 3)
        return history
    }

    /// 100 000 steps in 250 epochs.
    static let long = usual(title: "A long run", epochs: 250, steps: 400)

    /// Numbers that are none, names that are markup.
    static var broken: RunHistory {
        let markup = "<script>alert(\"1\")</script> & 'friends'"
        var history = usual(title: markup, epochs: 3, steps: 30)
        history.status = "failed: \(markup)"
        history.steps[40].loss = .nan
        history.steps[41].loss = .infinity
        history.steps[60].gradientNorm = nil
        history.epochs[1].validationLoss = .nan
        history.epochs[2].validationAccuracy = nil
        history.settings.append(.init(markup, "\u{0}\(markup)"))
        history.setTest(
            names: [markup, "", "a name that goes on for rather too long", "été"], rows: 40)
        return history
    }

    static var labels: RunHistory {
        var history = usual(title: "Many labels per row", epochs: 2, steps: 40)
        let logits: [[Float]] = (0..<50).map { [Float($0 % 3) - 1, 1, Float($0 % 7) - 3] }
        history.intervals = nil
        history.test = Evaluation(
            logits: logits, loss: 0.31,
            targets: .values((0..<150).map { Float($0 % 2) }, columns: 3),
            task: .multiLabel(labels: ["politics", "sport", "weather"]))
        return history
    }

    static var numbers: RunHistory {
        var history = usual(title: "Grades", epochs: 2, steps: 40)
        for index in history.epochs.indices {
            history.epochs[index].trainAccuracy = nil
            history.epochs[index].validationAccuracy = nil
        }
        history.intervals = nil
        history.test = Evaluation(
            logits: (0..<20).map { [Float($0)] }, loss: 0.5,
            targets: .values((0..<20).map { Float($0) + Float($0 % 3) }, columns: 1),
            task: .regression(names: ["grade"]))
        return history
    }

    static var empty: RunHistory { RunHistory(title: "Nothing yet", status: "starting") }

    /// More classes than a matrix or a table can hold.
    static var classes: RunHistory {
        var history = usual(title: "Intents", epochs: 2, steps: 40)
        history.setTest(names: (0..<240).map { "intent \($0)" }, rows: 2000)
        return history
    }
}

extension RunHistory {
    /// A test set on which three rows of four are right, nearly always with reason.
    mutating func setTest(names: [String], rows: Int) {
        var stream = RandomStream(seed: 2, name: "test")
        var logits: [[Float]] = []
        var truths: [Int32] = []
        for _ in 0..<rows {
            let truth = stream.index(below: names.count)
            var row = names.map { _ in stream.normal() }
            row[truth] += 3 * stream.uniform() + 0.5
            truths.append(Int32(truth))
            logits.append(row.map { $0 * 1.5 })
        }
        let evaluation = Evaluation(
            logits: logits, loss: 0.52, targets: .classes(truths),
            task: .singleLabel(labels: names))
        test = evaluation
        intervals = evaluation.metrics?.intervals(resamples: 50)
    }
}
