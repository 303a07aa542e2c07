// SPDX-License-Identifier: Apache-2.0
/// A classifier that counts words: what a language model has to beat to be worth its time.

import CairnTensor
import Foundation

/// Logistic regression on a bag of words.
///
///     x[w] = (1 + log count[w]) (1 + log((1 + rows) / (1 + rows with w))), then |x| = 1
///     p = softmax(W x + b)
///
/// Words are runs of letters and digits, without case; one that no training row has counts as
/// nothing. W and b start at 0 and follow the gradient of -log p row by row, with a step per weight
/// that shrinks as its gradients add up (AdaGrad), in an order that is drawn anew for every pass.
/// The same rows in the same order give the same classifier.
///
/// Source: Duchi, Hazan, Singer 2011 (JMLR 12).
public struct WordBaseline: Sendable {
    private static let passes = 30
    private static let rate = 0.5

    private typealias Row = [(word: Int, value: Double)]

    private let classes: Int
    private var numbers: [String: Int] = [:]
    private var inverseShare: [Double] = []
    /// [words + 1][classes], the last row being b.
    private var weights: [[Double]] = []

    /// Learns from texts and their class ids.
    ///
    /// - Precondition: as many ids as texts, at least one, all in 0..<classes.
    public init(texts: [String], classIDs: [Int], classes: Int) {
        precondition(
            texts.count == classIDs.count && !texts.isEmpty,
            "\(texts.count) texts, \(classIDs.count) class ids")
        precondition(
            classIDs.allSatisfy { (0..<classes).contains($0) }, "a class id outside 0..<\(classes)")
        self.classes = classes
        count(texts)
        weights = [[Double]](
            repeating: [Double](repeating: 0, count: classes), count: numbers.count + 1)
        learn(texts.map(row), classIDs)
    }

    /// The class that a text most likely has; of equals the first.
    public func classID(of text: String) -> Int {
        let p = probabilities(row(text))
        return p.indices.max { p[$0] < p[$1] }!
    }

    /// The share of texts that get their own class.
    ///
    /// - Precondition: as many ids as texts, at least one.
    public func accuracy(texts: [String], classIDs: [Int]) -> Double {
        precondition(
            texts.count == classIDs.count && !texts.isEmpty,
            "\(texts.count) texts, \(classIDs.count) class ids")
        let right = zip(texts, classIDs).count { classID(of: $0) == $1 }
        return Double(right) / Double(texts.count)
    }

    // MARK: Words

    static func words(_ text: String) -> [String] {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init)
    }

    private mutating func count(_ texts: [String]) {
        var rowsWith: [Int] = []
        for text in texts {
            var seen = Set<String>()
            for word in Self.words(text) where seen.insert(word).inserted {
                if let number = numbers[word] {
                    rowsWith[number] += 1
                } else {
                    numbers[word] = rowsWith.count
                    rowsWith.append(1)
                }
            }
        }
        inverseShare = rowsWith.map { 1 + log(Double(1 + texts.count) / Double(1 + $0)) }
    }

    /// The words of a text in the order of their numbers: sums do not depend on hashing.
    private func row(_ text: String) -> Row {
        var counts: [Int: Int] = [:]
        for word in Self.words(text) {
            if let number = numbers[word] { counts[number, default: 0] += 1 }
        }
        let row = counts.sorted { $0.key < $1.key }.map { word, count in
            (word: word, value: (1 + log(Double(count))) * inverseShare[word])
        }
        let length = row.reduce(0) { $0 + $1.value * $1.value }.squareRoot()
        return row.map { ($0.word, $0.value / length) }
    }

    // MARK: Learning

    private func probabilities(_ row: Row) -> [Double] {
        var scores = weights[weights.count - 1]
        for (word, value) in row {
            for c in 0..<classes { scores[c] += weights[word][c] * value }
        }
        let most = scores.max()!
        let terms = scores.map { exp($0 - most) }
        let sum = terms.reduce(0, +)
        return terms.map { $0 / sum }
    }

    private mutating func learn(_ rows: [Row], _ classIDs: [Int]) {
        var squares = weights
        var stream = RandomStream(seed: 0, name: "word baseline")
        for _ in 0..<Self.passes {
            for index in stream.permutation(rows.count) {
                var errors = probabilities(rows[index])
                errors[classIDs[index]] -= 1
                for (word, value) in rows[index] + [(weights.count - 1, 1)] {
                    for c in 0..<classes {
                        let gradient = errors[c] * value
                        guard gradient != 0 else { continue }
                        squares[word][c] += gradient * gradient
                        weights[word][c] -= Self.rate * gradient / squares[word][c].squareRoot()
                    }
                }
            }
        }
    }
}
