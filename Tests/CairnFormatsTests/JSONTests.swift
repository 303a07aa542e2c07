// SPDX-License-Identifier: Apache-2.0
/// The JSON reader and writer, against RFC 8259 and against what they refuse beyond it.

import CairnFormats
import Foundation
import Testing

@Suite struct JSONReadingTests {
    static let values: [(String, JSONValue)] = [
        ("null", .null), (" true ", true), ("false", false), ("\"\"", ""), ("[]", []),
        ("{}", [:]), ("0", 0), ("-0", .number(-0.0)), ("-7", -7), ("1.5", 1.5), ("1e2", 100.0),
        ("1E+2", 100.0), ("12e-1", 1.2), ("9223372036854775807", .integer(.max)),
        ("-9223372036854775808", .integer(.min)), ("9223372036854775808", 9.223372036854775808e18),
        ("1000000000000000019884624838656", 1e30), ("1e-400", 0.0), ("5e-324", .number(0x1p-1074)),
        ("[1,[2,{\"a\":[]}]]", [1, [2, ["a": []]]]),
        ("{\"b\":1,\"a\":{\"b\":2}}", ["b": 1, "a": ["b": 2]]),
        (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u00E9""#, "Aéé"),
        (#""\ud83d\ude00 \uD83D\uDE00 😀""#, "😀 😀 😀"), (#""\u0000""#, "\0"),
        (#""\uFFFF\udbff\udfff""#, "\u{FFFF}\u{10FFFF}"), ("\"\u{7F}\u{2028}\"", "\u{7F}\u{2028}"),
    ]

    @Test(arguments: values)
    func `a value is what the text says`(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
    }

    @Test func `minus zero keeps its sign and whole numbers their kind`() throws {
        #expect(try parse("-0").number?.sign == .minus)
        #expect(try parse("3") != 3.0)
        #expect(try parse("3.0").integer == 3)
        #expect(try parse("3.5").integer == nil)
        #expect(try parse("1e300").integer == nil)
        #expect(try parse("3").number == 3.0)
    }

    @Test func `numbers round to the nearest double`() throws {
        #expect(try parse("0.1").number == 0.1)
        #expect(
            try parse("2.2250738585072011e-308").number == Double(bitPattern: 0x000F_FFFF_FFFF_FFFF)
        )
        #expect(try parse("179769313486231580793e288").number == .greatestFiniteMagnitude)
        #expect(try parse("9007199254740993.0").number == 9_007_199_254_740_992)
    }

    static let refusals: [(String, String)] = [
        ("", "line 1 (byte 0): expected a value, found the end"),
        ("  \n ", "line 2 (byte 4): expected a value, found the end"),
        ("nul", "line 1 (byte 0): expected a value, found 'n'"),
        ("nulL", "line 1 (byte 0): expected a value, found 'n'"),
        ("True", "line 1 (byte 0): expected a value, found 'T'"),
        ("'a'", "line 1 (byte 0): expected a value, found '''"),
        ("[1,]", "line 1 (byte 3): expected a value, found ']'"),
        ("[1 2]", "line 1 (byte 3): expected ',' or ']', found '2'"),
        ("[1", "line 1 (byte 2): expected ',' or ']', found the end"),
        ("[1}", "line 1 (byte 2): expected ',' or ']', found '}'"),
        ("{\"a\" 1}", "line 1 (byte 5): expected ':' after a key, found '1'"),
        ("{\"a\":1,}", "line 1 (byte 7): expected a key in quotes, found '}'"),
        ("{a:1}", "line 1 (byte 1): expected a key in quotes, found 'a'"),
        ("{\"a\":1;", "line 1 (byte 6): expected ',' or '}', found ';'"),
        ("{\n\"a\":1,\n\"a\":2}", "line 3 (byte 9): expected every key once, found 'a' again"),
        ("{\"a\":1,\"\\u0061\":2}", "line 1 (byte 7): expected every key once, found 'a' again"),
        ("1 2", "line 1 (byte 2): expected the end of the text, found '2'"),
        ("{}\0", "line 1 (byte 2): expected the end of the text, found byte 0x00"),
        ("01", "line 1 (byte 0): expected a number without leading zeros, found '0'"),
        ("-", "line 1 (byte 1): expected a digit, found the end"),
        ("+1", "line 1 (byte 0): expected a value, found '+'"),
        (".5", "line 1 (byte 0): expected a value, found '.'"),
        ("1.", "line 1 (byte 2): expected a digit, found the end"),
        ("1e", "line 1 (byte 2): expected a digit, found the end"),
        ("1e+x", "line 1 (byte 3): expected a digit, found 'x'"),
        ("0x10", "line 1 (byte 1): expected the end of the text, found 'x'"),
        ("1e400", "line 1 (byte 0): expected a number within a double's range, found 1e400"),
        ("-1e400", "line 1 (byte 0): expected a number within a double's range, found -1e400"),
        ("NaN", "line 1 (byte 0): expected a finite number, found NaN"),
        ("[Infinity]", "line 1 (byte 1): expected a finite number, found Infinity"),
        ("-Infinity", "line 1 (byte 0): expected a finite number, found -Infinity"),
        ("nan", "line 1 (byte 0): expected a value, found 'n'"),
        ("\"a", "line 1 (byte 2): expected '\"' at the end of a string, found the end"),
        ("\"\\", "line 1 (byte 2): expected '\"' at the end of a string, found the end"),
        ("\"a\nb\"", "line 1 (byte 2): expected control characters as escapes, found byte 0x0A"),
        ("\"\\n\t\"", "line 1 (byte 3): expected control characters as escapes, found byte 0x09"),
        ("\"\\x\"", "line 1 (byte 2): expected an escape, found 'x'"),
        ("\"\\u12G4\"", "line 1 (byte 5): expected four hexadecimal digits, found 'G'"),
        ("\"\\u00\"", "line 1 (byte 5): expected four hexadecimal digits, found '\"'"),
        ("\"\\ud800\"", "line 1 (byte 1): expected a surrogate pair, found half of one"),
        ("\"\\udc00\"", "line 1 (byte 1): expected a surrogate pair, found half of one"),
        ("\"\\ud800\\u0041\"", "line 1 (byte 1): expected a surrogate pair, found half of one"),
        ("\"\\ud800\\ud800\"", "line 1 (byte 1): expected a surrogate pair, found half of one"),
        ("\"\\ud800x\"", "line 1 (byte 1): expected a surrogate pair, found half of one"),
        ("\u{FEFF}{}", "line 1 (byte 0): expected a value, found a byte-order mark"),
    ]

    @Test(arguments: refusals)
    func `what is not strict JSON is refused with its place`(text: String, problem: String) {
        let error = #expect(throws: FormatError.self) { try parse(text) }
        #expect(error?.description == "t.json, " + problem)
    }

    static let invalidUTF8: [[UInt8]] = [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0x80], [0xED, 0xA0, 0x80], [0xC3],
        [0xF0, 0x8F, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
        [0xE2, 0x82], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x98, 0x41], [0xFF],
    ]

    @Test(arguments: invalidUTF8)
    func `bytes that are not UTF-8 are refused with their place`(bytes: [UInt8]) {
        let quoted = Array("[\"123456789\", \"".utf8) + bytes + Array("\"]".utf8)

        let error = #expect(throws: FormatError.self) {
            try JSONValue.parse(Data(quoted), file: "t.json")
        }

        #expect(error?.description.hasPrefix("t.json, line 1 (byte 15): expected UTF-8") == true)
    }

