// SPDX-License-Identifier: Apache-2.0
/// Array records and trees: exact both ways, and one payload per refusal.

import CairnFormats
import CairnTensor
import Foundation
import Testing

@Suite struct ArrayRecordTests {
    static let types: [DType] = [
        .f32, .f16, .bf16, .f64, .i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64,
    ]

    /// Through Marshal, as the only parameter of a checkpoint.
    static func throughMarshal(_ tensor: Tensor) throws -> Tensor? {
        let file = try MLXRubyTests.marshal(MLXRubyCheckpoint(tensors: ["x": tensor]))
        return try withFile(file) { try MLXRubyCheckpoint(marshal: $0).tensors["x"] }
    }

    /// Through the JSON of a sidecar, as the only slot of an optimizer.
    static func throughJSON(_ tensor: Tensor) throws -> Tensor? {
        let checkpoint = MLXRubyCheckpoint(
            tensors: [:],
            optimizer: .single(MLXRubyOptimizer.State(scalars: [:], slots: ["x": ["m": tensor]])))
        return try MLXRubyTests.throughNative(checkpoint, .npz).optimizer?.states[0].slots["x"]?[
            "m"]
    }

    /// Random bits, without exponents of ones: those are no numbers that JSON can hold.
    static func random(_ dtype: DType, _ shape: Shape, using generator: inout SplitMix) -> Tensor {
        var bytes = (0..<(shape.elementCount * dtype.bitWidth / 8)).map { _ in
            UInt8.random(in: .min ... .max, using: &generator)
        }
        let width = dtype.bitWidth / 8
        for last in stride(from: width - 1, to: bytes.count, by: width) { bytes[last] &= 0xBB }
        if dtype == .u64 {
            for last in stride(from: 7, to: bytes.count, by: 8) { bytes[last] &= 0x7F }
        }
        return tensor(dtype, shape, bytes)
    }

    @Test(arguments: types)
    func `every bit of every type survives Marshal and JSON`(dtype: DType) throws {
        var generator = SplitMix(state: 61)
        for shape in [[], [3], [2, 3], [1, 2, 40], [0], [2, 0]] as [Shape] {
            let tensor = Self.random(dtype, shape, using: &generator)
            #expect(isEqual(try Self.throughMarshal(tensor), tensor))
            #expect(isEqual(try Self.throughJSON(tensor), tensor))
        }
    }

    @Test func `shapes that lists cannot show are stated`() throws {
        for shape in [[0, 3], [2, 0, 4], [0, 0]] as [Shape] {
            let tensor = Tensor(zeros: shape, dtype: .bf16)
            #expect(isEqual(try Self.throughMarshal(tensor), tensor))
            #expect(isEqual(try Self.throughJSON(tensor), tensor))
        }
    }

