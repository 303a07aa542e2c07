// SPDX-License-Identifier: Apache-2.0
/// One pass over data, item by item.

/// Which of a run's data sets.
public enum SplitKind: String, Sendable, CaseIterable {
    /// To learn from, to choose by, to judge by.
    case train, validation, test
}

/// What the data of an epoch may depend on.
public struct EpochContext: Sendable, Equatable {
    /// From 0, counted over the whole run, resumed or not.
    public let epoch: Int
    /// Which data it is.
    public let kind: SplitKind

    /// An epoch of one of the data sets.
    public init(epoch: Int, kind: SplitKind) {
        self.epoch = epoch
        self.kind = kind
    }
}

/// What the preparation of a batch may depend on.
public struct BatchContext: Sendable, Equatable {
    /// From 0.
    public let epoch: Int
    /// The batch's place in its epoch, from 0.
    public let index: Int
    /// Which data it is.
    public let kind: SplitKind

    /// A batch by its place.
    public init(epoch: Int, index: Int, kind: SplitKind) {
        self.epoch = epoch
        self.index = index
        self.kind = kind
    }
}

/// A pass over items: the next one, or past those that an earlier run has used.
public struct Cursor<Element> {
    let advance: () throws -> Element?
    private let leap: ((Int) throws -> Int)?

    /// - Parameters:
    ///   - next: makes the next item; nil at the end.
    ///   - skip: goes past up to so many items without making them, and says past how many; without
    ///     it they are made and dropped.
    public init(
        next: @escaping () throws -> Element?, skip: ((Int) throws -> Int)? = nil
    ) {
        advance = next
        leap = skip
    }

    /// The next item; nil at the end.
    public func next() throws -> Element? { try advance() }

    /// Goes past up to `count` items; returns past how many.
    public func skip(_ count: Int) throws -> Int {
        if let leap { return try leap(count) }
        for done in 0..<count where try advance() == nil { return done }
        return count
    }

    /// Over `count` items that are had by their place.
    static func indexed(count: Int, _ item: @escaping (Int) throws -> Element) -> Cursor {
        var place = 0
        return Cursor(
            next: {
                guard place < count else { return nil }
                defer { place += 1 }
                return try item(place)
            },
            skip: { wanted in
                let skipped = min(wanted, count - place)
                place += skipped
                return skipped
            })
    }
}
