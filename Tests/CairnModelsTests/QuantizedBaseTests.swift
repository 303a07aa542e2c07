// SPDX-License-Identifier: Apache-2.0
/// A model over codes is the model of the numbers that the codes stand for.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor
import TestSupport
import Testing

/// A small model, and the same with its linear layers replaced by what their codes stand for.
private struct Pair {
    let own: ModelFiles
    let plain: ModelFiles
    let storage: BaseStorage

    init(_ family: ModelFamily, _ storage: BaseStorage, isHalf: Bool = false) throws {
        let changes: [String: JSONValue?] = [
            "hidden_size": 64, "intermediate_size": 88, "num_attention_heads": 4,
        ]
        self.storage = storage
        own = try ModelFiles(family, changes)
        plain = try ModelFiles(family, changes)
        for (name, tensor) in own.tensors {
            own.tensors[name] = isHalf ? Self.rounded(tensor) : tensor
            plain.tensors[name] = own.tensors[name]
        }
        try own.write()
        let parameters = Parameters(context: try Context(threads: 1))
        let codes = try #require(
            try QuantizedBase(own.open(), as: storage, for: parameters))
        for name in own.tensors.keys {
            if let tensor = try codes.tensor(named: name) { plain.tensors[name] = tensor }
        }
        try plain.write()
    }

    /// The numbers in bf16, as most bases are stored.
    private static func rounded(_ tensor: Tensor) -> Tensor {
        let numbers = tensor.floats()
        return Tensor(tensor.shape, dtype: .bf16) { bytes in
            for (index, number) in numbers.enumerated() {
                bytes.storeBytes(
                    of: BFloat16(number).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
            }
        }
    }

    static let batch: Batch = {
        var batch = Batch(sequences: [[3, 9, 7, 4, 2], [5, 11], [1, 8, 6]])
        batch.classTargets = [0, 2, 1]
        batch.lossScale = 1 / 3
        return batch
    }()

    /// Logits, and the gradient of everything that trains.
    func run(
        _ files: ModelFiles, _ method: Method, _ precision: Precision, isCoded: Bool,
        _ context: Context
    ) throws -> (logits: [Float], gradients: [String: [Float]]) {
        let base = try files.open()
        let parameters = Parameters(context: context)
        let model = try TaskModel(
            base, method: method, seed: 2, parameters: parameters,
            quantized: isCoded ? try QuantizedBase(base, as: storage, for: parameters) : nil)
        // B starts at zero, where A has no gradient.
        for name in parameters.trainableNames where name.contains("lora_B") {
            var stream = RandomStream(seed: 9, name: name)
            let count = parameters.dimensions(of: name).reduce(1, *)
            parameters.set(name, to: [Float].random(count, in: -0.1...0.1, using: &stream))
        }
        let (graph, logits) = model.recorded(isTraining: true)
        let program = try Program(
            graph, outputs: [logits],
            loss: (.crossEntropy(weights: nil, labelSmoothing: 0, ignoreIndex: -100), logits),
            differentiates: true, parameters: parameters, precision: precision)
        var batch = Self.batch
        if base.configuration.family.isEncoder {
            batch.pooledRows = Array(batch.offsets.dropLast())
        }
        let result = try program.run(batch)
        let gradients = try program.finishedGradients().mapValues { context.read($0) }
        return (result.outputs[0], gradients)
    }
}

@Suite struct QuantizedBaseTests {
    private static let methods = [
        Method.lora(AdapterConfiguration(rank: 4, dropout: 0.1)),
        .lora(AdapterConfiguration(rank: 4, usesDoRA: true)),
    ]

    /// The plain model's gradients are held against finite differences elsewhere.
    @Test(arguments: [ModelFamily.llama, .bert], Precision.allCases)
    func `over nf4 logits and gradients have the bits of the numbers it stands for`(
        family: ModelFamily, precision: Precision
    ) throws {
        let pair = try Pair(family, .nf4, isHalf: true)
        for method in Self.methods {
            let context = try Context(threads: 2)
            let own = try pair.run(pair.own, method, precision, isCoded: true, context)
            let plain = try pair.run(pair.plain, method, precision, isCoded: false, context)
            // Magnitudes of DoRA start at the norms of the numbers, so these are the same too.
            #expect(own.logits == plain.logits)
            #expect(own.gradients == plain.gradients)
            #expect(own.gradients.values.contains { $0.contains { $0 != 0 } })
        }
    }

