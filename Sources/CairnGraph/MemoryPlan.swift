// SPDX-License-Identifier: Apache-2.0
/// Where every value lives: one arena, memory reused as soon as nothing reads it any more.

/// How many rows of each kind a program must be able to hold.
public struct Capacity: Hashable, Sendable {
    /// Tokens of all sequences together.
    public var tokens: Int
    /// Sequences, or rows of numbers.
    public var sequences: Int
    /// Rows that have a target of their own.
    public var targets: Int
    /// Tokens of all sequences when each has its own copy of what they share.
    public var repeated: Int

    /// A size of batch; where `repeated` is nil, nothing is shared.
    public init(tokens: Int, sequences: Int, targets: Int = 0, repeated: Int? = nil) {
        self.tokens = tokens
        self.sequences = sequences
        self.targets = targets
        self.repeated = repeated ?? tokens
    }

    package init(of batch: Batch) {
        self.init(
            tokens: batch.ids.count, sequences: batch.sequenceCount,
            targets: batch.targetRows.count, repeated: batch.tokenCount)
    }

    package func rows(_ space: RowSpace) -> Int {
        switch space {
        case .tokens: tokens
        case .sequences: sequences
        case .targets: targets
        case .single: 1
        case .repeated: repeated
        }
    }

    package func holds(_ other: Capacity) -> Bool {
        tokens >= other.tokens && sequences >= other.sequences && targets >= other.targets
            && repeated >= other.repeated
    }

    package func union(_ other: Capacity) -> Capacity {
        Capacity(
            tokens: max(tokens, other.tokens), sequences: max(sequences, other.sequences),
            targets: max(targets, other.targets), repeated: max(repeated, other.repeated))
    }
}

/// Byte offsets into the arena, by value.
package struct MemoryPlan: Sendable {
    package private(set) var offsets: [Int: Int] = [:]
    package private(set) var byteCount = 0
    private var free: [(offset: Int, size: Int)] = []

    /// Walks the nodes in order: outputs take the smallest hole that fits, inputs are freed after
    /// their last reader, and an operation that may work in place takes over its input's memory.
    package init(nodes: [Node], kept: [Value], capacity: Capacity) {
        var lastUse: [Int: Int] = [:]
        for (index, node) in nodes.enumerated() {
            for value in node.inputs + node.outputs { lastUse[value.id] = index }
        }
        for value in kept { lastUse[value.id] = nodes.count }
        func size(_ value: Value) -> Int {
            (capacity.rows(value.rows) * value.columns * 4 + 63) / 64 * 64
        }
        for (index, node) in nodes.enumerated() {
            var takenOver: Int?
            if let input = node.operation.inPlaceInput.map({ node.inputs[$0] }),
                lastUse[input.id] == index, let output = node.outputs.first,
                output.rows == input.rows, output.columns == input.columns,
                // dx = dx + dy W would overwrite dy where the two are one value.
                node.inputs.filter({ $0.id == input.id }).count == 1
            {
                offsets[output.id] = offsets[input.id]
                takenOver = input.id
            }
            for output in node.outputs where offsets[output.id] == nil {
                offsets[output.id] = take(size(output))
            }
            var seen = Set<Int>()
            for value in node.inputs + node.outputs
            where lastUse[value.id] == index && value.id != takenOver
                && seen.insert(value.id).inserted
            {
                give(offsets[value.id]!, size(value))
            }
        }
    }

    private mutating func take(_ size: Int) -> Int {
        let fits = free.indices.filter { free[$0].size >= size }
        if let best = fits.min(by: { free[$0].size < free[$1].size }) {
            let hole = free[best]
            if hole.size == size {
                free.remove(at: best)
            } else {
                free[best] = (hole.offset + size, hole.size - size)
            }
            return hole.offset
        }
        if let last = free.last, last.offset + last.size == byteCount {
            free.removeLast()
            byteCount = last.offset + size
            return last.offset
        }
        defer { byteCount += size }
        return byteCount
    }

    /// Returns memory, joined with its free neighbours; `free` stays sorted by offset.
    private mutating func give(_ offset: Int, _ size: Int) {
        guard size > 0 else { return }
        let index = free.firstIndex { $0.offset > offset } ?? free.count
        free.insert((offset, size), at: index)
        if index + 1 < free.count, offset + size == free[index + 1].offset {
            free[index].size += free[index + 1].size
            free.remove(at: index + 1)
        }
        if index > 0, free[index - 1].offset + free[index - 1].size == offset {
            free[index - 1].size += free[index].size
            free.remove(at: index)
        }
    }
}
