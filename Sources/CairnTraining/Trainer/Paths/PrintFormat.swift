// SPDX-License-Identifier: Apache-2.0
/// Values of templates, and their printf forms.

import Foundation

/// What a placeholder stands for.
enum TemplateValue: Equatable {
    case integer(Int)
    case number(Double?)
    case text(String)

    /// As `%{name}` writes it.
    var text: String {
        switch self {
        case .integer(let value): "\(value)"
        case .number(nil): "none"
        case .number(let value?): value.isNaN ? "nan" : "\(value)"
        case .text(let value): value
        }
    }
}

/// Flags, width, precision and conversion of `%<name>...`.
struct PrintFormat: Sendable, Equatable {
    var isLeft = false
    var hasZeros = false
    var hasPlus = false
    var hasSpace = false
    var width = 0
    var precision: Int?
    var conversion: Character = "s"

    func write(_ value: TemplateValue) -> String {
        switch (value, conversion) {
        case (_, "s"): padded(precision.map { String(value.text.prefix($0)) } ?? value.text)
        case (.integer(let number), "d"): padded(sign(number < 0) + digits(number))
        case (.integer(let number), _): writeReal(Double(number))
        case (.number(let number?), _) where number.isFinite: writeReal(number)
        // What is no number has no digits: it is written as %{name} writes it.
        default: padded(value.text)
        }
    }

    private func digits(_ number: Int) -> String {
        let digits = "\(number.magnitude)"
        let count = precision ?? (hasZeros && !isLeft ? width - (number < 0 || hasSign ? 1 : 0) : 0)
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }

    private var hasSign: Bool { hasPlus || hasSpace }

    private func sign(_ isNegative: Bool) -> String {
        isNegative ? "-" : hasPlus ? "+" : hasSpace ? " " : ""
    }

    /// The system's printf, whose text of a finite number is fixed by C up to the locale, which
    /// `String(format:)` leaves out.
    private func writeReal(_ number: Double) -> String {
        let flags =
            (isLeft ? "-" : "") + (hasZeros ? "0" : "") + (hasPlus ? "+" : "")
            + (hasSpace ? " " : "")
        let size = (width > 0 ? "\(width)" : "") + (precision.map { ".\($0)" } ?? "")
        return String(format: "%\(flags)\(size)\(conversion)", number)
    }

    private func padded(_ text: String) -> String {
        let space = String(repeating: " ", count: max(0, width - text.count))
        return isLeft ? text + space : space + text
    }
}

/// Reads the parts of a template.
struct TemplateReader {
    private let text: String
    private let characters: [Character]
    private var place = 0
    private var parts: [PathTemplate.Part] = []
    private var literal = ""

    /// Wider fields than any path may be.
    private static let widest = 255

    init(_ text: String) {
        self.text = text
        characters = Array(text)
    }

    mutating func read() throws(TrainerError) -> [PathTemplate.Part] {
        while let character = next() {
            if character == "\0" { throw fault("a path holds no zero byte", at: place) }
            if character == "%" { try readDirective() } else { literal.append(character) }
        }
        closeLiteral()
        return parts
    }

    private mutating func readDirective() throws(TrainerError) {
        let start = place
        switch next() {
        case "%": literal.append("%")
        case "{": append(try readName(until: "}", start), nil)
        case "<":
            let name = try readName(until: ">", start)
            append(name, try readFormat(for: name, start))
        default:
            throw fault(
                "'%' begins no placeholder; write %{name}, %<name>03d, or %% for a percent sign",
                at: start)
        }
    }

    private mutating func readName(
        until end: Character, _ start: Int
    ) throws(TrainerError) -> PathTemplate.Placeholder {
        var name = ""
        while let character = next() {
            if character != end {
                name.append(character)
                continue
            }
            guard let known = PathTemplate.Placeholder(rawValue: name) else {
                let names = PathTemplate.Placeholder.allCases.map(\.rawValue)
                throw fault(
                    "there is no placeholder '\(name)'"
                        + Spelling.suggestion(for: name, among: names) + "; there are "
                        + names.joined(separator: ", "), at: start)
            }
            return known
        }
        throw fault("the placeholder is never closed with '\(end)'", at: start)
    }

    private mutating func readFormat(
        for name: PathTemplate.Placeholder, _ start: Int
    ) throws(TrainerError) -> PrintFormat {
        var format = PrintFormat()
        flags: while place < characters.count {
            switch characters[place] {
            case "-": format.isLeft = true
            case "0": format.hasZeros = true
            case "+": format.hasPlus = true
            case " ": format.hasSpace = true
            default: break flags
            }
            place += 1
        }
        format.width = try readNumber(start) ?? 0
        if place < characters.count, characters[place] == "." {
            place += 1
            format.precision = try readNumber(start) ?? 0
        }
        guard let conversion = next(), name.conversions.contains(conversion) else {
            let found = place > characters.count ? "nothing" : "'\(characters[place - 1])'"
            let known = name.conversions.map { "\($0)" }.joined(separator: ", ")
            throw fault(
                "%<\(name.rawValue)> must end in one of \(known), found \(found)", at: start)
        }
        format.conversion = conversion
        return format
    }

    private mutating func readNumber(_ start: Int) throws(TrainerError) -> Int? {
        var number: Int?
        while place < characters.count, let digit = characters[place].wholeNumberValue,
            characters[place].isASCII
        {
            number = (number ?? 0) * 10 + digit
            guard number! <= Self.widest else {
                throw fault("a field is at most \(Self.widest) characters wide", at: start)
            }
            place += 1
        }
        return number
    }

    /// Moves on even at the end, so that a fault there can tell it from a last character.
    private mutating func next() -> Character? {
        defer { place += 1 }
        return place < characters.count ? characters[place] : nil
    }

    private mutating func append(_ name: PathTemplate.Placeholder, _ format: PrintFormat?) {
        closeLiteral()
        parts.append(.value(name, format))
    }

    private mutating func closeLiteral() {
        if !literal.isEmpty { parts.append(.text(literal)) }
        literal = ""
    }

    private func fault(_ reason: String, at place: Int) -> TrainerError {
        .template(text, character: place, reason: reason)
    }
}
