// SPDX-License-Identifier: Apache-2.0
/// Regular expressions of tokenizer files, which are Oniguruma's, matched by Foundation's engine.

import Foundation

/// A compiled expression that finds matches by scalar.
///
/// Oniguruma (Ruby syntax) and ICU read most expressions alike; `translate` rewrites what they do
/// not, and refuses what ICU has no word for.
struct OnigurumaPattern: @unchecked Sendable {
    // Unchecked: NSRegularExpression is immutable and documented as safe to match on any thread.
    private let expression: NSRegularExpression

    /// Why an expression cannot be used.
    struct Fault: Error { var reason: String }

    init(_ pattern: String) throws(Fault) {
        let translated = try Self.translate(pattern)
        do {
            // In Ruby ^ and $ match at every line, and only \n ends a line.
            expression = try NSRegularExpression(
                pattern: translated, options: [.anchorsMatchLines, .useUnixLineSeparators])
        } catch {
            throw Fault(reason: "the expression '\(pattern)' does not compile")
        }
    }

    /// The matches in `scalars[piece]`, as ranges of indices of `scalars`; the expression sees
    /// nothing outside the piece.
    func matches(in scalars: [UInt32], _ lower: Int, _ upper: Int) -> [Range<Int>] {
        let slice = scalars[lower..<upper]
        let text = UTF8Text.string(slice)
        let units = slice.reduce(0) { $0 + ($1 < 0x10000 ? 1 : 2) }
        let found = expression.matches(in: text, range: NSRange(location: 0, length: units))
        var result: [Range<Int>] = []
        result.reserveCapacity(found.count)
        var unit = 0
        var index = lower
        func advance(to target: Int) -> Int {
            while unit < target {
                unit += scalars[index] < 0x10000 ? 1 : 2
                index += 1
            }
            return index
        }
        for match in found {
            let start = advance(to: match.range.location)
            result.append(start..<advance(to: match.range.location + match.range.length))
        }
        return result
    }

    // MARK: Translation

    /// Oniguruma's `\w`: its table for the first 256 scalars counts six numbers that are not Nd.
    private static let word =
        "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u00B2\\u00B3\\u00B9\\u00BC-\\u00BE"

    /// The expression in ICU's syntax.
    static func translate(_ pattern: String) throws(Fault) -> String {
        var source = Array(pattern.unicodeScalars)[...]
        var result = ""
        var depth = 0
        while let scalar = source.popFirst() {
            switch scalar {
            case "\\": result += try escape(&source, inClass: depth > 0)
            case "[":
                if source.first == ":" {
                    result += try posixClass(&source)
                } else {
                    depth += 1
                    result += "["
                    if source.first == "^" { result.unicodeScalars.append(source.removeFirst()) }
                }
            case "]":
                depth = max(0, depth - 1)
                result += "]"
            case "(" where depth == 0 && source.first == "?":
                result += "("
                result += try groupStart(&source)
            case "{" where depth == 0 && source.first == ",": result += "{0"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func escape(
        _ source: inout ArraySlice<Unicode.Scalar>, inClass: Bool
    ) throws(Fault) -> String {
        guard let letter = source.popFirst() else { throw Fault(reason: "it ends in a backslash") }
        switch letter {
        case "s": return "\\p{White_Space}"
        case "S": return "\\P{White_Space}"
        case "w": return inClass ? word : "[\(word)]"
        case "W": return "[^\(word)]"
        case "h": return inClass ? "0-9A-Fa-f" : "[0-9A-Fa-f]"
        case "H": return "[^0-9A-Fa-f]"
        case "K", "R", "X", "N", "O", "y", "Y", "k", "g", "M", "C", "c":
            throw Fault(reason: "the escape '\\\(letter)' of the expression is not supported")
        case "p", "P":
            // \p{^L} is \P{L}.
            guard source.first == "{", source.dropFirst().first == "^" else { break }
            source.removeFirst(2)
            return letter == "p" ? "\\P{" : "\\p{"
        default: break
        }
        return "\\\(letter)"
    }

    private static func posixClass(
        _ source: inout ArraySlice<Unicode.Scalar>
    ) throws(Fault) -> String {
        guard let end = source.firstIndex(of: "]"), source[end - 1] == ":" else {
            throw Fault(reason: "a POSIX class of the expression does not end")
        }
        var text = "["
        text.unicodeScalars.append(contentsOf: source[...end])
        source = source[(end + 1)...]
        return text
    }

    /// The text between `(` and the body of a group; Ruby's option `m` is ICU's `s`.
    private static func groupStart(
        _ source: inout ArraySlice<Unicode.Scalar>
    ) throws(Fault) -> String {
        source.removeFirst()
        var text = "?"
        guard let first = source.first else { throw Fault(reason: "a group does not end") }
        if [":", "=", "!", ">", "<", "#"].contains(first) { return text }
        while let scalar = source.popFirst() {
            switch scalar {
            case "m": text += "s"
            case "i", "x", "-": text.unicodeScalars.append(scalar)
            case ":", ")":
                text.unicodeScalars.append(scalar)
                return text
            default:
                throw Fault(reason: "the group '(?\(scalar)' of the expression is not supported")
            }
        }
        throw Fault(reason: "a group of the expression does not end")
    }
}
