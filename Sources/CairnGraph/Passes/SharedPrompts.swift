// SPDX-License-Identifier: Apache-2.0
/// Lets the sequences of a batch share their first tokens.

extension Graph {
    /// The graph for batches in which a prompt is there once and for all that begin with it; nil
    /// where an operation needs each sequence in full, or would treat their prompts differently.
    ///
    /// Behind a causal mask nothing that a prompt gives depends on what follows it, so it is computed
    /// once. Only attention reads other tokens: it gets the keys and values of every sequence in
    /// full, repeated from where they were computed, and the queries of each token once. All else
    /// goes token by token. So the forward pass gives each token the bits that it has alone; on the
    /// way back the gradients of repeated keys and values are summed, sequence by sequence, and from
    /// there on what the sequences ask of their prompt is one gradient.
    package func promptsShared() -> Graph? {
        var result = self
        result.nodes = []
        for node in nodes {
            guard node.operation.sharesPrompts else { return nil }
            var node = node
            if node.operation is Attention {
                for place in 1...2 where node.inputs[place].rows == .tokens {
                    let x = node.inputs[place]
                    node.inputs[place] =
                        result.record(RepeatRows(), [x], [(.repeated, x.columns)])[0]
                }
            }
            result.nodes.append(node)
        }
        return result
    }
}

extension Operation {
    /// Whether a token's row depends on earlier tokens of its sequence at most, and on no chance.
    fileprivate var sharesPrompts: Bool {
        switch self {
        case let attention as Attention: attention.shape.isCausal
        case is DropoutOperation, is MeanRows, is Features: false
        default: true
        }
    }
}

extension Batch {
    /// Targets that follow one another, with the number of sequences that each of them is a target
    /// of: several in a prompt that they share.
    var targetRuns: [(rows: Range<Int>, count: Int)] {
        var counts = [Int](repeating: 0, count: ids.count)
        for row in selection(.repeated) { counts[Int(row)] += 1 }
        var runs: [(rows: Range<Int>, count: Int)] = []
        for (target, row) in targetRows.enumerated() {
            let count = counts[Int(row)]
            if let last = runs.last, last.count == count {
                runs[runs.count - 1].rows = last.rows.lowerBound..<target + 1
            } else {
                runs.append((target..<target + 1, count))
            }
        }
        return runs
    }

    /// A number of each target for every sequence in full, those of shared prompts repeated.
    ///
    /// - Precondition: every token of a shared prompt is a target.
    package func repeatedTargets<Number>(_ numbers: [Number]) -> [Number] {
        guard !promptLengths.isEmpty else { return numbers }
        var result: [Number] = []
        var leader = 0
        for sequence in 0..<sequenceCount {
            let length = promptLength(sequence)
            if length == 0 { leader = Int(targetOffsets[sequence]) }
            result += numbers[leader..<leader + length]
            result +=
                numbers[Int(targetOffsets[sequence])..<Int(targetOffsets[sequence + 1])]
        }
        return result
    }
}
