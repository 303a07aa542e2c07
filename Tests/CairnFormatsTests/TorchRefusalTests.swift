// SPDX-License-Identifier: Apache-2.0
/// Pickles and archives made by hand, each wrong in one way.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct TorchRefusalTests {
    typealias P = Pickle

    static let refused: [(pickle: [UInt8], sentence: String)] = [
        (P.file([0x81]), "byte 2: expected an instruction that makes data, found NEWOBJ (0x81)"),
        (P.file([0x01]), "byte 2: expected an instruction that makes data, found byte 0x01"),
        ([0x80, 6], "byte 0: expected a pickle of protocol 2 to 5, found protocol 6"),
        (Array("N.".utf8), "byte 0: expected a pickle of protocol 2 to 5, found another beginning"),
        ([0x80, 2], "byte 2: expected 1 more bytes, found 0"),
        (P.file(Array("NN".utf8)), "byte 4: expected one value at the end, found 2"),
        (P.file(Array("N".utf8)) + [0], "byte 3: expected the end of the file, found 1 more bytes"),
        (P.file(Array("0".utf8)), "byte 2: expected 1 values on the stack, found 0"),
        (P.file(Array("(N(0".utf8)), "byte 5: expected 1 values on the stack, found 0"),
        (P.file(Array("t".utf8)), "byte 2: expected a mark on the stack, found none"),
        (P.file(Array("h\u{7}".utf8)), "byte 2: expected a value remembered as 7, found none"),
        (P.file(Array("q\u{7}".utf8)), "byte 2: expected a value to remember, found none"),
        (
            P.file(Array("}(Nu".utf8)),
            "byte 5: expected keys with values, found 1 values"
        ),
        (
            P.file(Array("]N)s".utf8)),
            "byte 5: expected a dictionary to put values into, found something else"
        ),
        (
            P.file(Array("}N]s".utf8) + Array("a".utf8)),
            "byte 6: expected a list to put values into, found something else"
        ),
        (
            P.file([0x8A, 9] + [UInt8](repeating: 1, count: 9)),
            "byte 2: expected an integer of 64 bits, found one of 9 bytes"
        ),
        (
            P.file([0x8C, 1, 0xFF]),
            "byte 2: expected UTF-8, found a string that is not, from its byte 0 on"
        ),
        (
            P.file(P.global("numpy\nndarray")),
            "byte 2: expected data, a tensor or collections.OrderedDict, "
                + "found the name 'numpy.ndarray'"
        ),
        (
            P.file(Array("}N)s}".utf8) + Array("b".utf8)),
            "byte 7: expected attributes of an OrderedDict, found those of something else"
        ),
        (
            P.file(P.global("torch\nFloatStorage")),
            "byte 22: expected data and tensors, found a bare type or storage"
        ),
        (P.file(Array("}(NNNNu".utf8)), "byte 9: expected every key once, found '' again"),
        (
            P.file([0x7D, 0x28, 0x88, 0x4E, 0x4B, 1, 0x4E, 0x75]),
            "byte 10: expected every key once, found '1' again"
        ),
        (
            P.file(Array("})Ns".utf8)),
            "byte 6: expected a key that is a string or an integer, found a tuple"
        ),
        (
            P.file(Array("]q\u{0}h\u{0}a".utf8)),
            "byte 8: expected at most 64 levels, found more, or a ring"
        ),
        (
            P.file(Array(repeatElement(0x5D, count: 66)) + Array(repeatElement(0x61, count: 65))),
            "byte 133: expected at most 64 levels, found more, or a ring"
        ),
    ]

    @Test(arguments: refused.indices)
    func `a pickle that is not data is refused by its byte`(index: Int) {
        let (pickle, sentence) = Self.refused[index]

        let error = #expect(throws: Sentence.self) { try openTorch(pickle: pickle) }

        #expect(error?.description == "FILE: data.pkl, " + sentence)
    }

    static let views: [(tensor: [UInt8], sentence: String)] = [
        (
            P.tensor(4, offset: 1, sizes: [2, 2], strides: [2, 1]),
            "expected elements of a storage of 4, found offset 1, sizes [2, 2], strides [2, 1]"
        ),
        (
            P.tensor(4, offset: 0, sizes: [2], strides: [4]),
            "expected elements of a storage of 4, found offset 0, sizes [2], strides [4]"
        ),
        (
            P.tensor(4, offset: 0, sizes: [1000, 1000], strides: [0, 0]),
            "expected at most the 4 elements of its storage, found sizes [1000, 1000]"
        ),
        (
            P.tensor(4, offset: 0, sizes: [2, 2], strides: [1]),
            "expected a storage, an offset, sizes and strides of a tensor, found other arguments"
        ),
        (
            P.tensor(4, offset: 0, sizes: [-1], strides: [1]),
            "expected a storage, an offset, sizes and strides of a tensor, found other arguments"
        ),
        (
            P.tensor(4, offset: 0, sizes: [.max, .max, .max, 0], strides: [1, 1, 1, 1]),
            "expected at most the 4 elements of its storage, "
                + "found sizes [2147483647, 2147483647, 2147483647, 0]"
        ),
    ]

    @Test(arguments: views.indices)
    func `a tensor that leaves its storage is refused`(index: Int) {
        let (tensor, sentence) = Self.views[index]

        let error = #expect(throws: Sentence.self) {
            try openTorch(
                pickle: P.file(tensor), storages: ["0": [UInt8](repeating: 0, count: 16)])
        }

        #expect(error?.description.hasSuffix(sentence) == true, "\(error!)")
    }

    @Test func `a storage of another length than the pickle says is refused`() {
        let tensor = P.tensor(4, offset: 0, sizes: [2], strides: [1])

        let error = #expect(throws: Sentence.self) {
            try openTorch(pickle: P.file(tensor), storages: ["0": [0, 0, 0]])
        }

        #expect(error?.description == "FILE: data/0: expected 4 elements of F32, found 3 bytes")
    }

    @Test func `a storage that is not there is refused`() {
        let tensor = P.tensor(4, offset: 0, sizes: [2], strides: [1])

        let error = #expect(throws: Sentence.self) { try openTorch(pickle: P.file(tensor)) }

        #expect(
            error?.description == "FILE: archive: expected an entry 'x/data/0', found none")
    }

    /// Lists of two of the list before: 63 lines of text that would be 2^63 values.
    @Test func `values that multiply by sharing are refused`() {
        var pickle = Array("]".utf8)
        for _ in 0..<60 { pickle += Array("q\u{0}0](h\u{0}h\u{0}e".utf8) }

        let error = #expect(throws: Sentence.self) { try openTorch(pickle: P.file(pickle)) }

        #expect(error?.description.hasSuffix("expected at most 1048576 values, found more") == true)
    }

    /// A million lists inside one another, from the outside in, so that no list is deep when it is
    /// put into another.
    @Test func `a chain of any length is refused without recursion`() {
        let link = Array("]q\u{0}h\u{0}".utf8)
        var pickle = Array("]q\u{1}".utf8)
        for _ in 0..<100_000 { pickle += link.dropLast(2) + Array("a0h\u{0}".utf8) }
        pickle += Array("0h\u{1}".utf8)

        #expect(throws: Sentence.self) { try openTorch(pickle: P.file(pickle)) }
    }

    static let archives: [(entries: [(name: String, bytes: [UInt8])], sentence: String)] = [
        (
            [("x/version", Array("3\n".utf8))],
            "FILE: data.pkl: expected one, in a folder of its own, found 0"
        ),
        (
            [("x/data.pkl", P.file([0x4E]))],
            "FILE: archive: expected an entry 'x/version', found none"
        ),
        (
            [("x/data.pkl", P.file([0x4E])), ("x/version", Array("99\n".utf8))],
            "FILE: version: expected a version from 1 to 10, found '99\n'"
        ),
        (
            [
                ("x/data.pkl", P.file([0x4E])), ("x/version", Array("3\n".utf8)),
                ("x/byteorder", Array("big".utf8)),
            ], "FILE: byteorder: expected little, found 'big'"
        ),
    ]

    @Test(arguments: archives.indices)
    func `an archive that is no file of torch is refused`(index: Int) {
        let (entries, sentence) = Self.archives[index]

        let error = #expect(throws: Sentence.self) { try openTorch(entries) }

        #expect(error?.description == sentence)
    }
}
