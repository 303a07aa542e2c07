// SPDX-License-Identifier: Apache-2.0
/// Marshal as data: what Ruby dumps, what we write, and one stream per refusal.

import CairnFormats
import Foundation
import Testing

/// The bytes of hexadecimal digits; blanks do not count.
func unhex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map {
        UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
}

func load(_ bytes: [UInt8]) throws(FormatError) -> MarshalValue {
    try MarshalReader.value(Data(bytes), file: "f")
}

/// A stream of version 4.8 with these bytes, of which letters are spelled as text.
func stream(_ parts: Any...) -> [UInt8] {
    [4, 8]
        + parts.flatMap { part -> [UInt8] in
            if let text = part as? String { return Array(text.utf8) }
            return [UInt8(part as! Int)]  // tests write nothing else
        }
}

@Suite struct MarshalTests {
    static func golden(_ name: String) throws -> MarshalValue {
        try load(unhex(try #require(MarshalGolden.dumps[name])))
    }

    static func array(_ elements: MarshalValue...) -> MarshalValue { .array(elements) }

    static func string(_ bytes: [UInt8], _ encoding: MarshalString.Encoding) -> MarshalValue {
        .string(MarshalString(bytes: bytes, encoding: encoding))
    }

    static func symbol(_ text: String, _ encoding: MarshalString.Encoding = .ascii) -> MarshalValue
    {
        .symbol(MarshalString(bytes: Array(text.utf8), encoding: encoding))
    }

    static func power(_ exponent: Int, isNegative: Bool = false) -> MarshalValue {
        var magnitude = [UInt8](repeating: 0, count: exponent / 8 + 1)
        magnitude[exponent / 8] = 1 << (exponent % 8)
        return .bigInteger(MarshalBigInteger(isNegative: isNegative, magnitude: magnitude)!)
    }

    // MARK: What Ruby dumps

    @Test func `constants and integers of every size are those that Ruby dumped`() throws {
        #expect(try Self.golden("constants") == Self.array(.null, .bool(true), .bool(false)))
        let small = [
            0, 1, -1, 122, 123, -123, -124, 255, 256, -256, -257, 65_536, 1 << 30 - 1, -1 << 30,
        ]
        #expect(
            try Self.golden("small integers") == .array(small.map { .integer(Int64($0)) }))
        #expect(
            try Self.golden("large integers")
                == Self.array(
                    .integer(1 << 30), .integer(-1 << 30 - 1), .integer(.max), .integer(.min),
                    Self.power(63), Self.power(64), Self.power(64, isNegative: true),
                    Self.power(100)))
    }

    static let floats: [Double] = [
        0, -0.0, 1.5, 0.1, 1e-4, 1e-5, 1.25e-7, 1e16, 123_456_789_012_345_680, 1e300,
        .leastNonzeroMagnitude,
        .greatestFiniteMagnitude, .infinity, -.infinity, .nan,
    ]

