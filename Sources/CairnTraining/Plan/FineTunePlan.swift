// SPDX-License-Identifier: Apache-2.0
/// What a fine-tuning job would do and need, found out without doing it.

import CairnFormats
import Foundation

/// A plan: rows, memory, disk and time of a run that has not happened.
public struct FineTunePlan: Sendable {
    /// Names of the logits, by id.
    public let labels: [String]
    /// `train`, `validation`, and `test` where there is one.
    public let rows: [PlannedRows]
    /// Passes over the training rows.
    public let epochs: Int
    /// Optimizer steps of the whole run.
    public let steps: Int
    /// The longest row in tokens; longer texts lose their ends.
    public let maximumLength: Int
    /// Tokens of an epoch of training that rows which begin alike compute once for several.
    public let sharedTokens: Int
    /// Bytes of the run at its largest.
    public let memory: PlannedMemory
    /// What it gives up to fit into the memory that was allowed; nil when none was named.
    public let budget: MemoryBudget?
    /// Bytes of its directory.
    public let disk: PlannedDisk
    /// Its time, by what it is spent on.
    public let seconds: RunSeconds
    /// Real tokens per second of training steps.
    public let tokensPerSecond: Double
    let inputs: InputDigests
    let settings: FineTuneSettings
    let threads: Int
    let isa: String

    static let schemaVersion = 1

    /// Plans a job.
    ///
    /// Four optimizer steps and a few micro-batches of validation are really run, on the job's own
    /// parameters, which then are put back; nothing is written. For the memory to be that of the
    /// run, the process should have done nothing else before.
    public init(_ job: FineTuneJob) throws {
        job.touchTables()
        let earlierPeak = ResidentMemory.peakByteCount
        let trial = try StepTrial(job.tuner)
        memory = PlannedMemory(job, trial, earlierPeak: earlierPeak)
        let policy = job.options.policy
        budget = job.memory
        epochs = job.options.settings.epochs
        steps = job.tuner.schedule.totalSteps
        sharedTokens = job.sharedTokens
        let training = trial.secondsPerToken * Double(epochs * job.tuner.train.tokenCount)
        // Every epoch may be the best so far.
        let saves =
            epochs + policy.periodicSaves(epochs: epochs, steps: steps, seconds: training)
        seconds = RunSeconds(job, trial, saves: saves)
        disk = try PlannedDisk(job, seconds: seconds.total)
        tokensPerSecond = trial.secondsPerToken > 0 ? 1 / trial.secondsPerToken : 0
        rows = try PlannedRows.parts(of: job)
        labels = job.task.labels
        maximumLength = job.description.maximumLength
        guard let inputs = job.description.inputs else {
            preconditionFailure("a job knows the digests of its inputs")
        }
        (self.inputs, settings) = (inputs, job.options.settings)
        (threads, isa) = (job.options.threads, job.options.isa.rawValue)
    }

    /// The part of the rows of that name.
    public subscript(name: String) -> PlannedRows? { rows.first { $0.name == name } }

    /// The plan as a document.
    public var json: JSONValue {
        [
            "plan_version": JSONValue(Self.schemaVersion),
            "cairn_version": .string(CairnVersion.string),
            "labels": .array(labels.map { .string($0) }),
            "rows": .object(JSONObject(rows.map { ($0.name, .object($0.json)) })),
            "max_length": JSONValue(maximumLength), "epochs": JSONValue(epochs),
            "steps": JSONValue(steps), "shared_tokens": JSONValue(sharedTokens),
            "memory": memory.json,
            "memory_budget": budget?.json ?? .null, "disk": disk.json,
            "seconds": seconds.json, "tokens_per_second": .number(tokensPerSecond),
            "threads": JSONValue(threads), "isa": .string(isa), "inputs": inputs.json,
            "settings": .object(settings.json()),
        ]
    }

    /// Writes the plan, for a comparison with the run.
    public func write(to file: URL) throws {
        try DurableFile.write(try json.serialized() + Data("\n".utf8), to: file)
    }
}
