// SPDX-License-Identifier: Apache-2.0
/// Byte-pair encoding: a word starts as characters and the best ranked pair merges until none is.

/// A token of a word: its id and how many bytes of the word it stands for.
struct WordToken: Equatable, Sendable {
    var id: Int32
    var byteCount: Int32
}

/// The model `BPE` of a tokenizer file.
///
/// Source: Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1; ties go to the leftmost pair.
struct BPEModel: Sendable {
    let vocabulary: Vocabulary
    private let merges: MergeTable
    private let unknownToken: String?
    private let prefix: [UInt8]
    private let suffix: [UInt8]
    private let fusesUnknown: Bool
    private let ignoresMerges: Bool
    /// Ids of `<0x00>` to `<0xFF>`, -1 where one is missing; empty without `byte_fallback`.
    private let fallbackIDs: [Int32]
    /// Ids of the 256 byte-level characters, when the model spells words itself; else empty.
    private let byteIDs: [Int32]
    private let file: String

    /// Reads the component; `isByteLevel` says that words arrive before the byte-level spelling.
    init(_ component: Component, isByteLevel: Bool) throws(TokenizerError) {
        try component.allow(
            "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
            "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges")
        if let dropout = try component.optional("dropout") {
            throw dropout.unsupported("dropout, which makes ids random,")
        }
        let vocabulary = try Vocabulary(try component.required("vocab"))
        unknownToken = try component.optional("unk_token")?.text()
        prefix = Array(try (component.optional("continuing_subword_prefix")?.text() ?? "").utf8)
        suffix = Array(try (component.optional("end_of_word_suffix")?.text() ?? "").utf8)
        fusesUnknown = try component.flag("fuse_unk", absent: false)
        ignoresMerges = try component.flag("ignore_merges", absent: false)
        fallbackIDs =
            try component.flag("byte_fallback", absent: false)
            ? (0..<256).map { vocabulary.id(of: Self.fallbackToken(UInt8($0))) ?? -1 } : []
        byteIDs = isByteLevel && fallbackIDs.isEmpty ? Self.byteIDs(vocabulary) : []
        merges = try MergeTable(
            try component.required("merges"), vocabulary: vocabulary, prefixLength: prefix.count)
        self.vocabulary = vocabulary
        file = component.file
        if !byteIDs.isEmpty, !(prefix.isEmpty && suffix.isEmpty) {
            throw component.unsupported("a subword prefix or suffix with a ByteLevel pre-tokenizer")
        }
    }

    /// Whether words arrive in plain text and are spelled here.
    var spells: Bool { !byteIDs.isEmpty }

    private static func byteIDs(_ vocabulary: Vocabulary) -> [Int32] {
        let ids = ByteAlphabet.scalars.map { vocabulary.id(of: UTF8Text.string([$0])) ?? -1 }
        return ids.contains(-1) ? [] : ids
    }

