// SPDX-License-Identifier: Apache-2.0
/// BFloat16 and Half, over all their patterns and at the ties of rounding.

import CairnTensor
import Testing

@Suite struct BFloat16Tests {
    @Test func `every pattern survives the way through binary32, but NaNs become quiet`() {
        for pattern in UInt16.min ... .max {
            let value = BFloat16(bitPattern: pattern)
            #expect(value.float.bitPattern == UInt32(pattern) << 16)
            let expected = value.float.isNaN ? pattern | 0x40 : pattern
            if BFloat16(value.float).bitPattern != expected {
                Issue.record("\(pattern) came back as \(BFloat16(value.float).bitPattern)")
            }
        }
    }

    /// Between every two neighbours: a tie goes to the even one, all else to the nearer.
    @Test func `rounding is to nearest, ties to even, for every pattern`() {
        for pattern in UInt16.min ..< .max where pattern & 0x7FFF < 0x7F80 {
            let low = UInt32(pattern) << 16
            let even = pattern & 1 == 0 ? pattern : pattern + 1
            let rounded = [0, 0x7FFF as UInt32, 0x8000, 0x8001, 0xFFFF].map {
                BFloat16(Float(bitPattern: low | $0)).bitPattern
            }
            let expected: [UInt16] = [pattern, pattern, even, pattern + 1, pattern + 1]
            if rounded != expected {
                Issue.record("\(pattern): \(rounded)")
            }
        }
    }

    static let ends: [(Float, UInt16)] = [
        (.greatestFiniteMagnitude, 0x7F80), (-.greatestFiniteMagnitude, 0xFF80),
        (.infinity, 0x7F80), (-.infinity, 0xFF80), (1, 0x3F80), (-0.0, 0x8000),
        (Float(bitPattern: 0x7F7F_7FFF), 0x7F7F), (Float(bitPattern: 0x7F80_0001), 0x7FC0),
        (Float(bitPattern: 0xFFFF_FFFF), 0xFFFF), (Float(bitPattern: 1), 0),
        (Float(bitPattern: 0x8001), 1),
    ]

    @Test(arguments: ends)
    func `the ends of the range round as they must`(value: Float, pattern: UInt16) {
        #expect(BFloat16(value).bitPattern == pattern)
    }
}

@Suite struct HalfTests {
    @Test func `every pattern survives the way through binary32, but NaNs become quiet`() {
        for pattern in UInt16.min ... .max {
            let value = Half(bitPattern: pattern)
            if value.float.isNaN {
                #expect(pattern & 0x7FFF > 0x7C00)
                #expect(Half(value.float).bitPattern == pattern & 0x8000 | 0x7E00)
            } else if Half(value.float).bitPattern != pattern {
                Issue.record("\(pattern) came back as \(Half(value.float).bitPattern)")
            }
        }
    }

    static let ties: [(Float, UInt16)] = [
        (65504, 0x7BFF), (65519.996, 0x7BFF), (65520, 0x7C00), (65536, 0x7C00),
        (.infinity, 0x7C00), (-1e30, 0xFC00), (0x1p-14, 0x0400), (0x1p-24, 0x0001),
        (0x1p-25, 0x0000), (0x1.000002p-25, 0x0001), (0x1.8p-24, 0x0002), (-0x1p-26, 0x8000),
        (0x1.FF8p-15, 0x03FF), (0x1.FFCp-15, 0x0400), (1 + 0x1p-11, 0x3C00),
        (1 + 0x1.8p-10, 0x3C02), (-0.0, 0x8000),
    ]

    @Test(arguments: ties)
    func `ties, subnormals and overflow round as they must`(value: Float, pattern: UInt16) {
        #expect(Half(value).bitPattern == pattern)
    }

    #if !(os(macOS) && arch(x86_64))
        @Test func `every pattern has the value that Float16 gives it`() {
            for pattern in UInt16.min ... .max {
                let expected = Float(Float16(bitPattern: pattern))
                let value = Half(bitPattern: pattern).float
                if !(value.isNaN && expected.isNaN) && value.bitPattern != expected.bitPattern {
                    Issue.record("\(pattern) is \(value), expected \(expected)")
                }
            }
        }

        @Test func `rounding agrees with Float16 around every pattern`() {
            for pattern in UInt16.min..<0x7C00 {
                let low = Half(bitPattern: pattern).float
                let high = Half(bitPattern: pattern + 1).float
                let tie = pattern == 0x7BFF ? 65520 : low + (high - low) / 2
                for value in [low, low.nextUp, tie.nextDown, tie, tie.nextUp] {
                    for signed in [value, -value]
                    where Half(signed).bitPattern != Float16(signed).bitPattern {
                        Issue.record("\(signed) rounds to \(Half(signed).bitPattern)")
                    }
                }
            }
        }

        @Test func `rounding agrees with Float16 over a stride of all binary32 patterns`() {
            for bits in stride(from: UInt32(0), to: .max, by: 65_521) {
                let value = Float(bitPattern: bits)
                if !value.isNaN && Half(value).bitPattern != Float16(value).bitPattern {
                    Issue.record("\(value) rounds to \(Half(value).bitPattern)")
                }
            }
        }
    #endif
}
