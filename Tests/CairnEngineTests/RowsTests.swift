// SPDX-License-Identifier: Apache-2.0
/// Picking, placing and averaging rows: exact against their definition.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct RowsTests {
    /// The last is wide enough for several tasks.
    static let widths = [1, 7, 16, 33, 130, 1300]

    private func rows(_ values: [Float], _ indices: [Int], _ width: Int) -> [Float] {
        indices.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    @Test(arguments: Setting.all, weightTypes)
    func `an embedding copies and widens rows of the table`(
        setting: Setting, dtype: DType
    ) throws {
        let lab = try Lab(setting)
        let ids: [Int32] = (0..<50).map { Int32($0 * 7 % 11) }
        for width in Self.widths {
            let table = random(11 * width, "table")
            let y = try lab.result(ids.count * width)

            try lab.context.embeddingForward(
                ids: try lab.integers(ids),
                table: try lab.weight(table, dtype, rows: 11, columns: width), into: y)

            let expected = rows(
                stored(table, dtype, [11, width]).floats(), ids.map(Int.init), width)
            #expect(bitMismatch(lab.read(y), expected) == nil, "width \(width)")
        }
        #expect(lab.brokenGuard() == nil)
    }

    @Test(arguments: [Int32(11), -1, .max, .min])
    func `an id outside of the table is refused and nothing is written`(id: Int32) throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let y = try lab.result(3 * 4)

        #expect(throws: KernelError.invalidOperand(operation: "embeddingForward")) {
            try lab.context.embeddingForward(
                ids: try lab.integers([0, id, 10]),
                table: try lab.weight(random(44, "table"), rows: 11, columns: 4), into: y)
        }

        #expect(lab.read(y).allSatisfy { $0.isNaN })
    }

    @Test(arguments: Setting.all)
    func `gathering and scattering follow the indices in order`(setting: Setting) throws {
        let lab = try Lab(setting)
        let indices = (0..<40).map { $0 * $0 % 13 }
        let words = try lab.words(indices.map(UInt32.init))
        for width in Self.widths {
            let (x, dy) = (random(13 * width, "x"), random(40 * width, "dy"))
            let (y, dx) = (try lab.result(40 * width), try lab.result(13 * width))

            try lab.context.gatherRows(
                try lab.floats(x), indices: words, width: width, into: y)
            try lab.context.scatterRows(
                dy: try lab.floats(dy), indices: words, width: width, into: dx)

            var sums = [Float](repeating: 0, count: 13 * width)
            for (row, index) in indices.enumerated() {
                for j in 0..<width { sums[index * width + j] += dy[row * width + j] }
            }
            #expect(bitMismatch(lab.read(y), rows(x, indices, width)) == nil, "gather \(width)")
            #expect(bitMismatch(lab.read(dx), sums) == nil, "scatter \(width)")
        }
        #expect(lab.brokenGuard() == nil)
    }

    @Test(arguments: Setting.all)
    func `means add rows in order and divide by their number`(setting: Setting) throws {
        let lab = try Lab(setting)
        let offsets: [UInt32] = [0, 1, 1, 8, 11, 40]
        for width in Self.widths {
            let (x, dy) = (random(40 * width, "x"), random(5 * width, "dy"))
            let (y, dx) = (try lab.result(5 * width), try lab.result(40 * width))

            try lab.context.meanRowsForward(
                try lab.floats(x), offsets: offsets, width: width, into: y)
            try lab.context.meanRowsBackward(
                dy: try lab.floats(dy), offsets: offsets, width: width, into: dx)

            var (means, spread) = ([Float](), [Float]())
            for s in 0..<5 {
                let range = Int(offsets[s])..<Int(offsets[s + 1])
                for j in 0..<width {
                    let sum = range.reduce(Float(0)) { $0 + x[$1 * width + j] }
                    means.append(range.isEmpty ? 0 : sum / Float(range.count))
                }
                for _ in range {
                    spread += (0..<width).map { dy[s * width + $0] / Float(range.count) }
                }
            }
            #expect(bitMismatch(lab.read(y), means) == nil, "forward \(width)")
            #expect(bitMismatch(lab.read(dx), spread) == nil, "backward \(width)")
        }
        #expect(lab.brokenGuard() == nil)
    }

    @Test(arguments: ISA.supported)
    func `NaN moves with its row`(isa: ISA) throws {
        let lab = try Lab(Setting(isa: isa, threads: 2))
        var x = [Float](repeating: 1, count: 3 * 18)
        x[18 + 17] = .nan
        let (gathered, means) = (try lab.result(2 * 18), try lab.result(2 * 18))

        try lab.context.gatherRows(
            try lab.floats(x), indices: try lab.words([2, 1]), width: 18, into: gathered)
        try lab.context.meanRowsForward(
            try lab.floats(x), offsets: [0, 1, 3], width: 18, into: means)

        for found in [lab.read(gathered), lab.read(means)] {
            #expect(found[35].isNaN)
            #expect(found[..<35].allSatisfy { $0 == 1 })
        }
    }
}
