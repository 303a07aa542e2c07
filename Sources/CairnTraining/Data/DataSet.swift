// SPDX-License-Identifier: Apache-2.0
/// Encoded rows with their targets, and the micro-batches made of them.

import CairnFormats
import CairnGraph
import Foundation

/// What each row should give.
public enum Targets: Sendable, Equatable {
    /// Nothing is known.
    case none
    /// A class id per row.
    case classes([Int32])
    /// `columns` numbers per row, row-major.
    case values([Float], columns: Int)
    /// The row's own tokens, each from those before it.
    case nextTokens
}

/// Rows of token ids with targets.
public struct DataSet: Sendable {
    /// Token ids by row.
    public let ids: [[Int32]]
    /// Segment ids by row, as many.
    public let typeIDs: [[Int32]]
    /// What each row should give.
    public let targets: Targets

    /// - Precondition: as many rows of segments, and of targets, as of ids.
    public init(ids: [[Int32]], typeIDs: [[Int32]], targets: Targets) {
        precondition(ids.count == typeIDs.count, "\(ids.count) rows, \(typeIDs.count) type rows")
        switch targets {
        case .none, .nextTokens: break
        case .classes(let classes):
            precondition(classes.count == ids.count, "\(classes.count) classes, \(ids.count) rows")
        case .values(let values, let columns):
            precondition(
                values.count == ids.count * columns, "\(values.count) values, \(ids.count) rows")
        }
        self.ids = ids
        self.typeIDs = typeIDs
        self.targets = targets
    }

    /// How many rows there are.
    public var count: Int { ids.count }
    /// Tokens of all rows together.
    public var tokenCount: Int { ids.reduce(0) { $0 + $1.count } }
    /// Tokens that the rows ask a language model to predict: all but the first of each.
    public func predictedCount(_ rows: some Sequence<Int>) -> Int {
        rows.reduce(0) { $0 + max(ids[$1].count - 1, 0) }
    }

    /// Tokens of the longest row.
    public var longestRow: Int { ids.map(\.count).max() ?? 0 }

    /// Some of the rows, in the given order.
    func rows(_ chosen: [Int]) -> DataSet {
        let part: Targets =
            switch targets {
            case .none: .none
            case .nextTokens: .nextTokens
            case .classes(let classes): .classes(chosen.map { classes[$0] })
            case .values(let values, let columns):
                .values(
                    chosen.flatMap { values[$0 * columns..<($0 + 1) * columns] },
                    columns: columns)
            }
        return DataSet(
            ids: chosen.map { ids[$0] }, typeIDs: chosen.map { typeIDs[$0] }, targets: part)
    }

    /// Rows per class id.
    public func classCounts(_ classes: Int) -> [Int] {
        guard case .classes(let ids) = targets else { return [] }
        return ids.reduce(into: [Int](repeating: 0, count: classes)) { $0[Int($1)] += 1 }
    }
}

/// Which row of each sequence a classifier reads.
public enum Pooling: Sendable, Equatable {
    /// The first token, as encoders pool.
    case first
    /// The rightmost token that is not padding, as decoders of transformers pool; the id may occur
    /// as a genuine last token (pad = eos), which is then skipped too.
    case last(padTokenID: Int32?)
}

/// The rows of an optimizer step, cut into micro-batches.
///
/// The rows fall by position into `groups` gradient groups, whatever the cut: that is what makes a
/// step's gradients independent of the token budget.
public struct StepRows: Sendable, Equatable {
    /// Row indices, in the order of the step.
    public let rows: [Int]
    /// Ranges of positions in `rows`, in order, each within the token budget: all rows, or those of
    /// one rank. Rows that share a prompt are in one of them, whatever the budget.
    public let microBatches: [Range<Int>]
    /// How many gradient groups the rows fall into.
    public let groups: Int
    /// First position of every group that has rows, then the number of rows.
    let edges: [Int]
    /// Tokens that the row at each position leaves to an earlier one; empty where none does.
    package let prompts: [Int]
    /// Which of the groups with rows the micro-batches are of.
    let ownGroups: Range<Int>

    /// Takes rows in order as long as their tokens fit the budget; a row alone always fits.
    public init(rows: [Int], lengths: [Int], tokenBudget: Int, groups: Int = 8) {
        self.init(
            rows: rows, lengths: lengths, tokenBudget: tokenBudget, groups: groups, prompts: [],
            rank: 0, ranks: 1)
    }

    /// First position of every group that has rows, then the number of rows.
    static func edges(_ rows: Int, _ groups: Int) -> [Int] {
        Set((0...groups).map { $0 * rows / groups }).sorted()
    }

    /// The groups with rows that a rank takes.
    private static func share(of rank: Int, _ ranks: Int, _ filled: Int) -> Range<Int> {
        rank * filled / ranks..<(rank + 1) * filled / ranks
    }

    /// How many groups with rows each rank takes.
    func groupCounts(ranks: Int) -> [Int] {
        (0..<ranks).map { Self.share(of: $0, ranks, edges.count - 1).count }
    }

