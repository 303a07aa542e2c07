// SPDX-License-Identifier: Apache-2.0
/// Checkpoints in mlx-ruby's two forms.

import CairnFormats
import CairnTensor
import Foundation
import Testing

/// A tensor of a type without an initializer of its own, from its bytes.
func tensor(_ dtype: DType, _ shape: Shape, _ bytes: [UInt8]) -> Tensor {
    let storage = TensorStorage(byteCount: bytes.count)
    storage.bytes.copyBytes(from: bytes)
    return Tensor(dtype: dtype, shape: shape, storage: storage)
}

func isEqual(_ a: Tensor?, _ b: Tensor?) -> Bool {
    guard let a, let b else { return a == nil && b == nil }
    return a.dtype == b.dtype && a.shape == b.shape && bytes(of: a) == bytes(of: b)
}

func isEqual(_ a: MLXRubyCheckpoint, _ b: MLXRubyCheckpoint) -> Bool {
    let (aStates, bStates) = (a.optimizer?.states, b.optimizer?.states)
    return a.metadata == b.metadata && a.tensors.keys == b.tensors.keys
        && a.tensors.allSatisfy { isEqual($1, b.tensors[$0]) }
        && aStates?.count == bStates?.count
        && zip(aStates ?? [], bStates ?? []).allSatisfy { x, y in
            x.scalars == y.scalars && x.slots.keys == y.slots.keys
                && x.slots.allSatisfy { name, slots in
                    slots.keys == y.slots[name]!.keys
                        && slots.allSatisfy { isEqual($1, y.slots[name]![$0]) }
                }
        }
}

@Suite struct MLXRubyTests {
    static let layer = "net.layers.0.weight"
    static let matrix = Tensor([1, 2.5, -3, 0.1, 5, 6] as [Float], shape: [2, 3])

    static let checkpoint = MLXRubyCheckpoint(
        tensors: [
            layer: matrix, "net.layers.2.bias": tensor(.bf16, [2], [0x80, 0x3E, 0x40, 0x40]),
            "scale": Tensor([1.5] as [Double], shape: []),
            "flags": tensor(.bool, [2], [1, 0]),
        ],
        metadata: [
            "epoch": 1, "monitor_name": "val_loss", "monitor_value": 1.5, "list": [.null, true],
        ],
        optimizer: .single(
            MLXRubyOptimizer.State(
                scalars: ["step": 3, "learning_rate": 0.001],
                slots: [
                    layer: ["m": matrix, "v": matrix], "scale": ["m": Tensor([0.5], shape: [])],
                ])
        ))

    static func marshal(_ checkpoint: MLXRubyCheckpoint) throws -> [UInt8] {
        var sink = DataSink()
        try checkpoint.writeMarshal(to: &sink)
        return Array(sink.data)
    }

    /// Writes both files of the native form, reads them back.
    static func throughNative(
        _ checkpoint: MLXRubyCheckpoint, _ format: MLXRubyCheckpoint.WeightsFormat,
        sidecar: String? = nil
    ) throws -> MLXRubyCheckpoint {
        var sink = DataSink()
        try checkpoint.writeWeights(as: format, to: &sink)
        return try withFile(Array(sink.data), name: "w.\(format.rawValue)") { url in
            let text = try sidecar.map { Data($0.utf8) } ?? checkpoint.sidecar(for: format)
            try text.write(to: MLXRubyCheckpoint.sidecarURL(ofWeights: url))
            return try MLXRubyCheckpoint(contentsOf: url)
        }
    }

    // MARK: Marshal

    @Test func `the Marshal form reads back as it was written`() throws {
        let file = try Self.marshal(Self.checkpoint)
        let read = try withFile(file) { try MLXRubyCheckpoint(contentsOf: $0) }
        #expect(isEqual(read, Self.checkpoint))
        #expect(try Self.marshal(read) == file)
    }

