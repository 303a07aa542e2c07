// SPDX-License-Identifier: Apache-2.0
/// The `normalizer` of a tokenizer file: what happens to the text before it is cut.

indirect enum Normalizer: Sendable {
    case sequence([Normalizer])
    case form(NormalizationForm)
    case lowercase
    case bert(cleans: Bool, separatesHan: Bool, stripsAccents: Bool, lowercases: Bool)
    case stripAccents
    case strip(left: Bool, right: Bool)
    case replace(Pattern, content: [UInt32])
    case prepend([UInt32])

    /// Reads a component; types that are not here are refused by name.
    init(_ component: Component) throws(TokenizerError) {
        let type = try component.text("type")
        switch type {
        case "Sequence":
            try component.allow("type", "normalizers")
            var parts: [Normalizer] = []
            for element in try component.required("normalizers").elements() {
                parts.append(try Normalizer(element))
            }
            self = .sequence(parts)
        case "NFC", "NFD", "NFKC", "NFKD":
            try component.allow("type")
            self = .form(
                NormalizationForm(
                    isCompatibility: type.contains("K"), isComposed: type.hasSuffix("C")))
        case "Lowercase":
            try component.allow("type")
            self = .lowercase
        case "StripAccents":
            try component.allow("type")
            self = .stripAccents
        case "BertNormalizer": self = try Self.bert(component)
        case "Strip":
            try component.allow("type", "strip_left", "strip_right")
            self = .strip(
                left: try component.flag("strip_left"), right: try component.flag("strip_right"))
        case "Replace":
            try component.allow("type", "pattern", "content")
            self = .replace(
                try Pattern(try component.required("pattern")),
                content: try component.text("content").scalarValues)
        case "Prepend":
            try component.allow("type", "prepend")
            self = .prepend(try component.text("prepend").scalarValues)
        default: throw component.unsupported("the normalizer '\(type)'")
        }
    }

    private static func bert(_ component: Component) throws(TokenizerError) -> Normalizer {
        try component.allow(
            "type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
        let lowercases = try component.flag("lowercase")
        return .bert(
            cleans: try component.flag("clean_text"),
            separatesHan: try component.flag("handle_chinese_chars"),
            // Null means: whatever `lowercase` is.
            stripsAccents: try component.flag("strip_accents", absent: lowercases),
            lowercases: lowercases)
    }

    func apply(to text: inout AlignedText, tables: inout NormalizationTables) {
        switch self {
        case .sequence(let parts):
            for part in parts { part.apply(to: &text, tables: &tables) }
        case .form(let form): Self.normalize(&text, to: form, tables: &tables)
        case .lowercase: Self.lowercase(&text)
        case .stripAccents: Self.remove(.mark, from: &text)
        case .strip(let left, let right): Self.strip(&text, left: left, right: right)
        case .replace(let pattern, let content): Self.replace(pattern, content, in: &text)
        case .prepend(let prefix): Self.prepend(prefix, to: &text) { _, _ in true }
        case .bert(let cleans, let separatesHan, let stripsAccents, let lowercases):
            if cleans { Self.clean(&text) }
            if separatesHan { Self.separateHan(&text) }
            if stripsAccents {
                let nfd = NormalizationForm(isCompatibility: false, isComposed: false)
                Self.normalize(&text, to: nfd, tables: &tables)
                Self.remove(.nonspacingMark, from: &text)
            }
            if lowercases { Self.lowercase(&text) }
        }
    }

    // MARK: Each transformation, skipped where it would change nothing

    private static func contains(
        _ text: borrowing AlignedText, where isAffected: (UInt32) -> Bool
    ) -> Bool {
        for piece in text.pieces where piece.isText {
            for index in piece.lower..<piece.upper where isAffected(text.scalars[index]) {
                return true
            }
        }
        return false
    }

    private static func normalize(
        _ text: inout AlignedText, to form: NormalizationForm, tables: inout NormalizationTables
    ) {
        guard contains(text, where: { !tables.isInert($0, in: form) }) else { return }
        text.rewrite { text, piece, draft in
            let scalars = text.scalars[piece.lower..<piece.upper]
            var index = piece.lower
            for mark in tables.normalize(scalars, to: form) {
                if mark.change > 0 {
                    if index == piece.lower {
                        draft.append(mark.scalar, before: piece, of: text)
                    } else {
                        draft.append(mark.scalar, like: index - 1, of: text)
                    }
                } else {
                    draft.append(mark.scalar, like: min(index, piece.upper - 1), of: text)
                    index += 1 - mark.change
                }
            }
        }
    }

    private static func lowercase(_ text: inout AlignedText) {
        func changes(_ scalar: UInt32) -> Bool {
            if scalar < 0x80 { return scalar >= 0x41 && scalar <= 0x5A }
            return Unicode.Scalar(scalar)?.properties.changesWhenLowercased ?? false
        }
        guard contains(text, where: changes) else { return }
        text.rewrite { text, piece, draft in
            for index in piece.lower..<piece.upper {
                let scalar = text.scalars[index]
                if scalar < 0x80 {
                    draft.append(changes(scalar) ? scalar + 32 : scalar, like: index, of: text)
                } else {
                    let mapping = Unicode.Scalar(scalar)?.properties.lowercaseMapping
                    for lower in (mapping ?? "").unicodeScalars {
                        draft.append(lower.value, like: index, of: text)
                    }
                }
            }
        }
    }

    private static func remove(_ unwanted: ScalarClass, from text: inout AlignedText) {
        func isUnwanted(_ scalar: UInt32) -> Bool {
            scalar >= 0x80 && !ScalarClass.of(scalar).isDisjoint(with: unwanted)
        }
        guard contains(text, where: isUnwanted) else { return }
        text.rewrite { text, piece, draft in
            for index in piece.lower..<piece.upper where !isUnwanted(text.scalars[index]) {
                draft.copy(text, index)
            }
        }
    }

    private static func strip(_ text: inout AlignedText, left: Bool, right: Bool) {
        text.split { text, piece, pieces in
            func isSpace(_ index: Int) -> Bool {
                ScalarClass.of(text.scalars[index]).contains(.whitespace)
            }
            var (lower, upper) = (piece.lower, piece.upper)
            if left { while lower < upper, isSpace(lower) { lower += 1 } }
            if right { while upper > lower, isSpace(upper - 1) { upper -= 1 } }
            pieces.append(Piece(lower: lower, upper: upper))
        }
    }

    private static func replace(
        _ pattern: Pattern, _ content: [UInt32], in text: inout AlignedText
    ) {
        if case .literal(let literal) = pattern {
            // Most texts lack even the first scalar.
            guard let first = literal.first, contains(text, where: { $0 == first }) else { return }
        }
        text.rewrite { text, piece, draft in
            var index = piece.lower
            for match in pattern.matches(in: text.scalars, piece.lower, piece.upper) {
                for kept in index..<match.lowerBound { draft.copy(text, kept) }
                for scalar in content {
                    // New text stands for the last scalar that it replaces.
                    if match.upperBound == piece.lower {
                        draft.append(scalar, before: piece, of: text)
                    } else {
                        draft.append(scalar, like: match.upperBound - 1, of: text)
                    }
                }
                index = match.upperBound
            }
            for kept in index..<piece.upper { draft.copy(text, kept) }
        }
    }

    /// Puts `prefix` before each piece that `isWanted`; it stands for the piece's first scalar.
    static func prepend(
        _ prefix: [UInt32], to text: inout AlignedText,
        where isWanted: (borrowing AlignedText, Piece) -> Bool
    ) {
        guard !prefix.isEmpty else { return }
        var isNeeded = false
        for piece in text.pieces where piece.isText && isWanted(text, piece) { isNeeded = true }
        guard isNeeded else { return }
        text.rewrite { text, piece, draft in
            if isWanted(text, piece) {
                for scalar in prefix { draft.append(scalar, like: piece.lower, of: text) }
            }
            for index in piece.lower..<piece.upper { draft.copy(text, index) }
        }
    }

    /// Removes NUL, U+FFFD and control characters, and makes each white space a blank.
    private static func clean(_ text: inout AlignedText) {
        func isBlank(_ scalar: UInt32) -> Bool { scalar == 9 || scalar == 10 || scalar == 13 }
        func isUnclean(_ scalar: UInt32) -> Bool {
            if scalar < 0x7F { return scalar < 0x20 }
            return scalar == 0xFFFD
                || !ScalarClass.of(scalar).isDisjoint(with: [.control, .whitespace])
        }
        guard contains(text, where: isUnclean) else { return }
        text.rewrite { text, piece, draft in
            for index in piece.lower..<piece.upper {
                let scalar = text.scalars[index]
                let classes = ScalarClass.of(scalar)
                if isBlank(scalar) {
                    draft.append(0x20, like: index, of: text)
                } else if scalar == 0 || scalar == 0xFFFD || classes.contains(.control) {
                    continue
                } else {
                    let blank = classes.contains(.whitespace)
                    draft.append(blank ? 0x20 : scalar, like: index, of: text)
                }
            }
        }
    }

    /// Puts blanks around each CJK ideograph; U+2B820 to U+2B91F are left out, as in the reference
    /// library.
    private static func separateHan(_ text: inout AlignedText) {
        func isHan(_ scalar: UInt32) -> Bool {
            guard scalar >= 0x3400 else { return false }
            switch scalar {
            case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B81F,
                0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
                return true
            default: return false
            }
        }
        guard contains(text, where: isHan) else { return }
        text.rewrite { text, piece, draft in
            for index in piece.lower..<piece.upper {
                let scalar = text.scalars[index]
                let isIdeograph = isHan(scalar)
                if isIdeograph { draft.append(0x20, like: index, of: text) }
                draft.append(scalar, like: index, of: text)
                if isIdeograph { draft.append(0x20, like: index, of: text) }
            }
        }
    }
}
