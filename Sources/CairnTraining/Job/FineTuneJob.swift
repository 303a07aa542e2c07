// SPDX-License-Identifier: Apache-2.0
/// The main job, from files to checkpoints: everything is read and checked before a byte is written.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import Foundation

/// A fine-tuning job whose inputs have been read and found good.
public final class FineTuneJob {
    /// What was asked for.
    public let options: FineTuneOptions
    /// The model that is tuned.
    public let base: BaseModel
    /// What is learned, with the labels of the corpus.
    public let task: Task
    /// The loop.
    public let tuner: FineTuner
    /// The facts that checkpoints carry.
    public let description: RunDescription
    /// What a user should know before the run: truncation, duplicates, a fresh head.
    public private(set) var notes: [String]
    /// What the run gives up to fit into the memory that was allowed; nil when none was named.
    public package(set) var memory: MemoryBudget?
    /// Of the base, what is given back to the system after every micro-batch.
    package private(set) var releasedTables: [TokenTable] = []
    /// Whether what a frozen prefix gives is kept in a file while the run goes.
    private(set) var keepsPrefix = false
    let start: JobStart
    /// The reports of the last run, to which figures of the test rows may still come.
    private(set) var log: RunLog?
    let test: DataSet?
    let pooling: Pooling
    private let begin = ContinuousClock.now
    /// Seconds that reading and checking took.
    public private(set) var preparingSeconds = 0.0
    /// What the last run took so far.
    var measured = MeasuredRun()

    /// Reads model and corpora, checks them against each other, and prepares the run.
    ///
    /// With several ranks each makes the same job; the first writes.
    ///
    /// - Throws: among others `TrainingError.changed` when a run is to go on with other inputs than
    ///   it had, and `doesNotFit` when the state is of another model.
    public init(
        _ options: FineTuneOptions, start: JobStart = .fresh, ranks: Ranks = .one
    ) throws {
        self.options = options
        self.start = start
        try Self.requireWritable(options.output)
        guard options.weights == .pretrained || options.method == .full else {
            throw TrainingError.untrainedBase(directory: options.model.path)
        }
        guard !options.storage.isQuantized || options.method != .full else {
            throw TrainingError.codedBase(
                path: options.output.path, storage: options.storage.rawValue,
                advice: "only adapters train over it, not every parameter")
        }
        try start.requireSameStorage(options)
        let parts = try CorpusParts(options)
        var space: LabelSpace?
        if case .continued(let point, _) = start, let labels = try point.labels {
            space = LabelSpace(names: labels, usesFlags: Inference.usesFlags(parts.train))
        }
        task = try Task(parts.train, space: &space)
        base = try BaseModel(
            contentsOf: options.model, head: task.head, weights: options.weights)
        if let size = options.modelSize {
            try size.check(
                against: base.parameterCount,
                file: options.model.appendingPathComponent("config.json").path)
        }
        let tokenizer = try Tokenizer(
            contentsOf: options.model.appendingPathComponent("tokenizer.json"))
        let context = try Context(
            isa: options.isa, threads: options.threads, device: options.device,
            deviceMemory: options.device == .cpu ? nil : options.memory)
        let parameters = Parameters(context: context)
        let quantized = try QuantizedBase(base, as: options.storage, for: parameters)
        let inputs = try InputDigests(options, base: base, quantized: quantized)
        try start.requireSame(inputs, options)
        let length = min(options.maximumLength, base.maximumLength)
        // A language model reads no pooled row, and keeps what its base says of padding.
        let pad =
            task == .causal
            ? base.configuration.padTokenID
            : try PadToken.find(
                options.model, configured: base.configuration.padTokenID,
                config: base.configuration.json, tokenizer: tokenizer)
        pooling = base.configuration.family.isEncoder ? .first : .last(padTokenID: pad)

        var notes = Self.notes(parts.train, base, options, length)
        var sets: [DataSet] = []
        var places: [[Int]] = []
        for corpus in [parts.train, parts.validation] + [parts.test].compactMap({ $0 }) {
            var (data, truncated) = try DataSet.encoded(
                corpus, tokenizer: tokenizer, maximumLength: length,
                targets: try task.targets(corpus, space: space))
            try data.requireVocabulary(base.configuration.vocabularySize, corpus: corpus)
            if truncated > 0 {
                notes.append(
                    "\(corpus.file): \(truncated) of \(data.count) rows are longer than \(length) "
                        + "tokens and lose their ends")
            }
            let kept = task == .causal ? data.predictableRows : Array(0..<data.count)
            guard !kept.isEmpty else { throw TrainingError.emptyData(file: corpus.file) }
            if kept.count < data.count {
                notes.append(
                    "\(corpus.file): \(data.count - kept.count) of \(data.count) rows have fewer "
                        + "than 2 tokens, nothing to predict, and are left out")
                data = data.rows(kept)
            }
            sets.append(data)
            places.append(kept)
        }
        if case .fresh = start, let note = Self.startNote(base) { notes.append(note) }
        self.notes = notes
        test = sets.count > 2 ? sets[2] : nil

        let model = try TaskModel(
            base, method: options.method, seed: options.settings.seed, parameters: parameters,
            quantized: quantized)
        let runID = start.chosenRunID()
        tuner = try FineTuner(
            model, task: task, pooling: pooling, train: sets[0], validation: sets[1],
            settings: options.settings, policy: options.policy, runID: runID,
            reusesPrefix: options.prefix != .off && ranks.size == 1, ranks: ranks)
        var description = RunDescription(
            task: task, settings: options.settings, maximumLength: length, padTokenID: pad,
            baseName: options.baseID ?? options.model.standardizedFileURL.path,
            dataDigest: inputs.values["data"] ?? "", runID: runID, trainRows: sets[0].count,
            validationRows: sets[1].count)
        description.policy = options.policy
        description.options = options
        description.inputs = inputs
        description.receiptRows = ReceiptRows(
            tuner.receiptRows, of: sets[1], at: places[1], in: parts.validation)
        self.description = description
        try start.apply(to: tuner, options)
        if case .transformers(let checkpoint) = start {
            self.notes += checkpoint.notCarried + tuner.differences(from: checkpoint)
        }
        let prefix = try decidePrefix()
        keepsPrefix = prefix.keeps
        self.notes += [prefix.note, promptNote()].compactMap { $0 }
        try fitIntoMemory()
        preparingSeconds = (ContinuousClock.now - begin).inSeconds
    }

