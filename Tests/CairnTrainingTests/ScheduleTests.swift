// SPDX-License-Identifier: Apache-2.0
/// Learning rates by step, next to those of transformers' Trainer.

import CairnTraining
import Testing

@Suite struct ScheduleTests {
    private func rates(
        _ shape: Schedule.Shape, warmup: Double = 0.3, total: Int = 10
    ) -> [Double] {
        let schedule = Schedule(shape, peak: 2, warmup: warmup, totalSteps: total)
        return (0..<total).map { schedule.learningRate(at: $0) / 2 }
    }

    private func agree(_ actual: [Double], _ expected: [Double]) -> Bool {
        // The table has six digits.
        actual.count == expected.count
            && zip(actual, expected).allSatisfy { abs($0 - $1) <= 5.1e-7 }
    }

    /// The Trainer's first step has rate 0 and does nothing: it warms up as s / warmup. Cairn warms
    /// up as (s + 1) / warmup, so that the first step counts and the last of the warm-up has the
    /// peak. After it both are the same.
    static let warmup = [1 / 3.0, 2 / 3.0, 1]

    @Test func `linear falls as transformers has it after the warm-up`() {
        #expect(
            agree(
                rates(.linear),
                Self.warmup + [1, 0.857143, 0.714286, 0.571429, 0.428571, 0.285714, 0.142857]))
    }

    @Test func `cosine falls as transformers has it after the warm-up`() {
        #expect(
            agree(
                rates(.cosine),
                Self.warmup + [1, 0.950484, 0.811745, 0.61126, 0.38874, 0.188255, 0.049516]))
    }

    @Test func `constant stays at the peak`() {
        #expect(agree(rates(.constant), Self.warmup + [Double](repeating: 1, count: 7)))
    }

    @Test func `without a warm-up the first step has the peak`() {
        for shape in Schedule.Shape.allCases {
            #expect(rates(shape, warmup: 0)[0] == 1)
        }
        #expect(agree(rates(.linear, warmup: 0, total: 4), [1, 0.75, 0.5, 0.25]))
    }

    @Test func `a warm-up of every step only rises`() {
        #expect(agree(rates(.cosine, warmup: 1, total: 4), [0.25, 0.5, 0.75, 1]))
    }

    @Test func `a share of the steps is rounded up`() {
        #expect(Schedule(.linear, peak: 1, warmup: 0.1, totalSteps: 11).warmupSteps == 2)
        #expect(Schedule(.linear, peak: 1, warmup: 0.1, totalSteps: 30).warmupSteps == 3)
    }

    @Test func `past the end the rate is zero`() {
        let schedule = Schedule(.linear, peak: 1, warmup: 0, totalSteps: 4)

        #expect(schedule.learningRate(at: 4) == 0)
        #expect(schedule.learningRate(at: 40) == 0)
    }
}
