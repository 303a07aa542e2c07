// SPDX-License-Identifier: Apache-2.0
/// Weight gradients: a chain within a group, groups in order, no trace of micro-batches.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

/// Adds the gradient of `rows` of a step to `gradients`, partitioned as given.
private typealias Accumulate = (Lab, Range<Int>, Partition, [Gradient]) throws -> Void

/// An operation with a weight gradient, and the sizes of what it accumulates.
private struct Accumulator {
    let name: String
    let counts: [Int]
    let accumulate: Accumulate
}

@Suite struct GroupedGradientTests {
    /// Five sequences (one empty, odd and even ones) in three groups, the second one empty.
    static let offsets: [UInt32] = [0, 5, 6, 6, 13, 17]
    static let groups: [UInt32] = [0, 2, 2, 5]
    static let rows = 17
    static let whole = Partition(offsets: offsets, groups: groups)

    /// Micro-batches with the same rows, cut within groups and between them.
    static let cuts: [[Partition]] = [
        [
            Partition(offsets: [0, 5], groups: [0, 1], suspends: true),
            Partition(offsets: [0, 1, 1, 8, 12], groups: [0, 1, 1, 4], resumes: true),
        ],
        [
            Partition(offsets: [0, 5, 6], groups: [0, 2, 2]),
            Partition(offsets: [0, 0, 7], groups: [0, 2], suspends: true),
            Partition(offsets: [0, 4], groups: [0, 1], resumes: true),
        ],
        [
            Partition(offsets: [0, 5], groups: [0, 1], suspends: true),
            Partition(offsets: [0, 1], groups: [0, 1], resumes: true),
            Partition(offsets: [0], groups: [0, 0]),
            Partition(offsets: [0, 0], groups: [0, 1], suspends: true),
            Partition(offsets: [0, 7], groups: [0, 1], resumes: true, suspends: true),
            Partition(offsets: [0, 4], groups: [0, 1], resumes: true),
        ],
    ]

    private static func accumulators(width: Int) -> [Accumulator] {
        let (inputs, heads, vocabulary) = (19, 3, 11)
        let dy = random(rows * width, "dy")
        let x = random(rows * inputs, "x")
        let wide = random(rows * width, "wide")
        let perRow = random(rows * heads, "statistics").map { abs($0) + 0.5 }
        let headDY = random(rows * heads * width, "head dy")
        let headX = random(rows * heads * width, "head x")
        let ids = (0..<rows).map { Int32($0 * $0 % vocabulary) }
        func part(_ values: [Float], _ rows: Range<Int>, _ width: Int) -> [Float] {
            Array(values[rows.lowerBound * width..<rows.upperBound * width])
        }
        let products = Precision.allCases.map { precision in
            Accumulator(name: "matmulGradient \(precision)", counts: [width * inputs]) {
                lab, rows, partition, gradients in
                try lab.context.matmulGradient(
                    dy: try lab.floats(part(dy, rows, width)),
                    x: try lab.floats(part(x, rows, inputs)), outputs: width, inputs: inputs,
                    partition: partition, precision: precision, into: gradients[0])
            }
        }
        return products + [
            Accumulator(name: "biasGradient", counts: [width]) { lab, rows, partition, gradients in
                try lab.context.biasGradient(
                    dy: try lab.floats(part(dy, rows, width)), partition: partition,
                    into: gradients[0])
            },
            Accumulator(name: "scaleColumnsGradient", counts: [width]) {
                lab, rows, partition, gradients in
                try lab.context.scaleColumnsGradient(
                    dy: try lab.floats(part(dy, rows, width)),
                    z: try lab.floats(part(wide, rows, width)),
                    denominator: try lab.floats(random(width, "denominator").map { abs($0) + 1 }),
                    partition: partition, into: gradients[0])
            },
            Accumulator(name: "rmsNormWeightGradient", counts: [width]) {
                lab, rows, partition, gradients in
                try lab.context.rmsNormWeightGradient(
                    try lab.floats(part(headX, rows, heads * width)),
                    inverseRMS: try lab.floats(part(perRow, rows, heads)),
                    dy: try lab.floats(part(headDY, rows, heads * width)), repeats: heads,
                    partition: partition, into: gradients[0])
            },
            Accumulator(name: "layerNormWeightGradient", counts: [width, width]) {
                lab, rows, partition, gradients in
                try lab.context.layerNormWeightGradient(
                    try lab.floats(part(wide, rows, width)),
                    mean: try lab.floats(
                        part(perRow, rows, heads).enumerated()
                            .filter { $0.offset % heads == 0 }.map(\.element)),
                    inverseDeviation: try lab.floats(
                        part(perRow, rows, heads).enumerated()
                            .filter { $0.offset % heads == 1 }.map(\.element)),
                    dy: try lab.floats(part(dy, rows, width)), partition: partition,
                    intoWeight: gradients[0], bias: gradients[1])
            },
            Accumulator(name: "embeddingGradient", counts: [vocabulary * width]) {
                lab, rows, partition, gradients in
                try lab.context.embeddingGradient(
                    ids: try lab.integers(Array(ids[rows])),
                    dy: try lab.floats(part(dy, rows, width)), vocabulary: vocabulary,
                    width: width, partition: partition, into: gradients[0])
            },
        ]
    }

