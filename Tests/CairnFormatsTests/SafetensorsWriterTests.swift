// SPDX-License-Identifier: Apache-2.0
/// The safetensors writer, against bytes of the reference library and through the reader.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct SafetensorsWriterTests {
    @Test func `the bytes are those of the reference library`() throws {
        let tensors: [String: Tensor] = [
            "b.weight": Tensor([1, 2] as [Float], shape: [2]),
            "a": Tensor([3] as [Float], shape: [1, 1]),
            "long": Tensor([-1] as [Int64], shape: []),
            "wide": Tensor([0.5] as [Double], shape: [1]),
            "none": Tensor(zeros: [0, 3], dtype: .bf16),
        ]

        let data = try SafetensorsWriter.data(tensors)

        // What safetensors 0.8.0 writes for the same content with metadata {"format": "pt"}.
        let header =
            #"{"__metadata__":{"format":"pt"},"#
            + #""long":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"#
            + #""wide":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},"#
            + #""a":{"dtype":"F32","shape":[1,1],"data_offsets":[16,20]},"#
            + #""b.weight":{"dtype":"F32","shape":[2],"data_offsets":[20,28]},"#
            + #""none":{"dtype":"BF16","shape":[0,3],"data_offsets":[28,28]}}"#
        let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        let expected =
            withUnsafeBytes(of: UInt64(padded.utf8.count).littleEndian, Array.init)
            + Array(padded.utf8) + [UInt8](repeating: 0xFF, count: 8)
            + [0, 0, 0, 0, 0, 0, 0xE0, 0x3F] + [0, 0, 0x40, 0x40]
            + [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
        #expect(Array(data) == expected)
    }

    @Test(arguments: 0..<9)
    func `the header is padded to a multiple of eight`(length: Int) throws {
        let name = String(repeating: "n", count: length + 1)
        let data = try SafetensorsWriter.data([name: Tensor([1] as [Float], shape: [1])])

        let count = data.prefix(8).enumerated().reduce(0) {
            $0 + Int($1.element) << (8 * $1.offset)
        }
        #expect(count % 8 == 0)
        #expect(data.count == 8 + count + 4)
        #expect(data[data.startIndex + 8] == UInt8(ascii: "{"))
    }

    @Test func `what is written reads back, with names that need escapes`() throws {
        let values = (0..<12).map { Float($0) / 3 }
        let name = "a\"\\/\n\u{1}\u{7F}é\u{2028}"
        let data = try SafetensorsWriter.data(
            [name: Tensor(values, shape: [3, 4])], metadata: ["k": "v\"", "j": ""])

        let file = try openSafetensors(Array(data))

        #expect(file.names == [name])
        #expect(file.metadata == ["k": "v\"", "j": ""])
        #expect(file.tensor(named: name)?.floats() == values)
        #expect(file.tensor(named: name)?.shape == [3, 4])
    }

    @Test func `the order given to a dictionary leaves no trace`() throws {
        let names = (0..<50).map { "t\($0 * 7919 % 101)" }
        func data(_ names: [String]) throws -> Data {
            try SafetensorsWriter.data(
                names.reduce(into: [:]) { $0[$1] = Tensor([1] as [Float], shape: [1]) },
                metadata: names.reduce(into: [:]) { $0[$1] = "x" })
        }
        #expect(try data(names) == data(names.reversed()))
    }

    @Test func `nothing at all is the header alone`() throws {
        #expect(
            try Array(SafetensorsWriter.data([:], metadata: [:]))
                == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
    }

    @Test func `a tensor named like the metadata is refused`() {
        let error = #expect(throws: FormatError.self) {
            try SafetensorsWriter.data(["__metadata__": Tensor(zeros: [1])])
        }
        #expect(
            error?.description == "'__metadata__' cannot name a file here: "
                + "expected a tensor's name, not the key of the metadata")
    }

    @Test func `an error of the sink comes through`() {
        struct Full: ByteSink {
            func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
                throw .system(operation: "write", path: "p", reason: "full")
            }
        }
        #expect(throws: FormatError.system(operation: "write", path: "p", reason: "full")) {
            var sink = Full()
            try SafetensorsWriter.write([:], to: &sink)
        }
    }
}
