// SPDX-License-Identifier: Apache-2.0
/// What operations have to do on a batch, whatever machine does it, and how long they took.

import CairnTensor

/// The least work of one operation on one batch.
package struct Cost: Sendable, Equatable {
    /// Multiply-adds of matrix products, attention included; element-wise arithmetic is not counted.
    package var multiplyAdds = 0
    /// Bytes read and written: every operand once.
    package var byteCount = 0

    package init(multiplyAdds: Int = 0, byteCount: Int = 0) {
        self.multiplyAdds = multiplyAdds
        self.byteCount = byteCount
    }
}

/// One operation of a run, as the observer of a program is told about it.
package struct Observation: Sendable {
    /// The place of the operation among the program's.
    package let index: Int
    package let kind: String
    package let seconds: Double
}

extension Operation {
    package func multiplyAdds(_ node: Node, _ batch: Batch) -> Int { 0 }
}

extension Node {
    /// What the operation is called in reports.
    package var kind: String { "\(type(of: operation))" }

    /// The least work of the operation on a batch.
    package func cost(_ batch: Batch, _ parameters: Parameters) -> Cost {
        let values = Set(inputs).union(outputs)
        var bytes = values.reduce(0) { $0 + batch.count($1.rows) * $1.columns * 4 }
        for parameter in operation.parameters {
            let entry = parameters.entry(parameter.name)
            // A look-up reads as many rows as it writes, however many there are.
            let elements =
                operation is Embedding
                ? batch.count(outputs[0].rows) * outputs[0].columns : parameter.elementCount
            bytes += elements * entry.dtype.bitWidth / 8
        }
        for slot in operation.gradientSlots {
            let elements =
                operation is EmbeddingGradient
                ? batch.count(inputs[0].rows) * inputs[0].columns : slot.parameter.elementCount
            bytes += 2 * elements * 4
        }
        return Cost(multiplyAdds: operation.multiplyAdds(self, batch), byteCount: bytes)
    }
}

extension AttentionLayout {
    /// How many pairs of a query and a key it sees a batch has, over all query heads.
    func pairs(_ batch: Batch, queries: RowSpace, keys: RowSpace) -> Int {
        let (first, last) = (batch.offsets(in: queries), batch.offsets(in: keys))
        let positions = batch.places(queries).positions
        var pairs = 0
        for sequence in 0..<batch.sequenceCount {
            let count = Int(last[sequence + 1] - last[sequence])
            for row in Int(first[sequence])..<Int(first[sequence + 1]) {
                guard isCausal else {
                    pairs += count
                    continue
                }
                let seen = min(Int(positions[row]) + 1, count)
                pairs += window > 0 ? min(seen, window) : seen
            }
        }
        return pairs * heads
    }
}
