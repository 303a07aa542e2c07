// SPDX-License-Identifier: Apache-2.0
/// DoRA's column factor and norm against their formulas, and bits across settings.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct ColumnsTests {
    static let shapes = [(1, 1), (3, 16), (5, 17), (40, 130), (2, 9), (70, 700)]

    private func factors(_ width: Int) -> (numerator: [Float], denominator: [Float]) {
        (random(width, "numerator"), random(width, "denominator").map { abs($0) + 0.5 })
    }

    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        for (rows, width) in Self.shapes {
            try expectScalarBits(setting, "[\(rows), \(width)]") { lab in
                let z = try lab.floats(random(rows * width, "z"))
                let numerator = try lab.floats(factors(width).numerator)
                let denominator = try lab.floats(factors(width).denominator)
                let results = try (0..<3).map { _ in try lab.result(rows * width) }
                try lab.context.scaleColumnsForward(
                    z, numerator: numerator, denominator: denominator,
                    bias: try lab.floats(random(width, "bias")), into: results[0])
                try lab.context.scaleColumnsForward(
                    z, numerator: numerator, denominator: denominator, into: results[1])
                try lab.context.scaleColumnsBackward(
                    dy: z, numerator: numerator, denominator: denominator, into: results[2])
                return results
            }
        }
    }

    @Test(arguments: Setting.all)
    func `the norm has the same bits under every setting`(setting: Setting) throws {
        for (outputs, inputs) in Self.shapes {
            for dtype in weightTypes {
                try expectScalarBits(setting, "[\(outputs), \(inputs)] \(dtype)") { lab in
                    [try norm(lab, outputs, inputs, dtype)]
                }
            }
        }
    }

    private func norm(
        _ lab: Lab, _ outputs: Int, _ inputs: Int, _ dtype: DType
    ) throws -> Floats {
        let norm = try lab.result(outputs)
        try lab.context.doraNorm(
            try lab.weight(random(outputs * inputs, "w"), dtype, rows: outputs, columns: inputs),
            a: try lab.floats(random(3 * inputs, "A")), b: try lab.floats(random(outputs * 3, "B")),
            rank: 3, scale: 0.5, into: norm)
        return norm
    }

    @Test(arguments: ISA.supported)
    func `columns are scaled by the quotient and shifted by the bias`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let (rows, width) = (70, 700)
        let (z, bias) = (random(rows * width, "z"), random(width, "bias"))
        let (numerator, denominator) = factors(width)
        let (y, dz) = (try lab.result(rows * width), try lab.result(rows * width))

        try lab.context.scaleColumnsForward(
            try lab.floats(z), numerator: try lab.floats(numerator),
            denominator: try lab.floats(denominator), bias: try lab.floats(bias), into: y)
        try lab.context.scaleColumnsBackward(
            dy: try lab.floats(z), numerator: try lab.floats(numerator),
            denominator: try lab.floats(denominator), into: dz)

        let factor = (0..<width).map { Double(numerator[$0]) / Double(denominator[$0]) }
        let product = z.indices.map { Double(z[$0]) * factor[$0 % width] }
        let expected = product.indices.map { product[$0] + Double(bias[$0 % width]) }
        #expect(firstMismatch(lab.read(y), expected, tolerance: 1e-5) == nil)
        #expect(firstMismatch(lab.read(dz), product, tolerance: 1e-5) == nil)
    }

    @Test(arguments: weightTypes)
    func `the norm is that of the adapted rows`(dtype: DType) throws {
        let lab = try Lab()
        let (outputs, inputs, rank) = (37, 70, 3)
        let w = stored(random(outputs * inputs, "w"), dtype, [outputs, inputs]).floats()
        let (a, b) = (random(rank * inputs, "A"), random(outputs * rank, "B"))

        let found = lab.read(try norm(lab, outputs, inputs, dtype))

        let expected = (0..<outputs).map { o in
            (0..<inputs).reduce(0.0) { sum, i in
                let update = (0..<rank).reduce(0.0) {
                    $0 + Double(b[o * rank + $1]) * Double(a[$1 * inputs + i])
                }
                let element = Double(w[o * inputs + i]) + 0.5 * update
                return sum + element * element
            }.squareRoot()
        }
        #expect(relativeError(found, expected) < 1e-6)
    }
}
