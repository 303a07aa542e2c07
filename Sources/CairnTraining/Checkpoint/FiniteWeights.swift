// SPDX-License-Identifier: Apache-2.0
/// The check that stands before every save: no weight is NaN or infinite.

import CairnTensor

enum FiniteWeights {
    /// Throws at the first element, by name and place, that is not finite.
    ///
    /// - Precondition: the tensors are fp32.
    static func require(_ tensors: [String: Tensor]) throws(TrainingError) {
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
            precondition(tensor.dtype == .f32, "\(name) is \(tensor.dtype.rawValue), not F32")
            let bad = tensor.withBytes { bytes in
                bytes.bindMemory(to: Float.self).firstIndex { !$0.isFinite }
            }
            if let bad { throw .nonFiniteWeights(tensor: name, element: bad) }
        }
    }
}
