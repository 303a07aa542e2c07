// SPDX-License-Identifier: Apache-2.0
/// From a resume source to a state: everything read and checked first, applied at the end.

import CairnFormats
import Foundation

/// Where a run takes up, checked, and what applies it to the learner.
struct ResumePoint {
    var state: TrainerState
    /// The path that was resumed from.
    var path: String?
    var resumedFromEpoch: Int?
    /// The checkpoint's own path: retention never deletes it.
    var checkpoint: URL?
    var notes: [String] = []
    var apply: () -> Void = {}
}

/// Resolves the source of one fit.
struct ResumeResolver<Input> {
    let learner: any Learner<Input>
    let options: FitOptions
    /// The state of a fresh start: monitor rule, data and settings of this fit.
    let fresh: TrainerState
    let hookNames: Set<String>

    private enum Part { case all, counters, weights }

    /// What a source holds, before anything is applied; nil is a fresh start.
    func resolve(_ source: ResumeSource) throws -> ResumePoint? {
        try resolve(source, .all, isFromLoader: false)
    }

    private func resolve(
        _ source: ResumeSource, _ part: Part, isFromLoader: Bool
    ) throws -> ResumePoint? {
        switch source {
        case .countersOnly(let inner):
            return try resolve(inner, .counters, isFromLoader: isFromLoader)
        case .weightsOnly(let inner):
            return try resolve(inner, .weights, isFromLoader: isFromLoader)
        case .bundle(let bundle): return try point(try bundle.payload(), part)
        case .payload(let payload): return try point(payload, part)
        case .path(let url): return try point(url, part)
        case .loader(let load):
            guard !isFromLoader else {
                throw TrainerError.resume(
                    source: "a loader", reason: "it gave another loader, which is not called")
            }
            let request = ResumeRequest(
                monitorName: options.monitorRule.name, epochs: options.epochs)
            guard let inner = try load(request) else { return nil }
            return try resolve(inner, part, isFromLoader: true)
        }
    }

    // MARK: Kinds of source

    private func point(_ url: URL, _ part: Part) throws -> ResumePoint {
        var point: ResumePoint
        switch try PathContent(of: url) {
        case .bundle(let bundle): point = try self.point(try bundle.payload(), part)
        case .directory where DirectoryCheckpoint.isOne(url):
            point = try self.point(checkpoint: url, part)
        // A base name without its suffix is the checkpoint reader's business.
        case .missing, .checkpoint: point = try self.point(checkpoint: url, part)
        case .directory: point = try self.point(directory: url, part)
        }
        point.path = url.path
        return point
    }

    private func point(_ payload: ResumePayload, _ part: Part) throws -> ResumePoint {
        guard part != .counters else {
            return try finished(payload.metadata, payload.origin, part, nil)
        }
        guard let url = payload.checkpoint else {
            throw TrainerError.resume(
                source: payload.origin,
                reason: "it names no checkpoint, so weights and optimizer would stay as they are; "
                    + "ask for .countersOnly if that is meant")
        }
        for file in payload.files {
            let found = try SHA256.hex(ofFile: file.url)
            guard found == file.sha256 else {
                throw TrainerError.damaged(
                    path: file.url.path, expected: file.sha256, found: found)
            }
        }
        let read = try learner.read(url, withOptimizer: part != .weights)
        if let named = payload.metadata["epoch"]?.integer,
            let own = read.metadata["epoch"]?.integer,
            named != own
        {
            throw TrainerError.resume(
                source: payload.origin,
                reason: "it stands at epoch \(named), its checkpoint \(url.path) at epoch \(own)")
        }
        let metadata = read.metadata["epoch"] == nil ? payload.metadata : read.metadata
        var point = try finished(metadata, payload.origin, part, read)
        point.checkpoint = url
        return point
    }

    private func point(checkpoint url: URL, _ part: Part) throws -> ResumePoint {
        let folder = CheckpointHistory(readable: url.deletingLastPathComponent())
        try folder?.records.first { $0.path.path == url.path }?.verify()
        let read = try learner.read(url, withOptimizer: part != .weights)
        var point = try finished(read.metadata, url.path, part, read)
        point.checkpoint = url
        return point
    }

    /// The newest checkpoint of a run's directory that verifies: of those in the index, and of
    /// those that a crash kept from it.
    private func point(directory: URL, _ part: Part) throws -> ResumePoint {
        let history = try CheckpointHistory(reading: directory)
        var skipped: [String] = []
        var candidates: [(url: URL, step: Int)] = []
        for record in history.records {
            do {
                try record.verify()
                candidates.append((record.path, record.step))
            } catch {
                skipped.append("skipped \(record.path.path): \(error)")
            }
        }
        for url in history.strangers(learner) {
            do {
                let metadata = try learner.read(url, withOptimizer: part != .weights).metadata
                let state = try TrainerState(metadata: metadata, file: url.path)
                candidates.append((url, state?.step ?? 0))
            } catch {
                skipped.append("skipped \(url.path): \(error)")
            }
        }
        let newest = candidates.indices.max {
            (candidates[$0].step, $0) < (candidates[$1].step, $1)
        }
        guard let newest else {
            throw TrainerError.resume(
                source: directory.path,
                reason: "no checkpoint in it verifies"
                    + (skipped.isEmpty ? "" : ": " + skipped.joined(separator: "; ")))
        }
        var point = try point(checkpoint: candidates[newest].url, part)
        point.notes = skipped + point.notes
        return point
    }