    @Test func `non-finite numbers come through where they are asked for`() throws {
        let value = try parse("[NaN, Infinity, -Infinity]", allowNonFinite: true)

        #expect(value.array?[0].number?.isNaN == true)
        #expect(value.array?[1].number == .infinity)
        #expect(value.array?[2].number == -.infinity)
        #expect(throws: FormatError.self) { try parse("1e400", allowNonFinite: true) }
        #expect(throws: FormatError.self) { try parse("Nan", allowNonFinite: true) }
    }

    @Test func `nesting is bounded`() throws {
        func nest(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }

        #expect(throws: Never.self) { try parse(nest(256)) }
        let error = #expect(throws: FormatError.self) { try parse(nest(257)) }
        #expect(
            error?.description
                == "t.json, line 1 (byte 256): expected at most 256 levels, found one more")
        #expect(throws: FormatError.self) { try parse(String(repeating: "{\"a\":", count: 99_999)) }
    }

    /// Few keys are scanned for, many are hashed.
    @Test(arguments: [0, 20])
    func `keys that only Unicode calls equal are two keys`(others: Int) throws {
        let members = (0..<others).map { "\"k\($0)\":0," }.joined()
        let value = try parse("{\(members)\"\u{E9}\":1,\"e\u{301}\":2}")

        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
        #expect(JSONValue("\u{E9}") != JSONValue("e\u{301}"))
    }

    @Test func `every cut of a document is refused`() throws {
        let document = #"{"a": [1.5, "x\u00e9\ud83d\ude00", null], "é": {"b": true}}"#
        #expect(throws: Never.self) { try parse(document) }
        for count in 0..<document.utf8.count {
            #expect(throws: FormatError.self, "cut at \(count)") {
                try JSONValue.parse(Data(document.utf8.prefix(count)), file: "t.json")
            }
        }
    }
}

