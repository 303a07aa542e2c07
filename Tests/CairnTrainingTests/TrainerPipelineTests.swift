// SPDX-License-Identifier: Apache-2.0
/// Pipelines: what their stages give, and going past items that were used.

import CairnTraining
import Testing

@Suite struct TrainerPipelineTests {
    private func items<Element>(_ pipeline: Pipeline<Element>, epoch: Int = 0) throws -> [Element] {
        let cursor = try pipeline.open(EpochContext(epoch: epoch, kind: .train))
        var items: [Element] = []
        while let item = try cursor.next() { items.append(item) }
        return items
    }

    @Test func `L1 a chain of map, filter, batch and take`() throws {
        let chain = Pipeline(1...10).map { $0 * 2 }.filter { $0 % 4 == 0 }.batch(2).take(2)

        #expect(try items(chain) == [[4, 8], [12, 16]])
    }

    @Test func `L2 repeat goes through the items so many times`() throws {
        #expect(try items(Pipeline(1...2).repeat(2)) == [1, 2, 1, 2])
        #expect(try items(Pipeline([Int]()).repeat()) == [])
        #expect(try items(Pipeline(1...3).repeat().take(7)) == [1, 2, 3, 1, 2, 3, 1])
    }

    @Test func `L3 a map touches only the items that are taken`() throws {
        let touched = Box<[Int]>([])
        let chain = Pipeline(1...10).map { (item: Int) in
            touched.value.append(item)
            return item
        }.take(2)

        _ = try items(chain)

        #expect(touched.value == [1, 2])
    }

    @Test func `L4 a map may ask for the item's number`() throws {
        #expect(try items(Pipeline([5, 6]).map { item, index in item * 10 + index }) == [50, 61])
    }

    @Test func `L5 a filter may ask for the item's number`() throws {
        #expect(try items(Pipeline([5, 6, 7]).filter { _, index in index != 1 }) == [5, 7])
    }

    @Test func `L6 a seeded shuffle is repeatable, and another seed has another order`() throws {
        let first = try items(Pipeline(0..<50).shuffle(seed: 7))

        #expect(try items(Pipeline(0..<50).shuffle(seed: 7)) == first)
        #expect(try items(Pipeline(0..<50).shuffle(seed: 8)) != first)
        #expect(first.sorted() == Array(0..<50))
    }

    @Test func `a shuffle has another order in each epoch`() throws {
        let chain = Pipeline(0..<50).shuffle(seed: 7)

        #expect(try items(chain, epoch: 0) != items(chain, epoch: 1))
    }

    @Test func `L7 prefetching keeps the order, and makes items ahead`() throws {
        let made = Box(0)
        let chain = Pipeline(0..<5).map { (item: Int) in
            made.value += 1
            return item
        }.prefetch(2)

        let cursor = try chain.open(EpochContext(epoch: 0, kind: .train))
        #expect(try cursor.next() == 0 && made.value == 3)
        #expect(try items(Pipeline(0..<5).prefetch(2)) == [0, 1, 2, 3, 4])
    }

    @Test func `a batch keeps or drops a short end`() throws {
        #expect(try items(Pipeline(1...5).batch(2)) == [[1, 2], [3, 4], [5]])
        #expect(try items(Pipeline(1...5).batch(2, dropLast: true)) == [[1, 2], [3, 4]])
    }

    /// Chains, each of which must give from any place on what it gives without stopping.
    static let chains: [(String, @Sendable () -> Pipeline<[Int]>)] = [
        ("batch", { Pipeline(0..<11).batch(3) }),
        ("dropLast", { Pipeline(0..<11).batch(3, dropLast: true) }),
        ("shuffle", { Pipeline(0..<11).shuffle(seed: 3).batch(2) }),
        ("filter", { Pipeline(0..<11).filter { $0 % 3 != 0 }.batch(2) }),
        ("index", { Pipeline(0..<11).map { $0 * 100 + $1 }.batch(2) }),
        ("repeat", { Pipeline(0..<4).shuffle(seed: 3).repeat(3).batch(5) }),
        ("take", { Pipeline(0..<11).take(7).batch(2) }),
        ("prefetch", { Pipeline(0..<11).prefetch(3).batch(2) }),
        ("after", { Pipeline(0..<11).batch(2).prefetch(2).map { $0 + [$1] }.take(4) }),
        ("made", { Pipeline { context in (0..<7).map { $0 + context.epoch } }.batch(2) }),
    ]

    @Test(arguments: chains.indices)
    func `a pass that skips what was used gives the rest`(chain: Int) throws {
        let pipeline = Self.chains[chain].1()
        let all = try items(pipeline, epoch: 2)

        for place in 0...all.count + 1 {
            let cursor = try pipeline.open(EpochContext(epoch: 2, kind: .train))
            let skipped = try cursor.skip(place)
            var rest: [[Int]] = []
            while let item = try cursor.next() { rest.append(item) }

            #expect(skipped == min(place, all.count), "\(Self.chains[chain].0) at \(place)")
            #expect(rest == Array(all.dropFirst(place)), "\(Self.chains[chain].0) at \(place)")
        }
    }

    @Test func `skipping makes no item of a map`() throws {
        let made = Box<[Int]>([])
        let chain = Pipeline(0..<9).map { (item: Int) in
            made.value.append(item)
            return item
        }.batch(2)

        let cursor = try chain.open(EpochContext(epoch: 0, kind: .train))
        _ = try cursor.skip(3)
        _ = try cursor.next()

        #expect(made.value == [6, 7])
    }

    @Test func `counts are known where the stages allow it`() {
        #expect(Pipeline(0..<10).map { $0 }.batch(3).count == 4)
        #expect(Pipeline(0..<10).batch(3, dropLast: true).count == 3)
        #expect(Pipeline(0..<10).repeat(2).take(15).count == 15)
        #expect(Pipeline(0..<10).filter { _ in true }.count == nil)
        #expect(Pipeline { _ in [1] }.count == nil)
    }
}

#if os(macOS) || os(Linux)
    extension TrainerPipelineTests {
        @Test func `L8 stages without a size are a fault of the program`() async {
            await #expect(processExitsWith: .failure) { _ = Pipeline([1]).prefetch(0) }
            await #expect(processExitsWith: .failure) { _ = Pipeline([1]).batch(0) }
            await #expect(processExitsWith: .failure) { _ = Pipeline([1]).take(-1) }
        }
    }
#endif
