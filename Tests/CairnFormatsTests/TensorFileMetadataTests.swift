// SPDX-License-Identifier: Apache-2.0
/// Metadata from format to format: carried, or left out and said so.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct TensorFileMetadataTests {
    static let tensors = ["t": Tensor([1, 2] as [Float], shape: [2])]
    static let metadata: JSONValue = [
        "epoch": 3, "format": "pt", "labels": ["a", "b"], "name": "n",
        "nested": ["deep": [1, .null, 0.5], "flag": true], "nothing": .null, "text": "3",
    ]

    private func carried(
        _ metadata: JSONValue, by format: TensorFormat
    ) throws -> (metadata: JSONValue, remarks: [String]) {
        let (bytes, remarks) = try tensorFileBytes(Self.tensors, metadata: metadata, format)
        return try withFile(bytes, name: "x") { url in
            let file = try TensorFile(contentsOf: url)
            return (file.metadata, remarks + file.remarks)
        }
    }

    private func text(_ value: JSONValue) throws -> String {
        String(decoding: try value.serialized(sortedKeys: true), as: UTF8.self)
    }

    @Test(arguments: [TensorFormat.safetensors, .marshal, .apr])
    func `metadata comes back as it was`(format: TensorFormat) throws {
        let (found, remarks) = try carried(Self.metadata, by: format)

        #expect(try text(found) == text(Self.metadata))
        #expect(remarks.isEmpty)
    }

    @Test func `npz says that it leaves metadata out`() throws {
        let (found, remarks) = try carried(["a": 1, "b": "x"], by: .npz)

        #expect(found == [:])
        #expect(
            remarks == [
                "metadata 'a' is left out: npz has no place for it",
                "metadata 'b' is left out: npz has no place for it",
            ])
    }

    @Test func `safetensors holds strings as they are and says that it is for PyTorch`() throws {
        let (bytes, _) = try tensorFileBytes(
            Self.tensors, metadata: ["epoch": 3, "text": "3"], .safetensors)

        #expect(
            try openSafetensors(bytes).metadata == [
                "cairn.json_keys": #"["epoch"]"#, "epoch": "3", "format": "pt", "text": "3",
            ])
        let (other, _) = try tensorFileBytes(
            Self.tensors, metadata: ["format": "mlx"], .safetensors)
        #expect(try openSafetensors(other).metadata == ["format": "mlx"])
    }

    @Test func `apr leaves out what does not fit a key of its own, and says so`() throws {
        let (found, remarks) = try carried(
            ["version": 2, "n_embd": "8", "hidden": 8, "license": .null], by: .apr)

        #expect(found == ["hidden": 8])
        #expect(
            remarks == [
                "metadata 'version' is left out: apr keeps the key for a string, found 2.0",
                "metadata 'n_embd' is left out: apr keeps the key for a whole number from 0 on, "
                    + "found a string",
            ])
    }

    @Test func `numbers that are not finite become null with a remark`() throws {
        let metadata: JSONValue = ["losses": [1, .number(.nan)]]
        for format in [TensorFormat.safetensors, .apr] {
            let (found, remarks) = try carried(metadata, by: format)
            #expect(found["losses"] == [1, .null])
            #expect(remarks == ["metadata 'losses[1]' is not finite and is written as null"])
        }
        let (found, remarks) = try carried(metadata, by: .marshal)
        #expect(found["losses"] == [1, .null])
        #expect(remarks == ["metadata 'losses[1]' is not finite and is read as null"])
    }

    @Test func `the key that marks JSON cannot be used by anyone else`() throws {
        let error = #expect(throws: FormatError.self) {
            try tensorFileBytes([:], metadata: ["cairn.json_keys": "x"], .safetensors)
        }
        #expect(
            error?.description
                == "safetensors file: metadata 'cairn.json_keys': expected another key, found one "
                + "of its own")
    }

    @Test(arguments: [
        (#"["b"]"#, "metadata 'cairn.json_keys': expected a list of other keys, found 'b'"),
        (#"[1]"#, "metadata 'cairn.json_keys': expected a list of other keys, found an integer"),
        (#"["a"]"#, "metadata 'a', line 1 (byte 0): expected a value, found 'x'"),
        (#"{}"#, "metadata 'cairn.json_keys': expected a list of other keys, found an object"),
    ])
    func `a wrong list of JSON keys is refused`(list: String, sentence: String) throws {
        let data = try SafetensorsWriter.data([:], metadata: ["a": "x", "cairn.json_keys": list])

        let error = #expect(throws: Sentence.self) {
            try withFile(Array(data), name: "x") { try TensorFile(contentsOf: $0) }
        }
        #expect("\(try #require(error))".hasSuffix(sentence))
    }

    @Test func `the optimizer in a file of mlx-ruby is left out with a remark`() throws {
        var sink = DataSink()
        try MLXRubyCheckpoint(
            tensors: Self.tensors, metadata: ["epoch": 1],
            optimizer: .single(.init(scalars: ["step": 3], slots: [:]))
        ).writeMarshal(to: &sink)

        try withFile(Array(sink.data), name: "x.bin") { url in
            let file = try TensorFile(contentsOf: url)
            #expect(file.metadata == ["epoch": 1])
            #expect(file.remarks == ["the optimizer's state is left out"])
        }
    }
}
