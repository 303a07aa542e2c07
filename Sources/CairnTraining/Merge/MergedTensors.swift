// SPDX-License-Identifier: Apache-2.0
/// The tensors of a merged model, computed a few rows at a time.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor

/// Every tensor of the model that base and adapter make together, under transformers' names.
///
///     LoRA:  W' = W + s B A
///     DoRA:  W' = (m / norm) (W + s B A), norm the length of each row of W + s B A
///
/// W is what the file holds, or where the adapter was trained over codes and these were asked for, the
/// numbers that the codes stand for.
///
/// Numerics: all of it in fp32 but the squares of norm, which are summed in binary64; rounded once,
/// to the type that is stored. What the adapter does not touch is copied bit by bit where its type
/// stays. The same bits on any number of threads and any instruction set.
struct MergedTensors {
    let layout: [String: TensorLayout]
    /// How many layers a pair was folded into.
    let mergedCount: Int
    private let source: MergeSource
    private let context: Context
    private let quantized: QuantizedBase?

    /// Numbers that are computed at a time.
    private static let block = 1 << 22

    /// - Parameter dtype: of every tensor; nil keeps each one's own, and gives the head, which has
    ///   none, the type that most of the base is stored in.
    init(_ source: MergeSource, dtype: DType?, context: Context) throws {
        self.source = source
        self.context = context
        quantized = try QuantizedBase(
            source.base, as: source.storage, for: Parameters(context: context))
        let model = source.base.model
        let common = Self.commonType(source.base)
        layout = Dictionary(
            uniqueKeysWithValues: model.parameters.map { specification in
                let own =
                    source.file != nil && specification.isHead
                    ? common : source.base.tensor(named: specification.name)!.dtype
                return (
                    specification.name,
                    TensorLayout(dtype: dtype ?? own, shape: Shape(specification.dimensions))
                )
            })
        mergedCount = source.adapter?.modules.count ?? 0
    }

    /// The type in which most of the base's numbers are stored.
    static func commonType(_ base: BaseModel) -> DType {
        var counts: [DType: Int] = [:]
        for specification in base.model.parameters {
            guard let tensor = base.tensor(named: specification.name) else { continue }
            counts[tensor.dtype, default: 0] += tensor.elementCount
        }
        return counts.max { ($0.value, $0.key.bitWidth) < ($1.value, $1.key.bitWidth) }?.key ?? .f32
    }

    /// Hands out the bytes of a tensor, in pieces.
    ///
    /// - Throws: `TrainingError.notStorable` at the first number that its type cannot hold.
    func write(_ name: String, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
        let dtype = layout[name]!.dtype
        let tensor =
            try source.file?.tensors[name] ?? quantized?.tensor(named: name)
            ?? source.base.tensor(named: name)!
        let module = name.hasSuffix(".weight") ? String(name.dropLast(".weight".count)) : name
        let rounding = Rounding(tensor: name, dtype: dtype)
        if let adapter = source.adapter, adapter.modules.contains(module) {
            return try writeMerged(tensor, module, adapter.configuration, rounding, emit: emit)
        }
        guard tensor.dtype != dtype else { return try tensor.withBytes { try emit($0) } }
        let width = max(tensor.shape.dimensions.last ?? 1, 1)
        for rows in Self.blocks(tensor.elementCount / width, width: width) {
            var numbers = tensor.floats(rows, width: width)
            try rounding.emit(&numbers, from: rows.lowerBound * width, emit)
        }
    }

    private func writeMerged(
        _ weight: Tensor, _ module: String, _ configuration: AdapterConfiguration,
        _ rounding: Rounding, emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let tensors = source.file!.tensors
        let a = Buffer(borrowing: tensors[module + ".lora_A.weight"]!, context: context)
        let b = Buffer(borrowing: tensors[module + ".lora_B.weight"]!, context: context)
        let magnitudes =
            configuration.usesDoRA ? tensors[module + ".lora_magnitude_vector"]!.floats() : nil
        defer { withExtendedLifetime((a, b)) {} }
        let (width, rank) = (weight.shape[1], configuration.rank)
        let bytesPerRow = rank * b.weight.dtype.bitWidth / 8
        for rows in Self.blocks(weight.shape[0], width: width) {
            var numbers = weight.floats(rows, width: width)
            let left = Weight(
                base: b.weight.base + rows.lowerBound * bytesPerRow, dtype: b.weight.dtype,
                rows: rows.count, columns: rank)
            try numbers.withUnsafeMutableBufferPointer { out in
                try context.matmul(
                    .weight(left), .weight(a.weight), scale: configuration.scaling,
                    accumulate: true, precision: .fp32,
                    into: Floats(base: out.baseAddress!, count: out.count))
            }
            if let magnitudes { Self.scale(&numbers, to: magnitudes[rows], width: width) }
            try rounding.emit(&numbers, from: rows.lowerBound * width, emit)
        }
    }

    /// Gives each row the length that DoRA has learned for it.
    private static func scale(
        _ numbers: inout [Float], to magnitudes: ArraySlice<Float>, width: Int
    ) {
        numbers.withUnsafeMutableBufferPointer { numbers in
            for (row, magnitude) in magnitudes.enumerated() {
                let range = row * width..<(row + 1) * width
                var squares = 0.0
                for i in range { squares += Double(numbers[i]) * Double(numbers[i]) }
                let factor = Float(Double(magnitude) / squares.squareRoot())
                for i in range { numbers[i] *= factor }
            }
        }
    }

    private static func blocks(_ rows: Int, width: Int) -> [Range<Int>] {
        let most = max(block / width, 1)
        return stride(from: 0, to: rows, by: most).map { $0..<min($0 + most, rows) }
    }
}

extension Tensor {
    /// Rows of `width` numbers each, as fp32.
    fileprivate func floats(_ rows: Range<Int>, width: Int) -> [Float] {
        let size = dtype.bitWidth / 8
        return withBytes { bytes in
            let part = UnsafeRawBufferPointer(
                rebasing: bytes[rows.lowerBound * width * size..<rows.upperBound * width * size])
            let storage = TensorStorage(borrowing: part, owner: backing)
            return Tensor(
                dtype: dtype, shape: [rows.count, width], storage: storage
            ).floats()
        }
    }
}
