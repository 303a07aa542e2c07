// SPDX-License-Identifier: Apache-2.0
/// Data of a fit: made for each epoch, collated, transformed, limited, used up.

import CairnTraining
import Testing

@Suite struct TrainerDataTests {
    /// A row with named parts, as keys of a dictionary would name them.
    struct Row {
        var features: [Double]
        var target: Double
    }

    private func losses(
        _ train: Feed<Double>, validation: Feed<Double>? = nil, epochs: Int = 1
    ) throws -> (train: [Double], rows: [EpochRow]) {
        let report = try ScriptedRun().trainer.fitReport(train, validation: validation) {
            $0.epochs = epochs
        }
        return (report.losses, report.epochs)
    }

    @Test func `D1 data made for each epoch is told which, and has no size`() throws {
        let run = try ScriptedRun()
        let size = Box<Int??>(nil)
        run.trainer.hooks.on(.beforeFit) { size.value = $0.datasetSize }
        let feed = Feed(Pipeline { context in [Double(context.epoch)] })

        #expect(try run.trainer.fit(feed) { $0.epochs = 3 } == [0, 1, 2])
        #expect(size.value == .some(nil))
    }

    @Test func `D2 D3 a maker takes the epoch and the kind, used or not`() throws {
        let kinds = Box<[SplitKind]>([])
        func make(_ context: EpochContext) -> [Double] {
            kinds.value.append(context.kind)
            return [1]
        }

        _ = try losses(Feed(Pipeline(make)), validation: Feed(Pipeline(make)))
        let unused = try losses(Feed(Pipeline { _ in [7.0] }))

        #expect(kinds.value == [.train, .validation] && unused.train == [7])
    }