    /// The part of a rank: whole groups that follow one another, as many as the other ranks have or
    /// one more or less.
    package init(
        rows: [Int], lengths: [Int], tokenBudget: Int, groups: Int, prompts: [Int], rank: Int,
        ranks: Int
    ) {
        edges = Self.edges(rows.count, groups)
        ownGroups = Self.share(of: rank, ranks, edges.count - 1)
        let end = edges[ownGroups.upperBound]
        var ranges: [Range<Int>] = []
        var start = edges[ownGroups.lowerBound]
        var tokens = 0
        var position = start
        while position < end {
            var (next, count) = (position + 1, lengths[rows[position]])
            while next < end, !prompts.isEmpty, prompts[next] > 0 {
                count += lengths[rows[next]] - prompts[next]
                next += 1
            }
            if position > start, tokens + count > tokenBudget {
                ranges.append(start..<position)
                start = position
                tokens = 0
            }
            tokens += count
            position = next
        }
        if start < end { ranges.append(start..<end) }
        self.rows = rows
        microBatches = ranges
        self.groups = groups
        self.prompts = prompts
    }

    /// Tokens that each row of a micro-batch leaves to an earlier one.
    func prompts(_ range: Range<Int>) -> [Int] {
        prompts.isEmpty ? range.map { _ in 0 } : Array(prompts[range])
    }
}

extension DataSet {
    /// The micro-batch of a step at the given positions.
    public func batch(
        _ step: StepRows, _ range: Range<Int>, pooling: Pooling, number: Int, lossScale: Float
    ) -> Batch {
        let rows = step.rows[range]
        let prompts = step.prompts(range)
        var batch = Batch(sequences: rows.map { ids[$0] }, promptLengths: prompts)
        batch.typeIDs = zip(rows, prompts).flatMap { typeIDs[$0].dropFirst($1) }
        batch.rowIDs = range.map { UInt32($0) }
        batch.step = UInt32(truncatingIfNeeded: number)
        batch.lossScale = lossScale
        batch.pooledRows = []
        batch.forEachSequence { sequence, prompt, own in
            let row = ids[rows[rows.startIndex + sequence]]
            let place: Int
            switch pooling {
            case .first: place = 0
            case .last(let pad): place = row.lastIndex { $0 != pad } ?? 0
            }
            batch.pooledRows.append(
                place < prompt.count
                    ? prompt.lowerBound + UInt32(place)
                    : own.lowerBound + UInt32(place - prompt.count))
        }
        switch targets {
        case .none: break
        case .nextTokens: batch.predictNextTokens()
        case .classes(let classes): batch.classTargets = rows.map { classes[$0] }
        case .values(let values, let columns):
            batch.valueTargets = rows.flatMap { values[$0 * columns..<($0 + 1) * columns] }
        }
        let edges = step.edges
        batch.groups =
            [0]
            + edges.filter { range.lowerBound < $0 && $0 < range.upperBound }
            .map { UInt32($0 - range.lowerBound) } + [UInt32(range.count)]
        batch.resumes = !edges.contains(range.lowerBound)
        batch.suspends = !edges.contains(range.upperBound)
        batch.firstGroup =
            edges.count { $0 <= range.lowerBound } - 1 - step.ownGroups.lowerBound
        return batch
    }

    /// SHA-256 of rows in the given order: for each its length, token ids and targets, as
    /// little-endian 32-bit words.
    public func digest(of rows: [Int]) -> String {
        var hash = SHA256()
        func add<Element>(_ values: some Collection<Element>) {
            Array(values).withUnsafeBytes { hash.update($0) }
        }
        for row in rows {
            add([Int32(ids[row].count)])
            add(ids[row])
            switch targets {
            case .none, .nextTokens: break
            case .classes(let classes): add([classes[row]])
            case .values(let values, let columns):
                add(values[row * columns..<(row + 1) * columns])
            }
        }
        return hash.hex
    }

    /// The factor that makes the sum of the rows' losses their mean, as torch defines it: divided
    /// by the sum of the class weights, by the number of values, or by that of the tokens predicted.
    public func lossScale(rows: [Int], classWeights: [Float]?) -> Float {
        switch targets {
        case .none: 1
        case .nextTokens: Float(1 / Double(max(predictedCount(rows), 1)))
        case .classes(let classes):
            Float(
                1
                    / rows.reduce(0.0) {
                        $0 + Double(classWeights?[Int(classes[$1])] ?? 1)
                    })
        case .values(_, let columns): 1 / Float(rows.count * columns)
        }
    }
}

extension Batch {
    /// Makes every token but the last of its sequence one to predict the next from; those of a
    /// shared prompt once.
    fileprivate mutating func predictNextTokens() {
        targetRows = []
        classTargets = []
        targetOffsets = [0]
        for sequence in 0..<sequenceCount {
            let (start, end) = (offsets[sequence], offsets[sequence + 1])
            if end > start + 1 {
                targetRows += start..<end - 1
                classTargets += ids[Int(start) + 1..<Int(end)]
            }
            targetOffsets.append(UInt32(targetRows.count))
        }
    }
}
