// SPDX-License-Identifier: Apache-2.0
/// Dropout masks are the Philox words that the header names, for any setting and packing.

import CairnEngine
import CairnTensor
import TestSupport
import Testing

@Suite struct DropoutTests {
    static let settings = Dropout(
        probability: 0.3, key: Context.dropoutKey(seed: 42, site: "model.layers.0.lora_A"), step: 9)
    /// The last is wide enough for several tasks.
    static let widths = [1, 3, 4, 15, 16, 17, 64, 131, 1001]

    /// The kept elements of a row, by the generator of CairnTensor.
    private func kept(_ dropout: Dropout, row: UInt32, position: UInt32, width: Int) -> [Bool] {
        (0..<width).map { feature in
            let words = Philox.block(
                counter: (UInt32(feature / 4), position, row, dropout.step),
                key: (
                    UInt32(truncatingIfNeeded: dropout.key),
                    UInt32(truncatingIfNeeded: dropout.key >> 32)
                ))
            let word = [words.0, words.1, words.2, words.3][feature % 4]
            return Float(word >> 8) * 0x1p-24 >= dropout.probability
        }
    }

    @Test(arguments: Setting.all)
    func `masks are those of the counter, and kept elements are scaled`(
        setting: Setting
    ) throws {
        let lab = try Lab(setting)
        let rowIDs: [UInt32] = (0..<21).map { 1000 + $0 / 7 }
        let positions: [UInt32] = (0..<21).map { $0 % 7 }
        for width in Self.widths {
            let x = random(21 * width, "x")
            let y = try lab.result(x.count)

            try lab.context.dropout(
                Self.settings, try lab.floats(x), width: width, rowIDs: try lab.words(rowIDs),
                positions: try lab.words(positions), into: y)

            let masks = (0..<21).flatMap {
                kept(Self.settings, row: rowIDs[$0], position: positions[$0], width: width)
            }
            let found = lab.read(y)
            for index in x.indices {
                let expected = masks[index] ? Double(x[index]) / (1 - 0.3) : 0
                #expect(abs(Double(found[index]) - expected) <= 2e-7 * abs(expected))
            }
            #expect(lab.brokenGuard() == nil)
        }
    }

    @Test(arguments: Setting.all)
    func `every setting gives the bits of one scalar thread`(setting: Setting) throws {
        try expectScalarBits(setting, "in place") { lab in
            let x = try lab.floats(random(300 * 131, "x"))
            let rows = try lab.words((0..<300).map { UInt32($0) })
            try lab.context.dropout(
                Self.settings, x, width: 131, rowIDs: rows, positions: rows, into: x)
            return [x]
        }
    }

    @Test func `packing does not move a mask`() throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let x = random(6 * 20, "x")
        let (rowIDs, positions): ([UInt32], [UInt32]) = ([5, 5, 5, 8, 8, 8], [0, 1, 2, 0, 1, 2])
        let (all, part) = (try lab.result(120), try lab.result(60))

        try lab.context.dropout(
            Self.settings, try lab.floats(x), width: 20, rowIDs: try lab.words(rowIDs),
            positions: try lab.words(positions), into: all)
        try lab.context.dropout(
            Self.settings, try lab.floats(Array(x[60...])), width: 20,
            rowIDs: try lab.words(Array(rowIDs[3...])),
            positions: try lab.words(Array(positions[3...])), into: part)

        #expect(bitMismatch(lab.read(part), Array(lab.read(all)[60...])) == nil)
    }

    @Test func `step, seed and site each move the mask; a probability of 0 keeps everything`()
        throws
    {
        let lab = try Lab()
        let x = [Float](repeating: 1, count: 256)
        let rows = try lab.words([0])
        func mask(_ dropout: Dropout) throws -> [Float] {
            let y = try lab.result(256)
            try lab.context.dropout(
                dropout, try lab.floats(x), width: 256, rowIDs: rows, positions: rows, into: y)
            return lab.read(y)
        }
        func dropout(_ seed: UInt64, _ site: String, _ step: UInt32) -> Dropout {
            Dropout(
                probability: 0.5, key: Context.dropoutKey(seed: seed, site: site), step: step)
        }

        let base = try mask(dropout(1, "a", 1))

        #expect(try mask(dropout(1, "a", 1)) == base)
        #expect(try mask(dropout(2, "a", 1)) != base)
        #expect(try mask(dropout(1, "b", 1)) != base)
        #expect(try mask(dropout(1, "a", 2)) != base)
        #expect(try mask(Dropout(probability: 0, key: 1, step: 1)) == x)
    }

    @Test func `the share of dropped elements is the probability`() throws {
        let lab = try Lab(Setting(isa: .best, threads: 2))
        let (rows, width) = (400, 100)
        let ids = try lab.words((0..<UInt32(rows)).map { $0 })
        let y = try lab.result(rows * width)

        try lab.context.dropout(
            Self.settings, try lab.floats([Float](repeating: 1, count: rows * width)),
            width: width, rowIDs: ids, positions: ids, into: y)

        let dropped = lab.read(y).count { $0 == 0 }
        // 40 000 draws: the standard deviation of the share is 0.0023.
        #expect(abs(Double(dropped) / 40_000 - 0.3) < 0.012)
    }

    @Test func `the key is the seed and the site's hash`() {
        #expect(Context.dropoutKey(seed: 0, site: "a") == RandomStream.hash("a"))
        #expect(Context.dropoutKey(seed: 5, site: "a") == RandomStream.hash("a") ^ 5)
    }
}
