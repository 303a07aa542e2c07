// SPDX-License-Identifier: Apache-2.0
/// Dropout on counter-based random numbers (cairn_random.h).

internal import CCairn
internal import CairnTensor

/// Which random numbers a dropout site draws.
package struct Dropout: Sendable, Equatable {
    /// p in [0, 1): the chance that an element becomes 0.
    package var probability: Float
    /// Seed and site together: `Context.dropoutKey`.
    package var key: UInt64
    /// The optimizer step.
    package var step: UInt32

    package init(probability: Float, key: UInt64, step: UInt32) {
        precondition(
            probability >= 0 && probability < 1, "dropout is in [0, 1), got \(probability)")
        self.probability = probability
        self.key = key
        self.step = step
    }
}

extension Context {
    /// y = x * keep / (1 - p), where keep is 0 with probability p; the backward pass is the same
    /// call on dy.
    ///
    /// The words for features 4f ... 4f+3 of a row are the Philox block with counter
    /// (f, position, row id, step); a feature is kept when (word >> 8) * 2^-24 >= p.
    ///
    /// - Shapes: x, y [rows, width]; rowIDs, positions [rows]. x may be y.
    package func dropout(
        _ dropout: Dropout, _ x: Floats, width: Int, rowIDs: Words, positions: Words,
        into y: Floats
    ) throws(KernelError) {
        require(x.count, rowIDs.count * width, "count of x", "dropout")
        require(y.count, x.count, "count of y", "dropout")
        require(positions.count, rowIDs.count, "count of positions", "dropout")
        var config = cairn_dropout_config(
            probability: dropout.probability, key: dropout.key, step: dropout.step)
        try run("dropout") { backend, handle in
            backend.dropout(
                handle, &config, rowIDs.count, width, rowIDs.base, positions.base, x.base, y.base)
        }
    }

    /// The key of a dropout site: the seed and the name of the site.
    package static func dropoutKey(seed: UInt64, site: String) -> UInt64 {
        seed ^ RandomStream.hash(site)
    }
}
