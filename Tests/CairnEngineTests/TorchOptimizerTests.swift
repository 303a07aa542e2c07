// SPDX-License-Identifier: Apache-2.0
/// Parameter updates against those of torch's own optimizers, kept as a fixture.

import CairnEngine
import Foundation
import TestSupport
import Testing

/// What `Tests/Fixtures/optimizers/make_optimizers.py` wrote.
private struct TorchSteps: Decodable {
    let start: [Float]
    let gradients: [[Float]]
    /// By rule, then by name: `p` and the slots, after the last step.
    let rules: [String: [String: [Double]]]

    static func load() throws -> TorchSteps {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent(
                "Fixtures/optimizers/optimizers.json")
        return try JSONDecoder().decode(TorchSteps.self, from: Data(contentsOf: url))
    }
}

@Suite struct TorchOptimizerTests {
    private enum Rule {
        case adamW(Double)
        case adam(Double)
        case sgd(SGDStep)
        case lion
    }

    private static let rules: [String: Rule] = [
        "adamw": .adamW(0.1), "adam": .adam(0.1), "adam without decay": .adam(0),
        "sgd": .sgd(SGDStep(learningRate: 0.01, weightDecay: 0.1)),
        "sgd with momentum": .sgd(SGDStep(learningRate: 0.01, momentum: 0.9)),
        "sgd with nesterov": .sgd(
            SGDStep(learningRate: 0.01, momentum: 0.9, nesterov: true, weightDecay: 0.1)),
        "lion": .lion,
    ]

    @Test func `five steps of every rule end where torch's end`() throws {
        let torch = try TorchSteps.load()
        let lab = try Lab()
        #expect(Set(torch.rules.keys) == Set(Self.rules.keys))

        for (name, rule) in Self.rules {
            let p = try lab.floats(torch.start)
            let zeros = [Float](repeating: 0, count: torch.start.count)
            let (m, v) = (try lab.floats(zeros), try lab.floats(zeros))
            for (index, gradient) in torch.gradients.enumerated() {
                let g = try lab.floats(gradient)
                try step(rule, lab, t: UInt64(index + 1), p, g, m, v)
            }

            let found = ["p": lab.read(p), "m": lab.read(m), "v": lab.read(v)]
            for (slot, expected) in torch.rules[name]! {
                // Numbers up to 10, rounded a few times in each of five steps.
                let mismatch = firstMismatch(found[slot]!, expected, tolerance: 3e-6)
                #expect(mismatch == nil, "\(name), \(slot)")
            }
        }
    }

    private func step(
        _ rule: Rule, _ lab: Lab, t: UInt64, _ p: Floats, _ g: Floats, _ m: Floats, _ v: Floats
    ) throws {
        func adam(_ weightDecay: Double) -> AdamStep {
            AdamStep(
                learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
                weightDecay: weightDecay)
        }
        switch rule {
        case .adamW(let decay):
            try lab.context.adamWStep(adam(decay), t: t, parameters: p, gradient: g, m: m, v: v)
        case .adam(let decay):
            try lab.context.adamStep(adam(decay), t: t, parameters: p, gradient: g, m: m, v: v)
        case .sgd(let step):
            try lab.context.sgdStep(step, parameters: p, gradient: g, velocity: v)
        case .lion:
            let step = LionStep(learningRate: 0.01, beta1: 0.9, beta2: 0.99, weightDecay: 0.1)
            try lab.context.lionStep(step, parameters: p, gradient: g, m: m)
        }
    }
}
