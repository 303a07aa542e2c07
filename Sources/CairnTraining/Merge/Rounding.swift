// SPDX-License-Identifier: Apache-2.0
/// From fp32 to the type that is stored, once, and never to a number that is none.

import CairnTensor

/// Rounds the numbers of one tensor to nearest, ties to even.
struct Rounding {
    /// What errors call the tensor.
    let tensor: String
    /// F32, BF16 or F16.
    let dtype: DType

    /// Hands out numbers in the type; `start` is the place of the first in the tensor.
    ///
    /// - Throws: `TrainingError.notStorable` when one is not finite, or would not be in the type.
    func emit(
        _ numbers: inout [Float], from start: Int,
        _ emit: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        if let bad = numbers.firstIndex(where: { !$0.isFinite }) {
            throw failure(start + bad, numbers[bad])
        }
        switch dtype {
        case .f32: try numbers.withUnsafeBytes { try emit($0) }
        case .bf16: try half(numbers, start, emit, infinity: 0x7F80) { BFloat16($0).bitPattern }
        case .f16: try half(numbers, start, emit, infinity: 0x7C00) { Half($0).bitPattern }
        default: preconditionFailure("weights are stored as F32, BF16 or F16, got \(dtype)")
        }
    }

    private func half(
        _ numbers: [Float], _ start: Int, _ emit: (UnsafeRawBufferPointer) throws -> Void,
        infinity: UInt16, _ round: (Float) -> UInt16
    ) throws {
        let patterns = numbers.map(round)
        if let bad = patterns.firstIndex(where: { $0 & 0x7FFF >= infinity }) {
            throw failure(start + bad, numbers[bad])
        }
        try patterns.withUnsafeBytes { try emit($0) }
    }

    private func failure(_ element: Int, _ number: Float) -> TrainingError {
        .notStorable(tensor: tensor, element: element, number: "\(number)", dtype: dtype.rawValue)
    }
}
