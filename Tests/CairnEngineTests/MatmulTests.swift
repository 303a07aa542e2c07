// SPDX-License-Identifier: Apache-2.0
/// Matrix products are the chains of fused multiply-adds that the header defines.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

/// Sizes of a product: C [m, n], k terms and k2 of a second product (0: none).
struct Product: Sendable, CustomTestStringConvertible {
    let m, n, k, k2: Int
    var testDescription: String { "[\(m), \(n)] of \(k) + \(k2)" }

    /// Around register tiles, and past every cache block in each direction.
    static let all = [
        Product(m: 1, n: 1, k: 1, k2: 0), Product(m: 2, n: 3, k: 5, k2: 1),
        Product(m: 5, n: 17, k: 16, k2: 4), Product(m: 6, n: 16, k: 7, k2: 8),
        Product(m: 13, n: 33, k: 31, k2: 3), Product(m: 15, n: 64, k: 32, k2: 0),
        Product(m: 17, n: 65, k: 130, k2: 8), Product(m: 3, n: 5, k: 1100, k2: 9),
        Product(m: 300, n: 9, k: 3, k2: 2), Product(m: 3, n: 1100, k: 4, k2: 2),
    ]
}

/// A matrix on the host, as the definition reads it.
struct HostMatrix {
    let values: [Float]
    let rows: Int
    let columns: Int

    init(_ rows: Int, _ columns: Int, _ values: [Float]) {
        self.values = values
        self.rows = rows
        self.columns = columns
    }

    subscript(row: Int, column: Int) -> Float { values[row * columns + column] }

    var transposed: HostMatrix {
        HostMatrix(
            columns, rows,
            (0..<columns).flatMap { column in (0..<rows).map { self[$0, column] } })
    }

    /// What a stored weight of `dtype` holds of these values.
    func rounded(to dtype: DType) -> HostMatrix {
        HostMatrix(rows, columns, stored(values, dtype, [rows, columns]).floats())
    }
}

/// Continues the chain of one element over the terms of a product, as the header defines it.
func chain(
    _ start: Float, count: Int, _ precision: Precision, _ term: (Int) -> (Float, Float)
) -> Float {
    var sum = start
    switch precision {
    case .fp32:
        for index in 0..<count {
            let (a, b) = term(index)
            sum = sum.addingProduct(a, b)
        }
    case .bf16:
        for even in stride(from: 0, to: count, by: 2) {
            for index in [even + 1, even] where index < count {
                let (a, b) = term(index)
                sum = sum.addingProduct(BFloat16(a).float, BFloat16(b).float)
            }
        }
    }
    return sum
}

@Suite struct MatmulTests {
    let scale: Float = 0.375

    @Test(arguments: Setting.all, Precision.allCases)
    func `every element is the chain that the header defines`(
        setting: Setting, precision: Precision
    ) throws {
        for (index, size) in Product.all.enumerated() {
            let lab = try Lab(setting)
            let dtype = weightTypes[index % weightTypes.count]
            let a = HostMatrix(size.m, size.k, random(size.m * size.k, "a"))
            let b = HostMatrix(size.k, size.n, random(size.k * size.n, "b")).rounded(to: dtype)
            let a2 = HostMatrix(size.m, size.k2, random(size.m * size.k2, "a2"))
            let b2 = HostMatrix(size.k2, size.n, random(size.k2 * size.n, "b2"))
            let (bias, old) = (random(size.n, "bias"), random(size.m * size.n, "c"))

            let c = try lab.floats(old)
            let transposed = index % 2 == 0
            let stored = transposed ? b.transposed : b
            try lab.context.matmul(
                .rows(try lab.floats(a.values), rows: size.m, columns: size.k),
                .weight(
                    try lab.weight(
                        stored.values, dtype, rows: stored.rows, columns: stored.columns),
                    transposed: transposed),
                second: size.k2 == 0
                    ? nil
                    : (
                        .rows(try lab.floats(a2.values), rows: size.m, columns: size.k2),
                        .rows(try lab.floats(b2.values), rows: size.k2, columns: size.n)
                    ),
                bias: try lab.floats(bias), scale: scale, accumulate: true, precision: precision,
                into: c)

            let expected = (0..<size.m * size.n).map { element -> Float in
                let (i, j) = (element / size.n, element % size.n)
                let first = chain(0, count: size.k, precision) { (a[i, $0], b[$0, j]) }
                let sum = chain(first, count: size.k2, precision) { (a2[i, $0], b2[$0, j]) }
                return (sum * scale + bias[j]) + old[element]
            }
            let mismatch = bitMismatch(lab.read(c), expected)
                .map { "\(size.testDescription): \($0)" }
            #expect(mismatch == nil)
            #expect(lab.brokenGuard() == nil)
        }
    }

    /// Past every cache block in m, in n and in k at once; only a sample of elements is compared.
    @Test(arguments: Setting.all, Precision.allCases)
    func `blocks of a large product continue the same chain`(
        setting: Setting, precision: Precision
    ) throws {
        for size in [
            Product(m: 110, n: 250, k: 350, k2: 21), Product(m: 1100, n: 30, k: 70, k2: 0),
            Product(m: 20, n: 900, k: 66, k2: 5),
        ] {
            let lab = try Lab(setting)
            let a = HostMatrix(size.m, size.k, random(size.m * size.k, "a"))
            let w = HostMatrix(size.n, size.k, random(size.n * size.k, "w")).rounded(to: .bf16)
            let a2 = HostMatrix(size.m, size.k2, random(size.m * size.k2, "a2"))
            let w2 = HostMatrix(size.n, size.k2, random(size.n * size.k2, "w2"))

            let c = try lab.result(size.m * size.n)
            try lab.context.matmul(
                .rows(try lab.floats(a.values), rows: size.m, columns: size.k),
                .weight(
                    try lab.weight(w.values, .bf16, rows: size.n, columns: size.k),
                    transposed: true),
                second: (
                    .rows(try lab.floats(a2.values), rows: size.m, columns: size.k2),
                    .rows(try lab.floats(w2.values), rows: size.n, columns: size.k2).transposed
                ), precision: precision, into: c)

            let found = lab.read(c)
            for element in stride(from: 0, to: found.count, by: 97) {
                let (i, j) = (element / size.n, element % size.n)
                let first = chain(0, count: size.k, precision) { (a[i, $0], w[j, $0]) }
                let sum = chain(first, count: size.k2, precision) { (a2[i, $0], w2[j, $0]) }
                #expect(bitMismatch([found[element]], [sum]) == nil, "\(size), [\(i), \(j)]")
            }
            #expect(lab.brokenGuard() == nil)
        }
    }

