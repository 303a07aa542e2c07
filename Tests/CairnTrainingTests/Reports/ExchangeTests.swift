// SPDX-License-Identifier: Apache-2.0
/// The Swift side of Tests/Interop/reports: reads cases from a directory, leaves results in it.

import CairnFormats
import CairnTraining
import Foundation
import Testing

/// Runs only where the environment names the directory that both sides share.
@Suite(.enabled(if: Exchange.directory != nil, "only for Tests/Interop/reports/run.sh"))
struct ExchangeTests {
    @Test func `figures of every case`() throws {
        let cases = try #require(try Exchange.read("metrics_cases.json").array)

        let results = try cases.map { try evaluate($0) }

        try Exchange.write(.array(results), "metrics_results.json")
    }

    @Test(arguments: ExampleHistories.all.map(\.name))
    func `report and table of every example`(name: String) throws {
        let history = try #require(ExampleHistories.all.first { $0.name == name }).history
        let folder = try Exchange.file("report-\(name)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)

        try history.write(to: folder)
    }

    /// A run of ten steps that is killed after step 7 and resumed from step 5, killed again after
    /// step 9 and resumed from step 8.
    @Test func `events of a run and of its resumes`() throws {
        let folder = try Exchange.file("events")
        let starts = try [(1, 7), (6, 9), (9, 10)].enumerated().map { index, range in
            let log = try TensorBoardLog(in: folder, firstStep: range.0)
            let entries = try (range.0...range.1).map { step -> JSONValue in
                let scalars = Self.scalars(step, start: index)
                try log.append(step: step, scalars)
                return .object([
                    "step": JSONValue(step),
                    "scalars": .object(
                        JSONObject(scalars.map { ($0.tag, .number(Double($0.value))) })),
                ])
            }
            if index == 2 { try log.close() }
            return JSONValue.object([
                "first_step": JSONValue(range.0), "entries": .array(entries),
            ])
        }
        try Exchange.write(.object(["starts": .array(starts)]), "events.json")
    }

    /// Values that tell which start wrote them; every fifth step ends an epoch.
    private static func scalars(_ step: Int, start: Int) -> [TensorBoardEvent.Scalar] {
        let work = Throughput(rows: 8, tokens: 100 + step, seconds: 0.1)
        let value = Double(step) + Double(start) / 8
        let scalars = RunHistory.Step(
            number: step, epoch: 1, loss: value, learningRate: 0, gradientNorm: 1 / value,
            throughput: work
        ).scalars
        guard step % 5 == 0 else { return scalars }
        return scalars
            + RunHistory.Epoch(
                number: step / 5, step: step, trainLoss: 0.1, validationLoss: -value,
                learningRate: 0, throughput: work
            ).scalars
    }

    private func evaluate(_ given: JSONValue) throws -> JSONValue {
        let labels = try #require(given["labels"]?.array).compactMap(\.string)
        let logits = try #require(given["logits"]?.array).map { row in
            try #require(row.array).map { Float(try #require($0.number)) }
        }
        let problem = try #require(given["problem_type"]?.string)
        let task = try #require(Task(problemType: problem, labels: labels))
        let truths = try #require(given["truths"]?.array).compactMap(\.number)
        let targets: Targets =
            if case .singleLabel = task {
                .classes(truths.map { Int32($0) })
            } else {
                .values(truths.map(Float.init), columns: labels.count)
            }
        let evaluation = Evaluation(logits: logits, loss: nil, targets: targets, task: task)
        let resamples = given["resamples"]?.integer ?? 0
        let intervals =
            resamples > 0 ? evaluation.metrics?.intervals(resamples: resamples, seed: 9) : nil
        return .object(evaluation.document(intervals: intervals))
    }
}

/// The directory that the Python side and this one share.
enum Exchange {
    static let directory = ProcessInfo.processInfo.environment["CAIRN_REPORTS_EXCHANGE"]
        .map { URL(fileURLWithPath: $0, isDirectory: true) }

    static func file(_ name: String) throws -> URL {
        try #require(directory).appendingPathComponent(name)
    }

    static func read(_ name: String) throws -> JSONValue {
        try JSONValue.parse(contentsOf: try file(name))
    }

    static func write(_ document: JSONValue, _ name: String) throws {
        try document.serialized().write(to: try file(name))
    }
}
