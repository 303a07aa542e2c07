// SPDX-License-Identifier: Apache-2.0
/// Bundles, the artifact policy, retention and the history on disk.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct TrainerArtifactTests {
    private func files(in folder: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    /// A run of the given losses, one epoch each, that saves every epoch under a policy.
    private func run(
        _ losses: [Double], in folder: TemporaryDirectory? = nil,
        _ change: (ScriptedRun) -> Void = { _ in },
        options: (inout FitOptions) -> Void = { _ in }
    ) throws -> (run: ScriptedRun, report: FitReport) {
        let run = try ScriptedRun(in: folder)
        run.trainer.artifacts.checkpointPath = run.path("ep-%{epoch}.bin")
        change(run)
        let report = try run.trainer.fitReport(perEpoch(losses.map { [$0] })) {
            $0.epochs = losses.count
            options(&$0)
        }
        return (run, report)
    }

    // MARK: Bundles

    @Test func `B1 a bundle has report, config, and the checkpoint that the report ends with`()
        throws
    {
        let (run, report) = try run([3, 2])

        let bundle = run.trainer.runBundle(report: report, config: ["seed": 7])

        #expect(bundle.json["format"] == "mlx_dsl_run_bundle_v1")
        #expect(bundle.json["report"] == report.json && bundle.json["config"] == ["seed": 7])
        #expect(bundle.json["checkpoint"]!["metadata"]!["epoch"] == 1)
        #expect(bundle.json["checkpoint"]!["monitor_name"] == "epoch_loss")
        #expect(
            Set(bundle.json["trainer"]!.object!.keys) == [
                "monitor_name", "epochs_target", "epochs_completed", "resume_from",
                "resumed_from_epoch",
            ])
    }

    @Test
    func `weakness 36: a saved bundle names its checkpoint relative to itself, with its digest`()
        throws
    {
        let (run, report) = try run([3])

        let path = try run.trainer.saveRunBundle(
            run.folder.file("art/run.json"), report: report)

        let bundle = try RunBundle(contentsOf: path)
        let checkpoint = bundle.json["checkpoint"]!
        let file = run.folder.file("ep-0.bin")
        #expect(checkpoint["path"] == "../ep-0.bin")
        #expect(try checkpoint["files"]!.array![0]["sha256"]!.string == SHA256.hex(ofFile: file))
        #expect(try bundle.payload().checkpoint?.path == file.path)
    }

    @Test func `a bundle is resumed from after its folder has moved`() throws {
        let (run, report) = try run([3])
        try run.trainer.saveRunBundle(run.folder.file("run.json"), report: report)
        let moved = try TemporaryDirectory()
        for name in ["run.json", "ep-0.bin"] {
            try FileManager.default.moveItem(at: run.folder.file(name), to: moved.file(name))
        }

        let second = try ScriptedRun(in: moved)
        let resumed = try second.trainer.fitReport(Feed([1])) {
            ($0.epochs, $0.resumeFrom) = (2, .path(moved.file("run.json")))
            $0.allowedDifferences = [.data]
        }

        #expect(resumed.startEpoch == 1 && resumed.steps == 2)
    }

    @Test func `a checkpoint that changed since its bundle is refused`() throws {
        let (run, report) = try run([3])
        let path = try run.trainer.saveRunBundle(run.folder.file("run.json"), report: report)
        let file = run.folder.file("ep-0.bin")
        try (try Data(contentsOf: file) + Data([0x20])).write(to: file)

        let text = message { try run.trainer.fit(Feed([1])) { $0.resumeFrom = .path(path) } }

        #expect(text.contains("ep-0.bin: expected SHA-256"))
        #expect(run.learner.loads.isEmpty)
    }

    @Test
    func `weakness 17 and 32: numbers that are not finite are texts in a bundle, and read back`()
        throws
    {
        let run = try ScriptedRun()
        run.trainer.artifacts.checkpointPath = run.path("ep-%{epoch}.bin")
        run.trainer.artifacts.runBundlePath = run.folder.file("run.json")
        run.trainer.artifacts.runBundleConfig = ["limit": .number(.infinity)]

        let report = try run.trainer.fitReport(Feed([Double.nan, 1])) {
            $0.stopsOnNonFinite = false
        }

        let bundle = try RunBundle(contentsOf: run.folder.file("run.json"))
        #expect(report.notes.isEmpty && report.runBundlePath != nil)
        #expect(bundle.json["report"]!["losses"] == ["nan", 1.0])
        #expect(bundle.json["config"] == ["limit": "inf"])
    }

    @Test func `B4 the policy writes a bundle with its config at the end of a fit`() throws {
        let (run, report) = try run([3]) { run in
            run.trainer.artifacts.runBundlePath = run.folder.file("run.json")
            run.trainer.artifacts.runBundleConfig = ["seed": 7]
        }

        #expect(report.runBundlePath == run.folder.file("run.json").path)
        #expect(report.artifactPolicy["run_bundle"]!["enabled"] == true)
        let bundle = try RunBundle(contentsOf: run.folder.file("run.json"))
        #expect(bundle.json["config"] == ["seed": 7])
        #expect(bundle.json["report"]!["run_bundle_path"]!.string == report.runBundlePath)
    }

    @Test func `weakness 17: a bundle stands after every checkpoint`() throws {
        let folder = try TemporaryDirectory()
        let epochs = Box<[JSONValue?]>([])
        _ = try run([3, 2], in: folder) { run in
            run.trainer.artifacts.runBundlePath = folder.file("run.json")
            run.trainer.hooks.on(.checkpoint) { _ in
                let bundle = try RunBundle(contentsOf: folder.file("run.json"))
                epochs.value.append(bundle.json["checkpoint"]!["epoch"])
            }
        }

        #expect(epochs.value == [0, 1])
    }

    @Test func `a bundle that cannot be written is a note in the report`() throws {
        let (_, report) = try run([3]) { run in
            try? Data().write(to: run.folder.file("file"))
            run.trainer.artifacts.runBundlePath = run.folder.file("file/run.json")
        }

        #expect(report.status == .completed && report.runBundlePath == nil)
        #expect(report.notes.contains { $0.hasPrefix("the run bundle was not written") })
    }

    // MARK: Retention

    @Test func `B2 weakness 14: the last two stay, with the best, and the others are deleted`()
        throws
    {
        let (run, report) = try run([3, 1, 2, 4, 5]) {
            $0.trainer.artifacts.retention.keepLast = 2
        }

        #expect(report.checkpoints.count == 5)
        #expect(
            try files(in: run.folder) == ["checkpoints.json", "ep-1.bin", "ep-3.bin", "ep-4.bin"])
        #expect(
            try run.trainer.checkpointHistory(in: run.folder.url).map(\.epoch) == [1, 3, 4])
    }

    @Test func `the best so many stay where asked for`() throws {
        let (run, _) = try run([3, 1, 2, 4, 5]) {
            $0.trainer.artifacts.retention = .init(keepLast: 1, keepBest: 2)
        }

        #expect(
            try files(in: run.folder) == ["checkpoints.json", "ep-1.bin", "ep-2.bin", "ep-4.bin"])
    }

    @Test func `where more is better the highest is the best that stays`() throws {
        let (run, _) = try run(
            [3, 9, 2, 4, 5],
            {
                $0.trainer.artifacts.retention.keepLast = 1
            }
        ) { $0.monitorMode = .max }

        #expect(try files(in: run.folder) == ["checkpoints.json", "ep-1.bin", "ep-4.bin"])
    }

    @Test func `the checkpoint that was resumed from stays`() throws {
        let (first, _) = try run([9])
        let second = try ScriptedRun(in: first.folder)
        second.trainer.artifacts.checkpointPath = second.path("ep-%{epoch}.bin")
        second.trainer.artifacts.retention.keepLast = 1

        try second.trainer.fit(perEpoch([[9], [3], [2], [4]])) {
            ($0.epochs, $0.resumeFrom) = (4, .path(first.folder.file("ep-0.bin")))
        }

        #expect(
            try files(in: first.folder) == ["checkpoints.json", "ep-0.bin", "ep-2.bin", "ep-3.bin"])
    }

    @Test func `files outside of the directory are never deleted`() throws {
        let outside = try TemporaryDirectory()
        let target = outside.file("precious.bin")
        try Data("x".utf8).write(to: target)
        let folder = try TemporaryDirectory()
        let index: JSONValue = [
            "schema": 1,
            "checkpoints": [
                [
                    "path": .string(target.path), "epoch": 0, "step": 0, "monitor_name": "m",
                    "monitor_value": .null, "epoch_loss": .null, "is_epoch_end": true,
                    "files": [["name": .string(target.path), "size": 1, "sha256": "0"]],
                ]
            ],
        ]
        try index.serialized().write(to: folder.file("checkpoints.json"))

        let (_, report) = try run([3, 2, 1], in: folder) {
            $0.trainer.artifacts.retention.keepLast = 1
        }

        #expect(FileManager.default.fileExists(atPath: target.path))
        #expect(report.notes.contains { $0.contains("lies outside of") })
    }

    @Test func `a folder linked into the directory is outside of it`() throws {
        let outside = try TemporaryDirectory()
        let folder = try TemporaryDirectory()
        try FileManager.default.createSymbolicLink(
            at: folder.file("sub"), withDestinationURL: outside.url)
        try Data("x".utf8).write(to: outside.file("a.bin"))
        let index: JSONValue = [
            "schema": 1,
            "checkpoints": [
                [
                    "path": "sub/a.bin", "epoch": 0, "step": 0, "monitor_name": "m",
                    "monitor_value": .null, "epoch_loss": .null, "is_epoch_end": true,
                    "files": [["name": "sub/a.bin", "size": 1, "sha256": "0"]],
                ]
            ],
        ]
        try index.serialized().write(to: folder.file("checkpoints.json"))

        _ = try run([3, 2], in: folder) { $0.trainer.artifacts.retention.keepLast = 1 }

        #expect(FileManager.default.fileExists(atPath: outside.file("a.bin").path))
    }

    // MARK: Strategies

    @Test func `the strategy best saves improvements, every its multiples`() throws {
        let (best, _) = try run([3, 4, 2]) { $0.trainer.artifacts.strategy = .best }
        let (every, _) = try run([3, 4, 2, 1]) { $0.trainer.artifacts.strategy = .every(2) }

        #expect(best.learner.saves.map { $0.metadata["epoch"] } == [0, 2])
        #expect(every.learner.saves.map { $0.metadata["epoch"] } == [1, 3])
    }

    @Test func `a call's own path wins over the policy's`() throws {
        let run = try ScriptedRun()
        run.trainer.artifacts.checkpointPath = run.path("policy.bin")

        try run.trainer.fit(Feed([1])) { $0.checkpointPath = run.path("own.bin") }

        #expect(run.exists("own.bin") && !run.exists("policy.bin"))
    }

    // MARK: Resuming by the policy

    @Test
    func `B3 weakness 16: the policy resumes the newest checkpoint on disk, in a new process too`()
        throws
    {
        let (first, _) = try run([3, 2])

        let (second, report) = try run([3, 2, 1], in: first.folder) {
            $0.trainer.artifacts.resume = .latest
        }

        #expect(report.epochs.map(\.epoch) == [2] && report.steps == 3)
        #expect(second.learner.loads.map(\.lastPathComponent) == ["ep-1.bin"])
    }

    @Test func `the policy resumes the best checkpoint on disk`() throws {
        let (first, _) = try run([3, 1, 2])

        let (second, report) = try run([3, 1, 2], in: first.folder) {
            $0.trainer.artifacts.resume = .best
        }

        #expect(report.epochs.map(\.epoch) == [2])
        #expect(second.learner.loads.map(\.lastPathComponent) == ["ep-1.bin"])
    }

    @Test func `an empty directory is a fresh start for the policy`() throws {
        let (_, report) = try run([3]) { $0.trainer.artifacts.resume = .latest }

        #expect(report.startEpoch == 0)
    }

    @Test
    func `weakness 13: the newest checkpoint that verifies is taken, what is skipped is said`()
        throws
    {
        let (first, _) = try run([3, 2, 1])
        let damaged = first.folder.file("ep-2.bin")
        var bytes = try Data(contentsOf: damaged)
        bytes[20] ^= 1
        try bytes.write(to: damaged)

        let second = try ScriptedRun(in: first.folder)
        let report = try second.trainer.fitReport(perEpoch([[], [], [1]])) {
            ($0.epochs, $0.resumeFrom) = (3, .path(first.folder.url))
        }

        #expect(report.startEpoch == 2)
        #expect(report.notes.contains { $0.hasPrefix("skipped \(damaged.path)") })
    }
}
