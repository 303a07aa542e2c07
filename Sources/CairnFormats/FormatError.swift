// SPDX-License-Identifier: Apache-2.0
/// Everything that can be wrong with a file, or with the system that holds it.

/// Why a file could not be read or written; `description` is one sentence that a user can act on.
public enum FormatError: Error, Equatable, Sendable {
    /// The system refused an operation on a path.
    case system(operation: String, path: String, reason: String)
    /// The file ends before the bytes that it promises.
    case truncated(file: String, needs: Int, has: Int)
    /// Bytes follow the last one that the file accounts for.
    case trailing(file: String, needs: Int, has: Int)
    /// The text is not strict JSON; lines count from 1, bytes from 0.
    case json(file: String, line: Int, byte: Int, expected: String, found: String)
    /// A number that JSON cannot hold stands at `place` of a document about to be written.
    case nonFinite(place: String, value: String)
    /// An entry of a file (a tensor, a key, a part of the header) is not what it must be.
    case entry(file: String, entry: String, expected: String, found: String)
    /// A name that may not be given to a file of a directory.
    case fileName(String, expected: String)
    /// A directory holds no weights that can be read.
    case noWeights(directory: String, found: [String], advice: String)
    /// Another process writes into the directory.
    case inUse(directory: String, owner: String, advice: String)
}

extension FormatError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .system(let operation, let path, let reason):
            "cannot \(operation) \(path): \(reason)"
        case .truncated(let file, let needs, let has):
            "\(file): needs \(needs) bytes but has \(has); was the download interrupted?"
        case .trailing(let file, let needs, let has):
            "\(file): ends at byte \(needs) by its header but has \(has) bytes"
        case .json(let file, let line, let byte, let expected, let found):
            "\(file), line \(line) (byte \(byte)): expected \(expected), found \(found)"
        case .nonFinite(let place, let value):
            "\(place) is \(value), which JSON cannot hold"
        case .entry(let file, let entry, let expected, let found):
            "\(file): \(entry): expected \(expected), found \(found)"
        case .fileName(let name, let expected):
            "'\(name)' cannot name a file here: expected \(expected)"
        case .noWeights(let directory, let found, let advice):
            "\(directory) holds no weights that can be read "
                + (found.isEmpty ? "(it is empty)" : "(it holds \(found.joined(separator: ", ")))")
                + ": \(advice)"
        case .inUse(let directory, let owner, let advice):
            "\(directory) is in use by \(owner): \(advice)"
        }
    }
}