    private static func fallbackToken(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16, uppercase: true)
        return "<0x\(digits.count < 2 ? "0" : "")\(digits)>"
    }

    /// Appends the tokens of a word, which is not empty.
    func tokenize(
        _ word: UnsafeBufferPointer<UInt32>, scratch: inout MergeScratch,
        into tokens: inout [WordToken]
    ) throws(TokenizerError) {
        scratch.reset()
        for scalar in word { UTF8Text.append(scalar, to: &scratch.bytes) }
        if ignoresMerges, let id = wholeWord(&scratch) {
            tokens.append(WordToken(id: id, byteCount: Int32(scratch.bytes.count)))
            return
        }
        if spells {
            for byte in scratch.bytes { scratch.add(byteIDs[Int(byte)], byteCount: 1) }
        } else {
            try addCharacters(word, &scratch)
        }
        scratch.merge(merges)
        scratch.emit(into: &tokens)
    }

    private func wholeWord(_ scratch: inout MergeScratch) -> Int32? {
        guard spells else { return vocabulary.id(of: scratch.bytes) }
        var spelled: [UInt8] = []
        for byte in scratch.bytes {
            UTF8Text.append(ByteAlphabet.scalars[Int(byte)], to: &spelled)
        }
        return vocabulary.id(of: spelled)
    }

    /// One symbol per character; what the vocabulary lacks falls back to bytes, then to the
    /// unknown token, and is dropped when there is neither, as in the reference library.
    private func addCharacters(
        _ word: UnsafeBufferPointer<UInt32>, _ scratch: inout MergeScratch
    ) throws(TokenizerError) {
        var unknown: WordToken?
        var key: [UInt8] = []
        for (index, scalar) in word.enumerated() {
            key.removeAll(keepingCapacity: true)
            if index > 0 { key.append(contentsOf: prefix) }
            UTF8Text.append(scalar, to: &key)
            if index == word.count - 1 { key.append(contentsOf: suffix) }
            let width = UTF8Text.width(scalar)
            if let id = vocabulary.id(of: key) {
                if let token = unknown { scratch.add(token.id, byteCount: token.byteCount) }
                unknown = nil
                scratch.add(id, byteCount: Int32(width))
            } else if !fallbackIDs.isEmpty, key.allSatisfy({ fallbackIDs[Int($0)] >= 0 }) {
                for byte in key { scratch.add(fallbackIDs[Int(byte)], byteCount: 1) }
            } else if let unknownToken {
                guard let id = vocabulary.id(of: unknownToken) else {
                    throw .unknownTokenMissing(file: file, token: unknownToken)
                }
                if fusesUnknown, let token = unknown {
                    unknown = WordToken(id: id, byteCount: token.byteCount + Int32(width))
                } else {
                    if let token = unknown { scratch.add(token.id, byteCount: token.byteCount) }
                    unknown = WordToken(id: id, byteCount: Int32(width))
                }
            }
        }
        if let token = unknown { scratch.add(token.id, byteCount: token.byteCount) }
    }
}

/// Which pairs of ids merge, into what, and in which order.
struct MergeTable: Sendable {
    private var keys: [UInt64]
    private var values: [Merge]

    struct Merge: Sendable {
        var rank: Int32
        var id: Int32
    }

    private static let free = UInt64.max

    /// Reads `["a b", ...]` or `[["a", "b"], ...]`; the rank is the place in the list.
    init(
        _ component: Component, vocabulary: Vocabulary, prefixLength: Int
    ) throws(TokenizerError) {
        let elements = try component.elements()
        var capacity = 16
        while capacity < elements.count * 2 { capacity *= 2 }
        keys = [UInt64](repeating: Self.free, count: capacity)
        values = [Merge](repeating: Merge(rank: 0, id: 0), count: capacity)
        for (rank, element) in elements.enumerated() {
            let (left, right) = try Self.pair(element)
            func id(_ token: [UInt8]) throws(TokenizerError) -> Int32 {
                guard let id = vocabulary.id(of: token) else {
                    let name = String(decoding: token, as: UTF8.self)
                    throw element.inconsistent("the token '\(name)' is not in the vocabulary")
                }
                return id
            }
            let whole = left + right.dropFirst(prefixLength)
            insert(
                key: Self.key(try id(left), try id(right)),
                Merge(rank: Int32(rank), id: try id(whole)))
        }
    }

    private static func pair(
        _ element: Component
    ) throws(TokenizerError) -> (left: [UInt8], right: [UInt8]) {
        if case .array(let parts) = element.value, parts.count == 2,
            case .string(let left) = parts[0], case .string(let right) = parts[1]
        {
            return (Array(left.utf8), Array(right.utf8))
        }
        if case .string(let text) = element.value {
            let parts = text.utf8.split(separator: 0x20, omittingEmptySubsequences: false)
            if parts.count == 2 { return (Array(parts[0]), Array(parts[1])) }
        }
        throw element.wrong("a pair of tokens")
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private func slot(_ key: UInt64) -> Int {
        let mixed = key &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: mixed ^ mixed >> 32) & (keys.count - 1)
    }

    private mutating func insert(key: UInt64, _ merge: Merge) {
        var place = slot(key)
        // Of two merges of the same pair the last one counts, as in the reference library.
        while keys[place] != Self.free, keys[place] != key {
            place = (place + 1) & (keys.count - 1)
        }
        keys[place] = key
        values[place] = merge
    }

    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> Merge? {
        let key = Self.key(left, right)
        var place = slot(key)
        while keys[place] != Self.free {
            if keys[place] == key { return values[place] }
            place = (place + 1) & (keys.count - 1)
        }
        return nil
    }
}
