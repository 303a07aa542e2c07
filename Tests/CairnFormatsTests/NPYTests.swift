// SPDX-License-Identifier: Apache-2.0
/// npy arrays: every type and order, numpy's own bytes, and one header per refusal.

import CairnFormats
import CairnTensor
import Foundation
import Testing

/// A npy file of this header text; version 1.0 unless told otherwise.
func npyBytes(_ header: String, data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let text = Array(header.utf8)
    let length = version == 1 ? littleEndian(UInt16(text.count)) : littleEndian(UInt32(text.count))
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
}

func npyHeader(_ descr: String, _ shape: String, fortran: Bool = false) -> String {
    "{'descr': '\(descr)', 'fortran_order': \(fortran ? "True" : "False"), 'shape': \(shape), }\n"
}

func openNPY(_ bytes: [UInt8]) throws -> Tensor {
    try withFile(bytes) { try NPYReader.tensor(contentsOf: $0) }
}

func bytes(of tensor: Tensor) -> [UInt8] { tensor.withBytes(Array.init) }

@Suite struct NPYTests {
    static let types: [(String, DType)] = [
        ("|b1", .bool), ("|i1", .i8), ("<i2", .i16), ("<i4", .i32), ("<i8", .i64), ("|u1", .u8),
        ("<u2", .u16), ("<u4", .u32), ("<u8", .u64), ("<f2", .f16), ("<f4", .f32), ("<f8", .f64),
        ("<c8", .c64), ("<V2", .bf16), ("|V2", .bf16),
    ]

    @Test(arguments: types)
    func `every type is read as it lies`(spelling: String, dtype: DType) throws {
        let data = (0..<(6 * dtype.bitWidth / 8)).map { UInt8($0 + 1) }

        let tensor = try openNPY(npyBytes(npyHeader(spelling, "(2, 3)"), data: data))

        #expect(tensor.dtype == dtype)
        #expect(tensor.shape == [2, 3])
        #expect(bytes(of: tensor) == data)
    }

    @Test(arguments: types)
    func `every type reads back as it was written`(spelling: String, dtype: DType) throws {
        let storage = TensorStorage(byteCount: 6 * dtype.bitWidth / 8)
        for place in storage.bytes.indices { storage.bytes[place] = UInt8(place) }
        for shape in [[2, 3], [6], [1, 6, 1]] as [Shape] {
            let tensor = Tensor(dtype: dtype, shape: shape, storage: storage)
            var sink = DataSink()
            try NPYWriter.write(tensor, to: &sink)

            let read = try openNPY(Array(sink.data))

            #expect(read.dtype == dtype && read.shape == shape)
            #expect(bytes(of: read) == bytes(of: tensor))
            #expect((sink.data.count - tensor.byteCount) % 64 == 0)
        }
    }

