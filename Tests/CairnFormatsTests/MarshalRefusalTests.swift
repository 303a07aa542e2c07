// SPDX-License-Identifier: Apache-2.0
/// Streams that name code, that contradict themselves, or that would take too much.

import CairnFormats
import Foundation
import Testing

@Suite struct MarshalRefusalTests {
    static func refusal(_ bytes: [UInt8]) -> String {
        do { return "accepted: \(try load(bytes))" } catch { return "\(error)" }
    }

    static let kinds: [([UInt8], String)] = [
        (stream("o", ":", 8, "Foo", 0), "an object of class 'Foo', type 'o'"),
        (stream("c", 11, "String"), "the class 'String', type 'c'"),
        (stream("m", 11, "Kernel"), "the module 'Kernel', type 'm'"),
        (stream("M", 11, "Kernel"), "the class or module 'Kernel', type 'M'"),
        (stream("S", ":", 8, "Foo", 0), "a struct of class 'Foo', type 'S'"),
        (stream("u", ":", 9, "Time", 0), "a dump of class 'Time', type 'u'"),
        (stream("U", ":", 13, "Rational", "[", 0), "a dump of class 'Rational', type 'U'"),
        (stream("e", ":", 8, "Foo", "0"), "an object extended by 'Foo', type 'e'"),
        (stream("C", ":", 8, "Foo", "[", 0), "a subclass 'Foo', type 'C'"),
        (stream("d", ":", 8, "Foo", "0"), "C data of class 'Foo', type 'd'"),
        (stream("/", 6, "x", 0), "the regular expression 'x', type '/'"),
        (stream("?", 0), "type '?'"), (stream(0), "type 0x0"),
        (stream("o", ":", 6, 0x07, 0), "an object of class '?', type 'o'"),
        (stream("o"), "an object of class, type 'o'"),
    ]