    @Test func `floats are those that Ruby dumped, and are spelled as Ruby spells them`() throws {
        #expect(try Self.golden("floats") == .array(Self.floats.map { .float($0) }))
        #expect(
            Array(try MarshalWriter.data(.array(Self.floats.map { .float($0) })))
                == unhex(MarshalGolden.dumps["floats"]!))
    }

    @Test func `strings keep bytes and encodings`() throws {
        #expect(
            try Self.golden("strings")
                == Self.array(
                    .text(""), .text("a"), .text("é"), Self.string([0xFF], .binary),
                    Self.string([0x61], .ascii), Self.string([0x82, 0xA0], .named("Shift_JIS")),
                    Self.string([0x82, 0xA2], .named("Shift_JIS"))))
    }

    @Test func `symbols are read where they stand and where they are repeated`() throws {
        let (a, é) = (Self.symbol("a"), Self.symbol("é", .utf8))
        #expect(
            try Self.golden("symbols") == Self.array(a, é, a, é, Self.symbol("two words")))
    }

    @Test func `links give the object that they repeat`() throws {
        let (text, list) = (MarshalValue.text("shared"), Self.array(.integer(1)))
        #expect(
            try Self.golden("links")
                == Self.array(
                    text, text, list, list, .float(2.5), .float(2.5), Self.power(70),
                    Self.power(71)))
    }

    @Test func `hashes keep their order, their keys and their default`() throws {
        #expect(
            try Self.golden("hashes")
                == .hash(
                    MarshalHash([
                        (.text("a"), .integer(1)), (Self.symbol("b"), Self.array(.integer(2))),
                        (.integer(3), .hash(MarshalHash([(.null, .float(0.5))]))),
                        (.text("d"), .hash(MarshalHash([]))),
                    ])))
        #expect(
            try Self.golden("a hash with a default")
                == .hash(MarshalHash([(.text("a"), .integer(1))], default: .integer(7))))
    }

    /// Where Ruby links nothing but symbols, our bytes are its bytes.
    @Test(arguments: [
        "constants", "small integers", "large integers", "floats", "symbols", "hashes",
        "a hash with a default",
    ])
    func `what Ruby dumped is written with Ruby's bytes`(name: String) throws {
        let bytes = unhex(MarshalGolden.dumps[name]!)
        #expect(Array(try MarshalWriter.data(try load(bytes))) == bytes)
    }

    // MARK: Round trips

    @Test func `random values read back as they were written`() throws {
        var generator = SplitMix(state: 51)
        for _ in 0..<500 {
            let value = Self.random(depth: 4, using: &generator)
            #expect(try MarshalReader.value(MarshalWriter.data(value), file: "f") == value)
        }
    }

    static func random(depth: Int, using generator: inout SplitMix) -> MarshalValue {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &generator) {
        case 0: return [.null, .bool(true), .bool(false)].randomElement(using: &generator)!
        case 1: return .integer(Int64(bitPattern: generator.next() >> (generator.next() % 64)))
        case 2:
            let magnitude = (0..<12).map { _ in UInt8(truncatingIfNeeded: generator.next()) | 1 }
            let isNegative = Bool.random(using: &generator)
            return .bigInteger(MarshalBigInteger(isNegative: isNegative, magnitude: magnitude)!)
        case 3:
            let value = Double(bitPattern: generator.next())
            return .float(value.isNaN ? .nan : value)
        case 4, 5: return .string(randomString(using: &generator))
        case 6:
            return symbol(
                ["a", "b", "learning_rate", "é"].randomElement(using: &generator)!, .ascii)
        case 7:
            let count = Int.random(in: 0...5, using: &generator)
            return .array((0..<count).map { _ in random(depth: depth - 1, using: &generator) })
        default:
            var pairs: [MarshalValue: MarshalValue] = [:]
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                pairs[random(depth: depth - 1, using: &generator)] = random(
                    depth: depth - 1, using: &generator)
            }
            let standard = Bool.random(using: &generator) ? MarshalValue.integer(1) : nil
            return .hash(MarshalHash(pairs.map { (key: $0, value: $1) }, default: standard))
        }
    }

    static func randomString(using generator: inout SplitMix) -> MarshalString {
        let encodings: [MarshalString.Encoding] = [.binary, .ascii, .utf8, .named("UTF-16LE")]
        let count = Int.random(in: 0...200, using: &generator)
        return MarshalString(
            bytes: (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) },
            encoding: encodings.randomElement(using: &generator)!)
    }

    @Test func `a long value is written piece by piece`() throws {
        struct CountingSink: ByteSink {
            var largest = 0
            var total = 0
            mutating func write(_ bytes: UnsafeRawBufferPointer) {
                largest = max(largest, bytes.count)
                total += bytes.count
            }
        }
        let value = MarshalValue.array((0..<100_000).map { .float(Double($0) + 0.5) })
        var sink = CountingSink()
        try MarshalWriter.write(value, to: &sink)
        #expect(sink.total > 500_000)
        #expect(sink.largest < 70_000)
    }

    @Test func `a big integer that fits 64 bits is none`() {
        #expect(MarshalBigInteger(isNegative: false, magnitude: [1, 0, 0]) == nil)
        #expect(MarshalBigInteger(isNegative: true, magnitude: [0, 0, 0, 0, 0, 0, 0, 0x80]) == nil)
        let big = MarshalBigInteger(isNegative: false, magnitude: [0, 0, 0, 0, 0, 0, 0, 0x80, 0])
        #expect(big?.unsigned == 1 << 63)
        #expect(big?.magnitude.count == 8)
    }
}