    @Test func `a scalar and arrays without elements keep their shapes`() throws {
        for shape in [[], [0], [0, 3], [3, 0], [2, 0, 4]] as [Shape] {
            var sink = DataSink()
            try NPYWriter.write(Tensor(zeros: shape), to: &sink)
            #expect(try openNPY(Array(sink.data)).shape == shape)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt8])
    func `the versions differ in the length of the length`(version: UInt8) throws {
        let file = npyBytes(npyHeader("|u1", "(2,)"), data: [7, 8], version: version)
        #expect(bytes(of: try openNPY(file)) == [7, 8])
    }

    @Test(arguments: [
        #"{"shape":(2L,1L),"fortran_order":False,"descr":"|u1"}"#,
        "{'descr':'|u1','fortran_order':True,'shape':( 2 , 1 )}  \n",
        "\n{ 'fortran_order' : False , 'descr' : '|u1' , 'shape' : (2,1,) , }",
    ])
    func `the dictionary may be spelled otherwise`(header: String) throws {
        let tensor = try openNPY(npyBytes(header, data: [7, 8]))
        #expect(tensor.shape == [2, 1])
        #expect(bytes(of: tensor) == [7, 8])
    }

    @Test func `Fortran order becomes row-major`() throws {
        let file = npyBytes(npyHeader("|u1", "(2, 3)", fortran: true), data: [0, 10, 1, 11, 2, 12])
        #expect(bytes(of: try openNPY(file)) == [0, 1, 2, 10, 11, 12])
    }

    @Test(arguments: [("<u2", 2), ("<i4", 4), ("<f8", 8), ("|u1", 1)])
    func `Fortran order of three dimensions is undone for every width`(
        spelling: String, width: Int
    ) throws {
        let shape = [3, 2, 4]
        var data = [UInt8](repeating: 0, count: 24 * width)
        for i in 0..<3 {
            for j in 0..<2 {
                for k in 0..<4 { data[(i + 3 * (j + 2 * k)) * width] = UInt8(i * 8 + j * 4 + k) }
            }
        }

        let tensor = try openNPY(
            npyBytes(npyHeader(spelling, "(3, 2, 4)", fortran: true), data: data))

        #expect(tensor.shape.dimensions == shape)
        let found = bytes(of: tensor)
        #expect((0..<24).map { Int(found[$0 * width]) } == Array(0..<24))
    }

    @Test func `big-endian numbers are turned around`() throws {
        let four = npyBytes(npyHeader(">i4", "(2,)"), data: [0, 0, 1, 2, 0xFF, 0xFF, 0xFF, 0xFE])
        #expect(try openNPY(four).floats() == [258, -2])
        let complex = npyBytes(npyHeader(">c8", "()"), data: [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(bytes(of: try openNPY(complex)) == [4, 3, 2, 1, 8, 7, 6, 5])
        let both = npyBytes(
            npyHeader(">u2", "(2, 2)", fortran: true), data: [0, 1, 0, 3, 0, 2, 0, 4])
        #expect(try openNPY(both).floats() == [1, 2, 3, 4])
    }

    @Test func `an array in order is read in place`() throws {
        var sink = DataSink()
        try NPYWriter.write(Tensor([1, 2] as [Float], shape: [2]), to: &sink)
        try withFile(Array(sink.data)) { url in
            let tensor = try NPYReader.tensor(contentsOf: url)
            #expect(!tensor.backing.isWritable)
        }
    }

    @Test func `a type that numpy lacks is not written`() {
        var sink = DataSink()
        #expect(
            throws: FormatError.entry(
                file: "npy", entry: "array",
                expected: "a type that numpy has (safetensors holds the others)", found: "F8_E4M3")
        ) { try NPYWriter.write(Tensor(zeros: [2], dtype: .f8e4m3), to: &sink) }
    }

    // MARK: Refusals

    @Test(arguments: [
        (
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found type '|O' (Python objects, which only a pickle can hold)"
        ),
        (
            "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found type '<U3' (text)"
        ),
        (
            "{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found type '<f16' (wider floats)"
        ),
        (
            "{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found type '|V8' (records)"
        ),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found a record of several fields"
        ),
        (
            "{'descr': '=f4', 'fortran_order': False, 'shape': (1,), }",
            "numbers of 8 to 64 bits, found type '=f4' (wider floats)"
        ),
        (
            "{'descr': '|u1', 'fortran_order': 0, 'shape': (1,), }",
            "True or False, found '0' at byte 34 of the header"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1), }",
            "a shape in parentheses, found a number"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': [1], }",
            "'(', found '[' at byte 50 of the header"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }",
            "a dimension, found '-' at byte 51 of the header"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1 1), }",
            "',' or ')' in the shape, found '1' at byte 53 of the header"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "a dimension below 2^63, found one of 20 digits"
        ),
        (
            "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 8), }",
            "a shape of a size below 2^63, found [4611686018427387904, 8]"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, }",
            "the keys descr, fortran_order and shape, found fewer"
        ),
        (
            "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,), }",
            "the keys descr, fortran_order and shape once, found 'descr'"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'x': 1}",
            "the keys descr, fortran_order and shape once, found 'x'"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} 1",
            "blanks after the header's '}', found '1' at byte 56 of the header"
        ),
        (
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)",
            "'}', found the end of the header"
        ),
        (
            #"{'descr': '|\x75', 'fortran_order': False, 'shape': (1,)}"#,
            "a string without escapes, found ''' at byte 10 of the header"
        ),
        ("__import__('os')", "'{', found '_' at byte 0 of the header"),
        ("", "'{', found the end of the header"),
    ])
    func `a header that is no such dictionary is refused`(header: String, sentence: String) {
        #expect(throws: Sentence("FILE: array: expected \(sentence)")) {
            try openNPY(npyBytes(header, data: [7]))
        }
    }

    @Test func `wrong magic, version, lengths and sizes are refused`() {
        func refusal(_ bytes: [UInt8]) -> String {
            do { return "\(try openNPY(bytes).shape)" } catch { return "\(error)" }
        }
        let right = npyBytes(npyHeader("|u1", "(2,)"), data: [7, 8])
        #expect(
            refusal([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 4, 0])
                == "FILE: array: expected version 1.0, 2.0 or 3.0 of npy, found 4.0")
        #expect(
            refusal(Array("not numpy".utf8))
                == "FILE: array: expected an array of npy, found another magic")
        #expect(
            refusal(Array(right.prefix(7))) == "FILE: array: expected 8 bytes of header, found 7")
        #expect(refusal(right + [9]) == "FILE: array: expected 2 bytes for U8 [2], found 3")
        #expect(
            refusal(right.dropLast()) == "FILE: array: expected 2 bytes for U8 [2], found 1")
        let long = npyBytes(String(repeating: " ", count: 10_001), data: [], version: 2)
        #expect(
            refusal(long) == "FILE: array: expected a header of at most 10000 bytes, found 10001")
    }

    @Test func `more than 64 dimensions are refused`() {
        let shape = "(" + String(repeating: "1,", count: 65) + ")"
        #expect(throws: Sentence("FILE: array: expected at most 64 dimensions, found more")) {
            try openNPY(npyBytes(npyHeader("|u1", shape), data: [1]))
        }
    }

    @Test func `random edits are refused or keep to their sizes`() throws {
        var generator = SplitMix(state: 41)
        let right = npyBytes(npyHeader("<f4", "(2, 3)", fortran: true), data: Array(0..<24))
        var refused = 0
        for round in 0..<4_000 {
            var file = right
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<file.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: file[place] = UInt8.random(in: .min ... .max, using: &generator)
                case 1: file.remove(at: place)
                default: file.insert(file.randomElement(using: &generator)!, at: place)
                }
            }
            file.withUnsafeBytes { buffer in
                guard let header = try? NPYReader.header(of: buffer, file: "x", entry: "array")
                else {
                    refused += 1
                    return
                }
                #expect(header.byteCount + header.dataByteCount == file.count, "round \(round)")
            }
        }
        #expect(refused > 2_000)
    }

    @Test func `an array cut anywhere is refused`() {
        let file = npyBytes(npyHeader("<f4", "(1,)"), data: [1, 2, 3, 4])
        for count in 0..<file.count {
            #expect(throws: Sentence.self, "\(count) bytes") {
                try openNPY(Array(file.prefix(count)))
            }
        }
    }
}
