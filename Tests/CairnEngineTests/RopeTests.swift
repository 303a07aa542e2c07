// SPDX-License-Identifier: Apache-2.0
/// Rotary embedding: the table, the rotation, its inverse; and the power function.

import CairnEngine
import Foundation
import TestSupport
import Testing

@Suite struct RopeTests {
    static let frequencies = (0..<20).map { power(10_000, -Double($0) / 20) }

    @Test func `the table is the cosine and sine of position times frequency, rounded once`() {
        let table = ropeTable(positions: 3000, frequencies: Self.frequencies)

        for position in stride(from: 0, to: 3000, by: 37) {
            for (j, frequency) in Self.frequencies.enumerated() {
                let angle = Double(position) * frequency
                // Rounding once: half an ulp of the result, and a little for the polynomial.
                let index = position * Self.frequencies.count + j
                #expect(abs(Double(table.cosine[index]) - cos(angle)) <= 3.1e-8)
                #expect(abs(Double(table.sine[index]) - sin(angle)) <= 3.1e-8)
            }
        }
    }

    @Test(arguments: [(10_000.0, -0.5), (1_000_000, -0.96875), (2, 10), (0.5, 3), (7.25, 0)])
    func `power is that of the mathematics`(base: Double, exponent: Double) {
        let expected = pow(base, exponent)

        #expect(abs(power(base, exponent) - expected) <= 1e-14 * expected)
    }

    @Test(arguments: Setting.all)
    func `a rotation is a fused chain of two products`(setting: Setting) throws {
        for (heads, half) in [(1, 1), (2, 8), (3, 5), (1, 20), (20, 20)] {
            let positions: [UInt32] = (0..<23).map { UInt32($0 * 3 % 29) }
            let table = ropeTable(positions: 29, frequencies: Array(Self.frequencies[..<half]))
            let lab = try Lab(setting)
            let x = random(positions.count * heads * 2 * half, "x")

            let y = try lab.result(x.count)
            try lab.context.rope(
                try lab.floats(x), heads: heads, half: half, positions: try lab.words(positions),
                cosine: try lab.floats(table.cosine), sine: try lab.floats(table.sine), into: y)

            let expected = x.indices.map { index -> Float in
                let (row, place) = (index / (heads * 2 * half), index % (2 * half))
                let entry = Int(positions[row]) * half + place % half
                let (cosine, sine) = (table.cosine[entry], table.sine[entry])
                return place < half
                    ? (-(x[index + half] * sine)).addingProduct(x[index], cosine)
                    : (x[index - half] * sine).addingProduct(x[index], cosine)
            }
            #expect(bitMismatch(lab.read(y), expected) == nil, "\(heads) heads of 2 * \(half)")
            #expect(lab.brokenGuard() == nil)
        }
    }

    @Test(arguments: ISA.supported)
    func `the inverse in place takes the rotation back`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let (heads, half, positions) = (2, 17, (0..<9).map { UInt32($0 * 2) })
        let table = ropeTable(positions: 17, frequencies: Array(Self.frequencies[..<half]))
        let (cosine, sine) = (try lab.floats(table.cosine), try lab.floats(table.sine))
        let rows = try lab.words(positions)
        let values = random(positions.count * heads * 2 * half, "x")

        let x = try lab.floats(values)
        for inverse in [false, true] {
            try lab.context.rope(
                x, heads: heads, half: half, positions: rows, cosine: cosine, sine: sine,
                inverse: inverse, into: x)
            if !inverse { #expect(firstMismatch(lab.read(x), values, tolerance: 0.1) != nil) }
        }

        #expect(firstMismatch(lab.read(x), values, tolerance: 2e-6) == nil)
    }

    @Test func `NaN stays in its pair`() throws {
        let lab = try Lab()
        let table = ropeTable(positions: 3, frequencies: [1, 0.1])
        var x = [Float](repeating: 1, count: 8)
        x[5] = .nan

        let y = try lab.result(8)
        try lab.context.rope(
            try lab.floats(x), heads: 1, half: 2, positions: try lab.words([1, 2]),
            cosine: try lab.floats(table.cosine), sine: try lab.floats(table.sine), into: y)

        #expect(lab.read(y).indices.filter { lab.read(y)[$0].isNaN } == [5, 7])
    }
}
