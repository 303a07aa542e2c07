// SPDX-License-Identifier: Apache-2.0
/// The weaknesses of the second system whose document this project implements, each with its cure.

import Foundation
import Testing

/// The twelve points of what a better classification trainer does, and tests that show it here.
@Suite struct EntrenarWeaknessTests {
    /// Number, what is cured, and tests by (file below Tests, words of the name).
    static let cures: [(Int, String, [(String, String)])] = [
        (
            1, "LoRA really trains",
            [
                ("CairnGraphTests/FiniteDifferenceTests.swift", "@Test"),
                (
                    "CairnTrainingTests/GoldenTests.swift",
                    "three AdamW steps end where float64 ends"
                ),
            ]
        ),
        (
            2, "one function on every build",
            [
                (
                    "CairnTrainingTests/FineTuneTests.swift",
                    "every build, thread count and token budget ends in the same state"
                )
            ]
        ),
        (
            3, "PEFT's own names, head and labels",
            [
                ("CairnTrainingTests/CheckpointTests.swift", "config.json speaks to transformers"),
                ("CairnModelsTests/PEFTTests.swift", "@Test"),
            ]
        ),
        (
            4, "atomic checkpoints, no save error ignored",
            [
                ("CairnFormatsTests/CrashTests.swift", "@Test"),
                ("CairnTrainingTests/RunFilesTests.swift", "a save that fails is reported"),
            ]
        ),
        (
            5, "exact resume",
            [
                (
                    "CairnTrainingTests/ResumeTests.swift",
                    "from every step a run ends as if it had never stopped"
                )
            ]
        ),
        (
            6, "a container whose checksums are checked",
            [("CairnFormatsTests/APRFileTests.swift", "@Test")]
        ),
        (
            7, "stratified splits, all errors with their lines",
            [
                ("CairnTextTests/SplitAndBatchTests.swift", "@Test"),
                ("CairnTextTests/CorpusTests.swift", "@Test"),
            ]
        ),
        (
            8, "accumulation that works, a choice of monitor, seeds",
            [
                ("CairnTrainingTests/StepRowsTests.swift", "@Test"),
                ("CairnTrainingTests/RunVariant.swift", "class weights"),
            ]
        ),
        (
            9, "refuse, never guess",
            [
                ("EndToEndTests/BadInputTests.swift", "@Test"),
                ("CairnTrainingTests/ResumeTests.swift", "a state of another model is refused"),
            ]
        ),
        (
            10, "a publication without optimizer state and local paths",
            [("CairnHubTests/PublishPlanTests.swift", "@Test")]
        ),
        (
            11, "calibration, intervals, many labels",
            [("CairnTrainingTests/Metrics/ProbabilityMetricsTests.swift", "@Test")]
        ),
        (
            12, "tokens and rows per second, and times, apart",
            [("CairnTrainingTests/Reports", "")]
        ),
    ]

    private static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func `every point is here once`() {
        #expect(Self.cures.map(\.0) == Array(1...12))
    }

    @Test(arguments: 0..<cures.count)
    func `the tests that show a cure exist`(index: Int) throws {
        let (number, cure, places) = Self.cures[index]
        for (path, words) in places {
            let url = Self.tests.appendingPathComponent(path)
            #expect(FileManager.default.fileExists(atPath: url.path), "\(number), \(cure): \(path)")
            guard !words.isEmpty else { continue }
            let text = try String(contentsOf: url, encoding: .utf8)
            #expect(text.contains(words), "\(number), \(cure): \(path) lacks '\(words)'")
        }
    }
}
