// SPDX-License-Identifier: Apache-2.0
/// Curves and axes before they are drawn.

import CairnTraining
import Testing

@Suite struct CurveTests {
    private func curve(_ values: [Double]) -> Curve {
        Curve(values.enumerated().map { (x: $0.offset, y: $0.element) })
    }

    @Test func `the mean begins at the first value and keeps a constant`() {
        let constant = curve([Double](repeating: 3, count: 100)).smoothed
        let rising = curve((0..<100).map(Double.init)).smoothed

        #expect(constant.points.allSatisfy { abs($0.y - 3) <= 1e-12 })
        #expect(rising.points[0].y == 0)
        // A span of 4 lags (span - 1) / 2 = 1.5 behind a steady rise.
        #expect(abs(rising.points[99].y - 97.5) <= 1e-9)
    }

    @Test func `the mean goes on behind a number that is none`() {
        let smoothed = curve([1, .nan, 1, .infinity, 1]).smoothed

        #expect(smoothed.points.map(\.x) == [0, 2, 4])
        #expect(smoothed.points.allSatisfy { $0.y == 1 })
    }

    @Test func `thinning keeps the highest and the lowest value of every part`() {
        var values = [Double](repeating: 1, count: 100_000)
        values[41_234] = 9
        values[70_000] = -9
        values[0] = 5

        let thinned = curve(values).thinned(columns: 300)

        #expect(thinned.points.count <= 602)
        #expect(thinned.points.contains { $0.x == 41_234 && $0.y == 9 })
        #expect(thinned.points.contains { $0.x == 70_000 && $0.y == -9 })
        #expect(thinned.points[0].y == 5)
        #expect(zip(thinned.points, thinned.points.dropFirst()).allSatisfy { $0.x < $1.x })
    }

    @Test func `few points are left as they are`() {
        let few = curve([1, .nan, 3])

        #expect(few.thinned(columns: 2).points.count == 3)
    }

    @Test func `a part without a number is a gap`() {
        let values = (0..<10_000).map { (4000..<6000).contains($0) ? Double.nan : 1 }

        let thinned = curve(values).thinned(columns: 100)

        #expect(thinned.stretches.count == 2)
        #expect(curve([.nan, 1, .nan, .nan, 2, 3]).stretches.map(\.count) == [1, 2])
    }

    @Test func `the range of many values leaves out the outermost`() {
        var values = [Double](repeating: 1, count: 1000)
        values[3] = 1e9

        #expect(curve(values).range(trimmed: true) == 1...1)
        #expect(curve(values).range(trimmed: false) == 1...1e9)
        #expect(curve([.nan]).range(trimmed: false) == nil)
    }
}

@Suite struct AxisTests {
    @Test(arguments: [
        (0.0...1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.0...97.0, [0, 20, 40, 60, 80]),
        (-3.0...2.5, [-2, 0, 2]),
    ])
    func `marks are round and within`(range: ClosedRange<Double>, marks: [Double]) {
        let axis = Axis(range, room: 0, count: 5)

        #expect(axis.marks.count == marks.count)
        #expect(zip(axis.marks, marks).allSatisfy { abs($0 - $1) <= 1e-12 })
    }

    @Test(arguments: [
        -1e308...1e308, 5...5, 0...0, 1e-300...2e-300, 1...1.000_000_000_000_000_2,
        -0.001...(-0.001),
    ])
    func `any range has room and finitely many marks`(range: ClosedRange<Double>) {
        let axis = Axis(range, room: 0.04, count: 5)

        #expect(axis.lower < axis.upper && axis.step > 0)
        #expect(axis.marks.count <= 100 && axis.marks.allSatisfy(\.isFinite))
        #expect(axis.place(axis.lower) == 0 && axis.place(axis.upper) == 1)
    }

    @Test func `steps are marked at whole numbers`() {
        let axis = Axis(1...2, room: 0.01, count: 6, isWhole: true)

        #expect(axis.marks == [1, 2])
    }
}

@Suite struct ReadableTests {
    @Test func `numbers`() {
        #expect(Readable.number(0.123456) == "0.1235")
        #expect(Readable.number(-2) == "−2.0000")
        #expect(Readable.number(2e-4) == "2e−4")
        #expect(Readable.number(1.23456e12) == "1.235e12")
        #expect(Readable.number(0) == "0.0000")
        #expect(Readable.number(.nan) == "NaN" && Readable.number(-.infinity) == "−∞")
        #expect(Readable.number(nil) == "–")
    }

    @Test func `counts, rates, times and sizes`() {
        #expect(Readable.count(1_234_567) == "1,234,567" && Readable.count(-12) == "−12")
        #expect(Readable.rate(8307.6) == "8,308" && Readable.rate(3.14159) == "3.14")
        #expect(Readable.rate(.infinity) == "–")
        #expect(Readable.seconds(0.0123) == "12 ms" && Readable.seconds(59.94) == "59.9 s")
        #expect(Readable.seconds(3599) == "59 min 59 s")
        #expect(Readable.seconds(3660) == "1 h 01 min")
        #expect(Readable.bytes(999) == "999 bytes" && Readable.bytes(412_300_000) == "412 MB")
        #expect(Readable.bytes(1_000_000_000) == "1 GB")
    }

    @Test func `marks of an axis`() {
        #expect(Readable.tick(0.5, step: 0.5) == "0.5" && Readable.tick(-2, step: 1) == "−2")
        #expect(Readable.tick(0.15, step: 0.05) == "0.15" && Readable.tick(0, step: 7) == "0")
        #expect(Readable.tick(1.5e-4, step: 5e-5) == "1.5e−4")
        #expect(Readable.tick(20_000, step: 5000) == "20k")
    }
}
