// SPDX-License-Identifier: Apache-2.0
/// The `pre_tokenizer` of a tokenizer file: how the text is cut into what the model sees.

indirect enum PreTokenizer: Sendable {
    case sequence([PreTokenizer])
    case byteLevel(addsPrefixSpace: Bool, cuts: Bool)
    case split(Pattern, SplitBehavior, inverted: Bool)
    /// A `Split` whose expression is scanned by hand.
    case scan(SplitScanner)
    case bert
    case whitespace
    case whitespaceSplit
    case digits(individual: Bool)
    case punctuation(SplitBehavior)
    case metaspace(Metaspace)

    /// Reads a component; types that are not here are refused by name.
    init(_ component: Component) throws(TokenizerError) {
        let type = try component.text("type")
        switch type {
        case "Sequence":
            try component.allow("type", "pretokenizers")
            var parts: [PreTokenizer] = []
            for element in try component.required("pretokenizers").elements() {
                parts.append(try PreTokenizer(element))
            }
            self = .sequence(parts)
        case "ByteLevel":
            try component.allow("type", "add_prefix_space", "trim_offsets", "use_regex")
            _ = try component.flag("trim_offsets")  // Only the post-processor looks at it.
            self = .byteLevel(
                addsPrefixSpace: try component.flag("add_prefix_space"),
                cuts: try component.flag("use_regex", absent: true))
        case "Split": self = try Self.split(component)
        case "BertPreTokenizer", "Whitespace", "WhitespaceSplit":
            try component.allow("type")
            self =
                type == "Whitespace"
                ? .whitespace
                : type == "WhitespaceSplit" ? .whitespaceSplit : .bert
        case "Digits":
            try component.allow("type", "individual_digits")
            self = .digits(individual: try component.flag("individual_digits"))
        case "Punctuation":
            try component.allow("type", "behavior")
            let behavior = try component.optional("behavior")
            if let behavior {
                self = .punctuation(try SplitBehavior(behavior))
            } else {
                self = .punctuation(.isolated)
            }
        case "Metaspace": self = .metaspace(try Metaspace(component))
        default: throw component.unsupported("the pre-tokenizer '\(type)'")
        }
    }

    private static func split(_ component: Component) throws(TokenizerError) -> PreTokenizer {
        try component.allow("type", "pattern", "behavior", "invert")
        let place = try component.required("pattern")
        let pattern = try Pattern(place)
        let behavior = try SplitBehavior(try component.required("behavior"))
        let inverted = try component.flag("invert")
        if behavior == .isolated, let expression = try place.optional("Regex"),
            let scanner = SplitScanner(expression: try expression.text())
        {
            return .scan(scanner)
        }
        return .split(pattern, behavior, inverted: inverted)
    }

    /// Whether the last thing done to a word is to spell it in byte-level characters.
    ///
    /// Then the model does the spelling itself, and only for words that it has not seen.
    var endsInByteLevel: Bool {
        switch self {
        case .byteLevel: true
        case .sequence(let parts): parts.last?.endsInByteLevel ?? false
        default: false
        }
    }

    /// Cuts the text; `spells` is false for the `ByteLevel` that the model takes over.
    func apply(to text: inout AlignedText, spells: Bool) {
        switch self {
        case .sequence(let parts):
            for (index, part) in parts.enumerated() {
                part.apply(to: &text, spells: spells || index + 1 < parts.count)
            }
        case .byteLevel(let addsPrefixSpace, let cuts):
            if addsPrefixSpace {
                Normalizer.prepend([0x20], to: &text) { $0.scalars[$1.lower] != 0x20 }
            }
            if cuts { text.split { SplitScanner.gpt2.cut($0, $1, into: &$2) } }
            if spells { Self.spell(&text) }
        case .scan(let scanner): text.split { scanner.cut($0, $1, into: &$2) }
        case .split(let pattern, let behavior, let inverted):
            text.split { text, piece, pieces in
                let matches = pattern.matches(in: text.scalars, piece.lower, piece.upper)
                behavior.cut(piece, at: matches, inverted: inverted, into: &pieces)
            }
        case .bert: text.split(Self.cutWordsAndPunctuation)
        case .whitespace: text.split(Self.cutWordRuns)
        case .whitespaceSplit: Self.cut(&text, at: .whitespace, .removed)
        case .digits(let individual):
            Self.cut(&text, at: .numeric, individual ? .isolated : .contiguous)
        case .punctuation(let behavior): Self.cut(&text, at: .punctuation, behavior)
        case .metaspace(let metaspace): metaspace.apply(to: &text)
        }
    }

    /// Takes every scalar of the class for a delimiter.
    private static func cut(
        _ text: inout AlignedText, at delimiter: ScalarClass, _ behavior: SplitBehavior
    ) {
        text.split { text, piece, pieces in
            var matches: [Range<Int>] = []
            for index in piece.lower..<piece.upper
            where !ScalarClass.of(text.scalars[index]).isDisjoint(with: delimiter) {
                matches.append(index..<index + 1)
            }
            if matches.isEmpty {
                pieces.append(piece)
            } else {
                behavior.cut(piece, at: matches, into: &pieces)
            }
        }
    }

    /// Words between white space, each punctuation mark by itself.
    private static func cutWordsAndPunctuation(
        _ text: borrowing AlignedText, _ piece: Piece, _ pieces: inout [Piece]
    ) {
        var start = piece.lower
        for index in piece.lower..<piece.upper {
            let classes = ScalarClass.of(text.scalars[index])
            guard !classes.isDisjoint(with: [.whitespace, .punctuation]) else { continue }
            pieces.append(Piece(lower: start, upper: index))
            start = index + 1
            if !classes.contains(.whitespace) {
                pieces.append(Piece(lower: index, upper: start))
            }
        }
        pieces.append(Piece(lower: start, upper: piece.upper))
    }

    /// `\w+|[^\w\s]+`: runs of word scalars, runs of others, no white space.
    private static func cutWordRuns(
        _ text: borrowing AlignedText, _ piece: Piece, _ pieces: inout [Piece]
    ) {
        var start = piece.lower
        var previous: ScalarClass = .whitespace
        for index in piece.lower...piece.upper {
            let kind: ScalarClass =
                index == piece.upper
                ? .whitespace : ScalarClass.of(text.scalars[index]).intersection(.word)
            let isSpace =
                index == piece.upper
                || ScalarClass.of(text.scalars[index]).contains(.whitespace)
            let current: ScalarClass = isSpace ? .whitespace : kind
            guard current != previous || index == piece.upper else { continue }
            if previous != .whitespace { pieces.append(Piece(lower: start, upper: index)) }
            (start, previous) = (index, current)
        }
    }

    /// Spells every word in byte-level characters.
    private static func spell(_ text: inout AlignedText) {
        text.rewrite { text, piece, draft in
            var bytes: [UInt8] = []
            for index in piece.lower..<piece.upper {
                bytes.removeAll(keepingCapacity: true)
                UTF8Text.append(text.scalars[index], to: &bytes)
                for byte in bytes {
                    draft.append(ByteAlphabet.scalars[Int(byte)], like: index, of: text)
                }
            }
        }
    }
}

