// SPDX-License-Identifier: Apache-2.0
/// The main job, from files to checkpoints: everything is read and checked before a byte is written.

import CairnEngine
import CairnFormats
import CairnGraph
import CairnModels
import CairnText
import Foundation

/// What a job begins with.
public enum JobStart: Sendable {
    /// The base's weights and a fresh head.
    case fresh
    /// The same run, at the place where a checkpoint has it; refusals of these keys are overridden.
    case resumed(ResumableRun, allowing: Set<String> = [])
    /// A new run with a checkpoint's weights, and with its optimizer's slots where these are kept.
    case continued(ResumableRun, keepsOptimizer: Bool)
    /// A new run that is another one's up to a checkpoint and goes on under other settings.
    case branched(ResumableRun, allowing: Set<String> = [])

    /// A run of transformers' Trainer, from one of its checkpoints on; the order of the rows is this
    /// run's own.
    case transformers(TransformersCheckpoint)

    var point: ResumableRun? {
        switch self {
        case .fresh, .transformers: nil
        case .resumed(let point, _), .continued(let point, _), .branched(let point, _): point
        }
    }
}

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
    let start: JobStart
    /// The reports of the last run, to which figures of the test rows may still come.
    private var log: RunLog?
    let test: DataSet?
    private let pooling: Pooling
    private let begin = ContinuousClock.now
    /// Seconds that reading and checking took.
    public private(set) var preparingSeconds = 0.0
    /// What the last run took so far.
    private var measured = MeasuredRun()

    /// Reads model and corpora, checks them against each other, and prepares the run.
    ///
    /// - Throws: among others `TrainingError.changed` when a run is to go on with other inputs than
    ///   it had, and `doesNotFit` when the state is of another model.
    public init(_ options: FineTuneOptions, start: JobStart = .fresh) throws {
        self.options = options
        self.start = start
        try Self.requireWritable(options.output)
        guard options.weights == .pretrained || options.method == .full else {
            throw TrainingError.untrainedBase(directory: options.model.path)
        }
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
        let inputs = try InputDigests(options, base: base)
        try Self.requireSame(inputs, start, options)
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
            if task == .causal {
                let count = data.count
                data = data.withoutShortRows()
                guard data.count > 0 else { throw TrainingError.emptyData(file: corpus.file) }
                if data.count < count {
                    notes.append(
                        "\(corpus.file): \(count - data.count) of \(count) rows have fewer than 2 "
                            + "tokens, nothing to predict, and are left out")
                }
            }
            sets.append(data)
        }
        if case .fresh = start, let note = Self.startNote(base) { notes.append(note) }
        self.notes = notes
        test = sets.count > 2 ? sets[2] : nil

        let context = try Context(
            isa: options.isa, threads: options.threads, device: options.device)
        let model = try TaskModel(
            base, method: options.method, seed: options.settings.seed,
            parameters: Parameters(context: context))
        let runID = Self.runID(start)
        tuner = try FineTuner(
            model, task: task, pooling: pooling, train: sets[0], validation: sets[1],
            settings: options.settings, policy: options.policy, runID: runID)
        var description = RunDescription(
            task: task, settings: options.settings, maximumLength: length, padTokenID: pad,
            baseName: options.baseID ?? options.model.standardizedFileURL.path,
            dataDigest: inputs.values["data"] ?? "", runID: runID, trainRows: sets[0].count,
            validationRows: sets[1].count)
        description.policy = options.policy
        description.options = options
        description.inputs = inputs
        if task != .causal {
            description.receiptRows = ReceiptRows(
                tuner.receiptRows, of: parts.validation, sets[1])
        }
        self.description = description
        try Self.apply(start, to: tuner, options)
        if case .transformers(let checkpoint) = start {
            self.notes += checkpoint.notCarried + tuner.differences(from: checkpoint)
        }
        preparingSeconds = (ContinuousClock.now - begin).inSeconds
    }

    private static func runID(_ start: JobStart) -> String {
        if case .resumed(let point, _) = start { return point.saved.state.runID }
        return UUID().uuidString.lowercased()
    }

    // MARK: Going on

    /// Refuses inputs that differ from those of the run that is to go on.
    private static func requireSame(
        _ inputs: InputDigests, _ start: JobStart, _ options: FineTuneOptions
    ) throws {
        let (point, allowed): (ResumableRun, Set<String>)
        switch start {
        case .fresh, .continued, .transformers: return
        case .resumed(let a, let b), .branched(let a, let b): (point, allowed) = (a, b)
        }
        let saved = point.saved
        if saved.numericsVersion != CairnVersion.numerics, !allowed.contains("numerics") {
            throw TrainingError.changed(
                key: "numerics", what: "the numerics of this build",
                expected: "version \(saved.numericsVersion)",
                found: "version \(CairnVersion.numerics)")
        }
        if saved.engine != options.device.engine, !allowed.contains("device") {
            throw TrainingError.changed(
                key: "device", what: "the engine", expected: saved.engine,
                found: options.device.engine)
        }
        guard let before = saved.inputs else { return }
        for key in inputs.differences(from: before) where !allowed.contains(key) {
            throw TrainingError.changed(
                key: key, what: "the input '\(key)'",
                expected: before.values[key].map { "SHA-256 \($0)" } ?? "none",
                found: inputs.values[key].map { "SHA-256 \($0)" } ?? "none")
        }
    }

    /// Puts the parts of a checkpoint that the start asks for in place.
    private static func apply(
        _ start: JobStart, to tuner: FineTuner, _ options: FineTuneOptions
    ) throws {
        if case .transformers(let checkpoint) = start {
            return try tuner.restore(checkpoint)
        }
        guard let point = start.point else { return }
        let parameters = tuner.model.parameters
        var state = point.saved.state
        switch start {
        case .fresh, .transformers: break
        case .resumed(_, let allowed):
            try point.apply(to: parameters, tuner.optimizer)
            if options.settings.json() != point.saved.settings.json() {
                state.amendments.append(
                    Amendment(step: state.step, settings: point.saved.settings))
            }
            state.allowed += allowed.subtracting(state.allowed).sorted()
        case .branched(_, let allowed):
            try point.apply(to: parameters, tuner.optimizer)
            state.parent = point.parent(.branched)
            state.runID = tuner.state.runID
            state.ledger = LedgerPosition(
                lines: state.step, bytes: 0, head: state.ledger.head)
            state.allowed = allowed.sorted()
        case .continued(_, let keepsOptimizer):
            try point.apply(to: parameters, keepsOptimizer ? tuner.optimizer : nil)
            state = RunState(runID: tuner.state.runID)
            state.parent = point.parent(.continued)
        }
        // A target that was raised, or a patience that was lengthened, gives an ended run more to do.
        if state.status.isFinal, options.settings.json() != point.saved.settings.json() {
            state.status = .interrupted
        }
        tuner.restore(state)
    }

    // MARK: Running

    /// What a run needs while it writes.
    private struct Desk {
        let lock: RunLock
        let store: CheckpointStore
        let ledger: LedgerRecorder
        let log: RunLog
    }

    /// Trains, and writes checkpoints into the output directory.
    ///
    /// - Throws: `FormatError.inUse` when another process runs there, `TrainingError.runExists`
    ///   when it holds another run, `noSpace` when its checkpoints would not fit.
    public func run(
        stop: @escaping () -> StopReason? = { nil },
        wantsSave: @escaping () -> Bool = { false },
        report: @escaping (FineTuneEvent) -> Void = { _ in }
    ) throws -> FineTuneReport {
        let start = ContinuousClock.now
        measured.firstStep = tuner.state.step
        let desk = try open(report)
        defer { desk.lock.release() }
        let (store, log) = (desk.store, desk.log)
        defer {
            store.wait()
            store.report(report)
            for note in log.notes { report(.note(note)) }
        }
        var result: FineTuneReport
        do {
            result = try tuner.run(controls(desk, stop, wantsSave, report))
        } catch {
            log.finish(tuner.state.failed, digest: nil)
            throw error
        }
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
        return result
    }

    /// Leaves what the run took beside its checkpoints; no run fails for want of it.
    private func writeMeasured(_ note: (String) -> Void) {
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
        let (output, description) = (options.output, description)
        return RunControls(
            save: { name, reason, snapshot in
                store.save(
                    name, reason: reason, snapshot: snapshot, steps: { log.steps },
                    prepare: { try ledger.synchronize() },
                    finish: { snapshot in
                        try RunBundle(
                            snapshot.state, description,
                            checkpoint: output.appendingPathComponent(name), in: output
                        ).write()
                    })
            },
            hasSaved: { name, step in
                let place = output.appendingPathComponent(name)
                let saved = try? SavedRun(ofCheckpoint: place)
                return saved?.state.step == step && Manifest.check(place).isWhole
            },
            stop: stop, wantsSave: wantsSave, record: { try ledger.record($0) },
            report: { event in
                store.report(report)
                switch event {
                case .step(let step): log.add(step)
                case .epoch(let epoch): log.add(epoch)
                default: break
                }
                report(event)
            })
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
        said += [ledger.note].compactMap { $0 }
        if ledger.knownCount > 0 {
            said.append(
                "\(ledger.knownCount) steps behind the checkpoint were done before; they are taken "
                    + "again and compared with the ledger")
        }
        for note in said { report(.note(note)) }
        let writer = CheckpointWriter(tuner.model, description, in: options.output)
        let store = CheckpointStore(
            writer, policy: options.policy, monitor: options.settings.monitor,
            resumedFrom: resumedFrom)
        let log = RunLog(options.output, description, from: tuner.state)
        self.log = log
        return Desk(lock: lock, store: store, ledger: ledger, log: log)
    }

    /// Refuses a run whose checkpoints would not fit on the disk.
    private func requireSpace() throws {
        let most = options.policy.mostCheckpoints(
            epochs: options.settings.epochs, steps: tuner.schedule.totalSteps)
        let (needed, overflow) = checkpointBytes.multipliedReportingOverflow(by: most)
        let free = try Volume.freeBytes(at: options.output)
        guard !overflow, needed <= free else {
            throw TrainingError.noSpace(
                path: options.output.path, needed: overflow ? .max : needed, free: free)
        }
    }

    /// The size of a checkpoint to within some thousand bytes: the weights in each of their files,
    /// the optimizer's slots, the tokenizer.
    var checkpointBytes: Int {
        let parameters = tuner.model.parameters
        let numbers = parameters.trainableNames.reduce(0) {
            $0 + parameters.dimensions(of: $1).reduce(1, *)
        }
        let copies = tuner.model.adapter == nil ? 2 : 3
        let slots = tuner.optimizer.groups.map(\.rule.slotNames.count).max() ?? 0
        let tokenizer = CheckpointWriter.tokenizerFiles.reduce(0) { sum, name in
            let file = options.model.appendingPathComponent(name).path
            let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
            return sum + (size ?? 0)
        }
        // A tensor's line in a header; a logged step in trainer_state.json; the other documents.
        let headers = parameters.trainableNames.count * (copies + slots) * 150
        let log = min(tuner.schedule.totalSteps, 1000) * 200
        return numbers * 4 * (copies + slots) + tokenizer + headers + log + 16384
    }

    /// The best checkpoint on the test rows, which the report of the run then shows too; nil when there are none or nothing was saved.
    public func evaluateTest() throws -> Evaluation? {
        let best = options.output.appendingPathComponent("best")
        guard let test, FileManager.default.fileExists(atPath: best.path) else { return nil }
        let start = ContinuousClock.now
        let checkpoint = try Checkpoint(
            contentsOf: best, base: options.method == .full ? nil : options.model,
            context: tuner.model.parameters.context)
        let evaluation = try Evaluator(
            checkpoint.model, task: task, pooling: pooling, precision: options.settings.precision,
            tokenBudget: options.settings.tokenBudget
        ).evaluate(test)
        log?.finish(
            tuner.state, digest: StateDigest.of(tuner.optimizer, tuner.model.parameters),
            test: evaluation)
        let seconds = (ContinuousClock.now - start).inSeconds
        measured.seconds.total += seconds - measured.seconds.testing
        measured.seconds.testing = seconds
        writeMeasured { _ in }
        return evaluation
    }

    // MARK: Checks

    /// Refuses an output that cannot be made, before anything is read or written.
    private static func requireWritable(_ output: URL) throws {
        var isDirectory: ObjCBool = false
        var place = output.standardizedFileURL
        if FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory),
            !isDirectory.boolValue
        {
            throw TrainingError.unwritable(
                path: output.path, reason: "expected a directory, found a file")
        }
        while !FileManager.default.fileExists(atPath: place.path, isDirectory: &isDirectory) {
            place.deleteLastPathComponent()
        }
        guard isDirectory.boolValue else {
            throw TrainingError.unwritable(
                path: output.path, reason: "'\(place.path)' is a file, not a directory")
        }
        guard FileManager.default.isWritableFile(atPath: place.path) else {
            throw TrainingError.unwritable(
                path: output.path, reason: "no permission to write in '\(place.path)'")
        }
    }

    private static func notes(
        _ train: Corpus, _ base: BaseModel, _ options: FineTuneOptions, _ length: Int
    ) -> [String] {
        var notes: [String] = []
        let report = CorpusReport(train)
        if report.superfluousRows > 0 {
            notes.append(
                "\(train.file): \(report.superfluousRows) training rows repeat another row")
        }
        if let first = report.conflicts.first {
            notes.append(
                "\(train.file): \(report.conflicts.count) texts carry two labels, first on lines "
                    + first.lines.map(String.init).joined(separator: ", "))
        }
        if length < options.maximumLength {
            notes.append(
                "the model has positions for \(length) tokens, fewer than --max-length "
                    + "\(options.maximumLength)")
        }
        return notes
    }

    /// What of the model starts where; nil when all of it is the base's.
    private static func startNote(_ base: BaseModel) -> String? {
        guard base.isPretrained else { return "every weight starts from the seed, as asked" }
        let heads = base.model.parameters.filter(\.isHead).map(\.name)
        guard !heads.isEmpty else { return nil }
        let kept = heads.filter(base.headTensors.contains)
        return kept.isEmpty
            ? "the head (\(heads.joined(separator: ", "))) starts fresh from the seed"
            : "the head starts from the base's own \(kept.joined(separator: ", "))"
    }
}
