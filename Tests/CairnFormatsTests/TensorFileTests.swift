// SPDX-License-Identifier: Apache-2.0
/// One view of every format: detection, equal bits from each to each, and what metadata does.

import CairnFormats
import CairnTensor
import Foundation
import Testing

/// A file in a format, written by the one writer.
func tensorFileBytes(
    _ tensors: [String: Tensor], metadata: JSONValue = [:], _ format: TensorFormat
) throws -> (bytes: [UInt8], remarks: [String]) {
    var sink = DataSink()
    let remarks = try TensorFile.write(tensors, metadata: metadata, format: format, to: &sink)
    return (Array(sink.data), remarks)
}

private func openTensorFile(
    _ bytes: [UInt8], name: String, format: TensorFormat? = nil
) throws -> TensorFile {
    try withFile(bytes, name: name) { try TensorFile(contentsOf: $0, format: format) }
}

/// From one format to another.
struct FormatPair: Sendable, CustomTestStringConvertible {
    let from: TensorFormat
    let to: TensorFormat

    var testDescription: String { "\(from.rawValue) to \(to.rawValue)" }

    static let all = TensorFormat.allCases.flatMap { from in
        TensorFormat.allCases.map { FormatPair(from: from, to: $0) }
    }
}

@Suite struct TensorFileRoundTripTests {
    /// Bits of every kind, but those of NaN, which Marshal cannot tell apart.
    static func tensor(_ dtype: DType, _ shape: Shape, seed: UInt64) -> Tensor {
        var generator = SplitMix(state: seed)
        var tensor = Tensor(zeros: shape, dtype: dtype)
        tensor.withMutableBytes { bytes in
            for place in bytes.indices {
                bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
                if dtype == .bool { bytes[place] &= 1 }
                // A float's upper byte without its lowest exponent bits is no NaN.
                if [.f16, .bf16, .f32, .f64].contains(dtype),
                    place % (dtype.bitWidth / 8) == dtype.bitWidth / 8 - 1
                {
                    bytes[place] &= 0xBB
                }
            }
        }
        return tensor
    }

    static let common: [String: Tensor] = {
        let dtypes: [DType] = [.f32, .f16, .bf16, .f64, .i32, .i64, .i8, .u8]
        var tensors = dtypes.enumerated().reduce(into: [:]) { tensors, item in
            tensors["layer.\(item.offset).weight"] = tensor(
                item.element, [3, 5], seed: UInt64(item.offset))
        }
        tensors["scalar"] = Tensor([-0.0] as [Float], shape: [])
        tensors["empty"] = Tensor(zeros: [0, 3], dtype: .i64)
        tensors["special"] = Tensor(
            [.infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude] as [Double],
            shape: [2, 2, 1])
        return tensors
    }()

    private func expectSame(_ file: TensorFile, _ tensors: [String: Tensor]) throws {
        #expect(file.names == tensors.keys.sorted { $0.utf8Precedes($1) })
        for (name, expected) in tensors {
            let found = try #require(try file.tensor(named: name))
            #expect(found.dtype == expected.dtype, "\(name)")
            #expect(found.shape == expected.shape, "\(name)")
            #expect(
                found.withBytes { Array($0) } == expected.withBytes { Array($0) }, "\(name)")
        }
    }

    @Test(arguments: FormatPair.all)
    func `tensors keep their bits from each format to each`(pair: FormatPair) throws {
        let (first, _) = try tensorFileBytes(Self.common, pair.from)
        let source = try openTensorFile(first, name: "a.\(pair.from.extensions[0])")
        try expectSame(source, Self.common)

        let (second, _) = try tensorFileBytes(source.tensors(), metadata: source.metadata, pair.to)

        let target = try openTensorFile(second, name: "b.\(pair.to.extensions[0])")
        #expect(target.format == pair.to)
        try expectSame(target, Self.common)
        // Through another format and back again: the same file as without.
        let (again, _) = try tensorFileBytes(
            target.tensors(), metadata: source.metadata, pair.from)
        #expect(again == first)
    }

    @Test(arguments: TensorFormat.allCases, DType.allCases)
    func `a type is carried with its bits, or refused by its name`(
        format: TensorFormat, dtype: DType
    ) throws {
        let tensors = ["t": Self.tensor(dtype, [8], seed: 9)]
        let lacking: [TensorFormat: Set<DType>] = [
            .npz: [
                .f4, .f6e2m3, .f6e3m2, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz,
            ],
            .marshal: [
                .f4, .f6e2m3, .f6e3m2, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .c64,
            ],
            .apr: Set(DType.allCases).subtracting([.f32, .f16, .bf16, .f64, .i32, .i64, .i8, .u8]),
        ]
        guard lacking[format]?.contains(dtype) != true else {
            let error = #expect(throws: FormatError.self) { try tensorFileBytes(tensors, format) }
            let sentence = "\(try #require(error))"
            #expect(sentence.contains(dtype.rawValue) && sentence.contains("'t'"), "\(sentence)")
            return
        }

        let (bytes, remarks) = try tensorFileBytes(tensors, format)

        #expect(remarks.isEmpty)
        try expectSame(try openTensorFile(bytes, name: "x"), tensors)
    }

    @Test func `Marshal says where it cannot tell one NaN from another`() throws {
        let nan = Float(bitPattern: 0x7FC0_0001)
        let tensors = ["t": Tensor([nan, 1, -.nan], shape: [3])]

        let (bytes, remarks) = try tensorFileBytes(tensors, .marshal)

        #expect(
            remarks == ["tensor 't': marshal has one NaN, and 2 of any kind become that"])
        let values = try #require(try openTensorFile(bytes, name: "x").tensor(named: "t")).floats()
        #expect(values[0].isNaN && values[1] == 1 && values[2].isNaN)
        #expect(try tensorFileBytes(tensors, .apr).remarks.isEmpty)
    }

    @Test(arguments: TensorFormat.allCases)
    func `entries tell types, shapes and sizes before any value is read`(
        format: TensorFormat
    ) throws {
        let file = try openTensorFile(try tensorFileBytes(Self.common, format).bytes, name: "x")

        for entry in file.entries {
            let tensor = try #require(Self.common[entry.name])
            #expect(entry.type == tensor.dtype.rawValue)
            #expect(entry.shape == tensor.shape)
            #expect(entry.byteCount == tensor.byteCount)
            let summary = try file.summary(of: entry)
            #expect(summary.sha256 == tensor.withBytes(SHA256.hex))
            #expect(summary.statistics == TensorStatistics(tensor))
        }
    }
}