    @Test(arguments: kinds)
    func `what Ruby would run code for is refused by kind, name and place`(
        bytes: [UInt8], found: String
    ) {
        let data = "data (nil, booleans, numbers, strings, symbols, arrays, hashes)"
        #expect(Self.refusal(bytes) == "f: byte 2: expected \(data), found \(found)")
        #expect(
            Self.refusal([4, 8, 0x5B, 6] + bytes.dropFirst(2))
                == "f: byte 4: expected \(data), found \(found)")
    }

    @Test func `a regular expression and other objects with variables are refused too`() {
        #expect(
            Self.refusal(stream("I", "/", 6, "x", 0, 6, ":", 6, "E", "F")).hasSuffix(
                "found the regular expression 'x', type '/'"))
        #expect(
            Self.refusal(stream("I", "[", 0, 6, ":", 7, "@a", "0"))
                == "f: byte 3: expected instance variables on strings and symbols alone, "
                + "found them on type '['")
        #expect(
            Self.refusal(stream("I", "\"", 6, "x", 6, ":", 7, "@a", "0"))
                == "f: byte 7: expected an encoding and no other instance variable, found '@a'")
        #expect(
            Self.refusal(stream("I", "\"", 6, "x", 7, ":", 6, "E", "T", ":", 6, "a", "0"))
                == "f: byte 11: expected an encoding and no other instance variable, found 'a'")
        #expect(
            Self.refusal(stream("I", "\"", 6, "x", 6, "0", "T"))
                == "f: byte 7: expected a symbol, found type '0'")
    }

    @Test func `other versions and bytes around the value are refused`() {
        #expect(
            Self.refusal([4, 7, 0x30]) == "f: byte 0: expected version 4.8 of Marshal, found 4.7")
        #expect(Self.refusal(stream("0", "0")) == "f: ends at byte 3 by its header but has 4 bytes")
        #expect(
            Self.refusal([4]) == "f: needs 2 bytes but has 1; was the download interrupted?")
    }

    @Test func `links that lead nowhere or into themselves are refused by place`() {
        #expect(
            Self.refusal(stream("[", 6, "@", 6))
                == "f: byte 4: expected a link to one of 1 objects, found one to number 1")
        #expect(
            Self.refusal(stream("[", 6, "@", 0xFA))
                == "f: byte 4: expected a link to one of 1 objects, found one to number -1")
        #expect(
            Self.refusal(stream("[", 6, "@", 0))
                == "f: byte 4: expected no cycles, found a link to an object that contains it")
        #expect(
            Self.refusal(stream("{", 6, "i", 0, "[", 6, "@", 0))
                == "f: byte 8: expected no cycles, found a link to an object that contains it")
        #expect(
            Self.refusal(stream(";", 0))
                == "f: byte 2: expected a link to one of 0 symbols, found one to 0")
    }

    @Test func `a key that occurs twice is refused`() {
        #expect(
            Self.refusal(stream("{", 7, "i", 0, "0", "i", 0, "T"))
                == "f: byte 7: expected every key once, found one again")
        #expect(!Self.refusal(stream("{", 7, "i", 0, "0", "f", 6, "0", "T")).hasPrefix("f:"))
    }

    @Test func `numbers that are none are refused`() {
        #expect(
            Self.refusal(stream("f", 8, "1.x"))
                == "f: byte 3: expected a float in decimal, found '1.x'")
        for text in ["", "0x1", "1e999", "Inf", "--1", "1\u{0}2", " 1", "+-1", "e"] {
            let bytes = stream("f", text.utf8.count + (text.isEmpty ? 0 : 5), text)
            #expect(Self.refusal(bytes).contains("expected a float in decimal"), "\(text)")
        }
        #expect(Self.refusal(stream("l", "*", 6, 1, 0)) == "f: byte 3: expected a sign, found '*'")
    }

    @Test func `counts beyond the stream are refused before any memory is taken`() {
        for kind in ["[", "{", "}", "\"", ":", "f", "l+"] {
            let bytes = stream(kind, 4, 0xFF, 0xFF, 0xFF, 0x7F)
            #expect(
                Self.refusal(bytes).hasSuffix("was the download interrupted?"), "\(kind)")
            #expect(
                Self.refusal(stream(kind, 0xFA)).contains("expected a count, found -1"), "\(kind)")
        }
    }

    @Test func `256 levels are read and one more is not`() {
        func nested(_ levels: Int) -> [UInt8] {
            stream() + Array(repeating: [0x5B, 6], count: levels).flatMap { $0 } + [0x30]
        }
        #expect(!Self.refusal(nested(256)).hasPrefix("f:"))
        #expect(
            Self.refusal(nested(257)) == "f: byte 514: expected at most 256 levels, found one more")
        var value = MarshalValue.null
        for _ in 0..<257 { value = .array([value]) }
        #expect(throws: FormatError.self) { try MarshalWriter.data(value) }
    }

    /// [[[...], @, @, ...], @, @, ...]: each level repeats the one below it ten times.
    @Test func `links that would multiply without end are refused`() {
        func tower(_ levels: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            for _ in 0..<levels { bytes += [0x5B, 10 + 5] }
            bytes += [0x5B, 0]
            for level in stride(from: levels, to: 0, by: -1) {
                for _ in 0..<9 { bytes += [0x40, UInt8(level + 5)] }
            }
            return stream() + bytes
        }
        #expect(!Self.refusal(tower(5)).hasPrefix("f:"))
        #expect(
            Self.refusal(tower(20)).contains("values with every link written out, found more"))
    }

    @Test func `a stream cut anywhere is refused`() {
        for (name, text) in MarshalGolden.dumps {
            let bytes = unhex(text)
            for count in 0..<bytes.count {
                #expect(throws: FormatError.self, "\(name), \(count) bytes") {
                    try load(Array(bytes.prefix(count)))
                }
            }
        }
    }

    @Test func `random edits are refused, or read as a value that survives writing`() throws {
        var generator = SplitMix(state: 52)
        let kinds = Array("0TFi:;\"I[{}@lfocmMSuUeCd/".utf8) + [0, 4, 5, 6, 7, 0xFA, 0xFF]
        let dumps = MarshalGolden.dumps.sorted { $0.key < $1.key }.map { unhex($0.value) }
        var refused = 0
        for round in 0..<6_000 {
            var bytes = dumps[round % dumps.count]
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 2..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[place] = kinds.randomElement(using: &generator)!
                case 1: bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
                case 2: bytes.remove(at: place)
                default: bytes.insert(kinds.randomElement(using: &generator)!, at: place)
                }
            }
            guard let value = try? load(bytes) else {
                refused += 1
                continue
            }
            #expect(
                try MarshalReader.value(MarshalWriter.data(value), file: "f") == value,
                "round \(round)")
        }
        #expect(refused > 2_000)
    }
}