    @Test func `numbers that are not finite go through Marshal and not through JSON`() throws {
        let tensor = Tensor([.infinity, -.infinity, .nan] as [Float], shape: [3])
        #expect(
            try Self.throughMarshal(tensor)?.floats().map(\.bitPattern)
                == tensor.floats().map(\.bitPattern))
        let halves = CairnFormatsTests.tensor(.f16, [2], [0x00, 0x7C, 0x00, 0x7E])
        #expect(isEqual(try Self.throughMarshal(halves), halves))
        #expect(
            throws: Sentence(
                "$.optimizer.x.m.__mlx_array__.values[0] is inf, which JSON cannot hold")
        ) {
            do { _ = try Self.throughJSON(tensor) } catch { throw Sentence("\(error)") }
        }
    }

    @Test func `the upper half of uint64 goes through Marshal and not through JSON`() throws {
        let tensor = tensor(.u64, [1], Array(repeating: 0xFF, count: 8))
        #expect(isEqual(try Self.throughMarshal(tensor), tensor))
        #expect(throws: Sentence.self) { try Self.throughJSON(tensor) }
    }

    @Test func `a type that records lack is not written`() {
        #expect(
            throws: FormatError.entry(
                file: "Marshal", entry: "'x'", expected: "a type that mlx-ruby's records have",
                found: "C64")
        ) {
            try MLXRubyTests.marshal(
                MLXRubyCheckpoint(tensors: ["x": Tensor(zeros: [1], dtype: .c64)]))
        }
    }

    // MARK: Refusals

    /// What a sidecar whose optimizer is this JSON is refused for.
    static func refusal(_ optimizer: String, sidecar: String? = nil) -> String {
        do {
            let read = try MLXRubyTests.throughNative(
                MLXRubyCheckpoint(tensors: [:]), .npz,
                sidecar: sidecar ?? MLXRubyTests.sidecar(optimizer))
            return "accepted: \(read)"
        } catch {
            return "\(error)".replacingOccurrences(of: "FILE.mlxmeta.json: ", with: "")
        }
    }

    static func record(_ content: String) -> String {
        refusal(#"{"w":{"m":{"__mlx_array__":\#(content)}}}"#)
    }

    @Test(arguments: [
        (#"{"values":[1,[2]],"dtype":"float32"}"#, "a number, found a list"),
        (#"{"values":[[1],2],"dtype":"float32"}"#, "a list, found an integer"),
        (#"{"values":[[1],[2,3]],"dtype":"float32"}"#, "lists of 1 elements, found one of 2"),
        (#"{"values":[0.1],"dtype":"float32"}"#, "numbers that F32 holds exactly, found 0.1"),
        (
            #"{"values":[16777217],"dtype":"float32"}"#,
            "numbers that F32 holds exactly, found 16777217"
        ),
        (#"{"values":[1e39],"dtype":"float32"}"#, "numbers that F32 holds exactly, found 1e+39"),
        (#"{"values":[65536],"dtype":"float16"}"#, "numbers that F16 holds exactly, found 65536"),
        (#"{"values":[1.001],"dtype":"bfloat16"}"#, "numbers that BF16 holds exactly, found 1.001"),
        (#"{"values":[256],"dtype":"uint8"}"#, "numbers that U8 holds exactly, found 256"),
        (#"{"values":[-1],"dtype":"uint64"}"#, "numbers that U64 holds exactly, found -1"),
        (
            #"{"values":[9223372036854775809],"dtype":"uint64"}"#,
            "numbers that U64 holds exactly, found 9.223372036854776e+18"
        ),
        (#"{"values":[1.5],"dtype":"int32"}"#, "numbers that I32 holds exactly, found 1.5"),
        (#"{"values":["1"],"dtype":"int32"}"#, "numbers that I32 holds exactly, found a string"),
        (#"{"values":[null],"dtype":"float64"}"#, "numbers that F64 holds exactly, found null"),
        (
            #"{"values":[true],"dtype":"float64"}"#,
            "numbers that F64 holds exactly, found a boolean"
        ),
        (#"{"values":[2],"dtype":"bool_"}"#, "numbers that BOOL holds exactly, found 2"),
        (#"{"values":[1]}"#, "values, and a dtype by name, found fewer"),
        (#"{"dtype":"int8"}"#, "values, and a dtype by name, found fewer"),
        (#"{"values":[1],"dtype":"int8","x":1}"#, "the keys values and dtype, found 'x'"),
    ])
    func `a record that is not exact is refused`(content: String, sentence: String) {
        #expect(Self.record(content) == "'w.m': expected \(sentence)")
    }

    @Test func `unknown types and shapes that contradict are refused`() {
        #expect(
            Self.record(#"{"values":[1],"dtype":"complex64"}"#)
                == "'w.m': expected one of float32 float16 bfloat16 float64 int8 int16 int32 int64 "
                + "uint8 uint16 uint32 uint64 bool_, found 'complex64'")
        #expect(
            Self.record(#"{"values":[],"dtype":"int8","shape":[1,0]}"#)
                == "'w.m.shape': expected that of the values, [0], found [1, 0]")
        #expect(
            Self.record(#"{"values":[1],"dtype":"int8","shape":[1,1]}"#)
                == "'w.m.shape': expected that of the values, [1], found [1, 1]")
        #expect(
            Self.record(#"{"values":[],"dtype":"int8","shape":[0,-1]}"#)
                == "'w.m.shape': expected sizes, found an integer")
    }

    @Test func `optimizers that are no trees of slots are refused`() {
        #expect(
            Self.refusal("[]") == "'optimizer': expected a hash with text for keys, found a list")
        #expect(
            Self.refusal(#"{"w":null}"#)
                == "'w': expected a record __mlx_array__ or a tree of them, found null")
        #expect(
            Self.refusal(#"{"w":{"m":1}}"#)
                == "'w.m': expected a record __mlx_array__ or a tree of them, found an integer")
        #expect(
            Self.refusal(#"{"w":{"__mlx_array__":{"values":[1],"dtype":"int8"}}}"#)
                == "'optimizer.w': expected a number, or slots of a parameter, found an array")
        #expect(
            Self.refusal(#"{"w":{"m":{"__mlx_array__":{},"x":1}}}"#)
                == "'w.m': expected __mlx_array__ alone, found 2 keys")
        let record = #"{"__mlx_array__":{"values":[1],"dtype":"int8"}}"#
        #expect(
            Self.refusal(#"{"a.b":{"m":\#(record)},"a":{"b":{"m":\#(record)}}}"#)
                .hasSuffix("expected every slot once, found it again"))
    }

    @Test func `sidecars of another kind are refused`() {
        func sidecar(_ text: String) -> String { Self.refusal("", sidecar: text) }
        let format = #""format":"mlx_dsl_checkpoint_v2_native""#
        #expect(sidecar("[]") == "payload: expected a hash with text for keys, found a list")
        #expect(
            sidecar("{}") == "'format': expected 'mlx_dsl_checkpoint_v2_native', found none")
        #expect(
            sidecar(#"{"format":"mlx_dsl_checkpoint_v3"}"#)
                == "'format': expected 'mlx_dsl_checkpoint_v2_native', found 'mlx_dsl_checkpoint_v3'"
        )
        #expect(
            sidecar(#"{\#(format),"weights_format":"safetensors","metadata":{}}"#)
                == "'weights_format': expected 'npz', found 'safetensors'")
        #expect(
            sidecar(#"{\#(format),"weights_format":"npz"}"#)
                == "'metadata': expected a hash, found none")
        #expect(
            sidecar(#"{\#(format),"weights_format":"npz","metadata":[]}"#)
                == "'metadata': expected a hash, found an array")
        #expect(
            sidecar(#"{\#(format),"weights_format":"npz","metadata":{},"extra":1}"#)
                == "'extra': expected one of the keys format, weights_format, metadata, optimizer, "
                + "schema_version, weights_sha256, weights_bytes, optimizer_groups, found another")
    }

    @Test func `names that cannot stand in one tree are not written`() {
        func failure(_ checkpoint: MLXRubyCheckpoint) -> String {
            do { return "\(try MLXRubyTests.marshal(checkpoint).count)" } catch {
                return "\(error)"
            }
        }
        let one = Tensor([1] as [Float], shape: [1])
        #expect(
            failure(MLXRubyCheckpoint(tensors: ["a": one, "a.b": one]))
                == "Marshal: 'a.b': expected a name that continues no other, found one that does")
        let state = MLXRubyOptimizer.State(scalars: ["step": 1], slots: ["step": ["m": one]])
        #expect(
            failure(MLXRubyCheckpoint(tensors: [:], optimizer: .single(state)))
                == "Marshal: 'optimizer.step': expected no parameter with the name of a scalar, "
                + "found the parameter 'step'")
        let text = MLXRubyOptimizer.State(scalars: ["step": "1"], slots: [:])
        #expect(
            failure(MLXRubyCheckpoint(tensors: [:], optimizer: .single(text)))
                == "Marshal: 'optimizer.step': expected a number, found a string")
    }

    @Test func `a Marshal payload of another kind is refused`() {
        func refusal(_ value: MarshalValue) -> String {
            do {
                return "\(try MLXRubyCheckpoint(payload: value, file: "f"))"
            } catch {
                return "\(error)"
            }
        }
        func payload(_ pairs: (String, MarshalValue)...) -> MarshalValue {
            .hash(MarshalHash(pairs.map { (key: .text($0.0), value: $0.1) }))
        }
        let format = ("format", MarshalValue.text("mlx_dsl_checkpoint_v1"))
        let empty = payload()
        #expect(
            refusal(.array([]))
                == "f: payload: expected a hash with text for keys, found a list")
        #expect(refusal(payload(format)) == "f: 'model': expected it, found none")
        #expect(
            refusal(payload(format, ("model", .integer(1)), ("metadata", empty)))
                == "f: 'model': expected a hash of parameters, found an integer")
        #expect(
            refusal(payload(format, ("model", payload(("a", .null))), ("metadata", empty)))
                == "f: 'a': expected a record __mlx_array__ or a tree of them, found null")
        let binary = MarshalValue.string(MarshalString(bytes: [0xFF], encoding: .binary))
        #expect(
            refusal(payload(format, ("model", empty), ("metadata", payload(("x", binary)))))
                == "f: 'metadata.x': expected what JSON can hold, found a string that is not UTF-8")
        let symbol = MarshalValue.symbol(MarshalString(bytes: [0x61], encoding: .ascii))
        let twice = MarshalValue.hash(MarshalHash([(.text("a"), .null), (symbol, .null)]))
        #expect(
            refusal(payload(format, ("model", empty), ("metadata", twice)))
                == "f: 'metadata.a': expected every key once, found it again")
    }

    @Test func `lists that promise more than they hold take no memory`() throws {
        let empty = MarshalValue.array([])
        let long = MarshalValue.array(Array(repeating: .integer(0), count: 100_000))
        let values = MarshalValue.array([long] + Array(repeating: empty, count: 99_999))
        let content = MarshalHash([(.text("values"), values), (.text("dtype"), .text("float64"))])
        let record = MarshalHash([(.text("__mlx_array__"), .hash(content))])
        let model = MarshalHash([(.text("x"), .hash(record))])
        let payload = MarshalHash([
            (.text("format"), .text("mlx_dsl_checkpoint_v1")), (.text("model"), .hash(model)),
            (.text("metadata"), .hash(MarshalHash([]))),
        ])
        #expect(
            throws: FormatError.entry(
                file: "f", entry: "'x'", expected: "lists of 100000 elements", found: "one of 0")
        ) { try MLXRubyCheckpoint(payload: .hash(payload), file: "f") }
    }
}