@Suite struct JSONWritingTests {
    static let document: JSONValue = [
        "b": [1, 2.5, .null, []], "a": ["nested": [:], "text": "é\"\\/\n\u{1}\u{7F}"], "c": true,
    ]

    @Test func `pretty text has two spaces and the given order`() throws {
        #expect(
            try text(Self.document, pretty: true) == """
                {
                  "b": [
                    1,
                    2.5,
                    null,
                    []
                  ],
                  "a": {
                    "nested": {},
                    "text": "é\\"\\\\/\\n\\u0001\u{7F}"
                  },
                  "c": true
                }
                """)
    }

    @Test func `compact text has no space, and keys sort by their bytes`() throws {
        #expect(
            try text(["b": 1, "a": [2, ["z": 0, "Z": 1, "é": 2]]], sortedKeys: true)
                == #"{"a":[2,{"Z":1,"z":0,"é":2}],"b":1}"#)
    }

    static let numbers: [(Double, String)] = [
        (0, "0.0"), (-0.0, "-0.0"), (0.1, "0.1"), (1e-6, "1e-06"), (1e16, "1e+16"),
        (100_000, "100000.0"), (.greatestFiniteMagnitude, "1.7976931348623157e+308"),
        (0x1p-1074, "5e-324"), (1 / 3, "0.3333333333333333"),
    ]

    @Test(arguments: numbers)
    func `a number is written in its shortest form`(number: Double, expected: String) throws {
        #expect(try text(.number(number)) == expected)
    }

    @Test func `random doubles and integers read back as the same bits`() throws {
        var generator = SplitMix(state: 7)
        for _ in 0..<20_000 {
            let bits = generator.next()
            let number = Double(bitPattern: bits)
            guard number.isFinite else { continue }
            #expect(try parse(text(.number(number))).number?.bitPattern == bits)
            let integer = JSONValue.integer(Int64(bitPattern: bits))
            #expect(try parse(text(integer)) == integer)
        }
    }

    @Test func `numbers that are not finite are refused with their place`() throws {
        let value: JSONValue = ["a": [1, ["loss": .number(.nan)]]]

        let error = #expect(throws: FormatError.self) { try value.serialized() }
        #expect(error?.description == "$.a[1].loss is nan, which JSON cannot hold")
        #expect(throws: FormatError.self) { try JSONValue.number(-.infinity).serialized() }
    }

    @Test func `every scalar below 32 is escaped and reads back`() throws {
        let all = String(String.UnicodeScalarView((0..<0x80).map { UnicodeScalar(UInt8($0)) }))
        let written = try text(.string(all))

        #expect(written.utf8.allSatisfy { $0 >= 0x20 })
        #expect(try parse(written) == .string(all))
    }
}

@Suite struct JSONObjectTests {
    @Test(arguments: [0, 1, 7, 8, 9, 100])
    func `members are found by key at any size`(count: Int) {
        var object = JSONObject()
        for index in 0..<count { object["k\(index)"] = JSONValue(index) }

        #expect(object.count == count)
        #expect(object.keys == (0..<count).map { "k\($0)" })
        for index in 0..<count { #expect(object["k\(index)"] == JSONValue(index)) }
        #expect(object["none"] == nil)
        if count > 0 {
            let isNew = object.append(key: "k\(count - 1)", value: 0)
            #expect(!isNew)
        }
        #expect(object.count == count)
    }

    @Test func `setting replaces in place and nil removes`() {
        var value: JSONValue = JSONValue.object(
            JSONObject((0..<10).map { ("k\($0)", JSONValue($0)) }))

        value["k3"] = "three"
        value["k0"] = nil
        value["k1"] = nil
        value["k2"] = nil
        value["new"] = 1

        #expect(
            value.object?.keys == ["k3", "k4", "k5", "k6", "k7", "k8", "k9", "new"])
        #expect(value["k3"] == "three")
        #expect(value["k2"] == nil)
        #expect(value["k9"] == 9)
    }
}
