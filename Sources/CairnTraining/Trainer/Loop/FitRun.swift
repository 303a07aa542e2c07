// SPDX-License-Identifier: Apache-2.0
/// The loop of one fit: epochs, steps, validation, monitor, and an end for every exit.

import CairnFormats
import Foundation

/// One call of fit, from checked options to a report.
final class FitRun<Input> {
    let trainer: Trainer<Input>
    let learner: any Learner<Input>
    let hooks: Hooks
    let options: FitOptions
    let data: SplitPlan<Input>
    let metrics: [TrainerMetric]
    var state: TrainerState
    /// What this call adds, for the report.
    var log = FitLog()
    var saver: CheckpointSaver<Input>?
    private var resume: ResumePoint?
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// Checks everything; nothing has run or been loaded when it throws.
    init(
        _ trainer: Trainer<Input>, _ plan: SplitPlan<Input>, _ options: FitOptions,
        metrics: [TrainerMetric]
    ) throws {
        start = clock.now
        self.trainer = trainer
        learner = trainer.learner
        hooks = trainer.hooks
        var data = plan
        if let limit = options.limit { data.train.limit = limit }
        if let limit = options.validationLimit { data.validation?.limit = limit }
        self.data = data
        try options.validate(hasValidation: plan.validation != nil, metrics: metrics)
        try data.train.limit.validate(.train)
        try data.validation?.limit.validate(.validation)
        try trainer.artifacts.validate(options)
        self.options = options
        self.metrics = metrics
        state = TrainerState(monitor: options.monitorRule, dataKey: data.train.key)
        state.step = learner.step
        state.settings = Self.settings(trainer, options, data.train)
        saver = try CheckpointSaver(trainer, options)
        try saver?.takeDirectory()
        try takeUp()
    }

    private static func settings(
        _ trainer: Trainer<Input>, _ options: FitOptions, _ train: Feed<Input>
    ) -> [RunSetting: JSONValue] {
        var settings = trainer.learner.settings
        settings[.accumulation] = .whole(options.accumulation)
        settings[.data] = .string(train.key)
        switch trainer.learningRate {
        case .constant(let rate): settings[.learningRate] = .real(rate)
        case .schedule(let schedule): settings[.learningRate] = .object(schedule.json)
        }
        return settings
    }

    /// Finds what the fit resumes from, checks it in full, then applies it.
    private func takeUp() throws {
        guard let source = try source() else { return }
        let resolver = ResumeResolver(
            learner: learner, options: options, fresh: state, hookNames: hooks.names)
        guard let point = try resolver.resolve(source) else { return }
        point.apply()
        state = point.state
        state.step = learner.step
        hooks.counters = state.hooks
        if options.continuesAfterEarlyStop, state.monitor.stoppedEarly { state.monitor.goOn() }
        saver?.protect(point.checkpoint)
        log.notes += point.notes
        resume = point
    }

    private func source() throws -> ResumeSource? {
        if let source = options.resumeFrom { return source }
        switch trainer.artifacts.resume {
        case .never: return nil
        case .from(let source): return source
        case .latest, .best:
            return try saver?.history(trainer.artifacts.resume, options.monitorRule)
        }
    }

    // MARK: The run

    func run() throws -> FitReport {
        log.startEpoch = state.position.epoch
        log.startStep = state.step
        var failure: (any Error)?
        var status = FitStatus.failed
        do {
            try hooks.emit(.beforeFit, fitStart)
            state.hooks = hooks.counters
            let end = try epochs()
            try saver?.heed(self, waiting: true)
            status = end
        } catch {
            failure = error
            do {
                try saver?.heed(self, waiting: true)
            } catch {
                log.notes.append("a checkpoint was not written: \(error)")
            }
        }
        let report = withBundle { self.report(status, failure) }
        saver?.releaseDirectories()
        trainer.lastReport = report
        do {
            try hooks.emit(.afterFit, FitEnd(report: report))
        } catch  where failure == nil {
            failure = error
        } catch {
            trainer.lastReport?.notes.append("a hook of after_fit failed too: \(error)")
        }
        if let failure { throw failure }
        return report
    }

    private var fitStart: FitStart {
        FitStart(
            epochs: options.epochs, startEpoch: state.position.epoch,
            resumedFromEpoch: resume?.resumedFromEpoch, resumeFrom: resume?.path,
            best: state.monitor.best, stale: state.monitor.stale, datasetSize: data.train.count,
            validationSize: data.validation?.count)
    }

    private func epochs() throws -> FitStatus {
        if state.monitor.stoppedEarly {
            log.notes.append("the run had stopped early and does nothing more unless told")
            return .stoppedEarly
        }
        while state.position.epoch < options.epochs {
            guard try epoch(state.position.epoch) else {
                try saver?.saveInterrupted(self)
                if saver == nil {
                    log.notes.append("nothing was saved, for no checkpoint_path is given")
                }
                return .interrupted
            }
            if state.monitor.stoppedEarly { return .stoppedEarly }
        }
        if let test = data.test {
            guard
                let scores = try score(
                    test, EpochContext(epoch: options.epochs, kind: .test),
                    {
                        _ in
                    })
            else { return .interrupted }
            log.testLoss = try validationReduce(scores.map(\.loss), weights: scores.map(\.weight))
        }
        return .completed
    }

