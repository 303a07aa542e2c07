// SPDX-License-Identifier: Apache-2.0
/// Times of phases, on a clock that the test turns.

import CairnTraining
import Testing

/// A clock that stands until it is moved.
private final class HandClock: Clock, @unchecked Sendable {
    // Unchecked: each test uses its own on one thread.
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (a: Instant, b: Instant) -> Bool { a.offset < b.offset }
    }

    var now = Instant(offset: .zero)
    var minimumResolution: Duration { .nanoseconds(1) }
    func sleep(until deadline: Instant, tolerance: Duration?) { now = deadline }
    func move(_ duration: Duration) { now = now.advanced(by: duration) }
}

@Suite struct RunTimingTests {
    private struct Failure: Error {}

    @Test func `each phase has its own sum`() {
        let clock = HandClock()
        var timing = RunTiming()

        let result = timing.measure(.training, by: clock) {
            clock.move(.seconds(2))
            return 7
        }
        timing.measure(.validation, by: clock) { clock.move(.milliseconds(500)) }
        timing.measure(.saving, by: clock) { clock.move(.milliseconds(250)) }
        timing.measure(.training, by: clock) { clock.move(.seconds(1)) }

        #expect(result == 7)
        #expect(timing.trainingSeconds == 3 && timing.validationSeconds == 0.5)
        #expect(timing.savingSeconds == 0.25 && timing.totalSeconds == 3.75)
    }

    @Test func `time that ends in an error counts`() {
        let clock = HandClock()
        var timing = RunTiming()

        #expect(throws: Failure.self) {
            try timing.measure(.saving, by: clock) {
                clock.move(.seconds(1))
                throw Failure()
            }
        }

        #expect(timing.savingSeconds == 1)
    }

    @Test func `rates are over the seconds of training alone`() {
        let timing = RunTiming(
            trainingSeconds: 2, validationSeconds: 5, savingSeconds: 1, rows: 8, tokens: 100)

        #expect(timing.rowsPerSecond == 4 && timing.tokensPerSecond == 50)
        #expect(RunTiming(rows: 8, tokens: 100).tokensPerSecond == nil)
    }

    @Test func `the parts of a run that was resumed add up`() {
        let part = RunTiming(
            trainingSeconds: 1, validationSeconds: 2, savingSeconds: 3, rows: 4, tokens: 5)

        #expect(
            part + part
                == RunTiming(
                    trainingSeconds: 2, validationSeconds: 4, savingSeconds: 6, rows: 8, tokens: 10)
        )
    }
}
