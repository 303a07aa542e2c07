// SPDX-License-Identifier: Apache-2.0
/// The symbols of one word while they merge, and the queue of pairs that may.

/// Reused from word to word, so that a word allocates nothing.
struct MergeScratch {
    /// The word in UTF-8.
    var bytes: [UInt8] = []
    private var symbols: [Symbol] = []
    /// A binary heap of rank << 32 | place: the lowest rank first, then the leftmost.
    private var queue: [UInt64] = []

    /// A linked list in an array; a symbol of no bytes has been merged into the one before.
    private struct Symbol {
        var id: Int32
        var byteCount: Int32
        var previous: Int32
        var next: Int32
    }

    mutating func reset() {
        bytes.removeAll(keepingCapacity: true)
        symbols.removeAll(keepingCapacity: true)
        queue.removeAll(keepingCapacity: true)
    }

    mutating func add(_ id: Int32, byteCount: Int32) {
        let place = Int32(symbols.count)
        if place > 0 { symbols[Int(place) - 1].next = place }
        symbols.append(Symbol(id: id, byteCount: byteCount, previous: place - 1, next: -1))
    }

    mutating func merge(_ merges: MergeTable) {
        guard symbols.count > 1 else { return }
        for place in 0..<symbols.count - 1 { offer(place, merges) }
        while let top = popLowest() {
            let place = Int(truncatingIfNeeded: top & 0xFFFF_FFFF)
            let left = symbols[place]
            guard left.byteCount > 0, left.next >= 0 else { continue }
            let right = symbols[Int(left.next)]
            // The pair that was queued may be gone; then another rank stands here, or none.
            guard let merge = merges.merge(left.id, right.id),
                UInt64(UInt32(bitPattern: merge.rank)) == top >> 32
            else { continue }
            symbols[Int(left.next)].byteCount = 0
            symbols[place].id = merge.id
            symbols[place].byteCount += right.byteCount
            symbols[place].next = right.next
            if right.next >= 0 { symbols[Int(right.next)].previous = Int32(place) }
            if left.previous >= 0 { offer(Int(left.previous), merges) }
            offer(place, merges)
        }
    }

    func emit(into tokens: inout [WordToken]) {
        for symbol in symbols where symbol.byteCount > 0 {
            tokens.append(WordToken(id: symbol.id, byteCount: symbol.byteCount))
        }
    }

    /// Queues the pair that starts at `place`, if it merges.
    private mutating func offer(_ place: Int, _ merges: MergeTable) {
        let next = symbols[place].next
        guard next >= 0, let merge = merges.merge(symbols[place].id, symbols[Int(next)].id) else {
            return
        }
        queue.append(UInt64(UInt32(bitPattern: merge.rank)) << 32 | UInt64(place))
        var child = queue.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard queue[child] < queue[parent] else { break }
            queue.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func popLowest() -> UInt64? {
        guard let last = queue.popLast() else { return nil }
        guard let top = queue.first else { return last }
        var parent = 0
        queue[0] = last
        while true {
            var child = parent * 2 + 1
            guard child < queue.count else { break }
            if child + 1 < queue.count, queue[child + 1] < queue[child] { child += 1 }
            guard queue[child] < queue[parent] else { break }
            queue.swapAt(child, parent)
            parent = child
        }
        return top
    }
}
