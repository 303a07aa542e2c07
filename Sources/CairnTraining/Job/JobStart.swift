// SPDX-License-Identifier: Apache-2.0
/// Where a job begins: what of an earlier run it takes over, and what it refuses to.

import CairnFormats
import CairnModels
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

extension JobStart {
    /// The earlier run's where it goes on, else a new one with every call.
    func chosenRunID() -> String {
        if case .resumed(let point, _) = self { return point.saved.state.runID }
        return UUID().uuidString.lowercased()
    }

    /// Refuses a base in other bits than those that the adapter which goes on was trained over.
    func requireSameStorage(_ options: FineTuneOptions) throws {
        if case .transformers(let checkpoint) = self, options.storage.isQuantized {
            throw TrainingError.otherStorage(
                path: checkpoint.directory.path, expected: BaseStorage.stored.rawValue,
                found: options.storage.rawValue)
        }
        guard let point, point.saved.job != nil else { return }
        let before = try point.options(output: options.output).storage
        guard before == options.storage else {
            throw TrainingError.otherStorage(
                path: point.source.path, expected: before.rawValue, found: options.storage.rawValue)
        }
    }

    /// Refuses inputs that differ from those of the run that is to go on.
    func requireSame(_ inputs: InputDigests, _ options: FineTuneOptions) throws {
        let (point, allowed): (ResumableRun, Set<String>)
        switch self {
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
            // Another base that is allowed has other codes too.
            if key == "coded-base", allowed.contains("base") { continue }
            throw TrainingError.changed(
                key: key, what: "the input '\(key)'",
                expected: before.values[key].map { "SHA-256 \($0)" } ?? "none",
                found: inputs.values[key].map { "SHA-256 \($0)" } ?? "none")
        }
    }

    /// Puts the parts of a checkpoint that the start asks for in place.
    func apply(to tuner: FineTuner, _ options: FineTuneOptions) throws {
        if case .transformers(let checkpoint) = self {
            return try tuner.restore(checkpoint)
        }
        guard let point else { return }
        let parameters = tuner.model.parameters
        var state = point.saved.state
        switch self {
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
}