    @Test func `D4 a transform of training data sees the batch, its place and its kind`() throws {
        let seen = Box<[BatchContext]>([])
        let feed = Feed([1.0, 2]).transformed { value, context in
            seen.value.append(context)
            return value * 10
        }

        #expect(try losses(feed, epochs: 2).train == [10, 20, 10, 20])
        #expect(
            seen.value
                == [(0, 0), (0, 1), (1, 0), (1, 1)].map {
                    BatchContext(epoch: $0.0, index: $0.1, kind: .train)
                })
    }

    @Test func `D5 a transform of validation data sees the epoch`() throws {
        let held = Feed([1.0]).transformed { value, context in
            context.kind == .validation ? value + Double(context.epoch) : .nan
        }

        #expect(
            try losses(Feed([9]), validation: held, epochs: 2).rows.map(\.validationLoss) == [1, 2])
    }

    @Test func `D6 a pipeline is data`() throws {
        let feed = Feed(Pipeline([1.0, 2, 3, 4]).batch(2)) { batch, _ in batch.reduce(0, +) }

        #expect(try losses(feed, epochs: 2).train == [3, 7, 3, 7])
    }

    @Test func `D7 D14 pairs are taken apart by their places, in training and validation`() throws {
        let pairs = Pipeline([(x: 1.0, y: 10.0), (x: 2, y: 20)])
        let feed = Feed(pairs) { pair, _ in pair.x + pair.y }

        let found = try losses(feed, validation: feed)

        #expect(found.train == [11, 22] && found.rows[0].validationLoss == 16.5)
    }

    @Test func `D8 D9 D10 parts are selected by index, by closure and by path`() throws {
        let rows = Pipeline([Row(features: [1, 2], target: 5)])

        let byIndex = Feed(rows) { row, _ in row.features[1] }
        let byClosure = Feed(rows) { row, _ in row.features.reduce(0, +) }
        let byPath = Feed(rows) { row, _ in row[keyPath: \.features.last!] + row[keyPath: \.target]
        }

        #expect(try losses(byIndex).train == [2])
        #expect(try losses(byClosure).train == [3])
        #expect(try losses(byPath).train == [7])
    }

    @Test func `D11 D12 D13 collating sees the batch's place and kind`() throws {
        let seen = Box<[BatchContext]>([])
        let feed = Feed(Pipeline([1.0])) { value, context in
            seen.value.append(context)
            return context.kind == .train ? value : value * 2
        }

        let found = try losses(feed, validation: feed)

        #expect(found.train == [1] && found.rows[0].validationLoss == 2)
        #expect(seen.value.map(\.kind) == [.train, .validation])
    }

    @Test func `D15 D16 a collation under a name serves training and validation`() throws {
        func target(_ row: Row, _: BatchContext) -> Double { row.target }
        let rows = Pipeline([Row(features: [], target: 5)])

        let found = try losses(
            Feed(rows, collate: target), validation: Feed(rows, collate: target))

        #expect(found.train == [5] && found.rows[0].validationLoss == 5)
    }

    @Test func `D17 D18 D23 D24 profiles are functions, composed in order, the last one winning`()
        throws
    {
        func base(_ feed: Feed<Double>) -> Feed<Double> {
            feed.transformed { value, _ in value + 1 }.limited(.batches(3))
        }
        func extended(_ feed: Feed<Double>) -> Feed<Double> {
            base(feed).transformed { value, _ in value * 10 }.limited(.batches(2))
        }
        let plan = SplitPlan(
            train: Feed([1.0, 2, 3]), validation: Feed([1, 2, 3]), shared: extended)

        let report = try ScriptedRun().trainer.fitReport(plan) { $0.limit = .batches(1) }

        #expect(report.losses == [20])
        #expect(report.epochs[0].validationBatches == 2 && report.epochs[0].validationLoss == 25)
    }

    @Test func `D25 validation is limited`() throws {
        let held = Feed([1.0, 2, 3]).limited(.batches(2))

        #expect(try losses(Feed([9]), validation: held).rows[0].validationBatches == 2)
    }

    @Test func `D26 D27 limits by the epoch, in training and validation`() throws {
        let byEpoch = BatchLimit.perEpoch { $0.epoch == 2 ? nil : $0.epoch }
        let feed = Feed([1.0, 2, 3]).limited(byEpoch)

        let rows = try losses(feed, validation: feed, epochs: 3).rows

        #expect(rows.map(\.batches) == [0, 1, 3])
        #expect(rows.map(\.validationBatches) == [0, 1, 3])
    }

    @Test func `a limit by the epoch that is negative is refused`() {
        let feed = Feed([1.0]).limited(.perEpoch { _ in -1 })

        #expect(message { _ = try losses(feed) }.contains("option 'train limit'"))
    }

    @Test func `D33 a collation comes before transforms, in the order they were added`() throws {
        let feed = Feed(Pipeline([2])) { value, _ in Double(value) }
            .transformed { value, _ in value + 1 }.transformed { value, _ in value * 10 }

        #expect(try losses(feed).train == [30])
    }

    @Test func `D36 weakness 33: an error in a training batch names epoch, batch and step, once`()
        throws
    {
        struct Odd: Error, CustomStringConvertible { let description = "odd number" }
        let run = try ScriptedRun()
        let feed = Feed([1.0, 2]).transformed { value, _ in
            if value == 2 { throw Odd() }
            return value
        }

        let text = message { try run.trainer.fit(feed) }

        #expect(text == "train batch failed at epoch 0, batch 1, step 1: odd number")
    }

    @Test func `D37 an error in a validation batch names its place`() throws {
        struct Odd: Error, CustomStringConvertible { let description = "odd number" }
        let run = try ScriptedRun()
        let held = Feed([1.0]).transformed { _, _ in throw Odd() }

        let text = message { try run.trainer.fit(Feed([1.0]), validation: held) }

        #expect(text == "validation batch failed at epoch 0, batch 0, step 1: odd number")
    }

    @Test func `D38 items that come once are an error in the epoch that finds none`() throws {
        let run = try ScriptedRun()
        let once = Feed(Pipeline(oneShot: AnySequence([1.0, 2])))

        let text = message { try run.trainer.fit(once) { $0.epochs = 2 } }

        #expect(text.contains("epoch 1: the train data can be gone through once and is used up"))
    }

    @Test func `D38 the same in validation, and allowed where asked for`() throws {
        func once() -> Feed<Double> { Feed(Pipeline(oneShot: AnySequence([1.0]))) }

        #expect(
            message { _ = try losses(Feed([1]), validation: once(), epochs: 2) }
                .contains("the validation data can be gone through once"))
        let rows = try ScriptedRun().trainer.fitReport(once()) {
            ($0.epochs, $0.strictDataReuse) = (2, false)
        }.epochs
        #expect(rows.map(\.batches) == [1, 0])
    }

    @Test func `D39 data made for each epoch may come once each time`() throws {
        let feed = Feed(Pipeline { _ in AnySequence([1.0]) })

        #expect(try losses(feed, epochs: 2).train == [1, 1])
    }
}
