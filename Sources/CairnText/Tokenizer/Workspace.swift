// SPDX-License-Identifier: Apache-2.0
/// The memory that encoding one text needs, kept for the next text.

import Foundation

/// One encode's scratch: the text, the word cache, the tables. Used by one thread at a time.
final class Workspace {
    var text = AlignedText()
    var tables = NormalizationTables()
    var cache = WordCache()
    var scratch = MergeScratch()
    /// Tokens of the text so far, and for each piece how many it gave.
    var tokens: [WordToken] = []
    var tokenCounts: [Int] = []

    /// Runs the model over every piece of `text`; an added token is one token.
    func tokenize(_ model: TokenModel) throws(TokenizerError) {
        tokens.removeAll(keepingCapacity: true)
        tokenCounts.removeAll(keepingCapacity: true)
        for piece in text.pieces {
            let before = tokens.count
            if piece.isText {
                try tokenize(piece, model)
            } else {
                tokens.append(WordToken(id: piece.token, byteCount: 0))
            }
            tokenCounts.append(tokens.count - before)
        }
    }

    private func tokenize(_ piece: Piece, _ model: TokenModel) throws(TokenizerError) {
        var fault: TokenizerError?
        text.scalars.withUnsafeBufferPointer { scalars in
            let word = UnsafeBufferPointer(rebasing: scalars[piece.lower..<piece.upper])
            let isCached = word.count <= WordCache.longestWord
            let hash = isCached ? WordCache.hash(word) : 0
            if isCached, let known = cache.find(word, hash: hash) {
                tokens.append(contentsOf: cache[known])
                return
            }
            let before = tokens.count
            do throws(TokenizerError) {
                try model.tokenize(word, scratch: &scratch, into: &tokens)
                if isCached { cache.insert(word, hash: hash, tokens[before...]) }
            } catch {
                fault = error
            }
        }
        if let fault { throw fault }
    }

    /// The original range of each token of `text`, in order.
    func offsets() -> [Range<Int>] {
        var result: [Range<Int>] = []
        result.reserveCapacity(tokens.count)
        var next = 0
        for (piece, count) in zip(text.pieces, tokenCounts) {
            if piece.isText {
                appendOffsets(of: piece, tokens[next..<next + count], to: &result)
            } else {
                result.append(text.originalRange(piece.lower, piece.upper))
            }
            next += count
        }
        return result
    }

    /// Tokens count bytes; a scalar belongs to every token that has one of its bytes.
    private func appendOffsets(
        of piece: Piece, _ tokens: ArraySlice<WordToken>, to result: inout [Range<Int>]
    ) {
        var scalar = piece.lower
        var scalarStart = 0
        var byte = 0
        func advance(to target: Int) {
            while scalar < piece.upper - 1 {
                let width = UTF8Text.width(text.scalars[scalar])
                guard scalarStart + width <= target else { return }
                scalarStart += width
                scalar += 1
            }
        }
        for token in tokens {
            advance(to: byte)
            let first = scalar
            byte += Int(token.byteCount)
            advance(to: byte - 1)
            result.append(text.originalRange(first, scalar + 1))
        }
    }
}

/// Workspaces that are not in use. Taking one is the only lock of an encode.
final class WorkspacePool: @unchecked Sendable {
    // Unchecked: `free` is only touched under `lock`, and a workspace is in one place at a time.
    private let lock = NSLock()
    private var free: [Workspace] = []

    func take() -> Workspace {
        lock.lock()
        defer { lock.unlock() }
        return free.popLast() ?? Workspace()
    }

    func put(_ workspace: Workspace) {
        lock.lock()
        defer { lock.unlock() }
        free.append(workspace)
    }
}