    @Test func `what Ruby dumped is read in full`() throws {
        let file = unhex(try #require(MarshalGolden.dumps["a checkpoint"]))
        let read = try withFile(file) { try MLXRubyCheckpoint(marshal: $0) }

        let weight = "net.layers.0.weight"
        let expected = MLXRubyCheckpoint(
            tensors: [
                weight: Tensor([1, 2, 3, -0.5] as [Float], shape: [2, 2]),
                "net.layers.0.bias": tensor(.bf16, [2], [0x80, 0x3E, 0x40, 0x40]),
                "net.layers.2.weight": tensor(.i8, [3], [1, 0xFE, 3]),
                "net.layers.2.mask": tensor(.bool, [2], [1, 0]),
                "scale": Tensor([1.5] as [Double], shape: []),
                "empty": Tensor(zeros: [0], dtype: .f16),
                "seed": tensor(.u64, [1], Array(repeating: 0xFF, count: 8)),
            ],
            metadata: ["epoch": 1, "tag": "best", "monitor_value": 1.5, "best_path": .null],
            optimizer: .single(
                MLXRubyOptimizer.State(
                    scalars: ["step": 3, "learning_rate": 0.001],
                    slots: [
                        weight: [
                            "m": Tensor([0.5, 0.25, 0, 1] as [Float], shape: [2, 2]),
                            "v": Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]),
                        ]
                    ])))
        #expect(isEqual(read, expected))
    }

    @Test func `layers without parameters keep their places in the written tree`() throws {
        let value = try load(try Self.marshal(Self.checkpoint))
        let layers = try #require(value["model"]?["net"]?["layers"])
        guard case .array(let elements) = layers else {
            Issue.record("layers is no array")
            return
        }
        #expect(elements.count == 3)
        #expect(elements[1] == .hash(MarshalHash([])))
    }

    // MARK: Native

    @Test(arguments: [MLXRubyCheckpoint.WeightsFormat.npz, .safetensors])
    func `the native form reads back as it was written`(
        format: MLXRubyCheckpoint.WeightsFormat
    ) throws {
        #expect(isEqual(try Self.throughNative(Self.checkpoint, format), Self.checkpoint))
    }

    @Test func `the sidecar has mlx-ruby's keys and layout`() throws {
        let checkpoint = MLXRubyCheckpoint(
            tensors: [:], metadata: ["epoch": 1, "f": 1.5],
            optimizer: .single(
                MLXRubyOptimizer.State(
                    scalars: ["step": 3, "learning_rate": 0.1],
                    slots: ["weight": ["m": tensor(.bf16, [2], [0x00, 0x3F, 0x80, 0x3E])]])))
        #expect(
            String(decoding: try checkpoint.sidecar(for: .safetensors), as: UTF8.self)
                == #"{"format":"mlx_dsl_checkpoint_v2_native","weights_format":"safetensors","#
                + #""metadata":{"epoch":1,"f":1.5},"optimizer":{"learning_rate":0.1,"step":3,"#
                + #""weight":{"m":{"__mlx_array__":{"values":[0.5,0.25],"dtype":"bfloat16"}}}}}"#)
    }

    @Test func `a missing sidecar is an error unless it may be missing`() throws {
        var sink = DataSink()
        try Self.checkpoint.writeWeights(as: .npz, to: &sink)
        try withFile(Array(sink.data)) { url in
            #expect(throws: FormatError.self) { try MLXRubyCheckpoint(contentsOf: url) }
            let read = try MLXRubyCheckpoint(contentsOf: url, requiresSidecar: false)
            #expect(read.tensors.count == 4)
            #expect(read.metadata.isEmpty && read.optimizer == nil)
        }
    }

    // MARK: Optimizers

    @Test(arguments: ["marshal", "npz"])
    func `the states of a MultiOptimizer keep their order`(form: String) throws {
        var checkpoint = Self.checkpoint
        checkpoint.optimizer = .multiple([
            MLXRubyOptimizer.State(scalars: ["step": 1], slots: ["a.0": ["v": Self.matrix]]),
            MLXRubyOptimizer.State(scalars: ["step": 2, "learning_rate": 1], slots: [:]),
        ])
        let read =
            form == "marshal"
            ? try withFile(try Self.marshal(checkpoint)) { try MLXRubyCheckpoint(marshal: $0) }
            : try Self.throughNative(checkpoint, .npz)
        #expect(isEqual(read, checkpoint))
        guard case .multiple? = read.optimizer else {
            Issue.record("not a MultiOptimizer")
            return
        }
    }

    @Test func `scalars may be arrays without dimensions`() throws {
        let read = try Self.throughNative(
            MLXRubyCheckpoint(tensors: [:]), .npz,
            sidecar: Self.sidecar(
                #"{"step":{"__mlx_array__":{"values":7,"dtype":"uint64"}},"learning_rate":"#
                    + #"{"__mlx_array__":{"values":0.5,"dtype":"float32"}}}"#))
        #expect(read.optimizer?.states.first?.scalars == ["step": 7, "learning_rate": 0.5])
    }

    static func sidecar(_ optimizer: String) -> String {
        #"{"format":"mlx_dsl_checkpoint_v2_native","weights_format":"npz","metadata":{},"#
            + #""optimizer":\#(optimizer)}"#
    }
}

extension MarshalValue {
    /// The value under a string, for tests that know it is there.
    subscript(key: String) -> MarshalValue? {
        guard case .hash(let hash) = self else { return nil }
        return hash.pairs.first { $0.key == .text(key) }?.value
    }

}
