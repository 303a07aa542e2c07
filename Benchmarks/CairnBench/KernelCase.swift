// SPDX-License-Identifier: Apache-2.0
/// One matmul of a layer: its operands, its run, and the check of its result.

import Cairn

/// The products that training a linear layer takes.
enum KernelOperation: String, CaseIterable {
    /// y = x W^T + bias.
    case forward
    /// dx = dy W.
    case dx
    /// dW = dy^T x.
    case dW
    /// y = x W^T + (s x A^T) B^T, rank 16.
    case lora
    /// Forward with W in 8 bits, and x rounded to as many.
    case int8
    /// Forward with W in 4 bits, which become numbers while it is packed.
    case nf4
    /// dx with W in 8 bits.
    case int8dx = "int8-dx"
    /// dx with W in 4 bits.
    case nf4dx = "nf4-dx"

    /// How the weight is kept; nil for as a file has it.
    var kind: QuantizedKind? {
        switch self {
        case .int8, .int8dx: .int8
        case .nf4, .nf4dx: .nf4
        case .forward, .dx, .dW, .lora: nil
        }
    }

    /// The same product of weights as files have them: what a peer computes beside it.
    var stored: KernelOperation {
        switch self {
        case .int8, .nf4: .forward
        case .int8dx, .nf4dx: .dx
        case .forward, .dx, .dW, .lora: self
        }
    }
}

/// A linear layer of a real model on a micro-batch.
struct LayerShape {
    let model: String
    let tokens: Int
    let inputs: Int
    let outputs: Int

    static let rank = 16

    /// Qwen2.5-0.5B's four kinds of layer and MiniLM's three.
    static let all: [LayerShape] =
        [512, 2048].flatMap { tokens in
            [(896, 896), (896, 128), (896, 4864), (4864, 896)].map {
                LayerShape(model: "qwen2.5-0.5b", tokens: tokens, inputs: $0.0, outputs: $0.1)
            }
        }
        + [256, 512].flatMap { tokens in
            [(384, 384), (384, 1536), (1536, 384)].map {
                LayerShape(model: "minilm", tokens: tokens, inputs: $0.0, outputs: $0.1)
            }
        }

    /// Those that are checked in a moment.
    static let quick = all.filter { $0.tokens <= 512 && $0.inputs * $0.outputs <= 896 * 896 }

    func operations(_ operation: KernelOperation) -> Double {
        let base = 2.0 * Double(tokens) * Double(inputs) * Double(outputs)
        let pair = 2.0 * Double(tokens) * Double(Self.rank) * Double(inputs + outputs)
        return operation == .lora ? base + pair : base
    }
}

/// Operands of one operation on one context, seeded by the shape.
final class KernelCase {
    let shape: LayerShape
    let operation: KernelOperation
    let precision: Precision
    private let context: Context
    private let x: Buffer
    private let dy: Buffer
    private let weight: Buffer
    private let a: Buffer
    private let b: Buffer
    private let bias: Buffer
    private let projected: Buffer
    private let result: Buffer
    private let open: Buffer
    private let partition: Partition

    /// Sequences in a micro-batch, in as many gradient groups as training has.
    private static let sequences = 16
    private static let groups = 8
    private static let scaling: Float = 2

    init(
        _ shape: LayerShape, _ operation: KernelOperation, _ precision: Precision, context: Context
    ) throws {
        self.shape = shape
        self.operation = operation
        self.precision = precision
        self.context = context
        let (tokens, inputs, outputs) = (shape.tokens, shape.inputs, shape.outputs)
        let rank = LayerShape.rank
        func filled(_ name: String, _ count: Int) throws -> Buffer {
            let buffer = try Buffer(byteCount: count * 4, context: context)
            context.write(Self.numbers(name, count), to: buffer.floats(count: count))
            return buffer
        }
        x = try filled("x", tokens * inputs)
        dy = try filled("dy", tokens * outputs)
        bias = try filled("bias", outputs)
        if let kind = operation.kind {
            let numbers = Tensor(
                Self.numbers("weight", outputs * inputs), shape: [outputs, inputs])
            weight = Buffer(try QuantizedWeight(numbers, as: kind, context: context))
        } else {
            weight = Self.stored("weight", [outputs, inputs], precision, context)
        }
        a = Self.stored("a", [rank, inputs], .fp32, context)
        b = Self.stored("b", [outputs, rank], .fp32, context)
        projected = try Buffer(byteCount: tokens * rank * 4, context: context)
        let count = max(tokens * max(inputs, outputs), inputs * outputs)
        result = try Buffer(byteCount: count * 4, context: context)
        open = try Buffer(byteCount: inputs * outputs * 4, context: context)
        partition = Self.partition(tokens)
    }

    private static func partition(_ tokens: Int) -> Partition {
        let offsets = (0...sequences).map { UInt32($0 * tokens / sequences) }
        let edges = (0...groups).map { UInt32($0 * sequences / groups) }
        return Partition(offsets: offsets, groups: edges)
    }

