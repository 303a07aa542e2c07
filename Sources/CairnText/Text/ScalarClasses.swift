// SPDX-License-Identifier: Apache-2.0
/// Classes of scalars as the Python tokenizers see them, each at the Unicode version of its table.

/// What a scalar counts as.
///
/// The parts of the reference library carry Unicode tables of different age, so a character that
/// came later is a letter to one stage and nothing to another. Every limit and exception here was
/// found by asking that library (0.23.3) about all 1 112 064 scalars.
struct ScalarClass: OptionSet {
    let rawValue: UInt16

    /// `\p{L}` and `\p{N}` of regular expressions: Unicode 16.
    static let letter = Self(rawValue: 1)
    static let number = Self(rawValue: 2)
    /// `\s`, and white space everywhere else: the 25 scalars with the property White_Space.
    static let whitespace = Self(rawValue: 4)
    /// Nd, Nl and No in the current Unicode: what `Digits` looks for.
    static let numeric = Self(rawValue: 8)
    /// ASCII punctuation and symbols, and category P of Unicode 8.
    static let punctuation = Self(rawValue: 16)
    /// `\w` of `Whitespace` and of single-word added tokens: Unicode 16.
    static let word = Self(rawValue: 32)
    /// Category M of Unicode 9: what `StripAccents` removes.
    static let mark = Self(rawValue: 64)
    /// Category Mn of Unicode 8: what `BertNormalizer` removes.
    static let nonspacingMark = Self(rawValue: 128)
    /// Cc, Cf and Co of Unicode 8: what `BertNormalizer` cleans away.
    static let control = Self(rawValue: 256)
    /// `\r` and `\n`.
    static let newline = Self(rawValue: 512)

    @inline(__always)
    static func of(_ scalar: UInt32) -> ScalarClass {
        scalar < 0x10000 ? basicPlane[Int(scalar)] : ScalarClass(computing: scalar)
    }

    /// The classes of the basic plane, where nearly all text lives.
    static let basicPlane: [ScalarClass] = (0..<0x10000).map { ScalarClass(computing: $0) }

    private init(computing value: UInt32) {
        guard let scalar = Unicode.Scalar(value) else {
            self = []
            return
        }
        let properties = scalar.properties
        let version = properties.age.map { $0.major } ?? Int.max
        let category = properties.generalCategory
        var classes: ScalarClass = Self.ofCategory(category, version)
        if properties.isWhitespace { classes.insert(.whitespace) }
        if value == 10 || value == 13 { classes.insert(.newline) }
        let isASCIISymbol = value < 0x80 && (category.isPunctuation || category.isSymbol)
        if isASCIISymbol { classes.insert(.punctuation) }
        let joinsWords = properties.isAlphabetic || properties.isJoinControl
        if version <= 16,
            joinsWords || category.isMark || category == .decimalNumber
                || category == .connectorPunctuation
        {
            classes.insert(.word)
        }
        self = classes.union(Self.added[value] ?? []).subtracting(Self.removed[value] ?? [])
    }

    private static func ofCategory(
        _ category: Unicode.GeneralCategory, _ version: Int
    ) -> ScalarClass {
        var classes: ScalarClass = []
        if version <= 16, category.isLetter { classes.insert(.letter) }
        if category.isNumber { classes.insert(version <= 16 ? [.number, .numeric] : .numeric) }
        if version <= 8, category.isPunctuation { classes.insert(.punctuation) }
        if version <= 9, category.isMark { classes.insert(.mark) }
        if version <= 8, category == .nonspacingMark { classes.insert(.nonspacingMark) }
        if version <= 8, [.control, .format, .privateUse].contains(category) {
            classes.insert(.control)
        }
        return classes
    }

    /// Scalars whose category has changed since the version of the table.
    private static let added: [UInt32: ScalarClass] = [
        0x166D: .punctuation, 0x111C9: .punctuation, 0x1CF2: .mark, 0x1CF3: .mark,
        0x1734: .nonspacingMark, 0x1171E: .nonspacingMark,
    ]
    private static let removed: [UInt32: ScalarClass] = [
        0x111C9: [.mark, .nonspacingMark], 0x1885: .nonspacingMark, 0x1886: .nonspacingMark,
        0xA9BD: .nonspacingMark,
    ]

    init(rawValue: UInt16) { self.rawValue = rawValue }
}

extension Unicode.GeneralCategory {
    fileprivate var isLetter: Bool {
        switch self {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default: false
        }
    }

    fileprivate var isNumber: Bool {
        self == .decimalNumber || self == .letterNumber || self == .otherNumber
    }

    fileprivate var isMark: Bool {
        self == .nonspacingMark || self == .spacingMark || self == .enclosingMark
    }

    fileprivate var isSymbol: Bool {
        switch self {
        case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: true
        default: false
        }
    }

    fileprivate var isPunctuation: Bool {
        switch self {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
            .initialPunctuation, .finalPunctuation, .otherPunctuation:
            true
        default: false
        }
    }
}
