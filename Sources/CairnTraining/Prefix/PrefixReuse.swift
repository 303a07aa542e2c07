// SPDX-License-Identifier: Apache-2.0
/// The frozen part of a model on each row: computed once, and then read.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels

/// Whether what a frozen prefix gives is kept from one epoch to the next.
public enum PrefixPolicy: String, Sendable, CaseIterable {
    /// Where there is such a prefix and room on the disk; the file goes when the run is over.
    case auto
    /// Computed anew in every epoch.
    case off
    /// As `auto`, but the file stays, for another run on the same rows.
    case keep
}

/// Gives batches the rows that their frozen prefix would compute: from the file where they are,
/// else computed, and kept in the file.
///
/// A row's numbers depend on its own tokens alone, not on the batch that they were computed in, and
/// they are kept in fp32 as they were computed: training has the same bits with and without.
package final class PrefixReuse {
    let prefix: FrozenPrefix
    private let program: Program
    private let pooling: Pooling
    private(set) var store: PrefixStore?
    /// Seconds that computing took, and how many rows were computed.
    package private(set) var (seconds, computedRows) = (0.0, 0)
    /// Multiply-adds of the prefix, as a share of the forward pass.
    let share: Double

    /// Leaves of `graph` what is behind the prefix, and in `logits` what they are called there.
    ///
    /// - Returns: nil when no part of the graph is worth it; then both are as they were.
    init?(
        splitting graph: inout Graph, _ logits: inout Value, pooling: Pooling,
        parameters: Parameters, precision: Precision
    ) throws {
        let (pruned, named) = graph.pruned(logits)
        guard let prefix = pruned.frozenPrefix(outputs: [named]) else { return nil }
        self.prefix = prefix
        self.pooling = pooling
        program = try Program(
            prefix.graph, outputs: [prefix.value], parameters: parameters, precision: precision)
        share = prefix.share(of: pruned)
        (graph, logits) = (prefix.rest, named)
    }

    /// The same for another graph of the model; false, and nothing done, when its prefix is another.
    func replacing(_ graph: inout Graph, _ logits: inout Value) -> Bool {
        let (pruned, named) = graph.pruned(logits)
        guard let other = pruned.frozenPrefix(outputs: [named]), other.text == prefix.text else {
            return false
        }
        (graph, logits) = (other.rest, named)
        return true
    }

    /// Computes in the memory of another program.
    func shareMemory(of other: Program) { program.shareMemory(of: other) }

    /// Bytes of activations for batches of this size, whose rows are computed in full.
    func bytes(for capacity: Capacity) -> Int {
        var whole = Capacity(tokens: capacity.tokens, sequences: capacity.sequences)
        // A piece with fewer rows has more of its tokens to predict.
        let hasMore = capacity.targets > 0 && capacity.repeated > capacity.tokens
        whole.targets = hasMore ? capacity.tokens : capacity.targets
        return program.bytes(for: whole)
    }

    /// Numbers of a row of this many tokens.
    package func count(tokens: Int) -> Int {
        let rows =
            switch prefix.value.rows {
            case .sequences, .single: 1
            case .tokens, .repeated: tokens
            case .targets: max(tokens - 1, 0)
            }
        return rows * prefix.value.columns
    }

    /// Numbers of a row that its batch has with another row: those of so many shared tokens.
    private func left(_ prompt: Int) -> Int {
        prefix.value.rows == .sequences ? 0 : prompt * prefix.value.columns
    }

    /// Keeps rows in a file from now on; nil computes them all.
    package func keep(in store: PrefixStore?) { self.store = store }

    /// Puts what the prefix gives for its sequences into a batch.
    ///
    /// A row is read into its place in full. One that leaves its first tokens to another row is then
    /// moved over what it has of them, and so ends where the next one begins.
    package func fill(
        _ batch: inout Batch, with rows: some Collection<Int>, of data: DataSet
    ) throws {
        let rows = Array(rows)
        let counts = rows.map { count(tokens: data.ids[$0].count) }
        let dropped = rows.indices.map { min(left(batch.promptLength($0)), counts[$0]) }
        var begins = [0]
        for (count, dropped) in zip(counts, dropped) {
            begins.append(begins.last! + count - dropped)
        }
        let room = zip(begins, counts).reduce(0) { max($0, $1.0 + $1.1) }
        let tokenBudget = batch.ids.count
        batch.stored = try [Float](unsafeUninitializedCapacity: room) { buffer, initialized in
            var missing: [Int] = []
            for (place, row) in rows.enumerated() {
                let whole = UnsafeMutableBufferPointer(
                    rebasing: buffer[begins[place]..<begins[place] + counts[place]])
                guard let store, store.read(PrefixRow(data, row), into: whole) else {
                    missing.append(place)
                    continue
                }
                if dropped[place] > 0 {
                    let start = whole.baseAddress!  // more numbers than none
                    start.update(
                        from: start + dropped[place], count: whole.count - dropped[place])
                }
            }
            try compute(missing.map { rows[$0] }, of: data, tokenBudget: tokenBudget) {
                let place = missing[$0]
                store?.write($1, for: PrefixRow(data, rows[place]))
                let own = UnsafeBufferPointer(rebasing: $1[dropped[place]...])
                let target = buffer[begins[place]..<begins[place + 1]]
                _ = UnsafeMutableBufferPointer(rebasing: target).update(fromContentsOf: own)
            }
            initialized = begins.last!
        }
    }

    /// Rows in full, in pieces of no more tokens than the batch that they are for: that has a prompt
    /// once, where each of these rows has its own.
    ///
    /// - Parameter take: gets which of `rows` it is, and its numbers; in order.
    private func compute(
        _ rows: [Int], of data: DataSet, tokenBudget: Int,
        _ take: (Int, UnsafeBufferPointer<Float>) -> Void
    ) throws {
        if rows.isEmpty { return }
        computedRows += rows.count
        var start = ContinuousClock.now
        let step = StepRows(
            rows: rows, lengths: data.ids.map(\.count), tokenBudget: tokenBudget)
        for range in step.microBatches {
            let batch = data.batch(step, range, pooling: pooling, number: 0, lossScale: 1)
            let numbers = try program.run(batch).outputs[0]
            seconds += (ContinuousClock.now - start).inSeconds
            numbers.withUnsafeBufferPointer { numbers in
                var begin = 0
                for index in range {
                    let count = count(tokens: data.ids[rows[index]].count)
                    take(index, UnsafeBufferPointer(rebasing: numbers[begin..<begin + count]))
                    begin += count
                }
            }
            start = .now
        }
    }
}

extension Graph {
    /// The graph with as few rows as `logits` needs, and what they are called there.
    fileprivate func pruned(_ logits: Value) -> (graph: Graph, logits: Value) {
        let (graph, named) = withoutDeadCode(outputs: [logits]).rowsPruned(outputs: [logits])
        return (graph, named[0])
    }
}

/// What a row's numbers depend on.
package struct PrefixRow: Hashable {
    let ids: [Int32]
    let typeIDs: [Int32]

    package init(_ data: DataSet, _ row: Int) {
        (ids, typeIDs) = (data.ids[row], data.typeIDs[row])
    }
}
