// SPDX-License-Identifier: Apache-2.0
/// The APR v2 reader: what it hands out, and one hand-made file per thing it refuses.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct APRFileTests {
    /// The example of 516 bytes that the format's description works out.
    static let example: [UInt8] = {
        let text =
            #"{"model_type":"linear_regression","name":"golden-v2","license":null,"#
            + #""data_source":null,"data_license":null,"version":"0.0.0-golden","#
            + #""created_at":"1700000000","total_size":0,"param_count":8}"#
        func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
        var file: [UInt8] = [
            0x41, 0x50, 0x52, 0x00, 0x02, 0x00, 0x00, 0x04, 0x02, 0x00, 0x00, 0x00, 0x40, 0, 0, 0,
            0x00, 0x00, 0x00, 0x00, 0xBD, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0, 0, 0,
            0x80, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x8C, 0xC0, 0x3B,
        ]
        file += zeros(20) + Array(text.utf8) + zeros(3)
        file += [0x04, 0x00, 0x62, 0x69, 0x61, 0x73, 0x00, 0x01, 0x01] + zeros(7)
        file += zeros(8) + [0x04] + zeros(7)
        file += [0x07, 0x00, 0x77, 0x65, 0x69, 0x67, 0x68, 0x74, 0x73, 0x00, 0x01, 0x08] + zeros(7)
        file += [0x40] + zeros(7) + [0x20] + zeros(7) + zeros(61)
        file += [0x00, 0x00, 0x00, 0x3E] + zeros(60)
        file += [
            0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x3F, 0x00, 0x00,
            0x00, 0xBF, 0x00, 0x00, 0x80, 0x40, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x80, 0x3E,
            0x00, 0x00, 0x00, 0x41,
        ]
        return file + zeros(32) + [0x35, 0x3F, 0x0F, 0x55]
    }()

    static let exampleTensors: [String: Tensor] = [
        "weights": Tensor([1, 2, 0.5, -0.5, 4, -2, 0.25, 8] as [Float], shape: [8]),
        "bias": Tensor([0.125] as [Float], shape: [1]),
    ]

    @Test func `the worked example is read`() throws {
        #expect(Self.example.count == 516)

        let file = try openAPR(Self.example)

        #expect(file.names == ["bias", "weights"])
        for (name, expected) in Self.exampleTensors {
            let tensor = try #require(try file.tensor(named: name))
            #expect(tensor.shape == expected.shape)
            #expect(tensor.floats() == expected.floats())
        }
        #expect(
            file.metadata == [
                "model_type": "linear_regression", "name": "golden-v2", "version": "0.0.0-golden",
                "created_at": "1700000000", "total_size": 0, "param_count": 8,
            ])
        #expect(file.flags == .rowMajor)
        #expect(file.nonFinite.isEmpty)
    }

    @Test func `the worked example is written, byte for byte`() throws {
        let data = try APRWriter.data(
            Self.exampleTensors,
            metadata: [
                "param_count": 8, "total_size": 0, "created_at": "1700000000",
                "version": "0.0.0-golden", "name": "golden-v2", "model_type": "linear_regression",
            ])

        #expect(Array(data) == Self.example)
    }

    @Test func `what is read and written again has the same bytes`() throws {
        let file = try openAPR(Self.example)
        let tensors = try file.names.reduce(into: [:]) { $0[$1] = try file.tensor(named: $1) }

        #expect(try Array(APRWriter.data(tensors, metadata: file.metadata)) == Self.example)
    }

    // MARK: What is handed out

    @Test func `tensors may lie in any order and outlive the file`() throws {
        var file = HandmadeAPR.small
        file.entries[0].offset = 64
        file.entries[1].offset = 0
        file.data = [0, 0, 0, 0, 0, 0, 0, 0x40] + [UInt8](repeating: 0, count: 56) + [7, 8, 0xFF]

        let opened = try openAPR(file.bytes)

        #expect(try opened.tensor(named: "a")?.floats() == [7, 8, -1])
        #expect(try opened.tensor(named: "b")?.floats() == [0, 2])
        #expect(try opened.tensor(named: "b")?.shape == [1, 2])
        #expect(try opened.tensor(named: "c") == nil)
    }

    @Test(arguments: APRElementType.allCases)
    func `every type is listed with its size, and read unless it is quantized`(
        type: APRElementType
    ) throws {
        // 256 elements; sizes as in the format's description.
        let sizes: [String: UInt64] = [
            "F32": 1024, "F16": 512, "BF16": 512, "F64": 2048, "I32": 1024, "I64": 2048,
            "I8": 256, "U8": 256, "AprQ4": 8 * 18, "AprQ8": 260, "Q4_K": 144, "Q6_K": 210,
        ]
        let size = try #require(sizes[type.name])
        var file = HandmadeAPR()
        file.entries = [.init("t", code: type.rawValue, [16, 16], size: size)]
        file.data = (0..<Int(size)).map { UInt8(truncatingIfNeeded: $0) }

        let opened = try openAPR(file.bytes)

        let entry = try #require(opened.entry(named: "t"))
        #expect(entry.type == type)
        #expect(opened.withStoredBytes(of: entry) { Array($0) } == file.data)
        if type.dtype == nil {
            let error = #expect(throws: FormatError.self) { try opened.tensor(named: "t") }
            #expect("\(try #require(error))".contains("found \(type.name)"))
        } else {
            let tensor = try #require(try opened.tensor(named: "t"))
            #expect(tensor.dtype.rawValue == type.name)
            #expect(tensor.withBytes { Array($0) } == file.data)
        }
    }

    @Test(arguments: [(8, "AprQ4", 36), (9, "AprQ8", 37)] as [(UInt8, String, UInt64)])
    func `the older codes of quantized types are known`(
        code: UInt8, name: String, size: UInt64
    ) throws {
        var file = HandmadeAPR()
        file.entries = [.init("t", code: code, [33], size: size)]
        file.data = [UInt8](repeating: 1, count: Int(size))

        #expect(try openAPR(file.bytes).entry(named: "t")?.type.name == name)
    }

    @Test func `a scalar, an empty tensor and a file without tensors are accepted`() throws {
        var file = HandmadeAPR()
        file.entries = [.init("e", [0, 5], size: 0), .init("s", [], size: 4)]
        file.data = [0, 0, 0x80, 0x3F]

        let opened = try openAPR(file.bytes)

        #expect(try opened.tensor(named: "s")?.floats() == [1])
        #expect(try opened.tensor(named: "e")?.shape == [0, 5])
        #expect(try openAPR(HandmadeAPR().bytes).names == [])
    }

    @Test func `flags that change nothing are kept and named`() throws {
        var file = HandmadeAPR.small
        file.flags = 0x07F0 & ~0x0020

        #expect(
            try openAPR(file.bytes).flags.names == [
                "SHARDED", "HAS_FILTERBANK", "HAS_MODEL_CARD", "STREAMING", "HAS_VOCAB",
                "LAYOUT_ROW_MAJOR",
            ])
    }

    /// Names, shapes and metadata as entrenar writes them beside its checkpoints.
    @Test func `a training state of entrenar opens`() throws {
        var file = HandmadeAPR()
        file.metadata =
            #"{"model_type":"adapter","license":null,"data_source":null,"data_license":null,"#
            + #""total_size":0,"param_count":0,"architecture":"qwen2_classify","hidden_size":64,"#
            + #""num_layers":2,"val_loss":null,"lora_rank":8,"epoch":3,"#
            + #""__checkpoint__.schema_version":"1.2.0","provenance":{"tool":"entrenar v0.7.5"}}"#
        let names = [
            "__training__.epoch", "__training__.learning_rate", "__training__.optimizer.m.0",
            "__training__.optimizer.step", "classifier.bias", "classifier.weight",
            "lora.0.q_proj.lora_a",
        ]
        file.entries = names.enumerated().map {
            HandmadeAPR.Entry($1, [1], offset: UInt64(64 * $0), size: 4)
        }
        file.data = [UInt8](repeating: 0, count: 64 * (names.count - 1) + 4)

        let opened = try openAPR(file.bytes)

        #expect(opened.names == names)
        #expect(opened.metadata["__checkpoint__.schema_version"] == "1.2.0")
        #expect(opened.metadata["val_loss"] == .null)
        #expect(opened.metadata["license"] == nil)
    }
}
