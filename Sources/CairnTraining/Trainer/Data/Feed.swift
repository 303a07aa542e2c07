// SPDX-License-Identifier: Apache-2.0
/// What a trainer reads batches from: data, how an item becomes a batch, how many of them.

/// How many batches of an epoch are used.
public enum BatchLimit {
    /// All of them.
    case none
    /// At most so many.
    case batches(Int)
    /// By the epoch; nil is no limit.
    case perEpoch((EpochContext) throws -> Int?)

    func validate(_ kind: SplitKind) throws(TrainerError) {
        if case .batches(let count) = self { try Self.check(count, kind) }
    }

    func callAsFunction(_ context: EpochContext) throws -> Int? {
        switch self {
        case .none: return nil
        case .batches(let count): return count
        case .perEpoch(let choose):
            let count = try choose(context)
            if let count { try Self.check(count, context.kind) }
            return count
        }
    }

    private static func check(_ count: Int, _ kind: SplitKind) throws(TrainerError) {
        if count < 0 {
            throw .option("\(kind.rawValue) limit", expected: "not negative", found: "\(count)")
        }
    }
}

/// Batches for one of a run's data sets.
///
///     let train = Feed(Pipeline(rows).batch(32)) { rows, _ in batch(of: rows) }
public struct Feed<Input> {
    private let source: (EpochContext) throws -> Cursor<Input>
    let key: String
    let isOneShot: Bool
    /// Items of an epoch, where that is known.
    public let count: Int?
    /// How many batches of an epoch are used.
    public var limit = BatchLimit.none

    private init(
        key: String, count: Int?, isOneShot: Bool,
        source: @escaping (EpochContext) throws -> Cursor<Input>
    ) {
        self.key = key
        self.count = count
        self.isOneShot = isOneShot
        self.source = source
    }

    /// Items that are batches as they come.
    public init(_ pipeline: Pipeline<Input>) {
        self.init(pipeline) { item, _ in item }
    }

    /// Batches at hand.
    public init(_ batches: some RandomAccessCollection<Input>) { self.init(Pipeline(batches)) }

    /// Batches made of items by `collate`.
    public init<Item>(
        _ pipeline: Pipeline<Item>,
        collate: @escaping (Item, BatchContext) throws -> Input
    ) {
        self.init(key: pipeline.key, count: pipeline.count, isOneShot: pipeline.isOneShot) {
            Self.applied(collate, to: try pipeline.open($0), $0)
        }
    }

    /// Every batch through a function, after `collate` and earlier ones.
    public func transformed(
        _ transform: @escaping (Input, BatchContext) throws -> Input
    ) -> Feed {
        let source = source
        var result = Feed(key: key, count: count, isOneShot: isOneShot) {
            Self.applied(transform, to: try source($0), $0)
        }
        result.limit = limit
        return result
    }

    /// The same batches, up to a limit.
    public func limited(_ limit: BatchLimit) -> Feed {
        var result = self
        result.limit = limit
        return result
    }

    private static func applied<Item>(
        _ change: @escaping (Item, BatchContext) throws -> Input, to cursor: Cursor<Item>,
        _ context: EpochContext
    ) -> Cursor<Input> {
        var index = 0
        return Cursor(
            next: {
                guard let item = try cursor.next() else { return nil }
                defer { index += 1 }
                return try change(
                    item, BatchContext(epoch: context.epoch, index: index, kind: context.kind))
            },
            skip: { wanted in
                let skipped = try cursor.skip(wanted)
                index += skipped
                return skipped
            })
    }

    /// A pass over the batches of an epoch, up to the limit.
    func open(_ context: EpochContext) throws -> Cursor<Input> {
        let cursor = try source(context)
        guard var left = try limit(context) else { return cursor }
        return Cursor(
            next: {
                guard left > 0 else { return nil }
                left -= 1
                return try cursor.next()
            },
            skip: { wanted in
                let skipped = try cursor.skip(min(wanted, left))
                left -= skipped
                return skipped
            })
    }
}

/// Where a run stands in its training data: all that is needed to go on with the same items.
public struct DataPosition: Sendable, Equatable {
    /// From 0.
    public var epoch: Int
    /// Batches used in the epoch.
    public var index: Int
    /// The stages of the data: shuffle seeds, batch sizes.
    public var key: String

    /// A place in the data.
    public init(epoch: Int, index: Int, key: String) {
        self.epoch = epoch
        self.index = index
        self.key = key
    }
}

/// The data of a run in its parts.
public struct SplitPlan<Input> {
    /// What is learned from.
    public var train: Feed<Input>
    /// What the best epoch is chosen by.
    public var validation: Feed<Input>?
    /// Scored once, at the end of a fit that was not interrupted.
    public var test: Feed<Input>?

    /// The parts of a run's data. Every one goes through `shared`, but for a validation that brings
    /// its own way.
    public init(
        train: Feed<Input>, validation: Feed<Input>? = nil, test: Feed<Input>? = nil,
        shared: (Feed<Input>) -> Feed<Input> = { $0 },
        ownValidation: ((Feed<Input>) -> Feed<Input>)? = nil
    ) {
        self.train = shared(train)
        self.validation = validation.map { ownValidation?($0) ?? shared($0) }
        self.test = test.map { ownValidation?($0) ?? shared($0) }
    }
}
