// SPDX-License-Identifier: Apache-2.0
/// npz files: through our writer and reader, as numpy wrote them, and what is refused.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct NPZTests {
    static let tensors: [String: Tensor] = [
        "net.layers.0.weight": Tensor((0..<12).map(Float.init), shape: [3, 4]),
        "scalar": Tensor([2.5] as [Double], shape: []),
        "empty": Tensor(zeros: [0, 3], dtype: .bf16),
        "a/é": Tensor([1, -2] as [Int64], shape: [2]),
    ]

    static func write(_ tensors: [String: Tensor], _ method: ZipEntry.Method) throws -> [UInt8] {
        var sink = DataSink()
        try NPZWriter.write(tensors, method: method, to: &sink)
        return Array(sink.data)
    }

    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `arrays read back as they were written, and give the same bytes again`(
        method: ZipEntry.Method
    ) throws {
        let file = try Self.write(Self.tensors, method)

        try withFile(file) { url in
            let npz = try NPZFile(contentsOf: url)
            #expect(npz.names == ["a/é", "empty", "net.layers.0.weight", "scalar"])
            #expect(npz.layout(of: "empty")?.shape == [0, 3])
            #expect(npz.layout(of: "empty")?.dtype == .bf16)
            #expect(try npz.tensor(named: "none") == nil)
            let read = try npz.tensors()
            for (name, tensor) in Self.tensors {
                #expect(read[name]?.dtype == tensor.dtype)
                #expect(read[name]?.shape == tensor.shape)
                #expect(read[name].map(bytes) == bytes(of: tensor))
            }
            #expect(try Self.write(read, method) == file)
        }
    }

    @Test func `a stored array is read in place, at a multiple of 64 bytes`() throws {
        try withFile(try Self.write(Self.tensors, .stored)) { url in
            let npz = try NPZFile(contentsOf: url)
            for name in npz.names {
                let tensor = try #require(try npz.tensor(named: name))
                #expect(!tensor.backing.isWritable)
                #expect(tensor.withBytes { Int(bitPattern: $0.baseAddress) % 64 } == 0)
            }
        }
    }

    @Test func `an array outlives its file`() throws {
        var tensor: Tensor?
        try withFile(try Self.write(Self.tensors, .stored)) { url in
            tensor = try NPZFile(contentsOf: url).tensor(named: "scalar")
        }
        #expect(tensor?.doubles() == [2.5])
    }

    static func refusal(_ file: [UInt8]) -> String {
        do {
            return try withFile(file) { "\(try NPZFile(contentsOf: $0).tensors().count) arrays" }
        } catch {
            return "\(error)"
        }
    }

    @Test func `files that are no arrays are refused`() throws {
        #expect(
            Self.refusal(try zip([("a.txt", [1])]))
                == "FILE: entry 'a.txt': expected only arrays, NAME.npy, found another file")
        #expect(
            Self.refusal(try zip([("a.npy", [1, 2, 3])]))
                == "FILE: entry 'a.npy': expected at least 8 bytes, found 3")
        #expect(
            Self.refusal(try zip([("a.npy", npyBytes(npyHeader("|O", "(1,)"), data: [1]))]))
                == "FILE: entry 'a.npy': expected numbers of 8 to 64 bits, found type '|O' "
                + "(Python objects, which only a pickle can hold)")
    }

    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `data of another size than the header's is refused`(method: ZipEntry.Method) throws {
        let array = npyBytes(npyHeader("<f4", "(2,)"), data: [1, 2, 3, 4])
        #expect(
            Self.refusal(try zip([("a.npy", array)], method: method))
                == "FILE: entry 'a.npy': expected 8 bytes for F32 [2], found 4")
    }

    @Test func `two names that Unicode holds for one are refused`() throws {
        let array = npyBytes(npyHeader("|u1", "()"), data: [1])
        let sentence = Self.refusal(try zip([("\u{E9}.npy", array), ("e\u{301}.npy", array)]))
        #expect(
            sentence.hasSuffix("expected every name once, found it again in another Unicode form"))
    }

    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `every flipped bit of the data is noticed`(method: ZipEntry.Method) throws {
        let file = try Self.write(["x": Tensor([1, 2] as [Float], shape: [2])], method)
        let expected = try withFile(file) { try NPZFile(contentsOf: $0).tensors() }
        for place in file.indices {
            var bent = file
            bent[place] ^= 0x10
            try withFile(bent) { url in
                guard let read = try? NPZFile(contentsOf: url).tensors() else { return }
                // Only a name, a version or a date can bear it.
                #expect(read.values.map(bytes) == expected.values.map(bytes), "byte \(place)")
            }
        }
    }

    @Test func `a name that leaves the archive is not written`() {
        #expect(
            throws: FormatError.fileName(
                "../x.npy", expected: "a relative path, not the part '..'")
        ) { try Self.write(["../x": Tensor(zeros: [1])], .stored) }
    }
}
