// SPDX-License-Identifier: Apache-2.0
/// The bag of words: what it learns, what it passes over, and that it is the same each time.

import CairnTraining
import Testing

@Suite struct WordBaselineTests {
    private static let texts = [
        "a small dog", "a dog that barks", "The DOG, again", "a red tree", "tree with leaves",
        "an old tree",
    ]
    private static let classIDs = [0, 0, 0, 1, 1, 1]

    private static let baseline = WordBaseline(texts: texts, classIDs: classIDs, classes: 2)

    @Test func `words without case or punctuation decide`() {
        #expect(Self.baseline.classID(of: "dog?") == 0)
        #expect(Self.baseline.classID(of: "Leaves of a TREE.") == 1)
    }

    @Test func `the order of words and unknown ones change nothing`() {
        let known = "with red leaves a dog"
        #expect(
            Self.baseline.classID(of: known)
                == Self.baseline.classID(of: "dog zygote a leaves red with"))
        #expect(Self.baseline.classID(of: "zygote tree") == 1)
    }

    @Test func `accuracy is the share that is right`() {
        #expect(Self.baseline.accuracy(texts: Self.texts, classIDs: Self.classIDs) == 1)
        #expect(
            Self.baseline.accuracy(texts: ["dog", "dog", "tree"], classIDs: [0, 1, 1]) == 2.0 / 3)
    }

    /// Nothing but b is left for a text without known words: what the labels of empty rows say.
    @Test func `a text of unknown words is like an empty one`() {
        let uneven = WordBaseline(
            texts: ["dog", "", "tree", ""], classIDs: [0, 1, 2, 1], classes: 3)
        #expect(uneven.classID(of: "") == 1)
        #expect(uneven.classID(of: "zygote, ...") == 1)
        #expect(uneven.classID(of: "dog") == 0)
    }

    @Test func `the same rows give the same classifier`() {
        let texts = (0..<60).map { "word\($0 % 17) word\($0 % 5) word\($0 % 11)" }
        let ids = (0..<60).map { $0 % 3 }
        let asked = (0..<40).map { "word\($0 % 7) word\($0 % 13)" }

        let (a, b) = (
            WordBaseline(texts: texts, classIDs: ids, classes: 3),
            WordBaseline(texts: texts, classIDs: ids, classes: 3)
        )

        #expect(asked.map { a.classID(of: $0) } == asked.map { b.classID(of: $0) })
    }
}
