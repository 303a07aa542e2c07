// SPDX-License-Identifier: Apache-2.0
/// Merging: the same logits from one directory, and nothing where they would be others.

import CairnEngine
import CairnFormats
import CairnModels
import CairnTensor
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct MergeTests {
    static let families = ["qwen2", "qwen3", "llama", "mistral", "bert", "roberta"]
    static let methods: [(name: String, Method)] = [
        ("lora", .lora(AdapterConfiguration(rank: 4, alpha: 12))),
        ("rslora", .lora(AdapterConfiguration(rank: 4, alpha: 6, usesRSLoRA: true))),
        ("dora", .lora(AdapterConfiguration(rank: 4, alpha: 12, usesDoRA: true))),
        ("full", .full),
    ]

    private static func lora(_ family: String = "qwen2") throws -> WrittenCheckpoint {
        try WrittenCheckpoint(WrittenCheckpoint.base(family), methods[0].1)
    }

    /// fp32 rounds W + s B A once more than the sum of two products does: some 1e-6 of a logit.
    @Test(arguments: families, 0..<methods.count)
    func `the merged model has the logits of adapter and base`(
        family: String, method: Int
    ) throws {
        let (name, method) = Self.methods[method]
        let written = try WrittenCheckpoint(WrittenCheckpoint.base(family), method)

        let report = try written.merge(.fp32)

        #expect(report.method == name)
        #expect((report.mergedLayers > 0) == (name != "full"))
        let expected = try WrittenCheckpoint.logits(written.best)
        let scale = expected.map { Double(max(abs($0), 1)) }
        #expect(
            firstMismatch(
                try WrittenCheckpoint.logits(written.output), expected, tolerance: 1e-5,
                scale: scale) == nil)
        #expect(Set(expected).count == expected.count)
        #expect(CheckpointCheck(written.output).problems == [])
    }

    /// In binary64 from the files alone: where s, A, B or m went wrong no rounding would explain it.
    @Test(arguments: [0, 1, 2])
    func `a merged weight is what the formula says`(method: Int) throws {
        let written = try WrittenCheckpoint(
            WrittenCheckpoint.base("llama"), Self.methods[method].1)

        _ = try written.merge(.fp32)

        let merged = try SafetensorsFile(
            contentsOf: written.output.appendingPathComponent("model.safetensors"))
        let adapter = try PEFTAdapter(contentsOf: written.best)
        let module = "model.layers.1.mlp.down_proj"
        let weight = written.model.base.tensor(named: module + ".weight")!
        let (rows, columns) = (weight.shape[0], weight.shape[1])
        let a = adapter.tensors[module + ".lora_A.weight"]!.doubles()
        let b = adapter.tensors[module + ".lora_B.weight"]!.doubles()
        let scaling = 3.0  // 12 / 4, and for rsLoRA 6 / sqrt 4
        var expected = weight.doubles()
        for row in 0..<rows {
            for column in 0..<columns {
                var sum = 0.0
                for k in 0..<4 { sum += b[row * 4 + k] * a[k * columns + column] }
                expected[row * columns + column] += scaling * sum
            }
            if let magnitudes = adapter.tensors[module + ".lora_magnitude_vector"]?.doubles() {
                let range = row * columns..<(row + 1) * columns
                let norm = expected[range].reduce(0) { $0 + $1 * $1 }.squareRoot()
                for i in range { expected[i] *= magnitudes[row] / norm }
            }
        }
        // Four fused adds and the last rounding, each within half an ulp of a number below 1.
        #expect(
            firstMismatch(
                merged.tensor(named: module + ".weight")!.floats(), expected, tolerance: 1e-6)
                == nil)
    }

    @Test func `threads and instruction set leave no trace`() throws {
        let written = try WrittenCheckpoint(
            WrittenCheckpoint.base("llama"), Self.methods[2].1)

        let digests = try ISA.supported.flatMap { isa in
            try [1, 3].map { threads in
                let report = try written.merge(.fp32, isa: isa, threads: threads)
                try FileManager.default.removeItem(at: written.output)
                return report.files.map(\.sha256)
            }
        }

        #expect(digests.count >= 2 && Set(digests).count == 1)
    }

    private func bytes(of tensor: Tensor) -> [UInt8] { tensor.withBytes { Array($0) } }

    // MARK: Types

    @Test(arguments: MergeType.allCases)
    func `each type is the fp32 model rounded once, and config.json says which`(
        type: MergeType
    ) throws {
        let written = try Self.lora()
        _ = try written.merge(.fp32)
        let exact = try SafetensorsFile(
            contentsOf: written.output.appendingPathComponent("model.safetensors"))
        let whole = exact.tensors.mapValues { $0.floats() }
        try FileManager.default.removeItem(at: written.output)

        let report = try written.merge(type)

        let (dtype, name): (DType, String) =
            switch type {
            case .keep, .fp32: (.f32, "float32")
            case .bf16: (.bf16, "bfloat16")
            case .fp16: (.f16, "float16")
            }
        #expect(report.dtypes == [dtype.rawValue: whole.count])
        let merged = try SafetensorsFile(
            contentsOf: written.output.appendingPathComponent("model.safetensors"))
        #expect(merged.names == whole.keys.sorted())
        for (tensor, numbers) in whole {
            let expected = numbers.map { number -> Float in
                switch dtype {
                case .bf16: BFloat16(number).float
                case .f16: Half(number).float
                default: number
                }
            }
            #expect(bitMismatch(merged.tensor(named: tensor)!.floats(), expected) == nil)
        }
        let config = try JSONValue.parse(
            contentsOf: written.output.appendingPathComponent("config.json"))
        #expect(config["dtype"]?.string == name && config["torch_dtype"]?.string == name)
    }

    /// Two layers of 64 in bf16, one tensor in fp32: as bases with fp32 norms have it.
    @Test func `kept types are each tensor's own, and the head takes the common one`() throws {
        let directory = try TemporaryDirectory()
        let base = directory.file("base")
        try FileManager.default.copyItem(at: WrittenCheckpoint.base("qwen2"), to: base)
        let file = base.appendingPathComponent("model.safetensors")
        let norm = "model.norm.weight"
        let tensors = try SafetensorsFile(contentsOf: file).tensors.map { name, tensor in
            (name, name == norm ? tensor : tensor.rounded)
        }
        try FileManager.default.removeItem(at: file)
        try SafetensorsWriter.data(Dictionary(uniqueKeysWithValues: tensors)).write(to: file)
        let written = try WrittenCheckpoint(base, Self.methods[0].1)

        let report = try written.merge()

        #expect(report.dtypes["F32"] == 1)
        let merged = try SafetensorsFile(
            contentsOf: written.output.appendingPathComponent("model.safetensors"))
        #expect(merged.layout(of: norm)?.dtype == .f32)
        #expect(merged.layout(of: "score.weight")?.dtype == .bf16)
        let table = "model.embed_tokens.weight"
        let untouched = bytes(of: merged.tensor(named: table)!)
        #expect(
            untouched
                == bytes(of: written.model.base.tensor(named: table)!))
    }

    @Test func `a number that the type cannot hold is named, and nothing is written`() throws {
        let written = try Self.lora()
        var numbers = written.model.parameters.tensor("score.weight").floats()
        numbers[65] = 70_000
        try written.replace("score.weight", with: numbers)

        #expect(
            written.refusal(.fp16)
                == "tensor 'score.weight' would be 70000.0 at element 65, which F16 cannot "
                + "store; nothing was written")
        #expect(try written.strays == [])
        #expect(written.refusal(.bf16) == nil)
    }
}

extension Tensor {
    /// The same numbers in bf16.
    fileprivate var rounded: Tensor {
        var result = Tensor(zeros: shape, dtype: .bf16)
        let patterns = floats().map { BFloat16($0).bitPattern }
        result.withMutableBytes { out in
            patterns.withUnsafeBytes { out.copyMemory(from: $0) }
        }
        return result
    }
}
