// SPDX-License-Identifier: Apache-2.0
/// Attention over packed sequences, and rotary position embedding (cairn_attention.h).

internal import CCairn

/// What attends to what. Sequences are packed; queries may be a subset of the rows.
package struct AttentionShape {
    /// Query heads; a multiple of `kvHeads`. Query head h reads key head h / (heads / kvHeads).
    package let heads: Int
    package let kvHeads: Int
    package let headDim: Int
    /// Factor on q . k, 1/sqrt(headDim) as a rule.
    package let scale: Float
    /// A query at position p sees keys at positions 0...p of its sequence.
    package let isCausal: Bool
    /// With `isCausal`: only the last `window` of them; 0 means all.
    package let window: Int
    /// First query of each sequence, then the number of queries.
    package let queryOffsets: [UInt32]
    /// First key of each sequence, then the number of keys.
    package let keyOffsets: [UInt32]
    /// The place of each query in its sequence.
    package let queryPositions: Words

    package init(
        heads: Int, kvHeads: Int, headDim: Int, scale: Float, isCausal: Bool, window: Int = 0,
        queryOffsets: [UInt32], keyOffsets: [UInt32], queryPositions: Words
    ) {
        precondition(
            kvHeads > 0 && heads > 0 && heads % kvHeads == 0,
            "heads (\(heads)) are a multiple of kvHeads (\(kvHeads))")
        precondition(headDim > 0, "headDim is at least 1, got \(headDim)")
        precondition(
            window >= 0 && (isCausal || window == 0),
            "a window (\(window)) is at least 0 and needs causal attention (\(isCausal))")
        requireAscending(queryOffsets, "queryOffsets")
        requireAscending(keyOffsets, "keyOffsets")
        require(keyOffsets.count, queryOffsets.count, "count of keyOffsets", "AttentionShape")
        self.heads = heads
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.scale = scale
        self.isCausal = isCausal
        self.window = window
        self.queryOffsets = queryOffsets
        self.keyOffsets = keyOffsets
        self.queryPositions = queryPositions
        require(queryPositions.count, queries, "count of queryPositions", "AttentionShape")
    }

    package var sequenceCount: Int { queryOffsets.count - 1 }
    package var queries: Int { Int(queryOffsets[queryOffsets.count - 1]) }
    package var keys: Int { Int(keyOffsets[keyOffsets.count - 1]) }

    func withNative<Result>(_ body: (UnsafePointer<cairn_attention_config>) -> Result) -> Result {
        queryOffsets.withUnsafeBufferPointer { queryOffsets in
            keyOffsets.withUnsafeBufferPointer { keyOffsets in
                // Never nil: both arrays have at least one element.
                var native = cairn_attention_config(
                    heads: heads, kv_heads: kvHeads, head_dim: headDim, scale: scale,
                    causal: isCausal, window: window, sequence_count: sequenceCount,
                    query_offsets: queryOffsets.baseAddress!, key_offsets: keyOffsets.baseAddress!,
                    query_positions: queryPositions.base)
                return body(&native)
            }
        }
    }

    fileprivate func requireCounts(
        queries queryArrays: [Floats], keys keyArrays: [Floats], logSums: Floats,
        _ operation: String
    ) {
        for array in queryArrays {
            require(
                array.count, queries * heads * headDim, "count of q, o or a gradient", operation)
        }
        for array in keyArrays {
            require(array.count, keys * kvHeads * headDim, "count of k, v or a gradient", operation)
        }
        require(logSums.count, queries * heads, "count of logSums", operation)
    }
}

extension Context {
    /// o = softmax(scale * q k^T + mask) v, per sequence and head.
    ///
    /// - Shapes: q, o [queries, heads * headDim]; k, v [keys, kvHeads * headDim];
    ///   logSums [queries, heads], the logarithm of each row's sum of exponentials.
    package func attentionForward(
        _ shape: AttentionShape, q: Floats, k: Floats, v: Floats, into o: Floats, logSums: Floats
    ) throws(KernelError) {
        shape.requireCounts(queries: [q, o], keys: [k, v], logSums: logSums, "attentionForward")
        try run("attentionForward") { backend, handle in
            shape.withNative {
                backend.attention_forward(
                    handle, $0, q.base, k.base, v.base, o.base, logSums.base)
            }
        }
    }

    /// Gradients of `attentionForward`; every element of dq, dk and dv is written.
    package func attentionBackward(
        _ shape: AttentionShape, q: Floats, k: Floats, v: Floats, o: Floats, logSums: Floats,
        dO: Floats, intoQ dq: Floats, k dk: Floats, v dv: Floats
    ) throws(KernelError) {
        shape.requireCounts(
            queries: [q, o, dO, dq], keys: [k, v, dk, dv], logSums: logSums, "attentionBackward")
        try run("attentionBackward") { backend, handle in
            shape.withNative {
                backend.attention_backward(
                    handle, $0, q.base, k.base, v.base, o.base, logSums.base, dO.base, dq.base,
                    dk.base, dv.base)
            }
        }
    }

    /// Rotates each head of each row by its position: (x[j], x[j + half]) as a pair, half-split.
    ///
    /// `inverse` rotates by the negative angle, which is the backward pass.
    ///
    /// - Shapes: x, y [rows, heads * 2 half], positions [rows], each below `cosine.count / half`;
    ///   cosine, sine [table positions, half].
    /// - Aliasing: x may be y.
    package func rope(
        _ x: Floats, heads: Int, half: Int, positions: Words, cosine: Floats, sine: Floats,
        inverse: Bool = false, into y: Floats
    ) throws(KernelError) {
        precondition(heads > 0 && half > 0, "rope: \(heads) heads of 2 * \(half) elements")
        require(x.count, positions.count * heads * 2 * half, "count of x", "rope")
        require(y.count, x.count, "count of y", "rope")
        require(sine.count, cosine.count, "count of sine", "rope")
        require(cosine.count % half, 0, "rest of cosine's count / \(half)", "rope")
        try run("rope") { backend, handle in
            backend.rope(
                handle, positions.count, heads, half, positions.base, cosine.base, sine.base,
                inverse, x.base, y.base)
        }
    }
}

/// cosine[p, j] = cos(p * frequencies[j]), sine likewise, p = 0..<positions.
///
/// Computed in double with the engine's own polynomials and rounded once.
package func ropeTable(
    positions: Int, frequencies: [Double]
) -> (cosine: [Float], sine: [Float]) {
    precondition(positions >= 0, "a table has at least 0 positions, got \(positions)")
    var cosine = [Float](repeating: 0, count: positions * frequencies.count)
    var sine = cosine
    cairn_rope_table(positions, frequencies.count, frequencies, &cosine, &sine)
    return (cosine, sine)
}

/// base^exponent in double with the engine's own exponential and logarithm.
///
/// - Precondition: `base` is positive and finite.
package func power(_ base: Double, _ exponent: Double) -> Double {
    precondition(base > 0 && base.isFinite, "power: the base is \(base), expected a positive one")
    return cairn_power(base, exponent)
}
