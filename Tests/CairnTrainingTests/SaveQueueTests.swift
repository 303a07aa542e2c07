// SPDX-License-Identifier: Apache-2.0
/// What is left of a save when it is over.

import CairnTraining
import Testing

struct SaveQueueTests {
    private final class Copy: Sendable {}

    /// A copy of the state may be most of a run's memory: nobody may find it there after waiting.
    @Test func `a save lets go of what it holds before it counts as over`() {
        let queue = SaveQueue()
        for round in 0..<200 {
            var copy: Copy? = Copy()
            weak let left = copy
            queue.start("step-\(round)", reason: "test") { [copy] in
                withExtendedLifetime(copy) { SaveResult() }
            }
            copy = nil
            queue.wait()
            #expect(left == nil)
        }
        #expect(queue.takeOutcomes().count == 200)
    }
}
