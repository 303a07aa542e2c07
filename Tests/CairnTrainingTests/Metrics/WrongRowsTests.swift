// SPDX-License-Identifier: Apache-2.0
/// The rows behind confusions.

import CairnText
import CairnTraining
import Testing

@Suite struct WrongRowsTests {
    private let examples = ["one", "two\nlines", "three", "four", "five"].enumerated().map {
        Example(text: $1, target: .none, line: $0 * 2 + 1)
    }
    private let targets = Targets.classes([0, 0, 0, 1, 1])
    /// The last row is right; the third, first and second take no for yes, ever more sure of it.
    private let evaluation = Evaluation(
        logits: [[0, 2], [0, 3], [0, 1], [1, 0], [0, 1]], loss: nil,
        targets: .classes([0, 0, 0, 1, 1]), task: .singleLabel(labels: ["no", "yes"]))

    @Test func `groups come by frequency, their rows by confidence`() {
        let groups = evaluation.errorGroups(targets, examples: examples, limit: 2)

        #expect(groups.map(\.truth) == ["no", "yes"])
        #expect(groups.map(\.count) == [3, 1])
        #expect(groups[0].rows.map(\.line) == [3, 1])
        #expect(groups[1].rows.map(\.text) == ["four"])
        #expect(abs(groups[1].rows[0].confidence - softmax([1, 0])[0]) <= 1e-15)
    }

    @Test func `a group is a heading and a line per row`() {
        let group = evaluation.errorGroups(targets, examples: examples, limit: 1)[0]

        #expect(group.lines() == "no taken for yes, 3 rows\n  line 3  0.9526  two lines")
        #expect(group.lines(width: 5).hasSuffix("  two …"))
        #expect(group.document["rows"]?.array?[0]["text"] == "two\nlines")
    }

    @Test func `nothing wrong is no group, and so is another task`() {
        let right = Evaluation(
            logits: [[1, 0]], loss: nil, targets: .classes([0]),
            task: .singleLabel(labels: ["no", "yes"]))
        let number = Evaluation(
            logits: [[1]], loss: nil, targets: .values([1], columns: 1),
            task: .regression(names: ["x"]))

        let example = Array(examples.prefix(1))
        #expect(right.errorGroups(.classes([0]), examples: example, limit: 3).isEmpty)
        #expect(
            number.errorGroups(.values([1], columns: 1), examples: example, limit: 3).isEmpty)
    }
}
