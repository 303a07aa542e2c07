// SPDX-License-Identifier: Apache-2.0
/// The fingerprint tells apart what differs, and is the same everywhere.

import CairnFormats
import Foundation
import Testing

@Suite struct FingerprintTests {
    func fingerprint(_ buffers: [UInt8]...) -> String {
        var result = Fingerprint()
        for buffer in buffers { result.update(buffer) }
        return result.hex
    }

    func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SplitMix(state: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    func hex(_ words: [UInt64]) -> String {
        words.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// The formula once more, in its plainest form.
    func byFormula(_ bytes: [UInt8], after state: [UInt64] = [0, 0]) -> [UInt64] {
        let k: [UInt64] = [
            0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b,
            0xa54f_f53a_5f1d_36f1, 0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f,
            0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
        ]
        let (p, q): (UInt64, UInt64) = (0x9e37_79b9_7f4a_7c15, 0x243f_6a88_85a3_08d3)
        func rotate(_ x: UInt64, _ n: UInt64) -> UInt64 { x << n | x >> (64 - n) }
        func mixed(_ x: UInt64) -> UInt64 {
            let y = (x ^ x >> 32) &* q
            let z = (y ^ y >> 29) &* p
            return z ^ z >> 32
        }
        var padded: [UInt8] = bytes
        while padded.count % 64 != 0 { padded.append(0) }
        var h: [UInt64] = []
        for i in 0..<8 {
            let product: UInt64 = k[i] &* UInt64(i + 1)
            h.append(state[i % 2] &+ product)
        }
        for index in 0..<(padded.count / 8) {
            var w: UInt64 = 0
            for byte in 0..<8 { w |= UInt64(padded[8 * index + byte]) << UInt64(8 * byte) }
            let lane: UInt64 = h[index % 8] &+ w &* p
            h[index % 8] = rotate(lane, 31) &* q
        }
        var result: [UInt64] = []
        for j in 0..<2 {
            var sum: UInt64 = UInt64(bytes.count) ^ state[j] ^ k[j]
            for lane in h { sum = rotate(sum ^ mixed(lane &* k[j]), 29) &* p }
            result.append(mixed(sum))
        }
        return result
    }

    @Test func `lengths 0 to 300 follow the formula at every alignment`() {
        let source = bytes(320, seed: 1)
        for count in 0...300 {
            let expected = byFormula(Array(source[..<count]))
            let text = hex(expected)
            let shift = count % 16
            var moved = [UInt8](repeating: 0xAA, count: shift) + source[..<count]
            moved.withUnsafeMutableBytes { buffer in
                var found = Fingerprint()
                found.update(UnsafeRawBufferPointer(rebasing: buffer[shift...]))
                #expect(found.hex == text, "\(count) bytes")
            }
        }
    }

    @Test func `a second buffer goes on from the first`() {
        let (a, b) = (bytes(100, seed: 2), bytes(77, seed: 3))

        let expected = byFormula(b, after: byFormula(a))

        #expect(fingerprint(a, b) == hex(expected))
    }

    @Test func `its bytes are its words, little-endian, and make it again`() {
        var original = Fingerprint()
        original.update(Array("Cairn".utf8))

        let again = Fingerprint(bytes: original.bytes)

        #expect(again == original)
        #expect(
            original.bytes == [
                0xfb, 0x9f, 0x33, 0x1a, 0xe0, 0x19, 0x50, 0x89,
                0xeb, 0x4a, 0x14, 0x22, 0x0e, 0xf5, 0x4e, 0x73,
            ])
    }

    @Test func `the value of known bytes never changes`() {
        #expect(fingerprint() == "00000000000000000000000000000000")
        #expect(fingerprint([]) == "1dc90f3013f5028b23e960f9e6d03508")
        #expect(fingerprint(Array("Cairn".utf8)) == "895019e01a339ffb734ef50e22144aeb")
        #expect(fingerprint((0...255).map { UInt8($0) }) == "eba89ecf888c9eee1819b6bddd1eea8e")
    }

    @Test(arguments: [1, 7, 8, 9, 63, 64, 65, 129])
    func `every flipped bit, every pair in a byte and every exchanged byte gives another one`(
        count: Int
    ) {
        let original = bytes(count, seed: UInt64(count))
        var seen: Set<String> = [fingerprint(original)]
        var variants = 0
        for place in 0..<count {
            for mask in UInt8(1)...255 {
                var changed = original
                changed[place] ^= mask
                seen.insert(fingerprint(changed))
                variants += 1
            }
            for other in 0..<place where original[other] != original[place] {
                var changed = original
                changed.swapAt(place, other)
                seen.insert(fingerprint(changed))
                variants += 1
            }
        }
        #expect(seen.count == variants + 1)
    }

    @Test func `zeros of each length, and of each number of buffers, differ`() {
        var seen: Set<String> = []
        for count in 0...1024 { seen.insert(fingerprint([UInt8](repeating: 0, count: count))) }
        var many = Fingerprint()
        for _ in 0..<64 {
            many.update([UInt8]())
            seen.insert(many.hex)
        }
        #expect(seen.count == 1025 + 63)  // One empty buffer occurs in both.
    }

    @Test func `words exchanged within a lane and across lanes are noticed`() {
        let original = bytes(512, seed: 9)
        var seen: Set<String> = [fingerprint(original)]
        for a in 0..<64 {
            for b in 0..<a {
                var changed = original
                for byte in 0..<8 { changed.swapAt(8 * a + byte, 8 * b + byte) }
                seen.insert(fingerprint(changed))
            }
        }
        #expect(seen.count == 1 + 64 * 63 / 2)
    }

    @Test func `where buffers are cut counts`() {
        let all = bytes(100, seed: 4)
        let cuts = (0...100).map { fingerprint(Array(all[..<$0]), Array(all[$0...])) }
        #expect(Set(cuts + [fingerprint(all)]).count == 102)
    }

    /// Of 128 bits, a flipped bit of the input flips 64 ± 5.7 (one standard deviation): over
    /// 1 024 flips the mean is within 1 of 64, and each output bit flips in 512 ± 16 of them.
    @Test func `a flipped bit flips each bit of the result half of the time`() {
        let original = bytes(128, seed: 5)
        func words(_ bytes: [UInt8]) -> [UInt64] {
            let hex = fingerprint(bytes)
            return [hex.prefix(16), hex.suffix(16)].map { UInt64($0, radix: 16)! }
        }
        let before = words(original)
        var flips = [Int](repeating: 0, count: 128)
        for bit in 0..<1024 {
            var changed = original
            changed[bit / 8] ^= 1 << (bit % 8)
            for (half, word) in words(changed).enumerated() {
                for place in 0..<64 where (word ^ before[half]) >> place & 1 == 1 {
                    flips[64 * half + place] += 1
                }
            }
        }
        let mean = Double(flips.reduce(0, +)) / 1024
        #expect(abs(mean - 64) <= 1)
        #expect(flips.allSatisfy { abs($0 - 512) <= 96 }, "\(flips)")
    }
}
