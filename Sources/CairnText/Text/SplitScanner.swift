// SPDX-License-Identifier: Apache-2.0
/// Scanners by hand for the split expressions of GPT-2, Llama 3 and Qwen2, equal to the expressions.

/// An expression that the tokenizers of whole model families share.
///
/// Each of them matches every scalar, so a piece is cut into consecutive matches. The tests hold
/// the scanners against the expressions.
enum SplitScanner: Sendable, CaseIterable {
    case gpt2
    case llama3
    case qwen2

    /// The expression, as tokenizer files have it.
    var expression: String {
        switch self {
        case .gpt2:
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        case .llama3: Self.modern(number: #"\p{N}{1,3}"#)
        case .qwen2: Self.modern(number: #"\p{N}"#)
        }
    }

    private static func modern(number: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    init?(expression: String) {
        guard let scanner = Self.allCases.first(where: { $0.expression == expression }) else {
            return nil
        }
        self = scanner
    }

    /// Cuts `piece` of `text` at every match.
    func cut(_ text: borrowing AlignedText, _ piece: Piece, into pieces: inout [Piece]) {
        text.scalars.withUnsafeBufferPointer { scalars in
            let cursor = Cursor(scalars: scalars, end: piece.upper)
            var index = piece.lower
            while index < piece.upper {
                let next =
                    switch self {
                    case .gpt2: cursor.gpt2Match(at: index)
                    case .llama3: cursor.modernMatch(at: index, digits: 3)
                    case .qwen2: cursor.modernMatch(at: index, digits: 1)
                    }
                pieces.append(Piece(lower: index, upper: next))
                index = next
            }
        }
    }
}

/// One piece under the eyes of a scanner.
private struct Cursor {
    let scalars: UnsafeBufferPointer<UInt32>
    let end: Int
    let classes = ScalarClass.basicPlane

    init(scalars: UnsafeBufferPointer<UInt32>, end: Int) {
        self.scalars = scalars
        self.end = end
    }

    @inline(__always)
    private func isClass(_ index: Int, _ wanted: ScalarClass) -> Bool {
        index < end && !ScalarClass.of(scalars[index]).isDisjoint(with: wanted)
    }

    /// Not white space, not a letter, not a number.
    @inline(__always)
    private func isSymbol(_ index: Int) -> Bool {
        index < end
            && ScalarClass.of(scalars[index]).isDisjoint(with: [.whitespace, .letter, .number])
    }

    @inline(__always)
    private func run(from start: Int, _ wanted: ScalarClass) -> Int {
        var index = start
        while isClass(index, wanted) { index += 1 }
        return index
    }

    @inline(__always)
    private func symbolRun(from start: Int) -> Int {
        var index = start
        while isSymbol(index) { index += 1 }
        return index
    }

    /// The end of 's, 't, 're, 've, 'm, 'll or 'd at `index`, or nil.
    @inline(__always)
    private func contraction(at index: Int, ignoringCase: Bool) -> Int? {
        guard scalars[index] == 0x27, index + 1 < end else { return nil }
        func letter(_ index: Int) -> UInt32 {
            guard index < end else { return 0 }
            let scalar = scalars[index]
            guard ignoringCase else { return scalar }
            if scalar == 0x17F { return 0x73 }  // The long s folds to s.
            return scalar >= 0x41 && scalar <= 0x5A ? scalar + 32 : scalar
        }
        switch Unicode.Scalar(letter(index + 1)) {
        case "s", "t", "m", "d": return index + 2
        case "r", "v": return letter(index + 2) == 0x65 ? index + 3 : nil
        case "l": return letter(index + 2) == 0x6C ? index + 3 : nil
        default: return nil
        }
    }

    /// `\s+(?!\S)|\s+`: white space up to the last scalar before a word, or all of it.
    @inline(__always)
    private func spaceMatch(at index: Int) -> Int {
        let stop = run(from: index, .whitespace)
        return stop == end || stop - index == 1 ? stop : stop - 1
    }

    func gpt2Match(at index: Int) -> Int {
        if let stop = contraction(at: index, ignoringCase: false) { return stop }
        let start = scalars[index] == 0x20 ? index + 1 : index
        if isClass(start, .letter) { return run(from: start, .letter) }
        if isClass(start, .number) { return run(from: start, .number) }
        if isSymbol(start) { return symbolRun(from: start) }
        return spaceMatch(at: index)
    }

    func modernMatch(at index: Int, digits: Int) -> Int {
        if let stop = contraction(at: index, ignoringCase: true) { return stop }
        if isClass(index, .letter) { return run(from: index, .letter) }
        if isClass(index, .number) {
            var stop = index + 1
            while stop - index < digits, isClass(stop, .number) { stop += 1 }
            return stop
        }
        // A letter run may take one scalar before it, unless that is a newline.
        if !isClass(index, .newline), isClass(index + 1, .letter) {
            return run(from: index + 1, .letter)
        }
        let start = scalars[index] == 0x20 ? index + 1 : index
        if isSymbol(start) { return run(from: symbolRun(from: start), .newline) }
        let stop = run(from: index, .whitespace)
        // \s*[\r\n]+ reaches to the last newline of the run.
        var last = stop
        while last > index, !isClass(last - 1, .newline) { last -= 1 }
        return last > index ? last : spaceMatch(at: index)
    }
}