    @Test(arguments: ISA.supported, weightTypes)
    func `strides and transposes only change where an operand is read`(
        isa: ISA, dtype: DType
    ) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let (m, n, k) = (7, 37, 19)
        var generator = stream("integers")
        let a = HostMatrix(m, k, [Float].randomIntegers(m * k, using: &generator))
        let b = HostMatrix(k, n, [Float].randomIntegers(k * n, using: &generator))
        let expected = (0..<m * n).map { element in
            chain(0, count: k, .fp32) { (a[element / n, $0], b[$0, element % n]) }
        }
        let wide = (0..<m).flatMap { row in
            (0..<k).map { a[row, $0] } + [Float](repeating: .nan, count: 4)
        }
        let operands: [MatrixOperand] = [
            .rows(try lab.floats(a.values), rows: m, columns: k),
            .rows(try lab.floats(wide), rows: m, columns: k, stride: k + 4),
            .rows(try lab.floats(a.transposed.values), rows: k, columns: m).transposed,
            .weight(
                try lab.weight(a.transposed.values, dtype, rows: k, columns: m), transposed: true),
        ]

        for precision in Precision.allCases {
            for (index, operand) in operands.enumerated() {
                let c = try lab.result((m - 1) * (n + 3) + n)
                try lab.context.matmul(
                    operand, .weight(try lab.weight(b.values, dtype, rows: k, columns: n)),
                    precision: precision, into: c, stride: n + 3)

                let found = lab.read(c)
                let places = found.indices.map { ($0 / (n + 3), $0 % (n + 3)) }
                let rows = zip(found, places).filter { $0.1.1 < n }.map { $0.0 }
                let between = zip(found, places).filter { $0.1.1 >= n }.map { $0.0 }
                #expect(bitMismatch(rows, expected) == nil, "operand \(index), \(precision)")
                #expect(between.allSatisfy { $0.isNaN }, "the gap between rows was written")
            }
        }
        #expect(lab.brokenGuard() == nil)
    }

    @Test(arguments: [(Precision.fp32, 1e-6), (.bf16, 6e-3)])
    func `a product is near the one in double`(precision: Precision, bound: Double) throws {
        let lab = try Lab()
        let (m, n, k) = (9, 20, 300)
        let a = HostMatrix(m, k, random(m * k, "a"))
        let b = HostMatrix(k, n, random(k * n, "b"))

        let c = try lab.result(m * n)
        try lab.context.matmul(
            .rows(try lab.floats(a.values), rows: m, columns: k),
            .rows(try lab.floats(b.values), rows: k, columns: n), precision: precision, into: c)

        let expected = (0..<m * n).map { element in
            (0..<k).reduce(0.0) {
                $0 + Double(a[element / n, $1]) * Double(b[$1, element % n])
            }
        }
        // bf16: each factor is off by at most 2^-9, half of that on average, at random.
        #expect(relativeError(lab.read(c), expected) <= bound)
    }

    @Test(arguments: ISA.supported, Precision.allCases)
    func `NaN and infinity stay in their row and are not lost`(
        isa: ISA, precision: Precision
    ) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let (m, n, k) = (5, 18, 9)
        var a = [Float](repeating: 1, count: m * k)
        a[1 * k + 4] = .nan
        a[3 * k + 8] = .infinity
        var b = [Float](repeating: 2, count: k * n)
        b[8 * n + 17] = 0  // infinity times 0

        let c = try lab.result(m * n)
        try lab.context.matmul(
            .rows(try lab.floats(a), rows: m, columns: k),
            .rows(try lab.floats(b), rows: k, columns: n), precision: precision, into: c)

        let found = lab.read(c)
        #expect(found[n..<2 * n].allSatisfy { $0.isNaN })
        #expect(found[3 * n..<4 * n - 1].allSatisfy { $0 == .infinity })
        #expect(found[4 * n - 1].isNaN)
        #expect(found[0..<n - 1].allSatisfy { $0 == 18 })
        #expect(found[n - 1] == 16)
    }

    @Test func `a product of no terms is the bias`() throws {
        let lab = try Lab()
        let empty = try lab.floats([])
        let c = try lab.result(6)

        try lab.context.matmul(
            .rows(empty, rows: 2, columns: 0), .rows(empty, rows: 0, columns: 3),
            bias: try lab.floats([1, 2, 3]), precision: .fp32, into: c)

        #expect(lab.read(c) == [1, 2, 3, 1, 2, 3])
    }

    @Test func `a product without rows writes nothing`() throws {
        let lab = try Lab()
        let b = try lab.floats(random(12, "b"))

        try lab.context.matmul(
            .rows(try lab.floats([]), rows: 0, columns: 4), .rows(b, rows: 4, columns: 3),
            precision: .bf16, into: try lab.result(0))

        #expect(lab.brokenGuard() == nil)
    }
}
