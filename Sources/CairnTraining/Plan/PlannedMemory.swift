// SPDX-License-Identifier: Apache-2.0
/// The memory that a run will hold, part by part.

import CairnFormats
import CairnGraph
import CairnModels
import CairnTensor

/// Bytes of a run at its largest.
public struct PlannedMemory: Sendable, Equatable {
    /// Matrices that are only read, mapped from the base's files: what of them will be touched.
    public internal(set) var weights = 0
    /// The base's linear layers in codes; none where they are as stored.
    public internal(set) var quantized = 0
    /// What trains, and the base's vectors, in fp32.
    public internal(set) var parameters = 0
    /// Gradients of what trains.
    public internal(set) var gradients = 0
    /// The optimizer's slots.
    public internal(set) var optimizer = 0
    /// Activations of the largest micro-batch in training.
    public internal(set) var activations = 0
    /// What those of validation take beyond that: the two are never there at once.
    public internal(set) var validation = 0
    /// The gradients of a step on their way to the journal.
    public internal(set) var journal = 0
    /// The copy of parameters and optimizer that a save writes.
    public internal(set) var savedCopy = 0
    /// The best checkpoint and the larger activations, when it is judged on test rows after the run:
    /// all of it while it is checked, then its parameters beside a copy of the last ones.
    public internal(set) var test = 0
    /// The rest as measured: the program, the tokenizer, the rows, packed panels.
    public internal(set) var process = 0
    /// The largest resident size, in bytes: what the parts give, or what reading the files took.
    public internal(set) var peak = 0

    /// - Parameters:
    ///   - earlierPeak: the largest resident size before the trial.
    init(_ job: FineTuneJob, _ trial: StepTrial, earlierPeak: Int) {
        let (tuner, model) = (job.tuner, job.tuner.model)
        let entries = model.parameters.names.map { ($0, model.parameters.entry($0)) }
        let borrowed = entries.filter { $0.1.buffer.isBorrowed }
        quantized = model.quantized?.byteCount ?? 0
        weights = borrowed.reduce(0) { $0 + $1.1.byteCount } - quantized
        for table in job.tokenTables where borrowed.contains(where: { $0.0 == table.name }) {
            weights -= table.byteCount - table.touchedBytes
        }
        let capacity = tuner.trainingCapacity
        // The trial left nothing of these in memory; its largest micro-batch had so much.
        let evaluated = [tuner.validation, job.test].compactMap { $0 }
            .map { tuner.evaluationCapacity($0).tokens }
        let released = job.tableBytes(tokens: max(capacity.tokens, evaluated.max() ?? 0))
        weights += released - job.releasedTables.reduce(0) { $0 + $1.touchedBytes }
        parameters = entries.filter { !$0.1.buffer.isBorrowed }.reduce(0) { $0 + $1.1.byteCount }
        gradients = tuner.program.gradientBytes
        for name in model.parameters.trainableNames {
            let bytes = model.parameters.entry(name).byteCount
            let slots = tuner.optimizer.group(of: name)?.rule.slotNames.count ?? 0
            optimizer += bytes * slots
            savedCopy += bytes * (slots + 1)
            if job.options.policy.journal { journal += bytes }
        }
        activations = max(
            tuner.program.bytes(for: capacity), tuner.prefix?.bytes(for: capacity) ?? 0)
        let evaluator = tuner.evaluator.program
        validation = max(
            evaluator.bytes(for: tuner.evaluationCapacity(tuner.validation)) - activations, 0)
        let arena = activations + validation
        let steady = trial.residentBytes + released + journal + max(arena - trial.arenaBytes, 0)
        if let rows = job.test {
            // The copy of the last save is gone by then.
            test =
                max(savedCopy, 2 * (savedCopy - optimizer))
                + max(evaluator.bytes(for: tuner.evaluationCapacity(rows)) - arena, 0)
        }
        peak = max(earlierPeak, steady, steady - savedCopy + test)
        process = max(
            steady - weights - quantized - parameters - gradients - optimizer - activations
                - validation
                - savedCopy - journal, 0)
    }

    var json: JSONValue {
        [
            "peak_rss_bytes": JSONValue(peak), "weights_bytes": JSONValue(weights),
            "quantized_bytes": JSONValue(quantized),
            "parameters_bytes": JSONValue(parameters), "gradients_bytes": JSONValue(gradients),
            "optimizer_bytes": JSONValue(optimizer), "activations_bytes": JSONValue(activations),
            "validation_bytes": JSONValue(validation), "saved_copy_bytes": JSONValue(savedCopy),
            "journal_bytes": JSONValue(journal),
            "test_bytes": JSONValue(test), "process_bytes": JSONValue(process),
        ]
    }
}

extension Parameters.Entry {
    fileprivate var byteCount: Int { buffer.byteCount }
}
