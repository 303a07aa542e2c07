// SPDX-License-Identifier: Apache-2.0
/// WordPiece: the longest token that starts the word, then the longest that goes on, to the end.

/// The model `WordPiece` of a tokenizer file.
///
/// Source: Wu et al. 2016 (arXiv:1609.08144); greedy as in Devlin et al. 2019 (arXiv:1810.04805).
struct WordPieceModel: Sendable {
    let vocabulary: Vocabulary
    private let unknownToken: String
    private let prefix: [UInt8]
    private let maxInputCharacters: Int
    private let file: String

    init(_ component: Component) throws(TokenizerError) {
        try component.allow(
            "type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab")
        vocabulary = try Vocabulary(try component.required("vocab"))
        unknownToken = try component.text("unk_token")
        prefix = Array(try component.text("continuing_subword_prefix").utf8)
        let limit = try component.required("max_input_chars_per_word")
        maxInputCharacters = try limit.integer()
        guard maxInputCharacters > 0 else { throw limit.wrong("a positive number") }
        file = component.file
    }

    /// Appends the tokens of a word; a word that cannot be spelled is one unknown token.
    func tokenize(
        _ word: UnsafeBufferPointer<UInt32>, scratch: inout MergeScratch,
        into tokens: inout [WordToken]
    ) throws(TokenizerError) {
        scratch.reset()
        // The prefix stands before the word, so that prefix + rest is one run of bytes for the
        // first candidate; later ones overwrite what has been consumed.
        var key = prefix
        for scalar in word { UTF8Text.append(scalar, to: &key) }
        let byteCount = key.count - prefix.count
        let firstNew = tokens.count
        if word.count > maxInputCharacters || !spell(&key, into: &tokens) {
            tokens.removeLast(tokens.count - firstNew)
            guard let id = vocabulary.id(of: unknownToken) else {
                throw .unknownTokenMissing(file: file, token: unknownToken)
            }
            tokens.append(WordToken(id: id, byteCount: Int32(byteCount)))
        }
    }

    private func spell(_ key: inout [UInt8], into tokens: inout [WordToken]) -> Bool {
        var start = prefix.count
        while start < key.count {
            let isFirst = start == prefix.count
            let lower = isFirst ? start : start - prefix.count
            if !isFirst { for (index, byte) in prefix.enumerated() { key[lower + index] = byte } }
            var end = key.count
            var found: Int32?
            key.withUnsafeBufferPointer { bytes in
                while end > start {
                    found = vocabulary.id(of: UnsafeBufferPointer(rebasing: bytes[lower..<end]))
                    if found != nil { return }
                    repeat { end -= 1 } while end > start && bytes[end] & 0xC0 == 0x80
                }
            }
            guard let id = found else { return false }
            tokens.append(WordToken(id: id, byteCount: Int32(end - start)))
            start = end
        }
        return true
    }
}
