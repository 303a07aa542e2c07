// SPDX-License-Identifier: Apache-2.0
/// The counter-based generator behind every random number of the project.

/// Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key.
///
/// Stateless, so any number of a stream can be had by its index, in any order, on any thread.
///
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
public enum Philox {
    /// The four words that a counter and a key give.
    public static func block(
        counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
    ) -> (UInt32, UInt32, UInt32, UInt32) {
        var c = counter
        var k = key
        for round in 0..<10 {
            if round > 0 { k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85) }
            let a = UInt64(0xD251_1F53) * UInt64(c.0)
            let b = UInt64(0xCD9E_8D57) * UInt64(c.2)
            c = (
                UInt32(truncatingIfNeeded: b >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: b),
                UInt32(truncatingIfNeeded: a >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: a)
            )
        }
        return c
    }
}

/// A stream of random numbers, named by a seed and a purpose.
///
/// The key is (seed, FNV-1a of the name), so "init/model.layers.0.q_proj.lora_A" draws the same
/// numbers whatever else the run draws, and in whatever order.
public struct RandomStream: RandomNumberGenerator, Sendable {
    private let key: (UInt32, UInt32)
    private let high: (UInt32, UInt32)

    /// Words drawn so far; setting it moves the stream there.
    public var position: UInt64 = 0

    /// The stream of a purpose: equal seeds and names give equal words.
    public init(seed: UInt64, name: String) {
        let hash = Self.hash(name)
        key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        high = (UInt32(truncatingIfNeeded: hash), UInt32(truncatingIfNeeded: hash >> 32))
    }

    /// FNV-1a, 64 bits, over the UTF-8 of `name`: the number of a stream.
    public static func hash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    /// The next word of the stream.
    public mutating func nextWord() -> UInt32 {
        let index = position / 4
        let words = Philox.block(
            counter: (
                UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32),
                high.0, high.1
            ), key: key)
        defer { position += 1 }
        switch position % 4 {
        case 0: return words.0
        case 1: return words.1
        case 2: return words.2
        default: return words.3
        }
    }

    public mutating func next() -> UInt64 {
        let low = UInt64(nextWord())
        return UInt64(nextWord()) << 32 | low
    }

    /// A multiple of 2^-24 in [0, 1).
    public mutating func uniform() -> Float { Float(nextWord() >> 8) / 16_777_216 }

    /// An index below `bound`, without bias (rejection).
    ///
    /// - Precondition: `bound` is positive.
    public mutating func index(below bound: Int) -> Int {
        precondition(bound > 0, "index(below:) needs a positive bound, got \(bound)")
        let range = UInt64(bound)
        let limit = UInt64.max - UInt64.max % range
        while true {
            let draw: UInt64 = next()
            if draw < limit { return Int(draw % range) }
        }
    }

    /// A standard normal number: Marsaglia's polar method, in double, with this module's own
    /// logarithm, so that the bits do not depend on the system's libm.
    public mutating func normal() -> Float {
        while true {
            let u = 2 * Double(uniform()) - 1 + 0x1p-24
            let v = 2 * Double(uniform()) - 1 + 0x1p-24
            let s = u * u + v * v
            if s < 1 && s > 0 { return Float(u * (-2 * Self.logarithm(s) / s).squareRoot()) }
        }
    }

    /// A permutation of `0..<count` (Fisher-Yates).
    public mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(last, index(below: last + 1))
        }
        return order
    }

    /// The natural logarithm of a positive normal number: 2 artanh((m - 1) / (m + 1)) + e ln 2.
    private static func logarithm(_ x: Double) -> Double {
        let m = x.significand
        let z = (m - 1) / (m + 1)
        let square = z * z
        var sum = 0.0
        for k in stride(from: 35, through: 1, by: -2) { sum = sum * square + 1 / Double(k) }
        return 2 * z * sum + Double(x.exponent) * 0.693_147_180_559_945_3
    }
}
