// SPDX-License-Identifier: Apache-2.0
/// RMSNorm and LayerNorm against their formulas in double, and bits across settings.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

private func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }

/// One row of RMSNorm, in double.
private func rmsNorm(_ x: [Double], _ w: [Double], _ epsilon: Double) -> [Double] {
    let r = 1 / (dot(x, x) / Double(x.count) + epsilon).squareRoot()
    return zip(x, w).map { $0 * r * $1 }
}

/// One row of LayerNorm, in double.
private func layerNorm(_ x: [Double], _ w: [Double], _ b: [Double], _ epsilon: Double) -> [Double] {
    let mean = x.reduce(0, +) / Double(x.count)
    let centered = x.map { $0 - mean }
    let s = 1 / (dot(centered, centered) / Double(x.count) + epsilon).squareRoot()
    return x.indices.map { centered[$0] * s * w[$0] + b[$0] }
}

@Suite struct NormalizationTests {
    static let epsilon: Float = 1e-5
    static let widths = [1, 5, 16, 33, 130]
    static let rows = 7
    /// Enough rows of 700 elements for several tasks.
    static let manyRows = 61

    /// Rows with an offset, so that the mean matters, and one row of zeros.
    private func input(_ width: Int, _ rows: Int = rows) -> [Float] {
        random(rows * width, "x").enumerated().map { index, value in
            index / width == 3 ? 0 : value * 2 + 0.5
        }
    }

    private func row(_ values: [Float], _ row: Int, _ width: Int) -> [Double] {
        doubles(Array(values[row * width..<(row + 1) * width]))
    }

    private func rms(
        _ lab: Lab, _ width: Int, _ dtype: DType, rows: Int = rows
    ) throws -> [Floats] {
        let x = try lab.floats(input(width, rows))
        let weight = try lab.weight(random(width, "w"), dtype, rows: 1, columns: width)
        let (y, dx) = (try lab.result(x.count), try lab.result(x.count))
        let inverseRMS = try lab.result(rows)
        try lab.context.rmsNormForward(
            x, weight: weight, epsilon: Self.epsilon, into: y, inverseRMS: inverseRMS)
        try lab.context.rmsNormBackward(
            x, weight: weight, inverseRMS: inverseRMS,
            dy: try lab.floats(random(x.count, "dy")), into: dx)
        return [y, inverseRMS, dx]
    }

