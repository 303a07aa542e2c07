// SPDX-License-Identifier: Apache-2.0
/// One row of a corpus: a text and what is known about it.

/// What a row says about its text.
public enum Target: Sendable, Equatable {
    /// Nothing: a row to predict.
    case none
    /// One class, by id.
    case classID(Int)
    /// One class, by name.
    case label(String)
    /// Any number of classes: their ids, or a 0 or 1 for every class. Which of the two a corpus
    /// means is told by all its rows together, and kept in its `LabelSpace`.
    case classIDs([Int])
    /// Any number of classes, by name.
    case labels([String])
    /// Numbers to regress on.
    case values([Double])
}

/// Which of the three uses of a file's splits a row is for.
public enum Split: String, Sendable, CaseIterable {
    /// To learn from, to choose the best epoch by, to judge that one by.
    case train, validation, test

    /// The names that corpora use: train; dev, val, valid, validation; test.
    init?(name: String) {
        switch name.lowercased() {
        case "train", "training": self = .train
        case "dev", "val", "valid", "validation": self = .validation
        case "test": self = .test
        default: return nil
        }
    }
}

/// A text with what it should give.
public struct Example: Sendable, Equatable {
    /// The text.
    public var text: String
    /// What it should give.
    public var target: Target
    /// Where the row starts in its file; from 1.
    public var line: Int
    /// What the file's split column says; nil without one.
    public var split: Split?

    /// A row of a corpus.
    public init(text: String, target: Target, line: Int, split: Split? = nil) {
        self.text = text
        self.target = target
        self.line = line
        self.split = split
    }
}
