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
