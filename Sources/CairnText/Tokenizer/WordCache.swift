// SPDX-License-Identifier: Apache-2.0
/// What the model made of words it has seen; a workspace has its own, so nothing is locked.

/// Words by their scalars. When full it starts over, which costs less than keeping order of use.
struct WordCache {
    private var slots: [Int32]
    private var entries: [Entry] = []
    private var keys: [UInt32] = []
    private var tokens: [WordToken] = []

    private struct Entry {
        var hash: UInt64
        var key: Int
        var keyCount: Int32
        var tokenCount: Int32
        var token: Int
    }

    /// 2^16 slots take 256 kB; half of them are used, which holds the words of most corpora.
    private static let slotCount = 1 << 16
    /// Longer words seldom come twice.
    static let longestWord = 48

    init() { slots = [Int32](repeating: -1, count: Self.slotCount) }

    @inline(__always)
    static func hash(_ word: UnsafeBufferPointer<UInt32>) -> UInt64 {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        for scalar in word {
            hash = (hash ^ UInt64(scalar)) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
        }
        return hash
    }

    /// The tokens of `word` as a range for `subscript`, or nil.
    @inline(__always)
    func find(_ word: UnsafeBufferPointer<UInt32>, hash: UInt64) -> Range<Int>? {
        var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[slot] >= 0 {
            let entry = entries[Int(slots[slot])]
            if entry.hash == hash, Int(entry.keyCount) == word.count {
                var index = 0
                while index < word.count, keys[entry.key + index] == word[index] { index += 1 }
                if index == word.count { return entry.token..<entry.token + Int(entry.tokenCount) }
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return nil
    }

    subscript(range: Range<Int>) -> ArraySlice<WordToken> { tokens[range] }

    mutating func insert(
        _ word: UnsafeBufferPointer<UInt32>, hash: UInt64, _ values: ArraySlice<WordToken>
    ) {
        if entries.count >= Self.slotCount / 2 { self = WordCache() }
        var slot = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[slot] >= 0 { slot = (slot + 1) & (Self.slotCount - 1) }
        slots[slot] = Int32(entries.count)
        entries.append(
            Entry(
                hash: hash, key: keys.count, keyCount: Int32(word.count),
                tokenCount: Int32(values.count), token: tokens.count))
        keys.append(contentsOf: word)
        tokens.append(contentsOf: values)
    }
}