    /// Rounding x to 8 bits has no slope: what flows back is that of the plain product, at the
    /// points that the rounded one came to.
    @Test(arguments: [ModelFamily.llama, .bert], Precision.allCases)
    func `over int8 logits and gradients are near those of the numbers it stands for`(
        family: ModelFamily, precision: Precision
    ) throws {
        let pair = try Pair(family, .int8)
        let context = try Context(threads: 2)
        let method = Method.lora(AdapterConfiguration(rank: 4))
        let own = try pair.run(pair.own, method, precision, isCoded: true, context)
        let plain = try pair.run(pair.plain, method, precision, isCoded: false, context)

        // Each of some dozens of products rounds x by at most 1/254 of a row's largest number.
        #expect(own.logits != plain.logits)
        #expect(firstMismatch(own.logits, plain.logits.map(Double.init), tolerance: 0.05) == nil)
        #expect(own.gradients.keys == plain.gradients.keys)
        for (name, gradient) in own.gradients {
            let other = plain.gradients[name]!
            func product(_ a: [Float], _ b: [Float]) -> Double {
                zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
            }
            let norms = (product(gradient, gradient) * product(other, other)).squareRoot()
            let cosine = product(gradient, other) / norms
            #expect(cosine >= 0.99, "\(name)")
        }
    }

    @Test(arguments: [BaseStorage.int8, .nf4], Precision.allCases)
    func `bits depend on no thread count and no instruction set`(
        storage: BaseStorage, precision: Precision
    ) throws {
        let pair = try Pair(.llama, storage)
        var first: (logits: [Float], gradients: [String: [Float]])?
        for (index, isa) in ISA.supported.enumerated() {
            let context = try Context(isa: isa, threads: 1 + index % 3)
            let run = try pair.run(pair.own, Self.methods[1], precision, isCoded: true, context)
            if let first {
                #expect(run.logits == first.logits && run.gradients == first.gradients)
            }
            first = first ?? run
        }
    }

    @Test func `the digest is that of the codes, and tells one base from another`() throws {
        let files = try ModelFiles(.llama)
        try files.write()
        func digest(_ storage: BaseStorage, _ isa: ISA = .best) throws -> String {
            let parameters = Parameters(context: try Context(isa: isa, threads: 2))
            return try #require(
                try QuantizedBase(files.open(), as: storage, for: parameters)
            ).digest
        }
        let (int8, nf4) = (try digest(.int8), try digest(.nf4))
        #expect(int8 != nf4)
        #expect(try ISA.supported.allSatisfy { try digest(.int8, $0) == int8 })
        let name = "model.layers.1.mlp.up_proj.weight"
        var numbers = files.tensors[name]!.floats()
        numbers[0] += 1
        files.tensors[name] = Tensor(numbers, shape: files.tensors[name]!.shape)
        try files.write()
        #expect(try digest(.int8) != int8 && digest(.nf4) != nf4)
    }

    /// Embeddings and norms are as stored; what an adapter may target is in codes.
    @Test func `linear layers are kept in codes, and nothing else is`() throws {
        let files = try ModelFiles(.llama, ["hidden_size": 64, "intermediate_size": 128])
        try files.write()
        let base = try files.open()
        let parameters = Parameters(context: try Context(threads: 1))
        let codes = try #require(try QuantizedBase(base, as: .nf4, for: parameters))
        _ = try TaskModel(
            base, method: .lora(AdapterConfiguration(rank: 2)), seed: 1, parameters: parameters,
            quantized: codes)

        var stored = 0
        for specification in base.model.parameters where !specification.isHead {
            let entry = parameters.entry(specification.name)
            let isLayer = base.model.linearLayers.contains {
                $0.name + ".weight" == specification.name
            }
            #expect((entry.dtype == .f4) == isLayer)
            if isLayer { stored += specification.dimensions.reduce(4, *) }
        }
        #expect(Double(codes.byteCount) < 0.15 * Double(stored))
        #expect(try QuantizedBase(base, as: .stored, for: parameters) == nil)
    }

    @Test(arguments: [BaseStorage.int8, .nf4])
    func `a weight that is not finite is refused by name`(storage: BaseStorage) throws {
        let files = try ModelFiles(.llama)
        let name = "model.layers.0.self_attn.o_proj.weight"
        var numbers = files.tensors[name]!.floats()
        numbers[5] = .nan
        files.tensors[name] = Tensor(numbers, shape: files.tensors[name]!.shape)
        try files.write()

        let found = sentence(files.directory.path) {
            try QuantizedBase(
                files.open(), as: storage, for: Parameters(context: Context(threads: 1)))
        }

        #expect(
            found
                == "DIR/model.safetensors: tensor '\(name)' must have finite numbers to be kept in "
                + "fewer bits, found a NaN or an infinity")
    }
}
