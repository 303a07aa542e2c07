// SPDX-License-Identifier: Apache-2.0
/// The little HTML that reports are written in: escaped text, elements, tables.

/// A piece of HTML whose text has been escaped.
///
/// An interpolated string is text, and escaped; a piece of HTML is taken as it is.
struct HTML: ExpressibleByStringInterpolation, Sendable {
    let source: String

    init(stringLiteral value: String) { source = value }
    init(stringInterpolation pieces: Interpolation) { source = pieces.source }

    private init(source: String) { self.source = source }

    struct Interpolation: StringInterpolationProtocol {
        var source = ""

        init(literalCapacity: Int, interpolationCount: Int) {}
        mutating func appendLiteral(_ literal: String) { source += literal }
        mutating func appendInterpolation(_ text: String) { source += HTML.escaped(text) }
        mutating func appendInterpolation(_ number: Int) { source += "\(number)" }
        mutating func appendInterpolation(_ piece: HTML) { source += piece.source }
        mutating func appendInterpolation(_ pieces: [HTML]) {
            for piece in pieces { source += piece.source }
        }
    }

    /// Fit for an element's content and for an attribute within double quotes.
    ///
    /// Control characters, which HTML does not allow, become U+FFFD.
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;".unicodeScalars
            case "<": result += "&lt;".unicodeScalars
            case ">": result += "&gt;".unicodeScalars
            case "\"": result += "&quot;".unicodeScalars
            case "'": result += "&#39;".unicodeScalars
            case "\t", "\n": result.append(scalar)
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}": result.append("\u{FFFD}")
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    static let empty: HTML = ""

    static func + (a: HTML, b: HTML) -> HTML { HTML(source: a.source + b.source) }
}

extension HTML {
    /// A heading with what belongs to it; nothing where there is nothing.
    static func section(_ heading: String, _ content: [HTML]) -> HTML {
        content.contains { !$0.source.isEmpty }
            ? "<section>\n<h2>\(heading)</h2>\n\(content)</section>\n" : .empty
    }

    /// A table whose first column names the rows; the others are numbers, set to the right.
    static func table(caption: String, head: [String], rows: [[HTML]]) -> HTML {
        let heads = head.map { "<th scope=\"col\">\($0)</th>" as HTML }
        let lines = rows.map { cells -> HTML in
            let rest = cells.dropFirst().map { "<td>\($0)</td>" as HTML }
            return "<tr><th scope=\"row\">\(cells[0])</th>\(Array(rest))</tr>\n"
        }
        return """
            <div class="scroll"><table><caption>\(caption)</caption>
            <thead><tr>\(heads)</tr></thead>
            <tbody>
            \(lines)</tbody></table></div>

            """
    }

    /// Names with their values.
    static func list(_ facts: [RunHistory.Fact], kind: String) -> HTML {
        let lines = facts.map {
            "<div><dt>\($0.name)</dt><dd>\($0.value)</dd></div>\n" as HTML
        }
        return facts.isEmpty ? .empty : "<dl class=\"\(kind)\">\n\(lines)</dl>\n"
    }
}
