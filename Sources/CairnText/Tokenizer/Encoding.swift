// SPDX-License-Identifier: Apache-2.0
/// What a text becomes: ids, and where in the text each of them came from.

/// The tokens of one text.
public struct Encoding: Sendable, Equatable {
    /// The tokens' ids.
    public var ids: [Int32]
    /// The segment of each token, as BERT models embed it.
    public var typeIDs: [Int32]
    /// For each token the range of Unicode scalars of the original text that it stands for; 0..<0
    /// for special tokens that were added.
    public var offsets: [Range<Int>]
    /// The tokens' texts.
    public var tokens: [String]
    /// Whether tokens were cut off to keep to the maximum length.
    public var isTruncated: Bool

    /// An encoding of parts.
    public init(
        ids: [Int32], typeIDs: [Int32], offsets: [Range<Int>], tokens: [String], isTruncated: Bool
    ) {
        self.ids = ids
        self.typeIDs = typeIDs
        self.offsets = offsets
        self.tokens = tokens
        self.isTruncated = isTruncated
    }
}