@Suite struct TensorFileDetectionTests {
    static let tensors = ["t": Tensor([1, 2] as [Float], shape: [2])]

    @Test(arguments: TensorFormat.allCases)
    func `the content says the format when the name says nothing`(format: TensorFormat) throws {
        for name in [
            "x", "x.ckpt", "x.\(format.extensions[0])", "X.\(format.rawValue.uppercased())",
        ] {
            let file = try openTensorFile(
                try tensorFileBytes(Self.tensors, format).bytes, name: name)
            #expect(file.format == format)
        }
    }

    @Test(arguments: FormatPair.all.filter { $0.from != $0.to })
    func `a name that speaks against the content is an error with both`(pair: FormatPair) throws {
        let (bytes, _) = try tensorFileBytes(Self.tensors, pair.from)
        let wrong = pair.to.extensions[0]
        let found =
            "\(pair.from.rawValue) by its first bytes"
            + (pair.from == .npz ? ", those of any zip archive" : "")

        #expect(
            throws: Sentence(
                "FILE: format: expected \(pair.to.rawValue) by its extension '.\(wrong)', found "
                    + found)
        ) { try openTensorFile(bytes, name: "x.\(wrong)") }
        #expect(
            throws: Sentence(
                "FILE: format: expected \(pair.to.rawValue), as was asked for, found "
                    + found)
        ) { try openTensorFile(bytes, name: "x", format: pair.to) }
        // Asked for by name, the content counts, whatever the extension.
        #expect(
            try openTensorFile(bytes, name: "x.\(wrong)", format: pair.from).format == pair.from)
    }

    @Test(
        arguments: [
            ([], "no byte"), ([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 0], "47 47 55 46 03 00 00 00"),
            (Array("{}".utf8), "7b 7d"),
            // A header longer than any is allowed to be.
            (
                [0, 0xE1, 0xF5, 0x05, 1, 0, 0, 0, UInt8(ascii: "{")], "00 e1 f5 05 01 00 00 00"
            ),
        ] as [([UInt8], String)])
    func `bytes that begin like no format are refused`(bytes: [UInt8], found: String) throws {
        #expect(
            throws: Sentence(
                "FILE: format: expected one of safetensors, npz, marshal, apr, found a file that "
                    + "begins \(found)")
        ) { try openTensorFile(bytes, name: "x.bin") }
    }

    @Test func `a file of APR version 1 is named as such`() throws {
        #expect(
            throws: Sentence(
                "FILE: format: expected apr version 2, found version 1, of which only the header "
                    + "is read")
        ) { try openTensorFile(APRVersion1Tests.good, name: "x.apr") }
    }

    /// A header of 2052 bytes begins 04 08, as Marshal does; one of 67 MB begins as a zip does.
    @Test func `a length that looks like another format's magic changes nothing`() throws {
        let entry = #"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        let header = entry + String(repeating: " ", count: 0x0804 - entry.utf8.count)
        let file = safetensorsBytes(header, dataCount: 4)
        #expect(Array(file.prefix(2)) == [4, 8])

        #expect(try openTensorFile(file, name: "x").format == .safetensors)

        let cut = safetensorsBytes("{", dataCount: 0, headerLength: 0x0403_4B50)
        let error = #expect(throws: Sentence.self) { try openTensorFile(cut, name: "x") }
        #expect("\(try #require(error))".contains("needs 67324760 bytes but has 9"))
    }

    @Test func `a directory of shards is one file, with the metadata that they share`() throws {
        try withScratchDirectory { directory in
            for (name, epoch) in [("a", "1"), ("b", "2")] {
                try SafetensorsWriter.data(
                    [name: Tensor([1] as [Float], shape: [1])],
                    metadata: ["format": "pt", "epoch": epoch]
                ).write(to: directory.appendingPathComponent("\(name).safetensors"))
            }
            try Data(
                #"{"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}"#.utf8
            ).write(to: directory.appendingPathComponent("model.safetensors.index.json"))

            let file = try TensorFile(contentsOf: directory)

            #expect(file.names == ["a", "b"])
            #expect(file.metadata == ["format": "pt"])
            #expect(
                file.remarks == ["metadata 'epoch' is left out: it is not the same in every file"])
        }
    }
}