    private static func numbers(_ name: String, _ count: Int) -> [Float] {
        var stream = RandomStream(seed: 1, name: "bench/" + name)
        return (0..<count).map { _ in stream.uniform() - 0.5 }
    }

    /// A file's header ends where it likes, so weights seldom begin at a cache line: MiniLM's lie so
    /// many bytes behind one.
    private static let placeInLine = 24

    /// A weight as files store it: bf16 where bf16 is multiplied.
    private static func stored(
        _ name: String, _ dimensions: [Int], _ precision: Precision, _ context: Context
    ) -> Buffer {
        let numbers = numbers(name, dimensions.reduce(1, *))
        let dtype = precision == .bf16 ? DType.bf16 : .f32
        let size = dtype.bitWidth / 8
        let file = TensorStorage(byteCount: placeInLine + numbers.count * size)
        let bytes = UnsafeMutableRawBufferPointer(rebasing: file.bytes[placeInLine...])
        for (index, number) in numbers.enumerated() {
            if precision == .bf16 {
                bytes.storeBytes(
                    of: BFloat16(number).bitPattern, toByteOffset: index * size, as: UInt16.self)
            } else {
                bytes.storeBytes(of: number, toByteOffset: index * size, as: Float.self)
            }
        }
        let storage = TensorStorage(borrowing: UnsafeRawBufferPointer(bytes), owner: file)
        return Buffer(
            borrowing: Tensor(dtype: dtype, shape: Shape(dimensions), storage: storage),
            context: context)
    }

    // MARK: Running

    func run() throws { try run(rows: shape.tokens) }

    /// The operation on the first `rows` tokens.
    private func run(rows: Int) throws {
        let (inputs, outputs, rank) = (shape.inputs, shape.outputs, LayerShape.rank)
        let x = MatrixOperand.rows(
            x.floats(count: rows * inputs), rows: rows, columns: inputs)
        let w = MatrixOperand.weight(weight.weight, transposed: true)
        let y = result.floats(count: rows * outputs)
        switch operation {
        case .int8:
            try context.matmulInt8(
                self.x.floats(count: rows * inputs), weight.weight,
                bias: bias.floats(count: outputs), into: y)
        case .forward, .nf4:
            try context.matmul(
                x, w, bias: bias.floats(count: outputs), precision: precision, into: y)
        case .dx, .int8dx, .nf4dx:
            try context.matmul(
                .rows(dy.floats(count: rows * outputs), rows: rows, columns: outputs),
                .weight(weight.weight), precision: precision,
                into: result.floats(count: rows * inputs))
        case .lora:
            let small = projected.floats(count: rows * rank)
            try context.matmul(
                x, .weight(a.weight, transposed: true), scale: Self.scaling, precision: precision,
                into: small)
            try context.matmul(
                x, w,
                second: (
                    .rows(small, rows: rows, columns: rank), .weight(b.weight, transposed: true)
                ),
                precision: precision, into: y)
        case .dW:
            try gradient(
                dy: dy.floats(count: shape.tokens * outputs), outputs: outputs)
        }
    }

    private func gradient(dy: Floats, outputs: Int) throws {
        let count = outputs * shape.inputs
        try context.matmulGradient(
            dy: dy, x: x.floats(count: shape.tokens * shape.inputs), outputs: outputs,
            inputs: shape.inputs, partition: partition, precision: precision,
            into: Gradient(sum: result.floats(count: count), open: open.floats(count: count)))
    }

    // MARK: Checking

    /// A slice that the scalar kernels compute in a moment: the first rows of a result do not
    /// depend on the others.
    private static let checkedRows = 16

    /// The first rows of the result of a fresh run of the whole operation.
    func checkedSlice() throws -> [UInt32] {
        if operation == .dW { clearGradient() }
        try run()
        return slice()
    }

    /// The same numbers from a run that computes nothing else.
    func sliceAlone() throws -> [UInt32] {
        guard operation == .dW else {
            try run(rows: Self.checkedRows)
            return slice()
        }
        clearGradient()
        let (tokens, outputs) = (shape.tokens, shape.outputs)
        let all = context.read(dy.floats(count: tokens * outputs))
        let part = (0..<tokens).flatMap { all[$0 * outputs..<$0 * outputs + Self.checkedRows] }
        let buffer = try Buffer(byteCount: part.count * 4, context: context)
        let narrow = buffer.floats(count: part.count)
        context.write(part, to: narrow)
        try gradient(dy: narrow, outputs: Self.checkedRows)
        return slice()
    }

    private func slice() -> [UInt32] {
        let columns = [.dx, .dW].contains(operation.stored) ? shape.inputs : shape.outputs
        return context.read(result.floats(count: Self.checkedRows * columns)).map(\.bitPattern)
    }

    private func clearGradient() {
        result.zero()
        open.zero()
    }
}
