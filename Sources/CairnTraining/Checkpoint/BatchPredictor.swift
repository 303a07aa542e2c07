// SPDX-License-Identifier: Apache-2.0
/// Predictions for a server: many tasks ask for single texts, and those that wait share a batch.

import CairnEngine
import CairnFormats
import CairnModels
import Foundation

/// A checkpoint that any number of tasks ask at once.
///
///     let predictor = try BatchPredictor(checkpoint, context: Context())
///     let prediction = try await predictor.predict("a small tree with white flowers")
///
/// A batch starts as soon as the one before it ends, with the texts that wait by then, in the order
/// of their arrival, up to the token budget; so no text waits for company. Tokens are made in the
/// caller's task, the rest is done on one thread of the predictor's own.
///
/// - Numerics: the logits of a text have the same bits alone and in any company.
/// - Memory: the queue has no bound of its own; whoever accepts requests bounds how many there are.
public final class BatchPredictor: @unchecked Sendable {
    // Unchecked: `waiting` and what goes with it are behind the lock, and so is what a call
    // holds too; the model runs on `queue` only; the tokenizer and everything else is constant.

    /// Tokens of a batch; a longer text has one to itself.
    public let tokenBudget: Int
    private let inference: Inference
    private let evaluator: Evaluator
    private let queue = DispatchQueue(label: "cairn.predict")
    private let lock = NSLock()
    /// Calls with rows that no batch has taken yet, in the order of their arrival.
    private var waiting: [Call] = []
    private var isRunning = false
    private var batches = 0

    /// Opens a checkpoint directory and prepares its model.
    ///
    /// - Parameters:
    ///   - directory: a checkpoint, or a merged model with its labels.
    ///   - base: where the base is, instead of what adapter_config.json says.
    ///   - context: what computes; threads and instruction set do not change a bit.
    ///   - precision: nil computes as in training.
    ///   - tokenBudget: tokens of a batch.
    /// - Precondition: `tokenBudget` is positive.
    /// - Throws: what `Checkpoint` and the tokenizer refuse; `badMetadata` for a model without
    ///   labels.
    public init(
        _ directory: URL, base: URL? = nil, context: Context, precision: Precision? = nil,
        tokenBudget: Int = 2048
    ) throws {
        precondition(tokenBudget > 0, "a token budget is positive, got \(tokenBudget)")
        inference = try Inference(directory, base: base, context: context)
        let checkpoint = inference.checkpoint
        guard !checkpoint.task.labels.isEmpty else {
            throw TrainingError.badMetadata(
                file: directory.appendingPathComponent("config.json").path, key: "problem_type",
                expected: "a task with labels", found: "'\(checkpoint.task.problemType)'")
        }
        evaluator = try Evaluator(
            checkpoint.model, task: checkpoint.task, pooling: checkpoint.pooling,
            precision: precision ?? checkpoint.precision, tokenBudget: tokenBudget,
            hasTargets: false, prefix: nil, sharesPrompts: true)
        self.tokenBudget = tokenBudget
    }

    /// What the model was trained for, with its labels.
    public var task: Task { inference.checkpoint.task }

    /// Batches run so far: fewer than texts where texts were asked for together.
    public var batchCount: Int { lock.withLock { batches } }

    /// The prediction for a text, which is cut to the checkpoint's longest row.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while the text waits; `KernelError`
    ///   when memory for the batch is refused.
    public func predict(_ text: String) async throws -> Prediction {
        try await predict([text])[0]
    }

    /// Predictions for texts, in their order; they arrive together.
    ///
    /// - Throws: as for one text; the first failure is that of all.
    public func predict(_ texts: [String]) async throws -> [Prediction] {
        if texts.isEmpty { return [] }
        let call = Call(try inference.rows(texts: texts, file: "texts"))
        let logits = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { enqueue(call, $0) }
        } onCancel: {
            cancel(call)
        }
        return logits.map { Prediction(logits: $0, task: task) }
    }

    // MARK: The queue

    private typealias Answer = CheckedContinuation<[[Float]], any Error>

    /// Rows of one caller, who waits for all of them.
    private final class Call: @unchecked Sendable {
        // Unchecked: all that changes is touched under the predictor's lock.
        let rows: DataSet
        var logits: [[Float]] = []
        /// Rows that batches have taken.
        var taken = 0
        var isCancelled = false
        /// Nil before the call waits and after it was answered.
        var answer: Answer?

        init(_ rows: DataSet) { self.rows = rows }
    }

    /// A share of a batch: rows of one call.
    private struct Share {
        let call: Call
        let rows: Range<Int>
    }

    private func enqueue(_ call: Call, _ answer: Answer) {
        let (isRefused, starts) = lock.withLock {
            guard !call.isCancelled else { return (true, false) }
            call.answer = answer
            waiting.append(call)
            defer { isRunning = true }
            return (false, !isRunning)
        }
        if isRefused { answer.resume(throwing: CancellationError()) }
        if starts { queue.async { self.work() } }
    }

    /// Takes a call from the queue; what a batch already holds of it is computed for nobody.
    private func cancel(_ call: Call) {
        let answer = lock.withLock { () -> Answer? in
            call.isCancelled = true
            waiting.removeAll { $0 === call }
            defer { call.answer = nil }
            return call.answer
        }
        answer?.resume(throwing: CancellationError())
    }

    /// Runs batches until nobody waits.
    private func work() {
        while let shares = nextBatch() {
            let parts = shares.map { $0.call.rows }
            let batch = DataSet(
                ids: zip(parts, shares).flatMap { $0.ids[$1.rows] },
                typeIDs: zip(parts, shares).flatMap { $0.typeIDs[$1.rows] }, targets: .none)
            finish(shares, Result { try evaluate(batch) })
        }
    }

    /// The rows that come first, as many as the token budget holds, and at least one; nil when
    /// nobody waits.
    private func nextBatch() -> [Share]? {
        lock.withLock {
            var shares: [Share] = []
            var tokens = 0
            while let call = waiting.first {
                let first = call.taken
                while call.taken < call.rows.count {
                    let more = call.rows.ids[call.taken].count
                    if tokens + more > tokenBudget, !(shares.isEmpty && call.taken == first) {
                        break
                    }
                    tokens += more
                    call.taken += 1
                }
                if call.taken > first { shares.append(Share(call: call, rows: first..<call.taken)) }
                guard call.taken == call.rows.count else { break }
                waiting.removeFirst()
            }
            isRunning = !shares.isEmpty
            batches += isRunning ? 1 : 0
            return shares.isEmpty ? nil : shares
        }
    }

    private func evaluate(_ batch: DataSet) throws -> [[Float]] {
        guard let evaluation = try evaluator.evaluate(batch) else {
            preconditionFailure("an evaluation that nothing stops ends with a result")
        }
        return evaluation.logits
    }

    /// Gives the rows of a batch to their calls, and answers those that have all.
    private func finish(_ shares: [Share], _ result: Result<[[Float]], any Error>) {
        var place = 0
        for share in shares {
            let range = place..<place + share.rows.count
            place = range.upperBound
            let (answer, logits) = lock.withLock { () -> (Answer?, [[Float]]) in
                let call = share.call
                switch result {
                case .success(let logits):
                    call.logits += logits[range]
                    guard call.logits.count == call.rows.count else { return (nil, []) }
                case .failure: waiting.removeAll { $0 === call }
                }
                defer { call.answer = nil }
                return (call.answer, call.logits)
            }
            answer?.resume(with: result.map { _ in logits })
        }
    }
}
