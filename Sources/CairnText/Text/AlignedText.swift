// SPDX-License-Identifier: Apache-2.0
/// A text on its way to tokens: scalars, where each came from, and the pieces it is cut into.

/// A stretch of an aligned text; `token` marks an added token, which no later stage touches.
struct Piece: Equatable {
    var lower: Int
    var upper: Int
    var token: Int32 = -1

    var isText: Bool { token < 0 }
}

/// Scalars with their origin in the text as given, and the pieces that later stages see.
///
/// Pieces never overlap and stand in order; what lies between them was removed.
struct AlignedText {
    var scalars: [UInt32] = []
    /// For each scalar the range of original scalars that it stands for; empty while scalar `i`
    /// still is original scalar `i`.
    private(set) var starts: [Int32] = []
    private(set) var ends: [Int32] = []
    private(set) var isOriginal = true
    var pieces: [Piece] = []

    /// Starts over with `text`, as one piece.
    mutating func reset(to text: String) {
        scalars.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        pieces.removeAll(keepingCapacity: true)
        isOriginal = true
        let isContiguous: Void? = text.utf8.withContiguousStorageIfAvailable {
            scalars.reserveCapacity($0.count)
            UTF8Text.decode($0, into: &scalars)
        }
        if isContiguous == nil { scalars.append(contentsOf: text.unicodeScalars.lazy.map(\.value)) }
        if !scalars.isEmpty { pieces.append(Piece(lower: 0, upper: scalars.count)) }
    }

    @inline(__always)
    func start(of index: Int) -> Int { isOriginal ? index : Int(starts[index]) }

    @inline(__always)
    func end(of index: Int) -> Int { isOriginal ? index + 1 : Int(ends[index]) }

    /// The original range behind the scalars `lower..<upper`, which are not empty.
    func originalRange(_ lower: Int, _ upper: Int) -> Range<Int> {
        let start = start(of: lower)
        return start..<max(start, end(of: upper - 1))
    }

    func string(_ piece: Piece) -> String {
        UTF8Text.string(scalars[piece.lower..<piece.upper])
    }

    /// Replaces each text piece by what `cut` makes of it; empty pieces fall away.
    mutating func split(_ cut: (borrowing AlignedText, Piece, inout [Piece]) -> Void) {
        var result: [Piece] = []
        result.reserveCapacity(pieces.count * 4)
        for piece in pieces {
            if piece.isText { cut(self, piece, &result) } else { result.append(piece) }
        }
        result.removeAll { $0.lower == $0.upper }
        pieces = result
    }

    /// Rewrites each text piece; `edit` appends the new scalars of its piece to the draft.
    mutating func rewrite(_ edit: (borrowing AlignedText, Piece, inout Draft) -> Void) {
        var draft = Draft(capacity: scalars.count + 16)
        var result: [Piece] = []
        result.reserveCapacity(pieces.count)
        for piece in pieces {
            let lower = draft.scalars.count
            if piece.isText {
                edit(self, piece, &draft)
            } else {
                for index in piece.lower..<piece.upper { draft.copy(self, index) }
            }
            let upper = draft.scalars.count
            guard upper > lower else { continue }
            result.append(Piece(lower: lower, upper: upper, token: piece.token))
        }
        scalars = draft.scalars
        starts = draft.starts
        ends = draft.ends
        isOriginal = false
        pieces = result
    }

    /// The text that a rewrite is building.
    struct Draft {
        fileprivate(set) var scalars: [UInt32] = []
        fileprivate var starts: [Int32] = []
        fileprivate var ends: [Int32] = []

        fileprivate init(capacity: Int) {
            scalars.reserveCapacity(capacity)
            starts.reserveCapacity(capacity)
            ends.reserveCapacity(capacity)
        }

        /// Keeps the scalar at `index`.
        mutating func copy(_ text: borrowing AlignedText, _ index: Int) {
            append(text.scalars[index], like: index, of: text)
        }

        /// Adds `scalar` with the origin of the scalar at `index`.
        mutating func append(_ scalar: UInt32, like index: Int, of text: borrowing AlignedText) {
            scalars.append(scalar)
            starts.append(Int32(truncatingIfNeeded: text.start(of: index)))
            ends.append(Int32(truncatingIfNeeded: text.end(of: index)))
        }

        /// Adds `scalar` that stands for nothing, at the start of `piece`.
        mutating func append(_ scalar: UInt32, before piece: Piece, of text: borrowing AlignedText)
        {
            let start = Int32(truncatingIfNeeded: text.start(of: piece.lower))
            scalars.append(scalar)
            starts.append(start)
            ends.append(start)
        }
    }
}
