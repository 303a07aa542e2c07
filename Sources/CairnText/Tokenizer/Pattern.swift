// SPDX-License-Identifier: Apache-2.0
/// What `Split` and `Replace` look for, and what a split does with what it finds.

/// A literal or a regular expression.
enum Pattern: Sendable {
    case literal([UInt32])
    case expression(OnigurumaPattern)

    /// Reads `{"String": ...}` or `{"Regex": ...}`.
    init(_ component: Component) throws(TokenizerError) {
        try component.allow("String", "Regex")
        if let literal = try component.optional("String") {
            self = .literal(try literal.text().scalarValues)
        } else {
            let regex = try component.required("Regex")
            let text = try regex.text()
            do throws(OnigurumaPattern.Fault) {
                self = .expression(try OnigurumaPattern(text))
            } catch {
                throw regex.inconsistent(error.reason)
            }
        }
    }

    /// The matches in `scalars[lower..<upper]`, from left to right, none overlapping.
    func matches(in scalars: [UInt32], _ lower: Int, _ upper: Int) -> [Range<Int>] {
        switch self {
        case .expression(let expression): return expression.matches(in: scalars, lower, upper)
        case .literal(let literal):
            guard !literal.isEmpty else { return [] }
            var result: [Range<Int>] = []
            var index = lower
            while index + literal.count <= upper {
                if scalars[index] == literal[0],
                    (1..<literal.count).allSatisfy({ scalars[index + $0] == literal[$0] })
                {
                    result.append(index..<index + literal.count)
                    index += literal.count
                } else {
                    index += 1
                }
            }
            return result
        }
    }
}

/// What becomes of the delimiters of a split; for '-' in "the-final--countdown":
enum SplitBehavior: String, CaseIterable, Sendable {
    /// the · final · countdown
    case removed = "Removed"
    /// the · - · final · - · - · countdown
    case isolated = "Isolated"
    /// the- · final- · - · countdown
    case mergedWithPrevious = "MergedWithPrevious"
    /// the · -final · - · -countdown
    case mergedWithNext = "MergedWithNext"
    /// the · - · final · -- · countdown
    case contiguous = "Contiguous"

    init(_ component: Component) throws(TokenizerError) {
        guard let behavior = SplitBehavior(rawValue: try component.text()) else {
            let names = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw component.wrong("one of \(names)")
        }
        self = behavior
    }

    /// Cuts `piece` at `matches`; `inverted` takes what lies between them for the delimiters.
    func cut(
        _ piece: Piece, at matches: [Range<Int>], inverted: Bool = false, into pieces: inout [Piece]
    ) {
        var spans: [(range: Range<Int>, isDelimiter: Bool)] = []
        spans.reserveCapacity(matches.count * 2 + 1)
        var end = piece.lower
        for match in matches {
            if match.lowerBound > end { spans.append((end..<match.lowerBound, inverted)) }
            spans.append((match, !inverted))
            end = match.upperBound
        }
        if end < piece.upper { spans.append((end..<piece.upper, inverted)) }
        for range in merge(spans) {
            pieces.append(Piece(lower: range.lowerBound, upper: range.upperBound))
        }
    }

    private func merge(_ spans: [(range: Range<Int>, isDelimiter: Bool)]) -> [Range<Int>] {
        switch self {
        case .isolated: return spans.map(\.range)
        case .removed: return spans.filter { !$0.isDelimiter }.map(\.range)
        case .contiguous:
            return joined(spans) { before, span in before == span }
        case .mergedWithPrevious:
            return joined(spans) { before, span in span && !before }
        case .mergedWithNext:
            // The mirror image of the case above, so it is done from the right.
            var result: [Range<Int>] = []
            var wasDelimiter = false
            for (range, isDelimiter) in spans.reversed() {
                if isDelimiter, !wasDelimiter, let last = result.last {
                    result[result.count - 1] = range.lowerBound..<last.upperBound
                } else {
                    result.append(range)
                }
                wasDelimiter = isDelimiter
            }
            return result.reversed()
        }
    }

    /// Joins each span to the one before it where `belongs(wasDelimiter, isDelimiter)`.
    private func joined(
        _ spans: [(range: Range<Int>, isDelimiter: Bool)], _ belongs: (Bool, Bool) -> Bool
    ) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var wasDelimiter = false
        for (range, isDelimiter) in spans {
            if let last = result.last, belongs(wasDelimiter, isDelimiter) {
                result[result.count - 1] = last.lowerBound..<range.upperBound
            } else {
                result.append(range)
            }
            wasDelimiter = isDelimiter
        }
        return result
    }
}