    // MARK: Checks

    private func finished(
        _ metadata: JSONObject, _ origin: String, _ part: Part, _ read: ReadCheckpoint?
    ) throws -> ResumePoint {
        if part == .weights {
            var point = ResumePoint(state: fresh)
            point.state.step = learner.step
            point.apply = { read?.apply() }
            return point
        }
        if part == .all, read?.hasOptimizer == false {
            throw TrainerError.resume(
                source: origin,
                reason: "it holds no optimizer state; ask for .weightsOnly to begin anew from its "
                    + "weights")
        }
        let reader = MetadataReader(metadata: metadata, file: origin)
        var (state, notes) = try reader.state(fresh: fresh)
        try checkMonitor(&state, origin, isOurs: metadata[TrainerState.key] != nil)
        try checkSettings(state, origin)
        let unknown = Set(state.hooks.occurrences.keys).subtracting(hookNames).sorted()
        if !unknown.isEmpty {
            notes.append("no hook is called \(unknown.joined(separator: ", ")) in this run")
        }
        var point = ResumePoint(state: state, notes: notes)
        point.resumedFromEpoch = state.lastEpoch
        point.state.settings = fresh.settings
        point.notes += read?.remarks ?? []
        if part == .all, let read { point.apply = read.apply }
        return point
    }

    private func checkMonitor(
        _ state: inout TrainerState, _ origin: String, isOurs: Bool
    ) throws(TrainerError) {
        let (saved, asked) = (state.monitor.rule, fresh.monitor.rule)
        if !options.allowedDifferences.contains(.monitor) {
            guard saved.name == asked.name else {
                throw .resume(
                    source: origin,
                    reason: "its monitor_name is '\(saved.name)', this fit's is '\(asked.name)'")
            }
            guard !isOurs || saved == asked else {
                throw .resume(
                    source: origin,
                    reason: "its monitor is \(saved.summary), this fit's is \(asked.summary); "
                        + "allow the difference 'monitor' to change the rule")
            }
        }
        let isSame = saved.name == asked.name && saved.mode == asked.mode
        state.monitor = Monitor(
            asked, best: isSame ? state.monitor.best : nil, stale: state.monitor.stale,
            stoppedEarly: state.monitor.stoppedEarly)
    }

    private func checkSettings(_ state: TrainerState, _ origin: String) throws(TrainerError) {
        let differences = RunSetting.allCases.filter { setting in
            guard let saved = state.settings[setting] else { return false }
            // A format may have put keys into another order.
            return Self.text(saved) != Self.text(fresh.settings[setting])
                && !options.allowedDifferences.contains(setting)
        }
        guard differences.isEmpty else {
            let list = differences.map { setting in
                "\(setting.rawValue) was \(Self.text(state.settings[setting])), is "
                    + Self.text(fresh.settings[setting])
            }
            throw .resume(
                source: origin,
                reason: list.joined(separator: "; ") + "; allow a difference by its name")
        }
    }

    private static func text(_ value: JSONValue?) -> String {
        guard let value, let data = try? value.serialized(pretty: false, sortedKeys: true)
        else { return "nothing" }
        return String(decoding: data, as: UTF8.self)
    }
}

extension Monitor.Rule {
    var summary: String {
        "\(mode.rawValue) of \(name), min_delta \(minDelta), patience "
            + (patience.map { "\($0)" } ?? "none")
    }
}

/// Reads counters: the whole state of ours, or what mlx-ruby writes.
struct MetadataReader {
    let metadata: JSONObject
    let file: String

    func state(fresh: TrainerState) throws(TrainingError) -> (TrainerState, notes: [String]) {
        if let state = try TrainerState(metadata: metadata, file: file) { return (state, []) }
        let reader = try DocumentReader(
            .object(metadata), file: file, place: "metadata.")
        var state = fresh
        guard let epoch = try reader.optionalCount("epoch") else {
            throw reader.failure("epoch", "the last epoch that was finished", found: "nothing")
        }
        state.position.epoch = epoch + 1
        let stale = try reader.optionalCount("stale_epochs") ?? 0
        var rule = fresh.monitor.rule
        if metadata["monitor_name"]?.isNull == false {
            rule.name = try reader.string("monitor_name")
        }
        let best = try reader.optionalReal("best_metric")
        state.monitor = Monitor(rule, best: best, stale: stale, stoppedEarly: false)
        var notes = [
            "\(file) has no state of this library: the monitor's mode, the settings and the place "
                + "in the data were not compared"
        ]
        if best?.isFinite == false {
            notes.append("its best_metric is \(best!), which is no best; the next one is")
        }
        return (state, notes)
    }
}
