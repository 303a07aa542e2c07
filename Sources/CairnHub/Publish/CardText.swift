// SPDX-License-Identifier: Apache-2.0
/// What is told and asked of a model card: its base, and a section of its own.

import Foundation

/// A README.md whose front matter, the YAML between two lines of `---`, can be asked and told.
struct CardText {
    private(set) var text: String

    /// Stands in the snippet of a card whose base had no name on the Hub.
    static let placeholder = "\"PATH/TO/THE/BASE\""

    init(_ text: String) { self.text = text }

    /// The value of `base_model`, where it is one plain or quoted word.
    var base: String? { baseLine.map(\.value) }

    /// Names the base; false when the card said so already.
    mutating func setBase(_ id: String) -> Bool {
        let before = text
        var lines = self.lines
        if let line = baseLine {
            lines[line.index] = "base_model: \(id)"
        } else if frontMatter != nil, !hasBaseKey {
            lines.insert("base_model: \(id)", at: 1)
        }
        text = lines.joined(separator: "\n")
            .replacing(Self.placeholder, with: "\"\(id)\"")
        return text != before
    }

    private static let marks = ("<!-- cairn: receipt -->", "<!-- cairn: end -->")

    /// Puts a section at the end, or in place of the one that was put there before; false when the
    /// card said so already.
    mutating func setSection(_ section: String) -> Bool {
        let before = text
        let marked = "\(Self.marks.0)\n\(section)\(Self.marks.1)\n"
        if let start = text.range(of: Self.marks.0),
            let end = text.range(of: Self.marks.1 + "\n", range: start.upperBound..<text.endIndex)
        {
            text.replaceSubrange(start.lowerBound..<end.upperBound, with: marked)
        } else {
            text += (text.hasSuffix("\n") ? "\n" : "\n\n") + marked
        }
        return text != before
    }

    private var lines: [Substring] {
        get { text.split(separator: "\n", omittingEmptySubsequences: false) }
    }

    /// The lines between the two of `---`; nil when the card has none.
    private var frontMatter: Range<Int>? {
        let lines = self.lines
        guard lines.first.map(Self.isFence) == true,
            let end = lines.dropFirst().firstIndex(where: Self.isFence)
        else { return nil }
        return 1..<end
    }

    private var hasBaseKey: Bool {
        frontMatter?.contains { lines[$0].hasPrefix("base_model:") } ?? false
    }

    private var baseLine: (index: Int, value: String)? {
        guard let index = frontMatter?.first(where: { lines[$0].hasPrefix("base_model:") })
        else { return nil }
        let value = lines[index].dropFirst("base_model:".count)
            .filter { !" \t\r\"'".contains($0) }
        return value.isEmpty || value.hasPrefix("[") ? nil : (index, value)
    }

    private static func isFence(_ line: Substring) -> Bool { line == "---" || line == "---\r" }
}
