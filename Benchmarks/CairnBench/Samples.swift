// SPDX-License-Identifier: Apache-2.0
/// Times of a repeated piece of work, and what they come to.

/// Seconds of each sample.
struct Samples {
    /// Enough for a median that one disturbed sample does not move.
    static let count = 15
    /// A sample lasts at least so long, so that the clock and a wake-up do not show.
    private static let shortestSeconds = 2e-3

    private(set) var seconds: [Double] = []

    mutating func add(_ sample: Double) { seconds.append(sample) }

    var median: Double { Self.median(seconds) }

    /// Median absolute deviation as a share of the median.
    var spread: Double {
        let middle = median
        return Self.median(seconds.map { abs($0 - middle) }) / middle
    }

    /// The least sample that a share of them does not exceed.
    func quantile(_ share: Double) -> Double {
        precondition(!seconds.isEmpty, "a quantile of 0 samples")
        let place = Int((share * Double(seconds.count)).rounded(.up)) - 1
        return seconds.sorted()[max(place, 0)]
    }

    private static func median(_ values: [Double]) -> Double {
        precondition(!values.isEmpty, "a median of 0 samples")
        let sorted = values.sorted()
        let half = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }

    /// Seconds that `body` takes.
    static func time(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        let start = clock.now
        try body()
        let duration = (clock.now - start).components
        return Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
    }

    /// Warms `body` up and returns how often a sample must repeat it.
    static func repeats(_ body: () throws -> Void) rethrows -> Int {
        try body()
        let once = try time(body)
        return max(1, Int((shortestSeconds / max(once, 1e-9)).rounded(.up)))
    }

    /// Seconds of one run of `body`, as the mean of `repeats` runs in a row.
    static func sample(_ repeats: Int, _ body: () throws -> Void) rethrows -> Double {
        try time { for _ in 0..<repeats { try body() } } / Double(repeats)
    }
}