    /// Chooses what is computed twice, where memory was limited or a GPU has too little for less.
    private func fitIntoMemory() throws {
        let budget: MemoryBudget
        let context = tuner.model.parameters.context
        if let found = context.deviceMemory {
            if options.memory == nil, MemoryPlanner.isAmple(self, found) { return }
            budget = try MemoryPlanner(self, on: context).choice(within: found.budget)
        } else {
            guard let limit = options.memory else { return }
            releasedTables = releaseTables()
            budget = try MemoryPlanner(self).choice(within: limit)
        }
        tuner.setMemory(tokenBudget: budget.tokenBudget, budget.recompute)
        if options.memory == nil, budget.recompute == Recompute() { return }
        notes.append("\(budget)")
        memory = budget
    }

    /// Resident bytes that the run may have; a GPU's engine keeps its limit itself.
    private var residentLimit: Int? { memory?.device == .cpu ? memory?.limit : nil }

    /// Why the run must stop: the caller's reason, or memory beyond what was allowed.
    private func stopReason(_ stop: () -> StopReason?) -> StopReason? {
        if let limit = residentLimit, ResidentMemory.peakByteCount > limit { return .memory }
        return stop()
    }

    // MARK: Running

    /// What a run needs while it writes.
    private struct Desk {
        let lock: RunLock
        let store: CheckpointStore
        let ledger: LedgerRecorder
        let journal: StepJournal
        let log: RunLog
    }

    /// Trains, and writes checkpoints into the output directory.
    ///
    /// All ranks call it; those behind the first train with it, write nothing and report nothing.
    ///
    /// - Throws: `FormatError.inUse` when another process runs there, `TrainingError.runExists`
    ///   when it holds another run, `noSpace` when its checkpoints would not fit; `RanksError` when
    ///   the ranks have not the same job, or one of them failed.
    public func run(
        stop: @escaping () -> StopReason? = { nil },
        wantsSave: @escaping () -> Bool = { false },
        report: @escaping (FineTuneEvent) -> Void = { _ in }
    ) throws -> FineTuneReport {
        let start = ContinuousClock.now
        measured.firstStep = tuner.state.step
        let ranks = tuner.ranks
        try ranks.requireSame(identity, what: "job")
        let note = try tuner.joinDevices()
        let opened = try ranks.together { ranks.isFirst ? try open(report) : nil }
        guard let desk = opened else {
            return try tuner.run(RunControls(stop: stop, wantsSave: wantsSave))
        }
        defer { desk.lock.release() }
        let (store, log) = (desk.store, desk.log)
        defer {
            store.wait()
            desk.journal.close()
            store.report(report)
            for note in desk.journal.takeNotes() { report(.note(note)) }
            for note in log.notes { report(.note(note)) }
        }
        if let note { report(.note(note)) }
        openPrefix { report(.note($0)) }
        var result: FineTuneReport
        do {
            result = try tuner.run(
                controls(desk, { self.stopReason(stop) }, wantsSave, report))
        } catch {
            closePrefix(isOver: false) { report(.note($0)) }
            log.finish(tuner.state.failed, digest: nil)
            throw error
        }
        closePrefix(isOver: result.status.isFinal) { report(.note($0)) }
        store.wait()
        store.report(report)
        try desk.ledger.synchronize()
        log.finish(tuner.state, digest: result.stateDigest)
        result.failedSaves = store.failures
        measured.seconds.preparing = preparingSeconds
        measured.seconds.training = result.timing.training
        measured.seconds.validation = result.timing.validation
        measured.seconds.saving = result.timing.saving
        measured.seconds.recording = result.recordingSeconds
        measured.seconds.total = preparingSeconds + (ContinuousClock.now - start).inSeconds
        writeMeasured { report(.note($0)) }
        if let limit = residentLimit, measured.peakBytes > limit {
            throw TrainingError.memoryExceeded(
                limit: limit, found: measured.peakBytes, checkpoint: options.output.path)
        }
        return result
    }

