// SPDX-License-Identifier: Apache-2.0
/// Stratified splits, the order of an epoch, and packing.

import CairnTensor
import CairnText
import Testing

@Suite struct StratifiedSplitTests {
    /// 100 rows of class a, 40 of b, 10 of c; every fifth text stands twice.
    private var sample: Corpus {
        var examples: [Example] = []
        for (label, count) in [("a", 100), ("b", 40), ("c", 10)] {
            for row in 0..<count {
                examples.append(
                    Example(
                        text: "\(label)\(row % 5 == 4 ? row - 1 : row)", target: .label(label),
                        line: examples.count + 1))
            }
        }
        return Corpus(file: "c", task: .classification, examples: examples)
    }

    @Test func `each class gives its share`() throws {
        let (train, validation) = try sample.split(fraction: 0.2, seed: 1)

        #expect(train.examples.count + validation.examples.count == 150)
        let counts = CorpusReport(validation).classCounts
        #expect(counts.map(\.name) == ["a", "b", "c"])
        #expect(abs(counts[0].rows - 20) <= 1 && abs(counts[1].rows - 8) <= 1)
        #expect(abs(counts[2].rows - 2) <= 1)
    }

    @Test func `rows with one text stay on one side`() throws {
        let (train, validation) = try sample.split(fraction: 0.3, seed: 2)

        let seen = Set(train.examples.map(\.text))
        #expect(validation.examples.allSatisfy { !seen.contains($0.text) })
    }

    @Test func `the seed decides, and both sides keep the order of the file`() throws {
        let first = try sample.split(fraction: 0.2, seed: 7)
        let again = try sample.split(fraction: 0.2, seed: 7)
        let other = try sample.split(fraction: 0.2, seed: 8)

        #expect(first.validation.examples == again.validation.examples)
        #expect(first.validation.examples != other.validation.examples)
        let lines = first.train.examples.map(\.line)
        #expect(lines == lines.sorted())
    }

    @Test func `a class with one text stays in training`() throws {
        var corpus = sample
        corpus.examples.append(Example(text: "only", target: .label("d"), line: 151))

        let (train, validation) = try corpus.split(fraction: 0.5, seed: 1)

        #expect(train.examples.contains { $0.text == "only" })
        #expect(!validation.examples.contains { $0.text == "only" })
    }

    @Test(arguments: [0, 1, -0.5, .nan])
    func `a fraction outside 0 to 1 is an error`(fraction: Double) {
        #expect(throws: CorpusError.self) { try sample.split(fraction: fraction, seed: 1) }
    }

    @Test func `a split that leaves nothing to validate is an error`() {
        let corpus = Corpus(
            file: "c", task: .classification,
            examples: [
                Example(text: "x", target: .label("a"), line: 1),
                Example(text: "y", target: .label("b"), line: 2),
            ])

        let error = #expect(throws: CorpusError.self) { try corpus.split(fraction: 0.5, seed: 1) }

        #expect(
            error?.description
                == "c: cannot be split: 2 rows in 2 classes leave none for a validation part of 0.5"
        )
    }
}

@Suite struct BatchTests {
    @Test func `an epoch takes every row once, in the order of its stream`() {
        let plan = EpochPlan(rowCount: 10, batchSize: 4, seed: 3, epoch: 2)

        var stream = RandomStream(seed: 3, name: "shuffle/epoch-2")
        #expect(plan.order == stream.permutation(10))
        #expect(plan.stepCount == 3)
        #expect((0..<3).flatMap { plan[$0].rows } == plan.order)
        #expect((0..<3).map { plan[$0].rows.count } == [4, 4, 2])
        #expect(plan != EpochPlan(rowCount: 10, batchSize: 4, seed: 3, epoch: 3))
    }

    @Test func `rows without tokens are named, truncated ones are counted`() throws {
        let subject = try tokenizer(tokenizerFile())
        func rows(_ texts: [String]) -> Corpus {
            Corpus(
                file: "c", task: .prediction,
                examples: texts.enumerated().map {
                    Example(text: $1, target: .none, line: $0 + 2)
                })
        }

        let encoded = try subject.encode(rows(["ab", "c c c", "ab c"]), maxLength: 2)
        #expect(encoded.rows.map(\.ids) == [[1, 2], [3, 3], [1, 2]])
        #expect(encoded.truncatedRows == 2)
        #expect(encoded.longestRow == 2)
        let error = #expect(throws: CorpusError.self) {
            try subject.encode(rows(["a", " ", "c", ""]))
        }
        #expect(
            error?.description
                == "c: 2 bad lines: line 3: the text has no token; line 5: the text has no token"
        )
    }
}
