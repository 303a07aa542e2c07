// SPDX-License-Identifier: Apache-2.0
/// The `model` of a tokenizer file: from a word to the ids of its tokens.

enum TokenModel: Sendable {
    case bpe(BPEModel)
    case wordPiece(WordPieceModel)

    /// Reads the component; models that are not here are refused by name.
    init(_ component: Component, isByteLevel: Bool) throws(TokenizerError) {
        let type = try Self.type(component)
        switch type {
        case "BPE": self = .bpe(try BPEModel(component, isByteLevel: isByteLevel))
        case "WordPiece": self = .wordPiece(try WordPieceModel(component))
        default: throw component.unsupported("the model '\(type)'")
        }
    }

    /// Files of early versions do not name the type; only BPE has merges.
    private static func type(_ component: Component) throws(TokenizerError) -> String {
        if let type = try component.optional("type") { return try type.text() }
        if try component.optional("merges") != nil { return "BPE" }
        if try component.optional("max_input_chars_per_word") != nil { return "WordPiece" }
        throw .missingKey(file: component.file, place: component.place, key: "type")
    }

    var vocabulary: Vocabulary {
        switch self {
        case .bpe(let model): model.vocabulary
        case .wordPiece(let model): model.vocabulary
        }
    }

    /// Whether the model spells words in byte-level characters itself.
    var spells: Bool {
        switch self {
        case .bpe(let model): model.spells
        case .wordPiece: false
        }
    }

    func tokenize(
        _ word: UnsafeBufferPointer<UInt32>, scratch: inout MergeScratch,
        into tokens: inout [WordToken]
    ) throws(TokenizerError) {
        switch self {
        case .bpe(let model): try model.tokenize(word, scratch: &scratch, into: &tokens)
        case .wordPiece(let model): try model.tokenize(word, scratch: &scratch, into: &tokens)
        }
    }
}