    /// What all ranks must have alike: inputs, settings, and the state that they start from.
    private var identity: String {
        get throws {
            let inputs = (description.inputs?.values ?? [:]).sorted { $0.key < $1.key }
            let state = StateDigest.of(tuner.optimizer)
            return try inputs.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
                + ", settings \(SHA256.hex(of: JSONValue.object(options.settings.json()).serialized()))"
                + ", step \(tuner.state.step), state \(state)"
        }
    }

    /// Leaves what the run took beside its checkpoints; no run fails for want of it.
    func writeMeasured(_ note: (String) -> Void) {
        measured.peakBytes = ResidentMemory.peakByteCount
        do {
            try measured.write(to: options.output)
        } catch {
            note("no \(MeasuredRun.fileName): \(error)")
        }
    }

    private func controls(
        _ desk: Desk, _ stop: @escaping () -> StopReason?, _ wantsSave: @escaping () -> Bool,
        _ report: @escaping (FineTuneEvent) -> Void
    ) -> RunControls {
        let (store, ledger, log) = (desk.store, desk.ledger, desk.log)
        let (output, description, journal) = (options.output, description, desk.journal)
        var controls = RunControls(
            save: { name, reason, snapshot in
                store.save(
                    name, reason: reason, snapshot: snapshot, steps: { log.steps },
                    prepare: { try ledger.synchronize() },
                    finish: { snapshot in
                        journal.forget(through: snapshot.state.step)
                        try RunBundle(
                            snapshot.state, description,
                            checkpoint: output.appendingPathComponent(name), in: output
                        ).write()
                    })
                // The journal leads from a checkpoint on, which must be there first.
                if journal.needsCheckpoint {
                    store.wait()
                    journal.needsCheckpoint = false
                }
            },
            hasSaved: { name, step in
                let place = output.appendingPathComponent(name)
                let saved = try? SavedRun(ofCheckpoint: place)
                return saved?.state.step == step && Manifest.check(place).isWhole
            },
            stop: stop, wantsSave: wantsSave, record: { try ledger.record($0) },
            report: { event in
                store.report(report)
                for note in journal.takeNotes() { report(.note(note)) }
                switch event {
                case .step(let step): log.add(step)
                case .epoch(let epoch): log.add(epoch)
                default: break
                }
                report(event)
            })
        controls.journal = journal
        return controls
    }

    /// What a user should know of the steps that the run took before it was killed.
    private func stepsToTakeAgain(known: Int, kept: Int) -> [String] {
        guard max(known, kept) > 0 else { return [] }
        let steps = "\(max(known, kept)) steps behind the checkpoint were done before"
        if kept == 0 { return ["\(steps); they are taken again and compared with the ledger"] }
        let rest =
            kept < known
            ? "the first \(kept) are taken from the journal" : "they are taken from the journal"
        return ["\(steps); \(rest), and all are compared with the ledger"]
    }

    /// Takes the directory, and finds out whether the run may go on there.
    private func open(_ report: (FineTuneEvent) -> Void) throws -> Desk {
        try FileManager.default.createDirectory(
            at: options.output, withIntermediateDirectories: true)
        let lock = try RunLock(options.output)
        let directory = try RunDirectory(options.output)
        if let other = directory.entries.first(where: { $0.runID != tuner.state.runID }) {
            throw TrainingError.runExists(
                directory: options.output.path,
                state: "\(other.status.rawValue) at step \(other.step)")
        }
        try requireSpace()
        var said = [lock.note].compactMap { $0 }
        for leftover in try Leftover.sweep(in: options.output, holding: lock) {
            said.append(
                "\(leftover.url.lastPathComponent) may be the only copy of "
                    + "\(leftover.name); it was left where it is")
        }
        var compares = false
        var resumedFrom: String?
        if case .resumed(let point, let allowed) = start {
            compares =
                allowed.isEmpty
                && options.settings.json() == point.saved.settings.json()
            resumedFrom = point.source.lastPathComponent
        }
        let ledger = try LedgerRecorder(
            run: options.output, from: tuner.state.ledger, compares: compares)
        let journal = try StepJournal(
            run: options.output, after: tuner.state.step, keeps: options.policy.journal,
            hasCheckpoint: directory.entries.contains { $0.step == tuner.state.step },
            recalls: compares)
        said += [ledger.note].compactMap { $0 }
        said += stepsToTakeAgain(
            known: ledger.knownCount, kept: journal.last - tuner.state.step)
        for note in said { report(.note(note)) }
        let writer = CheckpointWriter(tuner.model, description, in: options.output)
        let store = CheckpointStore(
            writer, policy: options.policy, monitor: options.settings.monitor,
            resumedFrom: resumedFrom)
        let log = RunLog(options.output, description, from: tuner.state)
        self.log = log
        return Desk(lock: lock, store: store, ledger: ledger, journal: journal, log: log)
    }
}
