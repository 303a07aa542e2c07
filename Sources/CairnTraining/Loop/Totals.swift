// SPDX-License-Identifier: Apache-2.0
/// Sums over the rows of a step and of an epoch.

import CairnGraph

/// What one optimizer step saw.
struct StepTotals {
    /// The losses of the rows, in their order.
    private(set) var losses: [Float] = []
    /// Their mean, once all of them are there.
    var loss = 0.0
    /// What the mean divides by.
    let weight: Double
    var right = 0
    var judged = 0
    var tokens = 0
    var learningRate = 0.0
    var norm = 0.0
    var seconds = 0.0

    init(weight: Double) { self.weight = weight }

    mutating func add(_ result: Program.Result, _ batch: Batch, labels: Int) {
        losses += batch.repeatedLosses(result)
        tokens += batch.tokenCount
        if result.outputs.isEmpty { return }
        let logits = result.outputs[0]
        if !batch.classTargets.isEmpty {
            for (row, target) in batch.classTargets.enumerated() {
                let best = argmax(Array(logits[row * labels..<(row + 1) * labels]))
                right += best == Int(target) ? 1 : 0
            }
            judged += batch.classTargets.count
        } else {
            right += zip(logits, batch.valueTargets).count { ($0 > 0) == ($1 > 0.5) }
            judged += batch.valueTargets.count
        }
    }
}

extension Batch {
    /// The loss of every row, or of every target of every row in full.
    func repeatedLosses(_ result: Program.Result) -> [Float] {
        targetRows.isEmpty ? result.losses : repeatedTargets(result.losses)
    }
}

extension StepTotals {
    /// The sum of the rows' losses.
    var lossSum: Double { losses.reduce(0) { $0 + Double($1) } }

    /// What all ranks saw, their rows in order; nil when one of them was asked to stop. `wantsSave` is
    /// true when one was asked to save.
    func joined(
        _ ranks: Ranks, isStopped: Bool, wantsSave: inout Bool
    ) throws -> StepTotals? {
        guard ranks.size > 1 else { return isStopped ? nil : self }
        var packet = Packet()
        for number in [isStopped ? 1 : 0, wantsSave ? 1 : 0, right, judged, tokens] {
            packet.add(number)
        }
        packet.add(losses)
        var all = StepTotals(weight: weight)
        var stops = false
        for bytes in try ranks.gather(packet.bytes) {
            var part = Packet(bytes)
            if try part.number() != 0 { stops = true }
            if try part.number() != 0 { wantsSave = true }
            all.right += try part.number()
            all.judged += try part.number()
            all.tokens += try part.number()
            all.losses += try part.floats()
        }
        return stops ? nil : all
    }
}

/// What the steps of an epoch saw.
struct EpochTotals: Sendable, Equatable {
    var weightedLoss = 0.0
    var weight = 0.0
    var right = 0
    var judged = 0
    var tokens = 0
    var seconds = 0.0

    init() {}

    mutating func add(_ step: StepTotals) {
        weightedLoss += step.loss * step.weight
        weight += step.weight
        right += step.right
        judged += step.judged
        tokens += step.tokens
        seconds += step.seconds
    }

    var meanLoss: Double { weight == 0 ? 0 : weightedLoss / weight }
    var accuracy: Double { judged == 0 ? 0 : Double(right) / Double(judged) }
}