    private func sums(
        _ operation: Accumulator, _ lab: Lab, _ partitions: [Partition]
    ) throws -> [[Float]] {
        let gradients = try operation.counts.map(lab.gradient)
        var row = 0
        for partition in partitions {
            try operation.accumulate(lab, row..<row + partition.rows, partition, gradients)
            row += partition.rows
        }
        #expect(row == Self.rows)
        return gradients.map { lab.read($0.sum) }
    }

    @Test(arguments: Setting.all)
    func `micro-batches leave no trace in a gradient`(setting: Setting) throws {
        for width in [1, 17, 70, 700] {
            for operation in Self.accumulators(width: width) {
                let lab = try Lab(setting)
                let expected = try sums(operation, try Lab(.scalar), [Self.whole])
                for partitions in [[Self.whole]] + Self.cuts {
                    let actual = try sums(operation, lab, partitions)
                    for (found, wanted) in zip(actual, expected) {
                        #expect(
                            bitMismatch(found, wanted) == nil,
                            "\(operation.name), width \(width), \(partitions.count) micro-batches")
                    }
                }
                #expect(lab.brokenGuard() == nil, "\(operation.name)")
            }
        }
    }

    @Test(arguments: ISA.supported, Precision.allCases)
    func `a matmul gradient is the chain that the header defines`(
        isa: ISA, precision: Precision
    ) throws {
        let lab = try Lab(Setting(isa: isa, threads: 3))
        let (outputs, inputs) = (218, 335)
        let dy = HostMatrix(Self.rows, outputs, random(Self.rows * outputs, "dy"))
        let x = HostMatrix(Self.rows, inputs, random(Self.rows * inputs, "x"))

        let gradient = try lab.gradient(outputs * inputs)
        try lab.context.matmulGradient(
            dy: try lab.floats(dy.values), x: try lab.floats(x.values), outputs: outputs,
            inputs: inputs, partition: Self.whole, precision: precision, into: gradient)

        let found = lab.read(gradient.sum)
        for element in stride(from: 0, to: found.count, by: 41) {
            var sum: Float = 0
            for group in 0..<Self.whole.groupCount {
                var open: Float = 0
                for sequence in Int(Self.groups[group])..<Int(Self.groups[group + 1]) {
                    let first = Int(Self.offsets[sequence])
                    let count = Int(Self.offsets[sequence + 1]) - first
                    open = chain(open, count: count, precision) {
                        (dy[first + $0, element / inputs], x[first + $0, element % inputs])
                    }
                }
                sum += open
            }
            #expect(bitMismatch([found[element]], [sum]) == nil, "element \(element)")
        }
    }

    @Test(arguments: ISA.supported)
    func `gradients are near the sums in double`(isa: ISA) throws {
        let (width, heads) = (200, 3)
        let perRow = random(Self.rows * heads, "statistics").map { abs($0) + 0.5 }
        let denominator = random(width, "denominator").map { abs($0) + 1 }
        func doubles(_ name: String, _ count: Int) -> [Double] {
            random(count, name).map(Double.init)
        }
        let (dy, wide) = (doubles("dy", Self.rows * width), doubles("wide", Self.rows * width))
        let headDY = doubles("head dy", Self.rows * heads * width)
        let headX = doubles("head x", Self.rows * heads * width)
        func column(_ rows: Int, _ term: (Int, Int) -> Double) -> [Double] {
            (0..<width).map { j in (0..<rows).reduce(0) { $0 + term($1, j) } }
        }
        let bias = column(Self.rows) { dy[$0 * width + $1] }
        let expected: [String: [[Double]]] = [
            "biasGradient": [bias],
            "scaleColumnsGradient": [
                column(Self.rows) {
                    dy[$0 * width + $1] * wide[$0 * width + $1] / Double(denominator[$1])
                }
            ],
            "rmsNormWeightGradient": [
                column(Self.rows * heads) {
                    headDY[$0 * width + $1] * headX[$0 * width + $1] * Double(perRow[$0])
                }
            ],
            "layerNormWeightGradient": [
                column(Self.rows) {
                    dy[$0 * width + $1] * (wide[$0 * width + $1] - Double(perRow[$0 * heads]))
                        * Double(perRow[$0 * heads + 1])
                }, bias,
            ],
        ]
        var compared = 0

        for operation in Self.accumulators(width: width) {
            guard let wanted = expected[operation.name] else { continue }
            let lab = try Lab(Setting(isa: isa, threads: 2))
            for (found, sum) in zip(try sums(operation, lab, [Self.whole]), wanted) {
                #expect(relativeError(found, sum) < 1e-6, "\(operation.name)")
                compared += 1
            }
        }

        #expect(compared == 5)
    }

    @Test(arguments: ISA.supported)
    func `an embedding gradient adds rows in order and leaves nothing open`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        let (width, vocabulary) = (5, 4)
        let ids: [Int32] = [2, 0, 2, 3, 2]
        let dy = random(5 * width, "dy")
        let partition = Partition(offsets: [0, 3, 5], groups: [0, 1, 2])
        let gradient = try lab.gradient(vocabulary * width)

        try lab.context.embeddingGradient(
            ids: try lab.integers(ids), dy: try lab.floats(dy), vocabulary: vocabulary,
            width: width, partition: partition, into: gradient)

        let expected = (0..<vocabulary * width).map { element -> Float in
            let rows = ids.indices.filter { Int(ids[$0]) == element / width }
            func sum(_ rows: [Int]) -> Float {
                rows.reduce(0) { $0 + dy[$1 * width + element % width] }
            }
            return sum(rows.filter { $0 < 3 }) + sum(rows.filter { $0 >= 3 })
        }
        #expect(bitMismatch(lab.read(gradient.sum), expected) == nil)
        #expect(lab.read(gradient.open).allSatisfy { $0 == 0 })
    }

    @Test func `an id outside of the vocabulary is refused and nothing is written`() throws {
        let lab = try Lab()
        let gradient = try lab.gradient(6)

        #expect(throws: KernelError.invalidOperand(operation: "embeddingGradient")) {
            try lab.context.embeddingGradient(
                ids: try lab.integers([1, 3]), dy: try lab.floats([1, 1, 1, 1]), vocabulary: 3,
                width: 2, partition: Partition(offsets: [0, 2], groups: [0, 1]), into: gradient)
        }

        #expect(lab.read(gradient.sum) == [0, 0, 0, 0, 0, 0])
        #expect(lab.read(gradient.open) == [0, 0, 0, 0, 0, 0])
    }

    @Test(arguments: ISA.supported)
    func `NaN in one row reaches the gradients of its column only`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        var dy = [Float](repeating: 1, count: 4 * 20)
        dy[2 * 20 + 18] = .nan
        let gradient = try lab.gradient(20)

        try lab.context.biasGradient(
            dy: try lab.floats(dy), partition: Partition(offsets: [0, 4], groups: [0, 1]),
            into: gradient)

        let found = lab.read(gradient.sum)
        #expect(found[18].isNaN)
        #expect(found.indices.allSatisfy { $0 == 18 || found[$0] == 4 })
    }
}
