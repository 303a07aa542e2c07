// SPDX-License-Identifier: Apache-2.0
/// Weights in 8 and 4 bits: how far they are from what they were made of, and what products read.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct QuantizedTests {
    private static let shapes = [(1, 1), (3, 7), (5, 16), (17, 64), (40, 200)]

    private static func numbers(_ count: Int, _ name: String) -> [Float] {
        var stream = RandomStream(seed: 3, name: name)
        return .random(count, in: -2...2, using: &stream)
    }

    private static func weight(
        _ rows: Int, _ columns: Int, _ kind: QuantizedKind, _ context: Context,
        _ dtype: DType = .f32
    ) throws -> (tensor: Tensor, codes: QuantizedWeight) {
        let tensor = stored(
            numbers(rows * columns, "w"), dtype, Shape([rows, columns]))
        return (tensor, try QuantizedWeight(tensor, as: kind, context: context))
    }

    @Test(arguments: shapes, [DType.f32, .bf16, .f16])
    func `8 bits are within half a step of the largest number of a row`(
        shape: (Int, Int), dtype: DType
    ) throws {
        let (rows, columns) = shape
        let (tensor, codes) = try Self.weight(
            rows, columns, .int8, try Context(threads: 1), dtype)

        let (before, after) = (tensor.floats(), try codes.floats())

        for row in 0..<rows {
            let range = row * columns..<(row + 1) * columns
            let largest = before[range].map(abs).max()!
            for i in range {
                #expect(abs(before[i] - after[i]) <= largest / 127 * 0.5001)
            }
        }
        #expect(codes.byteCount < rows * (columns + 64) + 8 * rows + 192)
        #expect(codes.isFinite)
    }

    @Test(arguments: shapes, [DType.f32, .bf16, .f16])
    func `4 bits are within half the widest gap of the table, and the scale's own step`(
        shape: (Int, Int), dtype: DType
    ) throws {
        let (rows, columns) = shape
        let (tensor, codes) = try Self.weight(rows, columns, .nf4, try Context(threads: 1), dtype)

        let (before, after) = (tensor.floats(), try codes.floats())

        // The widest gap is that between the two lowest values; scales of numbers from one range
        // differ by at most 2, which 254 steps cut.
        let count = rows * columns
        for block in 0..<(count + 63) / 64 {
            let range = block * 64..<min(block * 64 + 64, count)
            let largest = before[range].map(abs).max()!
            for i in range {
                #expect(abs(before[i] - after[i]) <= largest * 0.152 + 2.0 / 254)
            }
        }
        #expect(codes.byteCount < count / 2 + count / 64 + 256)
    }

    @Test(arguments: QuantizedKind.allCases)
    func `a number that is not finite is noticed`(kind: QuantizedKind) throws {
        let context = try Context(threads: 1)
        for bad in [Float.nan, .infinity, -.infinity] {
            var numbers = Self.numbers(4 * 70, "w")
            numbers[3 * 70 + 68] = bad
            let tensor = Tensor(numbers, shape: [4, 70])
            let codes = try QuantizedWeight(tensor, as: kind, context: context)
            #expect(!codes.isFinite)
        }
    }

    @Test(arguments: Setting.all)
    func `codes and products have the bits of the scalar kernels`(setting: Setting) throws {
        let (lab, scalar) = (try Lab(setting), try Lab())
        let (rows, outputs, inputs) = (37, 45, 200)
        let x = Self.numbers(rows * inputs, "x")
        let bias = Self.numbers(outputs, "bias")
        for kind in QuantizedKind.allCases {
            let (_, own) = try Self.weight(outputs, inputs, kind, lab.context, .bf16)
            let (_, expected) = try Self.weight(outputs, inputs, kind, scalar.context, .bf16)
            #expect(own.withBytes { Array($0) } == expected.withBytes { Array($0) })
            for precision in Precision.allCases {
                func dx(_ lab: Lab, _ codes: QuantizedWeight) throws -> [UInt32] {
                    let dx = try lab.result(rows * inputs)
                    let dy = Array(x[0..<rows * outputs])
                    try lab.context.matmul(
                        .rows(try lab.floats(dy), rows: rows, columns: outputs),
                        .weight(codes.weight), precision: precision, into: dx)
                    #expect(lab.unwritten(dx) == nil && lab.brokenGuard() == nil)
                    return lab.read(dx).map(\.bitPattern)
                }
                #expect(try dx(lab, own) == dx(scalar, expected))
            }
        }
        func forward(_ lab: Lab) throws -> [UInt32] {
            let (_, codes) = try Self.weight(outputs, inputs, .int8, lab.context)
            let y = try lab.result(rows * outputs)
            try lab.context.matmulInt8(
                try lab.floats(x), codes.weight, bias: try lab.floats(bias), into: y)
            #expect(lab.unwritten(y) == nil && lab.brokenGuard() == nil)
            return lab.read(y).map(\.bitPattern)
        }
        #expect(try forward(lab) == forward(scalar))
    }

    /// Both operands are rounded by at most half a step: the error of a sum is at most that of its
    /// terms.
    @Test func `a product in 8 bits is near the exact one`() throws {
        let lab = try Lab()
        let (rows, outputs, inputs) = (9, 21, 130)
        let x = Self.numbers(rows * inputs, "x")
        let (tensor, codes) = try Self.weight(outputs, inputs, .int8, lab.context)
        let w = tensor.floats()
        let y = try lab.result(rows * outputs)

        try lab.context.matmulInt8(try lab.floats(x), codes.weight, into: y)

        let found = lab.read(y)
        for t in 0..<rows {
            let row = x[t * inputs..<(t + 1) * inputs].map(Double.init)
            let step = row.map(abs).max()! / 254
            for o in 0..<outputs {
                let other = w[o * inputs..<(o + 1) * inputs].map(Double.init)
                let otherStep = other.map(abs).max()! / 254
                var (exact, bound) = (0.0, 1e-4)
                for i in 0..<inputs {
                    exact += row[i] * other[i]
                    bound += abs(row[i]) * otherStep + (abs(other[i]) + otherStep) * step
                }
                #expect(abs(Double(found[t * outputs + o]) - exact) <= bound)
            }
        }
    }

    /// What a row gives does not depend on the company it keeps in a batch.
    @Test func `a row of a product in 8 bits has the same bits alone`() throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let (rows, outputs, inputs) = (50, 33, 64)
        let x = Self.numbers(rows * inputs, "x")
        let (_, codes) = try Self.weight(outputs, inputs, .int8, lab.context)
        let all = try lab.result(rows * outputs)
        try lab.context.matmulInt8(try lab.floats(x), codes.weight, into: all)
        for row in [0, 13, 49] {
            let alone = try lab.result(outputs)
            let own = Array(x[row * inputs..<(row + 1) * inputs])
            try lab.context.matmulInt8(try lab.floats(own), codes.weight, into: alone)
            #expect(lab.read(alone) == Array(lab.read(all)[row * outputs..<(row + 1) * outputs]))
        }
    }
}
