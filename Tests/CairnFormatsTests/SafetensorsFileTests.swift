// SPDX-License-Identifier: Apache-2.0
/// The safetensors reader: what it hands out, and one hand-made file per thing it refuses.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct SafetensorsFileTests {
    static let header =
        #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
        + #""a":{"dtype":"U8","shape":[3],"data_offsets":[8,11],"extra":null},"#
        + #""empty":{"dtype":"F64","shape":[0,4],"data_offsets":[8,8]}}"#

    @Test func `names, metadata and tensors are those of the header`() throws {
        let file = try openSafetensors(safetensorsBytes(Self.header, dataCount: 11))

        #expect(file.names == ["a", "b", "empty"])
        #expect(file.metadata == ["format": "pt"])
        let b = try #require(file.tensor(named: "b"))
        #expect(b.dtype == .f32)
        #expect(b.shape == [2])
        #expect(b.floats().map(\.bitPattern) == [0x0302_0100, 0x0706_0504])
        #expect(file.tensor(named: "a")?.floats() == [8, 9, 10])
        #expect(file.tensor(named: "empty")?.shape == [0, 4])
        #expect(file.tensor(named: "c") == nil)
        #expect(Set(file.tensors.keys) == ["a", "b", "empty"])
    }

    @Test(arguments: 0..<8)
    func `data lies aligned for its type whatever the header's length`(padding: Int) throws {
        let header =
            #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"#
            + #""w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
            + String(repeating: " ", count: padding)
        let file = try openSafetensors(safetensorsBytes(header, dataCount: 9))

        let x = try #require(file.tensor(named: "x"))

        #expect(x.floats().map(\.bitPattern) == [0x0403_0201, 0x0807_0605])
        #expect(x.withBytes { Int(bitPattern: $0.baseAddress) % 4 } == 0)
    }

    @Test func `a tensor outlives the file it came from`() throws {
        var tensor: Tensor?
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("x.safetensors")
            try Data(safetensorsBytes(Self.header, dataCount: 11)).write(to: url)
            tensor = try SafetensorsFile(contentsOf: url).tensor(named: "a")
        }
        #expect(tensor?.floats() == [8, 9, 10])
    }

    @Test(arguments: ["{}", "{}      ", " {}", "{ }\n\t\r "])
    func `a file of no tensors and space around the header are accepted`(header: String) throws {
        #expect(try openSafetensors(safetensorsBytes(header, dataCount: 0)).names == [])
    }

    @Test(arguments: DType.allCases)
    func `every type of the format is read`(dtype: DType) throws {
        let count = dtype.bitWidth  // 8 elements
        let header =
            #"{"x":{"dtype":"\#(dtype.rawValue)","shape":[2,4],"data_offsets":[0,\#(count)]}}"#
        let file = try openSafetensors(safetensorsBytes(header, dataCount: count))

        let x = try #require(file.tensor(named: "x"))

        #expect(x.dtype == dtype)
        #expect(x.withBytes(Array.init) == (0..<count).map { UInt8($0) })
    }

    @Test func `a scalar has one element`() throws {
        let header = #"{"x":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#
        let file = try openSafetensors(safetensorsBytes(header, dataCount: 2))
        #expect(file.tensor(named: "x")?.shape == [])
        #expect(file.tensor(named: "x")?.elementCount == 1)
    }

    // MARK: Refusals

    /// A header with one tensor `x` of these fields, and the rest of the sentence.
    static let badEntries: [(String, String)] = [
        ("7", "tensor 'x': expected an object, found an integer"),
        (
            #"{"shape":[1],"data_offsets":[0,4]}"#,
            "tensor 'x', dtype: expected a string, found none"
        ),
        (
            #"{"dtype":4,"shape":[1],"data_offsets":[0,4]}"#,
            "tensor 'x', dtype: expected a string, found an integer"
        ),
        (
            #"{"dtype":"F32","data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected an array, found none"
        ),
        (
            #"{"dtype":"F32","shape":[1]}"#,
            "tensor 'x', data_offsets: expected an array, found none"
        ),
        (
            #"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected integers from 0 to 2^63 - 1, found -1.0"
        ),
        (
            #"{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected integers from 0 to 2^63 - 1, found 1.0"
        ),
        (
            #"{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected integers from 0 to 2^63 - 1, found a string"
        ),
        (
            #"{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected integers from 0 to 2^63 - 1, found 9.223372036854776e+18"
        ),
        (
            #"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected a size in whole bytes below 2^63, "
                + "found F32 [4294967296, 4294967296]"
        ),
        (
            #"{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}"#,
            "tensor 'x', shape: expected a size in whole bytes below 2^63, "
                + "found F32 [4294967296, 4294967296, 0]"
        ),
        (
            #"{"dtype":"F32","shape":[2305843009213693951],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected a size in whole bytes below 2^63, "
                + "found F32 [2305843009213693951]"
        ),
        (
            #"{"dtype":"F4","shape":[3],"data_offsets":[0,4]}"#,
            "tensor 'x', shape: expected a size in whole bytes below 2^63, found F4 [3]"
        ),
        (
            #"{"dtype":"F32","shape":[1],"data_offsets":[4]}"#,
            "tensor 'x', data_offsets: expected [begin, end] with begin <= end, found [4]"
        ),
        (
            #"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#,
            "tensor 'x', data_offsets: expected [begin, end] with begin <= end, found [4, 0]"
        ),
        (
            #"{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}"#,
            "tensor 'x', data_offsets: expected [begin, end] with begin <= end, "
                + "found [9223372036854775803, 9223372036854775807]"
        ),
        (
            #"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#,
            "tensor 'x': expected 8 bytes for F32 [2], found 4"
        ),
        (
            #"{"dtype":"F32","shape":[0],"data_offsets":[1,1]}"#,
            "tensor 'x': expected its data at offset 0, found a hole, offset 1"
        ),
    ]

    @Test(arguments: badEntries)
    func `a bad entry is refused by name`(entry: String, problem: String) {
        #expect(throws: Sentence("FILE: " + problem)) {
            try openSafetensors(safetensorsBytes(#"{"x":\#(entry)}"#, dataCount: 4))
        }
    }

    @Test func `an unknown type is refused with those that are known`() {
        let header = #"{"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}"#
        #expect(
            throws: Sentence(
                "FILE: tensor 'x', dtype: expected one of BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 "
                    + "F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 "
                    + "F64 I64 U64, found 'f32'")
        ) { try openSafetensors(safetensorsBytes(header, dataCount: 4)) }
    }

    /// Two tensors of one byte each at these offsets, over this much data.
    @Test(arguments: [
        (0, 2, 3, "tensor 'b': expected its data at offset 1, found a hole, offset 2"),
        (0, 0, 1, "tensor 'b': expected its data at offset 1, found an overlap, offset 0"),
        (1, 2, 3, "tensor 'a': expected its data at offset 0, found a hole, offset 1"),
    ])
    func `holes and overlaps are refused`(a: Int, b: Int, count: Int, problem: String) {
        let header =
            #"{"b":{"dtype":"U8","shape":[1],"data_offsets":[\#(b),\#(b + 1)]},"#
            + #""a":{"dtype":"I8","shape":[1],"data_offsets":[\#(a),\#(a + 1)]}}"#
        let error = #expect(throws: Sentence.self) {
            try openSafetensors(safetensorsBytes(header, dataCount: count))
        }
        // Either of two tensors at one place may be called the one that overlaps.
        let accepted = ["FILE: " + problem, "FILE: " + problem.replacing("'b'", with: "'a'")]
        #expect(
            error.map { accepted.contains($0.description) } == true, "\(String(describing: error))")
    }

    static let badFiles: [([UInt8], String)] = [
        ([], "FILE: needs 8 bytes but has 0; was the download interrupted?"),
        ([2, 0, 0], "FILE: needs 8 bytes but has 3; was the download interrupted?"),
        (
            safetensorsBytes("{}", dataCount: 0, headerLength: 3),
            "FILE: needs 11 bytes but has 10; was the download interrupted?"
        ),
        (
            safetensorsBytes("{}", dataCount: 0, headerLength: 100_000_001),
            "FILE: header length: expected at most 100000000 bytes, found 100000001"
        ),
        (
            safetensorsBytes("{}", dataCount: 0, headerLength: .max),
            "FILE: header length: expected at most 100000000 bytes, found 18446744073709551615"
        ),
        (
            safetensorsBytes("", dataCount: 0),
            "FILE, header, line 1 (byte 0): expected a value, found the end"
        ),
        (safetensorsBytes("[]", dataCount: 0), "FILE: header: expected an object, found an array"),
        (
            safetensorsBytes("{}\0\0", dataCount: 0),
            "FILE, header, line 1 (byte 2): expected the end of the text, found byte 0x00"
        ),
        (
            safetensorsBytes(#"{"__metadata__":{"a":1}}"#, dataCount: 0),
            "FILE: __metadata__ 'a': expected a string, found an integer"
        ),
        (
            safetensorsBytes(#"{"__metadata__":null}"#, dataCount: 0),
            "FILE: __metadata__: expected an object, found null"
        ),
        (
            safetensorsBytes(#"{"__metadata__":{},"__metadata__":{}}"#, dataCount: 0),
            "FILE, header, line 1 (byte 19): expected every key once, found '__metadata__' again"
        ),
        (
            safetensorsBytes(
                "{\"__metadata__\":{\"\u{E9}\":\"\",\"e\u{301}\":\"\"}}", dataCount: 0),
            "FILE: __metadata__ 'e\u{301}': expected every key once, "
                + "found it again in another Unicode form"
        ),
        (
            safetensorsBytes(header, dataCount: 10),
            "FILE: needs 229 bytes but has 228; was the download interrupted?"
        ),
        (
            safetensorsBytes(header, dataCount: 12),
            "FILE: ends at byte 229 by its header but has 230 bytes"
        ),
    ]

    @Test(arguments: badFiles)
    func `a bad file is refused with its reason`(bytes: [UInt8], sentence: String) {
        #expect(throws: Sentence(sentence)) { try openSafetensors(bytes) }
    }

    @Test func `names that Swift would take for one are refused`() {
        let header =
            "{\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
            + "\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}"
        #expect(
            throws: Sentence(
                "FILE: tensor 'e\u{301}': expected every name once, "
                    + "found it again in another Unicode form")
        ) { try openSafetensors(safetensorsBytes(header, dataCount: 0)) }
    }

    @Test func `every cut of a file is refused`() throws {
        let bytes = safetensorsBytes(Self.header, dataCount: 11)
        for count in 0..<bytes.count {
            #expect(throws: Sentence.self, "cut at \(count)") {
                try openSafetensors(Array(bytes.prefix(count)))
            }
        }
    }

    @Test func `a missing file and a directory are refused by path`() throws {
        try withScratchDirectory { directory in
            let path = directory.path
            let missing = #expect(throws: FormatError.self) {
                try SafetensorsFile(contentsOf: directory.appendingPathComponent("none"))
            }
            #expect(
                missing?.description
                    == "cannot open \(path)/none: No such file or directory (errno 2)")
            let folder = #expect(throws: FormatError.self) {
                try SafetensorsFile(contentsOf: directory)
            }
            #expect(folder?.description == "cannot open \(path): Is a directory (errno 21)")
        }
    }
}
