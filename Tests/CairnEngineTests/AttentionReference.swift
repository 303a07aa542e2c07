// SPDX-License-Identifier: Apache-2.0
/// Attention in double, as the formula says it, with its gradients.

import Foundation

/// Sizes of an attention call on packed sequences; queries may be the last rows of each sequence.
struct AttentionCase: Sendable {
    var heads = 2
    var kvHeads = 1
    var headDim = 4
    var isCausal = true
    var window = 0
    /// Queries and keys of each sequence; the queries are the last ones.
    var sequences: [(queries: Int, keys: Int)] = [(3, 3), (1, 5), (4, 4)]

    var scale: Double { 1 / Double(headDim).squareRoot() }
    var queries: Int { sequences.reduce(0) { $0 + $1.queries } }
    var keys: Int { sequences.reduce(0) { $0 + $1.keys } }
    var queryCount: Int { queries * heads * headDim }
    var keyCount: Int { keys * kvHeads * headDim }

    var queryOffsets: [UInt32] {
        sequences.reduce(into: [0]) { $0.append($0[$0.count - 1] + UInt32($1.queries)) }
    }
    var keyOffsets: [UInt32] {
        sequences.reduce(into: [0]) { $0.append($0[$0.count - 1] + UInt32($1.keys)) }
    }
    var positions: [UInt32] {
        sequences.flatMap { sequence in
            (0..<sequence.queries).map { UInt32(max(0, sequence.keys - sequence.queries) + $0) }
        }
    }

    /// Calls `body` with each query, head, and the keys that the query sees.
    private func forEachRow(_ body: (_ query: Int, _ head: Int, _ keys: Range<Int>) -> Void) {
        let (queryOffsets, keyOffsets, positions) = (queryOffsets, keyOffsets, positions)
        for sequence in sequences.indices {
            let first = Int(keyOffsets[sequence])
            for query in Int(queryOffsets[sequence])..<Int(queryOffsets[sequence + 1]) {
                let position = Int(positions[query])
                let end =
                    isCausal
                    ? min(position + 1, sequences[sequence].keys) : sequences[sequence].keys
                let begin = window > 0 ? max(0, position + 1 - window) : 0
                for head in 0..<heads { body(query, head, first + min(begin, end)..<first + end) }
            }
        }
    }

    private func scores(
        _ q: [Double], _ k: [Double], _ query: Int, _ head: Int, _ keys: Range<Int>
    ) -> [Double] {
        let (qBase, kvHead) = ((query * heads + head) * headDim, head / (heads / kvHeads))
        return keys.map { key in
            let kBase = (key * kvHeads + kvHead) * headDim
            return scale * (0..<headDim).reduce(0) { $0 + q[qBase + $1] * k[kBase + $1] }
        }
    }

    func forward(_ q: [Double], _ k: [Double], _ v: [Double]) -> (o: [Double], logSums: [Double]) {
        var o = [Double](repeating: 0, count: queryCount)
        var logSums = [Double](repeating: -.infinity, count: queries * heads)
        forEachRow { query, head, keys in
            if keys.isEmpty { return }
            let s = scores(q, k, query, head, keys)
            let top = s.max() ?? 0
            let logSum = top + log(s.reduce(0) { $0 + exp($1 - top) })
            logSums[query * heads + head] = logSum
            for (key, score) in zip(keys, s) {
                let p = exp(score - logSum)
                let base = (key * kvHeads + head / (heads / kvHeads)) * headDim
                for d in 0..<headDim { o[(query * heads + head) * headDim + d] += p * v[base + d] }
            }
        }
        return (o, logSums)
    }

    /// dS = P (dP - sum P dP), dq = scale dS k, dk = scale dS^T q, dv = P^T dO.
    func backward(
        _ q: [Double], _ k: [Double], _ v: [Double], dO: [Double]
    ) -> (dq: [Double], dk: [Double], dv: [Double]) {
        var dq = [Double](repeating: 0, count: queryCount)
        var dk = [Double](repeating: 0, count: keyCount)
        var dv = dk
        forEachRow { query, head, keys in
            if keys.isEmpty { return }
            let s = scores(q, k, query, head, keys)
            let top = s.max() ?? 0
            let total = s.reduce(0) { $0 + exp($1 - top) }
            let p = s.map { exp($0 - top) / total }
            let row = (query * heads + head) * headDim
            let bases = keys.map { ($0 * kvHeads + head / (heads / kvHeads)) * headDim }
            let dp = bases.map { base in
                (0..<headDim).reduce(0) { $0 + dO[row + $1] * v[base + $1] }
            }
            let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
            for (index, base) in bases.enumerated() {
                let ds = scale * p[index] * (dp[index] - mean)
                for d in 0..<headDim {
                    dq[row + d] += ds * k[base + d]
                    dk[base + d] += ds * q[row + d]
                    dv[base + d] += p[index] * dO[row + d]
                }
            }
        }
        return (dq, dk, dv)
    }
}
