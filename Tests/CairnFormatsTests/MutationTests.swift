// SPDX-License-Identifier: Apache-2.0
/// Damaged and random input: never a crash, and what is accepted keeps its promises.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct SafetensorsMutationTests {
    static let file: [UInt8] = safetensorsBytes(
        #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},"#
            + #""a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"#
            + #""e":{"dtype":"I64","shape":[0,7],"data_offsets":[4,4]}}   "#, dataCount: 12)

    /// Whether the bytes are accepted; what is accepted covers all of the data, once, by its sizes.
    func accepts(_ bytes: [UInt8], _ note: @autoclosure () -> String) -> Bool {
        bytes.withUnsafeBytes { buffer in
            guard let header = try? SafetensorsHeader(parsing: buffer, file: "x") else {
                return false
            }
            let entries = header.entries.values.sorted {
                ($0.range.lowerBound, $0.range.upperBound)
                    < ($1.range.lowerBound, $1.range.upperBound)
            }
            let length = bytes[..<8].enumerated().reduce(0) {
                $0 + Int($1.element) << (8 * $1.offset)
            }
            var place = 8 + length
            for entry in entries {
                #expect(entry.range.lowerBound == place, "\(note())")
                #expect(
                    entry.range.count == entry.dtype.byteCount(elements: entry.shape.elementCount),
                    "\(note())")
                place = entry.range.upperBound
            }
            #expect(place == bytes.count, "\(note())")
            return true
        }
    }

    @Test func `every byte set to telling values is refused or still consistent`() {
        #expect(accepts(Self.file, "unchanged"))
        let values: [UInt8] =
            [0x00, 0x01, 0x1F, 0x20, 0x7F, 0x80, 0xC3, 0xFF] + Array("\"\\{}[],:-.059eEnu".utf8)
        var refused = 0
        for place in Self.file.indices {
            for value in values where value != Self.file[place] {
                var bytes = Self.file
                bytes[place] = value
                if !accepts(bytes, "byte \(place) set to \(value)") { refused += 1 }
            }
        }
        // Most of the file is structure; only names, metadata, data and spaces bear a change.
        #expect(refused > Self.file.count * values.count * 3 / 4)
    }

    @Test func `random edits of a file are refused or still consistent`() {
        var generator = SplitMix(state: 11)
        for round in 0..<20_000 {
            var bytes = Self.file
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(bytes.randomElement(using: &generator)!, at: place)
                default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                }
                if bytes.count < 8 { break }
            }
            _ = accepts(bytes, "round \(round)")
        }
    }

    /// Headers of random tensors, mostly right: with one field in four off by a little.
    @Test func `random headers are accepted just when they are right`() {
        var generator = SplitMix(state: 12)
        var accepted = 0
        for round in 0..<5_000 {
            let (bytes, isRight) = Self.randomFile(using: &generator)
            let isAccepted = accepts(bytes, "round \(round)")
            #expect(
                isAccepted == isRight, "round \(round): \(String(decoding: bytes, as: UTF8.self))")
            if isAccepted { accepted += 1 }
        }
        #expect(accepted > 500 && accepted < 4_500)
    }

    static func randomFile(using generator: inout SplitMix) -> (bytes: [UInt8], isRight: Bool) {
        var members: [String] = []
        var offset = 0
        var isRight = true
        for index in 0..<Int.random(in: 1...5, using: &generator) {
            let dtype = DType.allCases.randomElement(using: &generator)!
            let rank = Int.random(in: 0...3, using: &generator)
            var shape = (0..<rank).map { _ in Int.random(in: 0...4, using: &generator) }
            shape.append(8)  // whole bytes for every type
            var end = offset + dtype.byteCount(elements: shape.reduce(1, *))!
            var begin = offset
            switch Int.random(in: 0..<20, using: &generator) {
            case 0: (begin, isRight) = (begin + 1, false)
            case 1: (end, isRight) = (end + 1, false)
            case 2: (begin, end, isRight) = (begin + 1, end + 1, false)
            default: break
            }
            members.append(
                #""t\#(index)":{"dtype":"\#(dtype.rawValue)","shape":\#(shape),"#
                    + #""data_offsets":[\#(begin),\#(end)]}"#)
            offset = end
        }
        members.shuffle(using: &generator)
        var count = offset
        if Int.random(in: 0..<10, using: &generator) == 0 { (count, isRight) = (count + 1, false) }
        return (
            safetensorsBytes("{" + members.joined(separator: ",") + "}", dataCount: count), isRight
        )
    }
}

@Suite struct JSONMutationTests {
    static func randomText(using generator: inout SplitMix) -> String {
        let scalars: [UnicodeScalar] = [
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\u{0}", "\u{1F}", "\u{7F}", "é", "e",
            "\u{301}", "\u{FFFF}", "\u{2028}", "中", "😀", "\u{10FFFF}",
        ]
        let count = Int.random(in: 0...12, using: &generator)
        return String(
            String.UnicodeScalarView(
                (0..<count).map { _ in scalars.randomElement(using: &generator)! }))
    }

    static func randomValue(depth: Int, using generator: inout SplitMix) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int64(bitPattern: generator.next() >> (generator.next() % 64)))
        case 3, 4:
            let number = Double(bitPattern: generator.next())
            return .number(number.isFinite ? number : 0.5)
        case 5: return .string(randomText(using: &generator))
        case 6:
            let count = Int.random(in: 0...4, using: &generator)
            return .array((0..<count).map { _ in randomValue(depth: depth - 1, using: &generator) })
        default:
            var object = JSONObject()
            for _ in 0..<Int.random(in: 0...12, using: &generator) {
                object.append(
                    key: randomText(using: &generator),
                    value: randomValue(depth: depth - 1, using: &generator))
            }
            return .object(object)
        }
    }

    @Test func `random documents read back as they were written, in both layouts`() throws {
        var generator = SplitMix(state: 21)
        for _ in 0..<1_000 {
            let value = Self.randomValue(depth: 5, using: &generator)
            for pretty in [true, false] {
                let data = try value.serialized(pretty: pretty)
                let read = try JSONValue.parse(data, file: "t.json")
                #expect(read == value)
                #expect(try read.serialized(pretty: pretty) == data)
            }
            let sorted = try value.serialized(sortedKeys: true)
            #expect(
                try JSONValue.parse(sorted, file: "t.json").serialized(sortedKeys: true) == sorted)
        }
    }

    static func read(_ bytes: [UInt8]) -> Result<JSONValue, FormatError> {
        Result { () throws(FormatError) in try JSONValue.parse(Data(bytes), file: "t.json") }
    }

    @Test func `random edits are refused with a place in the text, or read as a value`() throws {
        var generator = SplitMix(state: 22)
        let letters = Array("{}[]\",:\\0123456789.-+eEutrfalsn \n".utf8) + [0x00, 0x80, 0xC3, 0xFF]
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = Array(
                try Self.randomValue(depth: 3, using: &generator).serialized(pretty: false))
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0...bytes.count, using: &generator)
                if place < bytes.count && Bool.random(using: &generator) { bytes.remove(at: place) }
                if Bool.random(using: &generator) {
                    bytes.insert(letters.randomElement(using: &generator)!, at: place)
                }
            }
            switch Self.read(bytes) {
            case .success(let value):
                let again = try JSONValue.parse(value.serialized(), file: "t.json")
                #expect(again == value)
            case .failure(.json(_, let line, let byte, _, _)):
                #expect((0...bytes.count).contains(byte) && line >= 1)
                refused += 1
            case .failure(let error):
                Issue.record(error)
            }
        }
        #expect(refused > 2_000)
    }
}
