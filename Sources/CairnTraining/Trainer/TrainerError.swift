// SPDX-License-Identifier: Apache-2.0
/// Why a trainer cannot start, go on or resume.

/// Every case says where, what was expected and what was found.
public enum TrainerError: Error, Equatable, Sendable {
    /// A path template cannot be used; characters count from 1.
    case template(String, character: Int, reason: String)
    /// A path that a checkpoint may not be written to.
    case path(String, reason: String)
    /// An option of a fit, refused before anything runs.
    case option(String, expected: String, found: String)
    /// Nothing is registered under a name.
    case unknownName(what: String, name: String, known: [String])
    /// Data that can be gone through once is used up.
    case exhausted(kind: SplitKind, epoch: Int)
    /// A source that cannot be resumed from as it was asked for.
    case resume(source: String, reason: String)
    /// A checkpoint's bytes are not those that its record names.
    case damaged(path: String, expected: String, found: String)
}

extension TrainerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .template(let text, let character, let reason):
            "path template '\(text)', character \(character): \(reason)"
        case .path(let path, let reason): "checkpoint path '\(path)': \(reason)"
        case .option(let name, let expected, let found):
            "option '\(name)' must be \(expected), found \(found)"
        case .unknownName(let what, let name, let known):
            "no \(what) is called '\(name)'" + Spelling.suggestion(for: name, among: known)
                + (known.isEmpty
                    ? "; there are none" : "; there are \(known.joined(separator: ", "))")
        case .exhausted(let kind, let epoch):
            "epoch \(epoch): the \(kind.rawValue) data can be gone through once and is used up; "
                + "give a collection, or a closure that opens it anew for each epoch"
        case .resume(let source, let reason): "cannot resume from \(source): \(reason)"
        case .damaged(let path, let expected, let found):
            "\(path): expected SHA-256 \(expected), found \(found); the file was changed or damaged"
        }
    }
}

/// A failure inside a batch, with its place; `underlying` is what was thrown.
public struct BatchError: Error, CustomStringConvertible {
    /// Which data it was.
    public let kind: SplitKind
    /// From 0, as the next two.
    public let epoch: Int
    /// Its place in the epoch.
    public let batch: Int
    /// Optimizer steps taken before it.
    public let step: Int
    /// What was thrown.
    public let underlying: any Error

    public var description: String {
        "\(kind.rawValue) batch failed at epoch \(epoch), batch \(batch), step \(step): \(underlying)"
    }
}

/// Names that were meant.
public enum Spelling {
    /// ", did you mean 'X'?" for the nearest known name, or nothing when none is near.
    public static func suggestion(for word: String, among names: [String]) -> String {
        let ranked = names.map { (name: $0, distance: distance(word, $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }),
            best.distance <= max(2, word.count / 3)
        else { return "" }
        return ", did you mean '\(best.name)'?"
    }

    /// Levenshtein's distance.
    public static func distance(_ a: String, _ b: String) -> Int {
        let b = Array(b)
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var corner = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, corner + (x == y ? 0 : 1))
                corner = above
            }
        }
        return row[b.count]
    }
}
