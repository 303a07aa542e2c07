// SPDX-License-Identifier: Apache-2.0
/// Texts asked for together get the bits that they get alone, and share batches.

import CairnEngine
import CairnText
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct BatchPredictorTests {
    static let texts = (0..<23).map { row in
        (0...row % 7).map { "word\($0 * row)" }.joined(separator: " ")
    }

    /// A checkpoint of a short run, and the logits of every text alone.
    private struct Trained {
        let golden: GoldenJob
        let alone: [[Float]]

        init(_ model: String) throws {
            golden = try GoldenJob(model, rows: 45)
            var options = golden.options
            options.settings.epochs = 1
            _ = try FineTuneJob(options).run()
            let inference = try Inference(golden.best, context: try Context(threads: 1))
            alone = try BatchPredictorTests.texts.map {
                try inference.evaluate(try inference.rows(texts: [$0], file: "text")).logits[0]
            }
        }

        func predictor(tokenBudget: Int = 2048) throws -> BatchPredictor {
            try BatchPredictor(
                golden.best, context: try Context(threads: 2), tokenBudget: tokenBudget)
        }
    }

    private func same(_ a: [[Float]], _ b: [[Float]]) -> Bool {
        bitMismatch(a.flatMap { $0 }, b.flatMap { $0 }) == nil && a.map(\.count) == b.map(\.count)
    }

    @Test(arguments: ["qwen2", "bert"], [1, 9, 2048])
    func `many tasks get the bits of texts alone`(model: String, tokenBudget: Int) async throws {
        let trained = try Trained(model)
        let predictor = try trained.predictor(tokenBudget: tokenBudget)

        let found = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
            for (row, text) in Self.texts.enumerated() {
                group.addTask { (row, try await predictor.predict(text).logits) }
            }
            var logits = [[Float]](repeating: [], count: Self.texts.count)
            for try await (row, numbers) in group { logits[row] = numbers }
            return logits
        }

        #expect(same(found, trained.alone))
        #expect(Set(found.flatMap { $0 }).count > Self.texts.count)
    }

    @Test func `texts that arrive together share batches up to the token budget`() async throws {
        let trained = try Trained("qwen2")
        let inference = try Inference(trained.golden.best, context: try Context(threads: 1))
        let lengths = try inference.rows(texts: Self.texts, file: "texts").ids.map(\.count)
        let budget = 2 * lengths.max()!
        let cuts = StepRows(
            rows: Array(lengths.indices), lengths: lengths, tokenBudget: budget
        ).microBatches.count
        #expect(cuts > 1 && cuts < lengths.count)

        for (tokenBudget, batches) in [(1, lengths.count), (budget, cuts), (1 << 20, 1)] {
            let predictor = try trained.predictor(tokenBudget: tokenBudget)
            let found = try await predictor.predict(Self.texts)

            #expect(predictor.batchCount == batches)
            #expect(same(found.map(\.logits), trained.alone))
        }
    }

    @Test func `a cancelled task gets no answer, and the next one does`() async throws {
        let trained = try Trained("bert")
        let predictor = try trained.predictor()
        let cancelled = _Concurrency.Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await predictor.predict(Self.texts)
        }

        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(predictor.batchCount == 0)
        #expect(same([try await predictor.predict(Self.texts[3]).logits], [trained.alone[3]]))
        #expect(try await predictor.predict([]).isEmpty)
    }

    @Test func `a text without a token is refused, and its neighbours are not`() async throws {
        let trained = try Trained("qwen2")
        let predictor = try trained.predictor()
        async let good = predictor.predict(Self.texts[5])

        await #expect(throws: CorpusError.self) { _ = try await predictor.predict("") }
        #expect(same([try await good.logits], [trained.alone[5]]))
    }
}
