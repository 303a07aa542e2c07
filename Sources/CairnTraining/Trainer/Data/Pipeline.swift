// SPDX-License-Identifier: Apache-2.0
/// Data as a chain of stages, gone through anew in each epoch.

import CairnTensor

/// Lazy, and a function of the epoch: every pass over an epoch gives the same items, so that a
/// place in the data is the epoch and a count.
///
///     let data = Pipeline(rows).shuffle(seed: 7).map(encode).batch(32)
///
/// Closures given to stages are to depend on their arguments alone. Passing over items that an
/// earlier run has used makes none of them, except before a `filter`.
public struct Pipeline<Element> {
    /// Opens a pass over the items of an epoch.
    public let open: (EpochContext) throws -> Cursor<Element>
    /// The stages with what they are given: two pipelines with one key go through their sources in
    /// the same way. Closures are not in it.
    public let key: String
    /// How many items an epoch has, where that is known.
    public let count: Int?
    /// Whether the source can be gone through once only.
    let isOneShot: Bool

    private init(
        key: String, count: Int?, isOneShot: Bool = false,
        open: @escaping (EpochContext) throws -> Cursor<Element>
    ) {
        self.key = key
        self.count = count
        self.isOneShot = isOneShot
        self.open = open
    }

    /// The items of a collection, in its order.
    public init(_ items: some RandomAccessCollection<Element>) {
        self.init(key: "items(\(items.count))", count: items.count) { _ in
            .indexed(count: items.count) { items[items.index(items.startIndex, offsetBy: $0)] }
        }
    }

    /// What `make` gives for each epoch.
    public init(_ make: @escaping (EpochContext) throws -> some Sequence<Element>) {
        self.init(key: "made", count: nil) { context in
            var iterator = try make(context).makeIterator()
            return Cursor { iterator.next() }
        }
    }

    /// Items that come once, as from a socket: only the first epoch finds any.
    public init(oneShot items: some Sequence<Element>) {
        var iterator = items.makeIterator()
        self.init(key: "once", count: nil, isOneShot: true) { _ in
            Cursor { iterator.next() }
        }
    }

    // MARK: Stages

    private func stage<Result>(
        _ name: String, count: Int?,
        _ open: @escaping (Cursor<Element>, EpochContext) throws -> Cursor<Result>
    ) -> Pipeline<Result> {
        let source = self.open
        return Pipeline<Result>(
            key: "\(key) \(name)", count: count, isOneShot: isOneShot
        ) { try open(try source($0), $0) }
    }

    /// Each item through a function.
    public func map<Result>(
        _ transform: @escaping (Element) throws -> Result
    ) -> Pipeline<Result> {
        map { item, _ in try transform(item) }
    }

    /// Each item, with its number in the epoch, through a function.
    public func map<Result>(
        _ transform: @escaping (Element, Int) throws -> Result
    ) -> Pipeline<Result> {
        stage("map", count: count) { source, _ in
            var index = 0
            return Cursor(
                next: {
                    guard let item = try source.next() else { return nil }
                    defer { index += 1 }
                    return try transform(item, index)
                },
                skip: { wanted in
                    let skipped = try source.skip(wanted)
                    index += skipped
                    return skipped
                })
        }
    }

    /// The items for which `isKept` holds.
    public func filter(_ isKept: @escaping (Element) throws -> Bool) -> Pipeline {
        filter { item, _ in try isKept(item) }
    }

    /// As above, with each item's number in the epoch before the filter.
    public func filter(_ isKept: @escaping (Element, Int) throws -> Bool) -> Pipeline {
        stage("filter", count: nil) { source, _ in
            var index = 0
            return Cursor {
                while let item = try source.next() {
                    defer { index += 1 }
                    if try isKept(item, index) { return item }
                }
                return nil
            }
        }
    }

    /// Runs of `size` items; the last may be shorter, or is dropped.
    ///
    /// - Precondition: `size` is positive.
    public func batch(_ size: Int, dropLast: Bool = false) -> Pipeline<[Element]> {
        precondition(size > 0, "a batch holds at least 1 item, got \(size)")
        let batches = count.map { dropLast ? $0 / size : ($0 + size - 1) / size }
        return stage("batch(\(size), dropLast: \(dropLast))", count: batches) { source, _ in
            Cursor(
                next: {
                    var items: [Element] = []
                    while items.count < size, let item = try source.next() { items.append(item) }
                    return items.isEmpty || dropLast && items.count < size ? nil : items
                },
                skip: { wanted in
                    let items = try source.skip(wanted * size)
                    return dropLast ? items / size : (items + size - 1) / size
                })
        }
    }

    /// The first `limit` items; no other is ever asked for.
    ///
    /// - Precondition: `limit` is not negative.
    public func take(_ limit: Int) -> Pipeline {
        precondition(limit >= 0, "take(\(limit)) of nothing")
        return stage("take(\(limit))", count: count.map { min($0, limit) }) { source, _ in
            var left = limit
            return Cursor(
                next: {
                    guard left > 0 else { return nil }
                    left -= 1
                    return try source.next()
                },
                skip: { wanted in
                    let skipped = try source.skip(min(wanted, left))
                    left -= skipped
                    return skipped
                })
        }
    }

    /// The items `times` times over, or without end; a pass that gives nothing ends it.
    ///
    /// - Precondition: `times` is not negative, and the source is not one-shot.
    public func `repeat`(_ times: Int? = nil) -> Pipeline {
        precondition(times.map { $0 >= 0 } ?? true, "repeat(\(times!)) of nothing")
        precondition(!isOneShot, "items that come once cannot be repeated")
        let source = open
        let total = times.flatMap { times in count.map { $0 * times } }
        return Pipeline(key: "\(key) repeat(\(times.map(String.init) ?? ""))", count: total) {
            context in
            var pass = 0
            var cursor: Cursor<Element>?
            var isFruitful = false
            return Cursor {
                while times.map({ pass < $0 }) ?? true {
                    if cursor == nil { cursor = try source(context) }
                    if let item = try cursor!.next() {
                        isFruitful = true
                        return item
                    }
                    if !isFruitful { return nil }
                    (cursor, isFruitful, pass) = (nil, false, pass + 1)
                }
                return nil
            }
        }
    }

    /// The items in the order that the stream "shuffle/epoch-N" of `seed` draws: another one in
    /// each epoch. Holds all items of the epoch at once.
    public func shuffle(seed: UInt64) -> Pipeline {
        stage("shuffle(\(seed))", count: count) { source, context in
            var items: [Element] = []
            while let item = try source.next() { items.append(item) }
            var stream = RandomStream(seed: seed, name: "shuffle/epoch-\(context.epoch)")
            let order = stream.permutation(items.count)
            return .indexed(count: items.count) { items[order[$0]] }
        }
    }

    /// Makes up to `size` items ahead of the one asked for.
    ///
    /// - Precondition: `size` is positive.
    public func prefetch(_ size: Int = 1) -> Pipeline {
        precondition(size > 0, "prefetch holds at least 1 item, got \(size)")
        return stage("prefetch(\(size))", count: count) { source, _ in
            var ready: [Element] = []
            return Cursor(
                next: {
                    while ready.count <= size, let item = try source.next() { ready.append(item) }
                    return ready.isEmpty ? nil : ready.removeFirst()
                },
                skip: { wanted in
                    let held = min(wanted, ready.count)
                    ready.removeFirst(held)
                    return held + (try source.skip(wanted - held))
                })
        }
    }
}
