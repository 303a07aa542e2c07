// SPDX-License-Identifier: Apache-2.0
/// Values over steps, made fit for drawing: smoothed, thinned, framed.

/// Points in order of x; y may be NaN, which leaves a gap.
package struct Curve: Sendable {
    package struct Point: Sendable, Equatable {
        package var x: Double
        package var y: Double
    }

    package var points: [Point]

    init(_ points: [Point]) { self.points = points }

    package init(_ points: [(x: Int, y: Double?)]) {
        self.points = points.compactMap { x, y in y.map { Point(x: Double(x), y: $0) } }
    }

    /// The steps over which `smoothed` takes its mean: a 25th of them.
    var smoothingSpan: Int { max(1, points.count / 25) }

    /// The exponential mean of the finite values so far, over about `smoothingSpan` of them.
    ///
    ///     s_t = (1 - a) s_{t-1} + a y_t    shown: s_t / (1 - (1 - a)^t),    a = 2 / (span + 1)
    ///
    /// A value that is not finite is passed over, so that the mean goes on behind it.
    package var smoothed: Curve {
        let a = 2 / (Double(smoothingSpan) + 1)
        var sum = 0.0
        var weight = 0.0
        return Curve(
            points.filter(\.y.isFinite).map { point in
                sum = (1 - a) * sum + a * point.y
                weight = (1 - a) * weight + a
                return Point(x: point.x, y: sum / weight)
            })
    }

    /// At most two points for each of `columns` equal parts of the x-axis: the lowest and the
    /// highest, in their order, so that no peak is lost; a column without a finite value is a gap.
    package func thinned(columns: Int) -> Curve {
        guard points.count > 2 * columns, let first = points.first, let last = points.last,
            last.x > first.x
        else { return self }
        let scale = Double(columns) / (last.x - first.x)
        var result: [Point] = []
        var rest = points[...]
        while let start = rest.first {
            let column = Int((start.x - first.x) * scale)
            let members = rest.prefix { Int(($0.x - first.x) * scale) == column }
            rest = rest.dropFirst(members.count)
            let finite = members.filter(\.y.isFinite)
            guard let low = finite.min(by: { $0.y < $1.y }),
                let high = finite.max(by: { $0.y < $1.y })
            else {
                result.append(Point(x: start.x, y: .nan))
                continue
            }
            result += low == high ? [low] : low.x <= high.x ? [low, high] : [high, low]
        }
        return Curve(result)
    }

    /// The stretches between the gaps.
    package var stretches: [ArraySlice<Point>] { points.split { !$0.y.isFinite } }

    var brokenCount: Int { points.count { !$0.y.isFinite } }

    /// The range of the finite values. Of many points the 200th part at either end is left out,
    /// so that a few peaks do not flatten the rest.
    package func range(trimmed: Bool) -> ClosedRange<Double>? {
        let sorted = points.map(\.y).filter(\.isFinite).sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let cut = trimmed && sorted.count >= 200 ? sorted.count / 200 : 0
        return cut == 0 ? first...last : sorted[cut]...sorted[sorted.count - 1 - cut]
    }
}

/// A range of numbers on an axis, with marks at round ones.
package struct Axis: Sendable {
    package let lower: Double
    package let upper: Double
    package let marks: [Double]
    /// Between two marks: 1, 2 or 5 times a power of ten.
    package let step: Double

    /// Holds the range with a little room around it; one number alone gets room for itself.
    package init(_ range: ClosedRange<Double>, room: Double, count: Int, isWhole: Bool = false) {
        // Half the numbers first: their difference could be beyond the largest double.
        let half = range.upperBound / 2 - range.lowerBound / 2
        let alone = range.lowerBound == 0 || isWhole ? 1 : abs(range.lowerBound) * 0.1
        let margin = half > 0 ? 2 * half * room : alone
        let least = max(range.lowerBound - margin, -.greatestFiniteMagnitude / 4)
        let most = min(range.upperBound + margin, .greatestFiniteMagnitude / 4)
        let step = Self.roundStep((most - least) / Double(count), isWhole: isWhole)
        let first = (least / step).rounded(.up)
        let last = (most / step).rounded(.down)
        marks =
            first <= last && last - first < 100
            ? stride(from: first, through: last, by: 1).map { $0 * step } : []
        (lower, upper, self.step) = (least, most, step)
    }

    /// The smallest of 1, 2, 5, 10 times a power of ten that is at least `least`.
    private static func roundStep(_ least: Double, isWhole: Bool) -> Double {
        var power = 1.0
        while power < least { power *= 10 }
        while power / 10 >= least && power > .leastNormalMagnitude { power /= 10 }
        let step = [power / 5, power / 2, power].first { $0 >= least } ?? power
        return isWhole ? max(1, step) : step
    }

    /// Where a number lies, from 0 at the lower end to 1 at the upper.
    package func place(_ value: Double) -> Double { (value - lower) / (upper - lower) }
}
