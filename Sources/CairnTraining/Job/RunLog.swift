// SPDX-License-Identifier: Apache-2.0
/// What a run tells people while it goes: curves for TensorBoard, a table and a page.

import CairnFormats
import Foundation

/// Keeps the history of a run, and writes `history.csv`, `report.html` and an event file.
///
/// None of it can end a run: what cannot be written is said once and left.
final class RunLog {
    private let directory: URL
    private let description: RunDescription
    private(set) var steps: [RunHistory.Step]
    private var events: TensorBoardLog?
    /// What could not be written, a sentence each.
    private(set) var notes: [String] = []

    static let eventFolder = "events"

    /// - Parameter state: where the run stands; the steps before it are in its ledger.
    init(_ directory: URL, _ description: RunDescription, from state: RunState) {
        self.directory = directory
        self.description = description
        let ledger = state.step > 0 ? try? Ledger(ofRun: directory) : nil
        steps = (ledger?.entries ?? []).filter { $0.step <= state.step }.map {
            RunHistory.Step($0)
        }
        let first = Self.firstStep(description, state)
        do {
            events = try TensorBoardLog(
                in: directory.appendingPathComponent(Self.eventFolder), firstStep: first)
        } catch {
            notes.append("no events for TensorBoard: \(error)")
        }
        for step in steps where step.number >= first { log(step.scalars, at: step.number) }
    }

    /// The first step that this start logs something of: the next one; or, where an epoch's
    /// validation is still to come, its last one, of which an earlier start may have logged that
    /// validation. What that start logged of the step itself then goes too, and is logged anew.
    private static func firstStep(_ description: RunDescription, _ state: RunState) -> Int {
        let size = description.settings.batchSize
        let stepsPerEpoch = (description.trainRows + size - 1) / size
        return state.step + (state.stepInEpoch == stepsPerEpoch ? 0 : 1)
    }

    func add(_ report: StepReport) {
        let step = RunHistory.Step(report)
        steps.append(step)
        log(step.scalars, at: step.number)
    }

    func add(_ report: EpochReport) {
        log(RunHistory.Epoch(report).scalars, at: report.step)
    }

    private func log(_ scalars: [TensorBoardEvent.Scalar], at step: Int) {
        do {
            try events?.append(step: step, scalars)
        } catch {
            events = nil
            notes.append("no more events for TensorBoard: \(error)")
        }
    }

    /// The history up to a state, as a value that another thread may write.
    func history(_ state: RunState, test: Evaluation? = nil) -> RunHistory {
        var history = RunHistory(
            title: (description.task == .causal
                ? "Language model, " : "\(description.task.labels.count) labels on ")
                + URL(fileURLWithPath: description.baseName).lastPathComponent,
            state: state, steps: steps)
        history.settings = description.facts
        history.digests = (description.inputs?.values ?? [:]).sorted { $0.key < $1.key }.map {
            RunHistory.Fact($0.key, $0.value)
        }
        history.peakByteCount = ResidentMemory.peakByteCount
        history.test = test
        return history
    }

    /// Brings the events to the medium and writes the table and the page.
    func finish(_ state: RunState, digest: String?, test: Evaluation? = nil) {
        do {
            try events?.close()
            events = nil
            var history = history(state, test: test)
            if let digest { history.digests.append(RunHistory.Fact("state", digest)) }
            try history.write(to: directory)
        } catch {
            notes.append("no report: \(error)")
        }
    }
}

extension RunDescription {
    /// The settings as a person should read them.
    var facts: [RunHistory.Fact] {
        var facts: [RunHistory.Fact] = []
        func add(_ object: JSONObject) {
            for (key, value) in object where !value.isNull && value.object == nil {
                let text = try? value.serialized(pretty: false)
                facts.append(
                    RunHistory.Fact(
                        key.replacingOccurrences(of: "_", with: " "),
                        value.string ?? text.map { String(decoding: $0, as: UTF8.self) } ?? ""))
            }
        }
        add(settings.json())
        add([
            "longest_row": JSONValue(maximumLength), "train_rows": JSONValue(trainRows),
            "validation_rows": JSONValue(validationRows), "run_id": .string(runID),
        ])
        if let method = options?.method.json().object { add(method) }
        return facts
    }
}