    /// One epoch, or what is left of it; false when stopped.
    private func epoch(_ number: Int) throws -> Bool {
        let context = EpochContext(epoch: number, kind: .train)
        if state.position.index == 0 { try hooks.emit(.beforeEpoch, EpochStart(epoch: number)) }
        let cursor = try data.train.open(context)
        let skipped = try cursor.skip(state.position.index)
        guard skipped == state.position.index else {
            throw TrainerError.resume(
                source: resume?.path ?? "the saved state",
                reason:
                    "it had used \(state.position.index) batches of epoch \(number), whose data "
                    + "now ends after \(skipped)")
        }
        guard try trainSteps(number, cursor) else { return false }
        try checkReuse(data.train, context, isEmpty: state.losses.isEmpty) {
            state.rows.contains { $0.batches > 0 }
        }
        guard let validation = try validate(number) else { return false }
        try close(number, validation)
        return true
    }

    /// Monitor, row, checkpoint: the state becomes that of a finished epoch.
    private func close(_ number: Int, _ validation: ValidationResult) throws {
        let epochLoss = try options.reduce(state.losses, weights: state.weights)
        let values = try metricValues(number, epochLoss, validation)
        let value: Double? =
            switch options.monitor {
            case .epochLoss: epochLoss
            case .validationLoss: validation.loss
            case .metric(let name): values[name]
            }
        let improved = state.monitor.observe(value)
        let row = EpochRow(
            epoch: number, batches: state.losses.count, epochLoss: epochLoss,
            validationLoss: validation.loss, validationBatches: validation.losses.count,
            monitorValue: value, stale: state.monitor.stale, improved: improved, metrics: values,
            learningRate: state.learningRate, steps: state.step, trainSeconds: state.epochSeconds,
            validationSeconds: validation.seconds)
        state.seconds += validation.seconds
        state.close(row)
        log.rows.append(row)
        let saved = try saver?.saveEpoch(self, row) ?? false
        try hooks.emit(.afterEpoch, epochEnd(row, saved: saved))
        state.hooks = hooks.counters
    }

    func epochEnd(_ row: EpochRow, saved: Bool) -> EpochEnd {
        EpochEnd(
            row: row, monitorName: state.monitor.rule.name, best: state.monitor.best,
            checkpointSaved: saved)
    }

    private func metricValues(
        _ number: Int, _ epochLoss: Double?, _ validation: ValidationResult
    ) throws -> [String: Double] {
        let context = MetricContext(
            epoch: number, epochLosses: state.losses, epochLoss: epochLoss,
            validationLosses: validation.losses, validationLoss: validation.loss,
            accuracy: state.judged > 0 ? Double(state.right) / Double(state.judged) : nil,
            validationAccuracy: validation.accuracy, step: state.step)
        var values: [String: Double] = [:]
        for metric in metrics { values[metric.name] = try metric.value(context) }
        return values
    }

    func checkReuse(
        _ feed: Feed<Input>, _ context: EpochContext, isEmpty: Bool, hadBatches: () -> Bool
    ) throws(TrainerError) {
        if options.strictDataReuse, isEmpty, feed.isOneShot, hadBatches() {
            throw .exhausted(kind: context.kind, epoch: context.epoch)
        }
    }

    func validationReduce(_ losses: [Double], weights: [Double]) throws -> Double? {
        try (options.validationReduce ?? options.reduce)(losses, weights: weights)
    }

    // MARK: The report

    func report(_ status: FitStatus, _ failure: (any Error)?) -> FitReport {
        let seconds = (clock.now - start).inSeconds
        return FitReport(
            status: status, failure: failure.map { "\($0)" }, losses: log.losses,
            lossesKept: options.keepLosses, epochs: log.rows, history: state.rows,
            monitorName: state.monitor.rule.name, epochsTarget: options.epochs,
            epochsCompleted: state.position.epoch, bestMetric: state.monitor.best,
            resumeFrom: resume?.path, resumedFromEpoch: resume?.resumedFromEpoch,
            startEpoch: log.startEpoch, artifactPolicy: trainer.artifacts.json,
            runBundlePath: nil, steps: state.step, stepsRan: state.step - log.startStep,
            learningRate: state.learningRate, testLoss: log.testLoss,
            checkpoints: saver?.written ?? [], seconds: seconds, trainSeconds: log.trainSeconds,
            validationSeconds: log.validationSeconds, saveSeconds: saver?.seconds ?? 0,
            runSeconds: state.seconds, settings: state.settings,
            stateDigest: learner.stateDigest,
            notes: log.notes + (saver?.notes ?? []))
    }

    /// Writes the run's bundle, if the policy asks for one; a failure becomes a note.
    func withBundle(_ make: () -> FitReport) -> FitReport {
        var report = make()
        guard let path = trainer.artifacts.runBundlePath else { return report }
        report.runBundlePath = path.path
        do {
            try trainer.saveRunBundle(
                path, report: report, config: trainer.artifacts.runBundleConfig)
        } catch {
            report.runBundlePath = nil
            report.notes.append("the run bundle was not written: \(error)")
        }
        return report
    }
}

/// What one call of fit adds to its report.
struct FitLog {
    var losses: [Double] = []
    var rows: [EpochRow] = []
    var notes: [String] = []
    var startEpoch = 0
    var startStep = 0
    var testLoss: Double?
    var trainSeconds = 0.0
    var validationSeconds = 0.0
}

/// What validation gave in one epoch.
struct ValidationResult {
    var losses: [Double] = []
    var loss: Double?
    var accuracy: Double?
    var seconds = 0.0
}
