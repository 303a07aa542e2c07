// SPDX-License-Identifier: Apache-2.0
/// Where the time of a step goes: share of time and share of the roof, by kind of operation.

import Cairn
import Foundation

/// Sums of one step by kind of operation; each call counts with the least of its times.
///
/// The least, because whatever else the machine does can only add to a call, and a step repeats
/// the same calls.
struct StepProfile {
    /// A place in the step: the same work every time the step is taken.
    private struct Place: Hashable {
        let batch: Int
        let index: Int
        let kind: String
    }

    private struct Call {
        let cost: Cost
        var seconds: Double
    }

    private var calls: [Place: Call] = [:]

    mutating func add(_ observations: [Observation], _ costs: [Cost], batch: Int) {
        for observation in observations {
            add(
                Place(batch: batch, index: observation.index, kind: observation.kind),
                Call(cost: costs[observation.index], seconds: observation.seconds))
        }
    }

    /// Work around the operations: clearing gradients, the optimizer.
    mutating func add(_ kind: String, seconds: Double, batch: Int = 0) {
        add(Place(batch: batch, index: -1, kind: kind), Call(cost: Cost(), seconds: seconds))
    }

    private mutating func add(_ place: Place, _ call: Call) {
        calls[place, default: call].seconds = min(
            calls[place]?.seconds ?? call.seconds, call.seconds)
    }

    /// A kind of operation and what its calls come to.
    struct Row {
        let kind: String
        var calls = 0
        var seconds = 0.0
        var multiplyAdds = 0
        var byteCount = 0
    }

    /// The kinds, most time first.
    var rows: [Row] {
        var rows: [String: Row] = [:]
        for (place, call) in calls {
            rows[place.kind, default: Row(kind: place.kind)].calls += 1
            rows[place.kind]!.seconds += call.seconds
            rows[place.kind]!.multiplyAdds += call.cost.multiplyAdds
            rows[place.kind]!.byteCount += call.cost.byteCount
        }
        return rows.values.sorted { ($0.seconds, $1.kind) > ($1.seconds, $0.kind) }
    }

    var seconds: Double { calls.values.reduce(0) { $0 + $1.seconds } }

    /// Prints the kinds; the roof of a kind is the time that its multiply-adds or its bytes need at
    /// least, whichever is longer.
    func print(_ precision: Precision, _ roof: Roof, to report: Report) {
        let total = seconds
        report.line(
            Report.padded("operation", 26) + "calls    time ms  share   GFLOP/s     GB/s   roof")
        for row in rows {
            let arithmetic = 2 * Double(row.multiplyAdds) / (roof.of(precision) * 1e9)
            let memory = Double(row.byteCount) / (roof.memory * 1e9)
            let ofRoof = max(arithmetic, memory) / row.seconds
            let rate = 2 * Double(row.multiplyAdds) / row.seconds * 1e-9
            let bandwidth = Double(row.byteCount) / row.seconds * 1e-9
            report.row(
                [
                    "type": .string(precision.rawValue), "operation": .string(row.kind),
                    "calls": JSONValue(row.calls), "milliseconds": .number(row.seconds * 1e3),
                    "share": .number(row.seconds / total), "gflops": .number(rate),
                    "gigabytes_per_second": .number(bandwidth), "of_roof": .number(ofRoof),
                ],
                text: Report.padded(row.kind, 26)
                    + String(
                        format: "%5d %10.3f %5.1f %% %9.1f %8.1f %4.0f %%", row.calls,
                        row.seconds * 1e3, row.seconds / total * 100, rate, bandwidth,
                        ofRoof * 100))
        }
        report.line(
            Report.padded("sum", 26) + String(format: "%5d %10.3f", calls.count, total * 1e3))
    }
}
