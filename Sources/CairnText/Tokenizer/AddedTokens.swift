// SPDX-License-Identifier: Apache-2.0
/// The `added_tokens` of a tokenizer file: texts that are one token whatever the model says.

struct AddedToken: Sendable {
    var id: Int32
    var content: String
    var isSpecial: Bool
    var isSingleWord: Bool
    var stripsLeft: Bool
    var stripsRight: Bool
    /// Whether it is looked for after normalization, in normalized spelling.
    var isNormalized: Bool
    /// How decoding spells it: the content, in normalized spelling if it is looked for in that.
    var spelling: String

    init(_ component: Component) throws(TokenizerError) {
        try component.allow(
            "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
        id = try component.required("id").tokenID()
        content = try component.text("content")
        isSingleWord = try component.flag("single_word")
        stripsLeft = try component.flag("lstrip")
        stripsRight = try component.flag("rstrip")
        isNormalized = try component.flag("normalized")
        isSpecial = try component.flag("special")
        spelling = content
        if content.isEmpty { throw component.wrong("content that is not empty") }
    }
}

/// All added tokens of a file, and the two passes that find them.
struct AddedTokens: Sendable {
    private(set) var byID: [Int32: AddedToken] = [:]
    private(set) var idByContent: [[UInt8]: Int32] = [:]
    private var specialContents = Set<[UInt8]>()
    /// Looked for in the text as given.
    private var given = TokenMatcher()
    /// Looked for in normalized text.
    private var normalized = TokenMatcher()

    init() {}

    /// Reads the list, and checks each id against the rule by which the reference library gives
    /// ids: that of the vocabulary, or the next free one.
    init(
        _ component: Component, vocabulary: Vocabulary, normalizer: Normalizer?
    ) throws(TokenizerError) {
        var tables = NormalizationTables()
        for element in try component.elements() {
            var token = try AddedToken(element)
            let bytes = Array(token.content.utf8)
            let expected = vocabulary.id(of: bytes) ?? idByContent[bytes] ?? nextID(vocabulary)
            guard token.id == expected else {
                throw element.inconsistent(
                    "'\(token.content)' has the id \(token.id), but its place gives \(expected)")
            }
            if token.isNormalized {
                let content = Self.normalize(token.content, by: normalizer, &tables)
                if content.isEmpty {
                    throw element.inconsistent("'\(token.content)' is empty once normalized")
                }
                token.spelling = UTF8Text.string(content)
                normalized.add(token, content)
            } else {
                given.add(token, token.content.scalarValues)
            }
            byID[token.id] = token
            idByContent[bytes] = token.id
            if token.isSpecial { specialContents.insert(bytes) }
        }
    }

    private func nextID(_ vocabulary: Vocabulary) -> Int32 {
        max(Int32(vocabulary.count), idByContent.values.max().map { $0 + 1 } ?? 0)
    }

    private static func normalize(
        _ content: String, by normalizer: Normalizer?, _ tables: inout NormalizationTables
    ) -> [UInt32] {
        var text = AlignedText()
        text.reset(to: content)
        normalizer?.apply(to: &text, tables: &tables)
        return text.pieces.flatMap { text.scalars[$0.lower..<$0.upper] }
    }

    /// Whether decoding may leave the token out. The reference library compares spellings, so a
    /// special token that normalization changes is not one here.
    func isSpecial(_ token: String) -> Bool { specialContents.contains(Array(token.utf8)) }

    func findGiven(in text: inout AlignedText) { given.split(&text) }
    func findNormalized(in text: inout AlignedText) { normalized.split(&text) }
}

/// Finds the leftmost, then longest of a set of contents.
struct TokenMatcher: Sendable {
    private struct Candidate: Sendable {
        var content: [UInt32]
        var token: AddedToken
    }

    /// Candidates by first scalar, longest first.
    private var byFirst: [UInt32: [Candidate]] = [:]
    /// Which ASCII scalars start a candidate; asked before the dictionary is.
    private var startsASCII = [Bool](repeating: false, count: 128)
    private var startsBeyondASCII = false

    mutating func add(_ token: AddedToken, _ content: [UInt32]) {
        if content[0] < 128 {
            startsASCII[Int(content[0])] = true
        } else {
            startsBeyondASCII = true
        }
        // Of two equal contents the first one in the file is found.
        var candidates = byFirst[content[0]] ?? []
        let place = candidates.firstIndex { $0.content.count < content.count } ?? candidates.count
        candidates.insert(Candidate(content: content, token: token), at: place)
        byFirst[content[0]] = candidates
    }

    func split(_ text: inout AlignedText) {
        guard !byFirst.isEmpty else { return }
        text.split(cut)
    }

    private func match(_ scalars: [UInt32], _ index: Int, _ upper: Int) -> Candidate? {
        let scalar = scalars[index]
        guard scalar < 128 ? startsASCII[Int(scalar)] : startsBeyondASCII else { return nil }
        return byFirst[scalar]?.first { candidate in
            let count = candidate.content.count
            return index + count <= upper
                && scalars[index..<index + count].elementsEqual(candidate.content)
        }
    }

    private func cut(_ text: borrowing AlignedText, _ piece: Piece, _ pieces: inout [Piece]) {
        let (lower, upper) = (piece.lower, piece.upper)
        func isClass(_ index: Int, _ wanted: ScalarClass) -> Bool {
            ScalarClass.of(text.scalars[index]).contains(wanted)
        }
        var consumed = lower
        var index = lower
        while index < upper {
            guard let candidate = match(text.scalars, index, upper) else {
                index += 1
                continue
            }
            var (start, stop) = (index, index + candidate.content.count)
            index = stop
            let isInsideWord =
                start > lower && isClass(start - 1, .word) || stop < upper && isClass(stop, .word)
            if candidate.token.isSingleWord, isInsideWord { continue }
            if candidate.token.stripsLeft {
                while start > consumed, isClass(start - 1, .whitespace) { start -= 1 }
            }
            if candidate.token.stripsRight {
                while stop < upper, isClass(stop, .whitespace) { stop += 1 }
            }
            if start > consumed { pieces.append(Piece(lower: consumed, upper: start)) }
            start = max(start, consumed)
            if stop > start {
                pieces.append(Piece(lower: start, upper: stop, token: candidate.token.id))
            }
            consumed = max(consumed, stop)
        }
        if consumed < upper { pieces.append(Piece(lower: consumed, upper: upper)) }
    }
}
