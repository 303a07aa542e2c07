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
        #expect(timing.training == 3 && timing.validation == 0.5)
        #expect(timing.saving == 0.25 && timing.total == 3.75)
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

        #expect(timing.saving == 1)
    }

    @Test func `rates are over the seconds of training, and none before there are any`() {
        let work = Throughput(rows: 8, tokens: 100, seconds: 2)

        #expect(work.rowsPerSecond == 4 && work.tokensPerSecond == 50)
        #expect(Throughput(rows: 8, tokens: 100, seconds: 0).tokensPerSecond == nil)
    }
}
