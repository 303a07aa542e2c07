// SPDX-License-Identifier: Apache-2.0
/// Why a tokenizer.json could not be read, or a text could not be encoded.

public enum TokenizerError: Error, Equatable, Sendable {
    /// The file cannot be read.
    case unreadable(file: String, reason: String)
    /// The file is not JSON.
    case notJSON(file: String, line: Int, column: Int, reason: String)
    /// A component or setting exists in the format but not here.
    case unsupported(file: String, place: String, what: String)
    /// A key that no version of the format known here has.
    case unknownKey(file: String, place: String, key: String)
    /// A key that the component needs is not there.
    case missingKey(file: String, place: String, key: String)
    /// A key has a value that it cannot have.
    case wrongValue(file: String, place: String, expected: String, found: String)
    /// Two parts of the file disagree, or one refers to what another lacks.
    case inconsistent(file: String, place: String, reason: String)
    /// The special tokens alone take more than the caller allows.
    case maxLengthTooSmall(maxLength: Int, specialTokens: Int)
    /// A text needs the unknown token, which the vocabulary lacks.
    case unknownTokenMissing(file: String, token: String)
}

extension TokenizerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreadable(let file, let reason):
            "\(file): cannot be read: \(reason)"
        case .notJSON(let file, let line, let column, let reason):
            "\(file), line \(line), column \(column): not JSON: \(reason)"
        case .unsupported(let file, let place, let what):
            "\(file): \(place): \(what) is not supported"
        case .unknownKey(let file, let place, let key):
            "\(file): \(place): unknown key '\(key)'"
        case .missingKey(let file, let place, let key):
            "\(file): \(place): the key '\(key)' is missing"
        case .wrongValue(let file, let place, let expected, let found):
            "\(file): \(place): expected \(expected), found \(found)"
        case .inconsistent(let file, let place, let reason):
            "\(file): \(place): \(reason)"
        case .maxLengthTooSmall(let maxLength, let specialTokens):
            "the maximum length \(maxLength) has no room for the \(specialTokens) special tokens"
        case .unknownTokenMissing(let file, let token):
            "\(file): a text needs the unknown token '\(token)', which the vocabulary lacks"
        }
    }
}
