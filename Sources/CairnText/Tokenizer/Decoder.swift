// SPDX-License-Identifier: Apache-2.0
/// The `decoder` of a tokenizer file: how tokens become text again.

/// A step from a list of texts to a list of texts; their concatenation is the decoded text.
indirect enum Decoder: Sendable {
    case sequence([Decoder])
    case byteLevel
    case wordPiece(prefix: [UInt32], cleansUp: Bool)
    case bpe(suffix: [UInt32])
    case metaspace(Metaspace)
    case byteFallback
    case fuse
    case strip(UInt32, start: Int, stop: Int)
    case replace(Pattern, content: [UInt32])

    typealias Text = [UInt32]

    /// Reads a component; types that are not here are refused by name.
    init(_ component: Component) throws(TokenizerError) {
        let type = try component.text("type")
        switch type {
        case "Sequence":
            try component.allow("type", "decoders")
            var parts: [Decoder] = []
            for element in try component.required("decoders").elements() {
                parts.append(try Decoder(element))
            }
            self = .sequence(parts)
        case "ByteLevel":
            try component.allow("type", "add_prefix_space", "trim_offsets", "use_regex")
            self = .byteLevel
        case "WordPiece":
            try component.allow("type", "prefix", "cleanup")
            self = .wordPiece(
                prefix: try component.text("prefix").scalarValues,
                cleansUp: try component.flag("cleanup"))
        case "BPEDecoder":
            try component.allow("type", "suffix")
            self = .bpe(suffix: try component.text("suffix").scalarValues)
        case "Metaspace": self = .metaspace(try Metaspace(component))
        case "ByteFallback", "Fuse":
            try component.allow("type")
            self = type == "Fuse" ? .fuse : .byteFallback
        case "Strip":
            try component.allow("type", "content", "start", "stop")
            self = .strip(
                try component.scalar("content"), start: try component.required("start").integer(),
                stop: try component.required("stop").integer())
        case "Replace":
            try component.allow("type", "pattern", "content")
            self = .replace(
                try Pattern(try component.required("pattern")),
                content: try component.text("content").scalarValues)
        default: throw component.unsupported("the decoder '\(type)'")
        }
    }

    func apply(_ texts: [Text]) -> [Text] {
        switch self {
        case .sequence(let parts): return parts.reduce(texts) { $1.apply($0) }
        case .byteLevel: return [Self.unspell(texts)]
        case .wordPiece(let prefix, let cleansUp):
            return texts.enumerated().map { index, text in
                var result = text
                if index > 0 {
                    let continues = text.starts(with: prefix)
                    result = continues ? Array(text.dropFirst(prefix.count)) : [0x20] + text
                }
                return cleansUp ? Self.cleanUp(result) : result
            }
        case .bpe(let suffix):
            return texts.enumerated().map { index, text in
                let isLast = index == texts.count - 1
                return Self.replace(.literal(suffix), by: isLast ? [] : [0x20], in: text)
            }
        case .metaspace(let metaspace):
            return texts.enumerated().map { index, text in
                let dropsMark = index == 0 && metaspace.prepending != .never
                return text.compactMap { scalar in
                    guard scalar == metaspace.replacement else { return scalar }
                    return dropsMark ? nil : 0x20
                }
            }
        case .byteFallback: return Self.joinBytes(texts)
        case .fuse: return [Array(texts.joined())]
        case .strip(let scalar, let start, let stop):
            return texts.map { Self.strip(scalar, start: start, stop: stop, from: $0) }
        case .replace(let pattern, let content):
            return texts.map { Self.replace(pattern, by: content, in: $0) }
        }
    }

    /// Byte-level characters back to bytes; a token with any other character stands for itself.
    private static func unspell(_ texts: [Text]) -> Text {
        var bytes: [UInt8] = []
        for text in texts {
            let spelled = text.compactMap { ByteAlphabet.bytes[$0] }
            if spelled.count == text.count {
                bytes += spelled
            } else {
                for scalar in text { UTF8Text.append(scalar, to: &bytes) }
            }
        }
        return String(decoding: bytes, as: UTF8.self).scalarValues
    }

    /// The clean-up of English text that WordPiece decoders do, rule by rule.
    private static let cleanUps: [(Text, Text)] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
        (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { ($0.0.scalarValues, $0.1.scalarValues) }

    private static func cleanUp(_ text: Text) -> Text {
        cleanUps.reduce(text) { replace(.literal($1.0), by: $1.1, in: $0) }
    }

    private static func replace(_ pattern: Pattern, by content: Text, in text: Text) -> Text {
        let matches = pattern.matches(in: text, 0, text.count)
        guard !matches.isEmpty else { return text }
        var result: Text = []
        var index = 0
        for match in matches {
            result += text[index..<match.lowerBound]
            result += content
            index = match.upperBound
        }
        return result + text[index...]
    }

    /// `<0xE2>` and its like become bytes; runs that are not UTF-8 become one U+FFFD per byte.
    private static func joinBytes(_ texts: [Text]) -> [Text] {
        var result: [Text] = []
        var bytes: [UInt8] = []
        func flush() {
            guard !bytes.isEmpty else { return }
            let isValid = bytes.withUnsafeBufferPointer { UTF8Text.firstInvalid($0) == nil }
            if isValid {
                result.append(String(decoding: bytes, as: UTF8.self).scalarValues)
            } else {
                result += repeatElement([0xFFFD], count: bytes.count)
            }
            bytes = []
        }
        for text in texts {
            if let byte = fallbackByte(text) {
                bytes.append(byte)
            } else {
                flush()
                result.append(text)
            }
        }
        flush()
        return result
    }

    private static func fallbackByte(_ text: Text) -> UInt8? {
        guard text.count == 6, text.starts(with: "<0x".scalarValues), text[5] == 0x3E else {
            return nil
        }
        return UInt8(UTF8Text.string(text[3..<5]), radix: 16)
    }

    private static func strip(_ scalar: UInt32, start: Int, stop: Int, from text: Text) -> Text {
        let lower = text.prefix(max(start, 0)).prefix { $0 == scalar }.count
        let upper = text.count - text.suffix(max(stop, 0)).reversed().prefix { $0 == scalar }.count
        return lower < upper ? Array(text[lower..<upper]) : []
    }
}
