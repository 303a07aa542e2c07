// SPDX-License-Identifier: Apache-2.0
/// The APR v2 writer: equal content, equal bytes; what the format lacks is refused.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct APRWriterTests {
    static let one = Tensor([1] as [Float], shape: [1])

    private func metadataText(_ metadata: JSONObject) throws -> String {
        let data = try APRWriter.data([:], metadata: metadata)
        let size = data[20..<24].enumerated().reduce(0) {
            $0 + Int($1.element) << (8 * $1.offset)
        }
        return String(decoding: data[64..<(64 + size)], as: UTF8.self)
    }

    @Test func `known keys come in their order, then custom ones sorted at every level`() throws {
        let text = try metadataText([
            "zebra": ["y": 1, "x": ["b": [["d": 1, "c": 2]], "a": .null]], "apple": [2, 1],
            "special_tokens": ["custom": 1, "eos_token": "e", "bos_token": "b"],
            "head_dim": 64.0, "rope_theta": 1e6, "name": "n", "model_type": "m",
        ])

        #expect(
            text == #"{"model_type":"m","name":"n","license":null,"data_source":null,"#
                + #""data_license":null,"total_size":0,"param_count":0,"special_tokens":"#
                + #"{"bos_token":"b","eos_token":"e","custom":1},"rope_theta":1000000.0,"#
                + #""head_dim":64,"apple":[2,1],"zebra":{"x":{"a":null,"b":[{"c":2,"d":1}]},"y":1}}"#
        )
    }

    @Test func `sizes are counted, and kept where they are given`() throws {
        let tensors = ["a": Tensor(zeros: [3, 5]), "b": Tensor(zeros: [7], dtype: .bf16)]

        let counted = try openAPR(Array(APRWriter.data(tensors)))
        let given = try openAPR(Array(APRWriter.data(tensors, metadata: ["total_size": 1])))

        #expect(counted.metadata == ["model_type": "", "total_size": 74, "param_count": 22])
        #expect(given.metadata["total_size"] == 1)
    }

    @Test func `absent optionals and nulls are written alike, and aliases under their keys`() throws
    {
        #expect(
            try metadataText(["name": .null, "license": .null, "n_embd": 8])
                == metadataText(["hidden_size": 8]))
        #expect(try metadataText(["license": "MIT"]).contains(#""license":"MIT""#))
    }

    @Test func `the order given leaves no trace`() throws {
        let names = (0..<40).map { "t\($0 * 7919 % 101)" }
        func data(_ names: [String]) throws -> Data {
            try APRWriter.data(
                names.reduce(into: [:]) { $0[$1] = Self.one },
                metadata: JSONObject(names.map { ($0, .string($0)) }))
        }
        #expect(try data(names) == data(names.reversed()))
    }

    @Test(arguments: [DType.f32, .f16, .bf16, .f64, .i32, .i64, .i8, .u8])
    func `every type that the format has comes back with its bits`(dtype: DType) throws {
        var tensor = Tensor(zeros: [3, 1, 7], dtype: dtype)
        tensor.withMutableBytes { bytes in
            for place in bytes.indices { bytes[place] = UInt8(truncatingIfNeeded: 37 * place) }
        }
        let file = try openAPR(Array(APRWriter.data(["é/\"t": tensor])))

        let read = try #require(try file.tensor(named: "é/\"t"))

        #expect(read.dtype == dtype)
        #expect(read.shape == tensor.shape)
        #expect(read.withBytes { Array($0) } == tensor.withBytes { Array($0) })
    }

    @Test func `a name of 256 bytes is written, one of 257 is refused`() throws {
        let name = String(repeating: "é", count: 128)
        #expect(try openAPR(Array(APRWriter.data([name: Self.one]))).names == [name])

        let error = #expect(throws: FormatError.self) {
            try APRWriter.data([name + "x": Self.one])
        }
        #expect(
            "\(try #require(error))".hasSuffix("expected a name of at most 256 bytes, found 257"))
    }

    @Test(arguments: [DType.bool, .f8e4m3, .i16, .u16, .u32, .u64, .c64])
    func `a type that the format lacks is refused`(dtype: DType) throws {
        let error = #expect(throws: FormatError.self) {
            try APRWriter.data(["t": Tensor(zeros: [2], dtype: dtype)])
        }
        #expect(
            error?.description
                == "APR file: tensor 't': expected a type that APR has: F32, F16, F64, I32, I64, "
                + "I8, U8, BF16, found \(dtype.rawValue)")
    }

    @Test func `nine dimensions and metadata that breaks the rules are refused`() throws {
        #expect(throws: FormatError.self) {
            try APRWriter.data(["t": Tensor(zeros: Shape([Int](repeating: 1, count: 9)))])
        }
        #expect(throws: FormatError.self) {
            try metadataText(["hidden_size": 8, "d_model": 8])
        }
        #expect(throws: FormatError.nonFinite(place: "$.val_loss", value: "nan")) {
            try metadataText(["val_loss": .number(.nan)])
        }
        let error = #expect(throws: FormatError.self) {
            try metadataText(["text": .string(String(repeating: "x", count: 16 << 20))])
        }
        #expect("\(try #require(error))".contains("at most 16777216 bytes"))
    }
}