    private func layer(
        _ lab: Lab, _ width: Int, _ dtype: DType, rows: Int = rows
    ) throws -> [Floats] {
        let x = try lab.floats(input(width, rows))
        let weight = try lab.weight(random(width, "w"), dtype, rows: 1, columns: width)
        let bias = try lab.weight(random(width, "b"), dtype, rows: 1, columns: width)
        let (y, dx) = (try lab.result(x.count), try lab.result(x.count))
        let (mean, deviation) = (try lab.result(rows), try lab.result(rows))
        try lab.context.layerNormForward(
            x, weight: weight, bias: bias, epsilon: Self.epsilon, into: y, mean: mean,
            inverseDeviation: deviation)
        try lab.context.layerNormBackward(
            x, weight: weight, mean: mean, inverseDeviation: deviation,
            dy: try lab.floats(random(x.count, "dy")), into: dx)
        return [y, mean, deviation, dx]
    }

    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        for width in Self.widths {
            for dtype in weightTypes {
                let label = "width \(width), \(dtype.rawValue)"
                try expectScalarBits(setting, "rms, \(label)") { try rms($0, width, dtype) }
                try expectScalarBits(setting, "layer, \(label)") { try layer($0, width, dtype) }
            }
        }
        try expectScalarBits(setting, "many rows") {
            try rms($0, 700, .bf16, rows: Self.manyRows)
                + layer($0, 700, .f32, rows: Self.manyRows)
        }
    }

    @Test(arguments: widths, weightTypes)
    func `RMSNorm and its input gradient are those of the formula`(
        width: Int, dtype: DType
    ) throws {
        let lab = try Lab()
        let (x, dy) = (input(width), random(Self.rows * width, "dy"))
        let w = doubles(stored(random(width, "w"), dtype, [width]).floats())

        let found = try rms(lab, width, dtype).map(lab.read)

        for index in 0..<Self.rows {
            let values = row(x, index, width)
            let expected = rmsNorm(values, w, Double(Self.epsilon))
            let range = index * width..<(index + 1) * width
            #expect(firstMismatch(Array(found[0][range]), expected, tolerance: 4e-6) == nil)

            // The gradient of a row of zeros is 1 / sqrt(epsilon) times as steep.
            let gradient = centralDifference(at: values, step: 1e-7) {
                dot(rmsNorm($0, w, Double(Self.epsilon)), row(dy, index, width))
            }
            let scale = gradient.map { 1 + abs($0) }
            #expect(
                firstMismatch(Array(found[2][range]), gradient, tolerance: 2e-5, scale: scale)
                    == nil)
        }
    }

    @Test(arguments: widths, weightTypes)
    func `LayerNorm and its input gradient are those of the formula`(
        width: Int, dtype: DType
    ) throws {
        let lab = try Lab()
        let (x, dy) = (input(width), random(Self.rows * width, "dy"))
        let w = doubles(stored(random(width, "w"), dtype, [width]).floats())
        let b = doubles(stored(random(width, "b"), dtype, [width]).floats())

        let found = try layer(lab, width, dtype).map(lab.read)

        for index in 0..<Self.rows {
            let values = row(x, index, width)
            let expected = layerNorm(values, w, b, Double(Self.epsilon))
            let range = index * width..<(index + 1) * width
            #expect(firstMismatch(Array(found[0][range]), expected, tolerance: 6e-6) == nil)

            let gradient = centralDifference(at: values, step: 1e-7) {
                dot(layerNorm($0, w, b, Double(Self.epsilon)), row(dy, index, width))
            }
            let scale = gradient.map { 1 + abs($0) }
            // With one element per row the deviation is 0 and sums cancel at 1 / sqrt(epsilon).
            #expect(
                firstMismatch(
                    Array(found[3][range]), gradient, tolerance: width == 1 ? 1e-4 : 2e-5,
                    scale: scale) == nil)
        }
    }

    @Test func `the last of many rows is normalized like the first`() throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let (width, epsilon, last) = (700, Double(Self.epsilon), Self.manyRows - 1)
        let values = row(input(width, Self.manyRows), last, width)
        let dy = row(random(Self.manyRows * width, "dy"), last, width)
        let (w, b) = (doubles(random(width, "w")), doubles(random(width, "b")))

        let rms = try rms(lab, width, .f32, rows: Self.manyRows).map(lab.read)
        let layer = try layer(lab, width, .f32, rows: Self.manyRows).map(lab.read)

        let mean = values.reduce(0, +) / Double(width)
        let inverse = 1 / (dot(values, values) / Double(width) + epsilon).squareRoot()
        #expect(abs(Double(layer[1][last]) - mean) < 1e-6)
        #expect(abs(Double(rms[1][last]) - inverse) < 1e-6)
        let range = last * width..<(last + 1) * width
        let functions: [([Float], [Float], ([Double]) -> [Double])] = [
            (rms[0], rms[2], { rmsNorm($0, w, epsilon) }),
            (layer[0], layer[3], { layerNorm($0, w, b, epsilon) }),
        ]
        for (y, dx, function) in functions {
            let gradient = centralDifference(at: values) { dot(function($0), dy) }
            #expect(firstMismatch(Array(y[range]), function(values), tolerance: 6e-6) == nil)
            #expect(firstMismatch(Array(dx[range]), gradient, tolerance: 5e-6) == nil)
        }
    }

    @Test(arguments: ISA.supported)
    func `NaN stays in its row and reaches all of it`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let width = 20
        var x = random(3 * width, "x")
        x[width + 19] = .nan
        let ones = [Float](repeating: 1, count: width)
        let weight = try lab.weight(ones, rows: 1, columns: width)
        let (y, z) = (try lab.result(x.count), try lab.result(x.count))

        try lab.context.rmsNormForward(
            try lab.floats(x), weight: weight, epsilon: Self.epsilon, into: y,
            inverseRMS: try lab.result(3))
        try lab.context.layerNormForward(
            try lab.floats(x), weight: weight, bias: weight, epsilon: Self.epsilon, into: z,
            mean: try lab.result(3), inverseDeviation: try lab.result(3))

        for found in [lab.read(y), lab.read(z)] {
            #expect(found.indices.allSatisfy { found[$0].isNaN == ($0 / width == 1) })
        }
    }
}
