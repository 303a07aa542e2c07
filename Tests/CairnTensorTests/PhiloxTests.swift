// SPDX-License-Identifier: Apache-2.0
/// The generator against published vectors, and what is drawn from it against its promises.

import CairnTensor
import Testing

@Suite struct PhiloxTests {
    /// Counter, key and words by Random123 for philox4x32-10.
    static let knownAnswers: [([UInt32], [UInt32], [UInt32])] = [
        (
            [0, 0, 0, 0], [0, 0],
            [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]
        ),
        (
            [.max, .max, .max, .max], [.max, .max],
            [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]
        ),
        (
            [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0],
            [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
        ),
    ]

    @Test(arguments: knownAnswers)
    func `the known answers come out`(counter: [UInt32], key: [UInt32], words: [UInt32]) {
        let block = Philox.block(
            counter: (counter[0], counter[1], counter[2], counter[3]), key: (key[0], key[1]))
        #expect([block.0, block.1, block.2, block.3] == words)
    }
}

@Suite struct RandomStreamTests {
    @Test func `a stream's number is FNV-1a of its name`() {
        #expect(RandomStream.hash("") == 0xCBF2_9CE4_8422_2325)
        #expect(RandomStream.hash("a") == 0xAF63_DC4C_8601_EC8C)
        #expect(RandomStream.hash("foobar") == 0x8594_4171_F739_67E8)
    }

    @Test func `words are those of the blocks, in order`() {
        let seed: UInt64 = 0x1122_3344_5566_7788
        let name = RandomStream.hash("x")
        var stream = RandomStream(seed: seed, name: "x")

        let words = (0..<8).map { _ in stream.nextWord() }

        let blocks = (0..<2).map {
            Philox.block(
                counter: (
                    $0, 0, UInt32(truncatingIfNeeded: name), UInt32(truncatingIfNeeded: name >> 32)
                ), key: (0x5566_7788, 0x1122_3344))
        }
        #expect(words == blocks.flatMap { [$0.0, $0.1, $0.2, $0.3] })
    }

    @Test func `a stream can be taken up at any place`() {
        var whole = RandomStream(seed: 1, name: "s")
        let words = (0..<23).map { _ in whole.nextWord() }
        #expect(whole.position == 23)
        for place in 0..<23 {
            var part = RandomStream(seed: 1, name: "s")
            part.position = UInt64(place)
            #expect(part.nextWord() == words[place])
        }
        var far = RandomStream(seed: 1, name: "s")
        far.position = 1 << 40
        #expect(!words.contains(far.nextWord()))
    }

    @Test func `seed and name each make another stream`() {
        func first(_ seed: UInt64, _ name: String) -> UInt64 {
            var stream = RandomStream(seed: seed, name: name)
            return stream.next()
        }
        let draws = [
            first(1, "a"), first(2, "a"), first(1 << 32, "a"), first(1, "b"), first(1, ""),
        ]
        #expect(Set(draws).count == 5)
    }

    @Test func `uniform numbers are multiples of 2^-24 in [0, 1) with the mean of their kind`() {
        var stream = RandomStream(seed: 3, name: "uniform")
        let draws = (0..<10_000).map { _ in stream.uniform() }
        #expect(
            draws.allSatisfy { $0 >= 0 && $0 < 1 && ($0 * 16_777_216).rounded() == $0 * 16_777_216 }
        )
        // The mean of n has a deviation of 1 / sqrt(12 n) = 0.0029; five of them.
        #expect(abs(draws.reduce(0, +) / 10_000 - 0.5) <= 0.0145)
    }

    @Test(arguments: [1, 2, 3, 10, 1000])
    func `indices stay below the bound and reach all of it`(bound: Int) {
        var stream = RandomStream(seed: 4, name: "index")
        let draws = Set((0..<(bound * 20)).map { _ in stream.index(below: bound) })
        #expect(draws == Set(0..<bound))
    }

    @Test func `normal numbers have mean 0, variance 1 and the tails of their kind`() {
        var stream = RandomStream(seed: 5, name: "normal")
        let draws = (0..<40_000).map { _ in Double(stream.normal()) }

        // Deviations: mean 1/sqrt n = 0.005, variance sqrt(2/n) = 0.0071, P(|x| > 2) 0.00104.
        let mean = draws.reduce(0, +) / 40_000
        let variance = draws.reduce(0) { $0 + $1 * $1 } / 40_000
        let tail = Double(draws.filter { abs($0) > 2 }.count) / 40_000
        #expect(abs(mean) <= 0.025)
        #expect(abs(variance - 1) <= 0.0355)
        #expect(abs(tail - 0.0455) <= 0.0052)
    }

    @Test(arguments: [0, 1, 2, 17, 100])
    func `a permutation holds every index once and depends on the stream alone`(count: Int) {
        var stream = RandomStream(seed: 6, name: "shuffle")
        let first = stream.permutation(count)
        let second = stream.permutation(count)
        var again = RandomStream(seed: 6, name: "shuffle")

        #expect(first.sorted() == Array(0..<count))
        #expect(again.permutation(count) == first)
        if count > 10 { #expect(first != second) }
    }
}