@Suite struct APRMetadataTests {
    private func metadata(_ text: String) throws -> APRFile {
        var file = HandmadeAPR()
        file.metadata = text
        return try openAPR(file.bytes)
    }

    @Test func `aliases are read under their keys`() throws {
        let file = try metadata(
            #"{"hidden_dim":1,"n_layer":2,"num_attention_heads":3,"n_kv_heads":4,"n_vocab":5,"#
                + #""n_inner":6,"n_ctx":7,"layer_norm_eps":1e-6}"#)

        #expect(
            file.metadata == [
                "hidden_size": 1, "num_layers": 2, "num_heads": 3, "num_kv_heads": 4,
                "vocab_size": 5, "intermediate_size": 6, "max_position_embeddings": 7,
                "rms_norm_eps": 1e-6,
            ])
    }

    @Test func `nulls of the older writer count as absent, custom nulls stay`() throws {
        let file = try metadata(
            #"{"name":null,"author":null,"quantization":null,"hidden_size":null,"mine":null}"#)

        #expect(file.metadata == ["mine": .null])
    }

    @Test func `numbers that are not finite are read as null, with their places`() throws {
        let file = try metadata(
            #"{"val_loss":NaN,"history":[1,{"loss":-Infinity}],"rope_theta":Infinity}"#)

        #expect(file.metadata == ["history": [1, ["loss": .null]], "val_loss": .null])
        #expect(file.nonFinite == ["val_loss", "history[1].loss", "rope_theta"])
    }
}

@Suite struct APRVersion1Tests {
    /// A file of 3 bytes of metadata and 5 of payload.
    static let good: [UInt8] = {
        var file: [UInt8] = [0x41, 0x50, 0x52, 0x4E, 1, 0, 0x20, 0, 3, 0, 0, 0, 5, 0, 0, 0]
        file += [64, 0, 0, 0, 3, 0x60, 88] + [UInt8](repeating: 0, count: 9) + (1...8)
        return file + HandmadeAPR.little(HandmadeAPR.checksum(file))
    }()

    /// The file with one byte set and its checksum made to fit.
    private func changed(_ place: Int, to byte: UInt8, more: [UInt8] = []) -> [UInt8] {
        var file = Array(Self.good.dropLast(4)) + more
        file[place] = byte
        return file + HandmadeAPR.little(HandmadeAPR.checksum(file))
    }

    private func open(_ bytes: [UInt8]) throws -> APRVersion1 {
        try withFile(bytes) { try APRVersion1(contentsOf: $0) }
    }

    @Test func `the header is reported`() throws {
        let file = try open(Self.good)

        #expect(file.modelTypeName == "neural, sequential")
        #expect((file.metadataSize, file.payloadSize, file.uncompressedSize) == (3, 5, 64))
        #expect(file.compression == "LZ4")
        #expect(file.flags == ["QUANTIZED", "HAS_MODEL_CARD"])
        #expect(file.qualityScore == 88)
    }

    @Test func `the top bit of the flags carries nothing`() throws {
        #expect(try open(changed(21, to: 0xE0)).flags == ["QUANTIZED", "HAS_MODEL_CARD"])
    }

    @Test func `a cut file and a changed byte are detected, whichever it is`() throws {
        for count in Self.good.indices {
            #expect(throws: Sentence.self, "cut to \(count)") {
                try open(Array(Self.good.prefix(count)))
            }
        }
        for place in Self.good.indices {
            var bytes = Self.good
            bytes[place] ^= 0x40
            #expect(throws: Sentence.self, "byte \(place)") { try open(bytes) }
        }
    }

    @Test(
        arguments: [
            (4, 2, "version: expected 1.0, found 2.0"), (5, 1, "version: expected 1.0, found 1.1"),
            (19, 0x41, "uncompressed size: expected at most 1073741824, found 1090519104"),
            (20, 4, "compression: expected 0 to 3, found 4"),
            (22, 101, "quality score: expected 0 to 100, found 101"),
        ] as [(Int, UInt8, String)])
    func `a wrong field is named`(place: Int, byte: UInt8, sentence: String) throws {
        let error = #expect(throws: Sentence.self) { try open(changed(place, to: byte)) }
        #expect(error?.description == "FILE: header, \(sentence)")
    }

    @Test func `more bytes are an error, but for files that hold a signature or a licence`() throws
    {
        #expect(throws: Sentence("FILE: ends at byte 44 by its header but has 46 bytes")) {
            try open(changed(21, to: 0, more: [0, 0]))
        }
        #expect(try open(changed(21, to: 0x02, more: [0, 0])).flags == ["SIGNED"])
    }
}
