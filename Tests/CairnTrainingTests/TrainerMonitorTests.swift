// SPDX-License-Identifier: Apache-2.0
/// The monitor's rule, value by value.

import CairnTraining
import Testing

@Suite struct TrainerMonitorTests {
    private func stales(_ rule: Monitor.Rule, _ values: [Double?]) -> (
        stale: [Int], monitor: Monitor
    ) {
        var monitor = Monitor(rule)
        let stale = values.map { value in
            monitor.observe(value)
            return monitor.stale
        }
        return (stale, monitor)
    }

    @Test func `the lowest value is the best where less is better`() {
        let found = stales(Monitor.Rule(name: "loss"), [3, 2, 2.5, 1])

        #expect(found.stale == [0, 0, 1, 0])
        #expect(found.monitor.best == 1)
    }

    @Test func `the highest value is the best where more is better`() {
        let found = stales(Monitor.Rule(name: "accuracy", mode: .max), [3, 4, 4, 5])

        #expect(found.stale == [0, 0, 1, 0])
        #expect(found.monitor.best == 5)
    }

    @Test func `an improvement is larger than the least that counts`() {
        let found = stales(Monitor.Rule(name: "loss", minDelta: 0.5), [3, 2.5, 2.25])

        #expect(found.stale == [0, 1, 0])
        #expect(found.monitor.best == 2.25)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func `weakness 8: a value that is not finite never improves, and is stale from the first on`(
        bad: Double
    ) {
        let found = stales(Monitor.Rule(name: "loss"), [bad, 3, bad])

        #expect(found.stale == [1, 0, 1])
        #expect(found.monitor.best == 3)
    }

    @Test func `no value is stale only once there is a best`() {
        let found = stales(Monitor.Rule(name: "loss"), [nil, 3, nil])

        #expect(found.stale == [0, 0, 1])
    }

    @Test func `the run stops when more epochs are stale than are borne`() {
        var monitor = Monitor(Monitor.Rule(name: "loss", patience: 1))

        let stops = [3.0, 3, 3].map { value in
            monitor.observe(value)
            return monitor.stoppedEarly
        }

        #expect(stops == [false, false, true])
    }

    @Test func `going on after an early stop counts stale epochs anew`() {
        var monitor = Monitor(Monitor.Rule(name: "loss", patience: 0))
        monitor.observe(3)
        monitor.observe(4)

        monitor.goOn()

        #expect(!monitor.stoppedEarly && monitor.stale == 0 && monitor.best == 3)
    }

    @Test(arguments: [
        (Monitor.Rule(name: "x", minDelta: -1), "min_delta"),
        (Monitor.Rule(name: "x", minDelta: .nan), "min_delta"),
        (Monitor.Rule(name: "x", patience: -1), "patience"),
        (Monitor.Rule(name: ""), "monitor"),
    ])
    func `a rule outside of its range is refused by name`(rule: Monitor.Rule, option: String) {
        #expect(message { try rule.validate() }.contains("option '\(option)' must be"))
    }
}