/// Blanks become a visible mark, and words start with it.
struct Metaspace: Sendable {
    enum Prepending: String, CaseIterable, Sendable { case always, first, never }

    var replacement: UInt32
    var prepending: Prepending
    var cuts: Bool

    init(_ component: Component) throws(TokenizerError) {
        try component.allow(
            "type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep")
        replacement = try component.scalar("replacement")
        cuts = try component.flag("split", absent: true)
        prepending = .always
        if let scheme = try component.optional("prepend_scheme") {
            guard let value = Prepending(rawValue: try scheme.text()) else {
                throw scheme.wrong("always, first or never")
            }
            prepending = value
        }
        let addsPrefix = try component.flag("add_prefix_space", absent: true)
        if !addsPrefix, prepending != .never {
            throw component.inconsistent(
                "add_prefix_space is false but prepend_scheme is '\(prepending.rawValue)'")
        }
    }

    func apply(to text: inout AlignedText) {
        let mark = replacement
        if text.scalars.contains(0x20), mark != 0x20 {
            text.rewrite { text, piece, draft in
                for index in piece.lower..<piece.upper {
                    let scalar = text.scalars[index]
                    draft.append(scalar == 0x20 ? mark : scalar, like: index, of: text)
                }
            }
        }
        if prepending != .never {
            let onlyFirst = prepending == .first
            Normalizer.prepend([mark], to: &text) { text, piece in
                text.scalars[piece.lower] != mark
                    && (!onlyFirst || text.start(of: piece.lower) == 0)
            }
        }
        guard cuts else { return }
        text.split { text, piece, pieces in
            let matches = (piece.lower..<piece.upper).filter { text.scalars[$0] == mark }
            SplitBehavior.mergedWithNext.cut(
                piece, at: matches.map { $0..<$0 + 1 }, into: &pieces)
        }
    }
}

/// The 256 characters that stand for bytes: printable Latin-1 for itself, the rest from U+0100 on.
enum ByteAlphabet {
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            switch UInt32(byte) {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return UInt32(byte)
            default:
                defer { next += 1 }
                return next
            }
        }
    }()

    static let bytes: [UInt32: UInt8] = Dictionary(
        uniqueKeysWithValues: scalars.enumerated().map { ($1, UInt8($0)) })
}
