// SPDX-License-Identifier: Apache-2.0
/// The tokenizer of a Hugging Face model: text to ids and back, as its tokenizer.json says.

import Foundation

/// A tokenizer read from `tokenizer.json`; any number of threads may use one at once.
///
///     text > added tokens > normalizer > added tokens > pre-tokenizer > model > truncation
///          > post-processor > ids
///
/// Models: BPE and WordPiece. Every component and key of the file is either followed or refused
/// by name. The file's own truncation and padding are not applied: the caller gives `maxLength`,
/// and batches hold no padding.
///
/// Source: the file format and behaviour of the Python package `tokenizers` 0.23.
public final class Tokenizer: Sendable {
    private let normalizer: Normalizer?
    private let preTokenizer: PreTokenizer?
    private let model: TokenModel
    private let postProcessor: PostProcessor
    private let decoder: Decoder?
    private let addedTokens: AddedTokens
    private let pool = WorkspacePool()

    /// Reads `tokenizer.json` at `url`.
    ///
    /// - Throws: what the file lacks, has too much of, or has wrong, and where.
    public convenience init(contentsOf url: URL) throws(TokenizerError) {
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            let reason =
                FileManager.default.fileExists(atPath: url.path)
                ? "no permission, or not a file" : "there is no such file"
            throw .unreadable(file: url.path, reason: reason)
        }
        try self.init(data: data, file: url.path)
    }

    /// Reads the bytes of a `tokenizer.json`; `file` is the name that errors give.
    public init(data: Data, file: String) throws(TokenizerError) {
        let root = Component(value: try Self.parse(data, file), file: file, place: "")
        try root.allow(
            "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
            "post_processor", "decoder", "model")
        let version = try root.required("version")
        guard try version.text() == "1.0" else { throw version.wrong("the version '1.0'") }

        if let component = try root.optional("normalizer") {
            normalizer = try Normalizer(component)
        } else {
            normalizer = nil
        }
        if let component = try root.optional("pre_tokenizer") {
            preTokenizer = try PreTokenizer(component)
        } else {
            preTokenizer = nil
        }
        model = try TokenModel(
            try root.required("model"), isByteLevel: preTokenizer?.endsInByteLevel ?? false)
        if let component = try root.optional("post_processor") {
            postProcessor = try PostProcessor(component)
        } else {
            postProcessor = PostProcessor()
        }
        if let component = try root.optional("decoder") {
            decoder = try Decoder(component)
        } else {
            decoder = nil
        }
        if let component = try root.optional("added_tokens") {
            addedTokens = try AddedTokens(
                component, vocabulary: model.vocabulary, normalizer: normalizer)
        } else {
            addedTokens = AddedTokens()
        }
    }

    private static func parse(_ data: Data, _ file: String) throws(TokenizerError) -> JSON {
        let bytes = [UInt8](data)
        var result: Result<JSON, JSONFault> = .success(.null)
        bytes.withUnsafeBufferPointer { buffer in
            do throws(JSONFault) {
                result = .success(try JSONParser.parse(buffer))
            } catch {
                result = .failure(error)
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let fault):
            let before = bytes[..<min(fault.offset, bytes.count)]
            let line = before.count { $0 == 0x0A } + 1
            let column = fault.offset - (before.lastIndex(of: 0x0A) ?? -1)
            throw .notJSON(file: file, line: line, column: column, reason: fault.reason)
        }
    }

    // MARK: Encoding

    /// The tokens of `text`, with offsets and spelling.
    ///
    /// With `maxLength`, tokens are cut from the right so that the special tokens still fit.
    ///
    /// - Throws: `maxLengthTooSmall` when not even the special tokens fit;
    ///   `unknownTokenMissing` when the text needs an unknown token that is not in the vocabulary.
    public func encode(
        _ text: String, maxLength: Int? = nil, addSpecialTokens: Bool = true
    ) throws(TokenizerError) -> Encoding {
        let room = try room(maxLength, addSpecialTokens)
        let workspace = pool.take()
        defer { pool.put(workspace) }
        try tokenize(text, in: workspace)

        let kept = min(workspace.tokens.count, room)
        let ids = workspace.tokens[..<kept].map(\.id)
        var tokens = spelling(in: workspace)
        tokens.removeLast(tokens.count - kept)
        var offsets = Array(workspace.offsets()[..<kept])
        postProcessor.trim(&offsets, tokens: tokens)

        var encoding = Encoding(
            ids: [], typeIDs: [], offsets: [], tokens: [],
            isTruncated: kept < workspace.tokens.count)
        for item in postProcessor.items(addSpecialTokens: addSpecialTokens) {
            switch item {
            case .special(let id, let token, let typeID):
                encoding.ids.append(id)
                encoding.typeIDs.append(typeID)
                encoding.offsets.append(0..<0)
                encoding.tokens.append(token)
            case .text(let typeID):
                encoding.ids += ids
                encoding.typeIDs += repeatElement(typeID, count: kept)
                encoding.offsets += offsets
                encoding.tokens += tokens
            }
        }
        return encoding
    }

    /// The ids of `text` alone: what `encode` gives, without the cost of offsets and spelling.
    public func ids(
        _ text: String, maxLength: Int? = nil, addSpecialTokens: Bool = true
    ) throws(TokenizerError) -> [Int32] {
        try row(text, maxLength: maxLength, addSpecialTokens: addSpecialTokens).ids
    }

    /// Ids and segments of `text`, and whether it was cut.
    func row(
        _ text: String, maxLength: Int?, addSpecialTokens: Bool
    ) throws(TokenizerError) -> (ids: [Int32], typeIDs: [Int32], isTruncated: Bool) {
        let room = try room(maxLength, addSpecialTokens)
        let workspace = pool.take()
        defer { pool.put(workspace) }
        try tokenize(text, in: workspace)

        let kept = min(workspace.tokens.count, room)
        var ids: [Int32] = []
        var typeIDs: [Int32] = []
        ids.reserveCapacity(kept + postProcessor.specialTokenCount)
        for item in postProcessor.items(addSpecialTokens: addSpecialTokens) {
            switch item {
            case .special(let id, _, let typeID):
                ids.append(id)
                typeIDs.append(typeID)
            case .text(let typeID):
                for token in workspace.tokens[..<kept] { ids.append(token.id) }
                typeIDs += repeatElement(typeID, count: kept)
            }
        }
        return (ids, typeIDs, kept < workspace.tokens.count)
    }

    /// How many tokens of text fit.
    private func room(_ maxLength: Int?, _ addSpecialTokens: Bool) throws(TokenizerError) -> Int {
        guard let maxLength else { return .max }
        let specialTokens = addSpecialTokens ? postProcessor.specialTokenCount : 0
        guard maxLength >= specialTokens, maxLength > 0 else {
            throw .maxLengthTooSmall(maxLength: maxLength, specialTokens: specialTokens)
        }
        return maxLength - specialTokens
    }

    private func tokenize(_ text: String, in workspace: Workspace) throws(TokenizerError) {
        workspace.text.reset(to: text)
        addedTokens.findGiven(in: &workspace.text)
        if let normalizer {
            normalizer.apply(to: &workspace.text, tables: &workspace.tables)
        }
        addedTokens.findNormalized(in: &workspace.text)
        preTokenizer?.apply(to: &workspace.text, spells: !model.spells)
        try workspace.tokenize(model)
    }

    /// The text of each token; an added token is spelled as it stands in the text.
    private func spelling(in workspace: Workspace) -> [String] {
        var result: [String] = []
        result.reserveCapacity(workspace.tokens.count)
        var next = 0
        for (piece, count) in zip(workspace.text.pieces, workspace.tokenCounts) {
            if piece.isText {
                for token in workspace.tokens[next..<next + count] {
                    result.append(model.vocabulary.token(of: token.id) ?? "")
                }
            } else {
                result.append(workspace.text.string(piece))
            }
            next += count
        }
        return result
    }

    // MARK: Decoding

    /// The text that `ids` stand for; ids that no token has are left out, as Python does.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = true) -> String {
        var tokens: [[UInt32]] = []
        for id in ids {
            guard let token = token(of: id) else { continue }
            if skipSpecialTokens, addedTokens.isSpecial(token) { continue }
            tokens.append(token.scalarValues)
        }
        guard let decoder else { return tokens.map(UTF8Text.string).joined(separator: " ") }
        return UTF8Text.string(decoder.apply(tokens).joined())
    }

    // MARK: Vocabulary

    /// The id of the token spelled exactly so.
    public func id(of token: String) -> Int32? {
        addedTokens.idByContent[Array(token.utf8)] ?? model.vocabulary.id(of: token)
    }

    /// The token with the id; an added token that is found in normalized text is spelled so.
    public func token(of id: Int32) -> String? {
        addedTokens.byID[id]?.spelling ?? model.vocabulary.token(of: id)
    }

    /// The largest id plus one: how many rows an embedding needs.
    public var vocabularySize: Int {
        max(model.vocabulary.tokens.count, (addedTokens.byID.keys.max().map { Int($0) + 1 }) ?? 0)
    }
}
