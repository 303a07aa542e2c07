// SPDX-License-Identifier: Apache-2.0
/// After a crash at any moment a run's directory holds what was promised or the next, bit by bit.

import CairnFormats
import Foundation
import TestSupport
import Testing

/// A run in little: checkpoints with everything that is done around them, and how it is loaded.
struct MiniRun {
    let directory: URL
    let files: any FileOperations
    /// Called with what is done for good.
    var promise: (String) -> Void = { _ in }

    /// All states by `CAIRN_CRASH_STATES=all`, which takes minutes.
    static let isThorough = ProcessInfo.processInfo.environment["CAIRN_CRASH_STATES"] == "all"
    static let epochs = 4
    static let names = [
        "adapter_model.safetensors", "config.json", "metadata.json", "tokenizer.json",
        "training/optimizer.safetensors", "training/state.json",
    ]

    static func content(_ version: Int) -> [String: Data] {
        var generator = SplitMix(state: UInt64(version))
        var content: [String: Data] = [:]
        for name in names {
            let bytes = (0..<150).map { _ in UInt8.random(in: 0...255, using: &generator) }
            content[name] = Data(bytes)
        }
        return content
    }

    func commit(_ name: String, _ version: Int) throws {
        let commit = try DirectoryCommit(
            target: directory.appendingPathComponent(name), subfolders: ["training"], files: files)
        for (file, data) in Self.content(version).sorted(by: { $0.key < $1.key }) {
            try commit.add(name: file) { sink in
                for third in 0..<3 { try sink.write(data.dropFirst(50 * third).prefix(50)) }
            }
        }
        let manifest = Manifest(runID: "r", name: name, parent: nil, files: commit.added)
        try commit.add(name: Manifest.fileName, try manifest.serialized())
        try commit.commit()
    }

    static func line(_ step: Int) -> String {
        "step \(step) " + SHA256.hex(of: Data("\(step)".utf8))
    }

    /// Saves like a run that keeps two checkpoints and has its best at every second epoch.
    func epoch(_ version: Int) throws {
        let ledger = try AppendFile(directory.appendingPathComponent("ledger"), files: files)
        for step in 1...3 { try ledger.append(Self.line(version * 3 + step)) }
        try ledger.synchronize()
        try ledger.close()
        promise("ledger \(version)")
        try commit("epoch-\(version)", version)
        promise("epoch \(version)")
        if version % 2 == 0 || version == 1 {
            try commit("best", version)
            promise("best \(version)")
        }
        try CurrentLink("latest", in: directory, files: files).move(to: "epoch-\(version)")
        promise("latest \(version)")
        try DurableFile.write(
            Data("bundle \(version)".utf8), to: directory.appendingPathComponent("bundle"),
            files: files)
        promise("bundle \(version)")
        if version > 2 {
            _ = try Removal.remove("epoch-\(version - 2)", in: directory, files: files)
            promise("removed \(version - 2)")
        }
    }
}

/// What must be true of a directory in which a `MiniRun` may have been stopped at any moment.
struct MiniRunCheck {
    let directory: URL
    let promises: [String]
    /// Where exchanging is not possible `best` may be without its name until a sweep.
    var canExchange = true

    struct Lost: Error, CustomStringConvertible { let description: String }

    /// The newest version that was promised for a subject.
    private func promised(_ subject: String) -> Int {
        promises.compactMap { line in
            let words = line.split(separator: " ")
            return words[0] == subject ? Int(words[1]) : nil
        }.max() ?? 0
    }

    private func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw Lost(description: text()) }
    }

    /// What each version's manifest lists, so that a whole directory of it has its bits.
    private static let expected = (0...MiniRun.epochs + 1).map { version in
        MiniRun.content(version).sorted { $0.key < $1.key }.map { name, data in
            CommittedFile(name: name, size: data.count, sha256: SHA256.hex(of: data))
        }
    }

    /// The version in a directory, which is whole and has its bits.
    private func version(_ name: String) throws -> Int {
        let manifest = try Manifest(of: directory.appendingPathComponent(name))
        let result = manifest.verify(directory.appendingPathComponent(name))
        try require(result.isWhole && result.strangers == [], "\(name): \(result)")
        let version = Self.expected.firstIndex(of: manifest.files)
        try require(version != nil, "\(name) holds \(manifest.files)")
        return version ?? 0
    }

    func check(swept: Bool) throws {
        do {
            try checkAll(swept: swept)
        } catch let error as FormatError {
            throw Lost(description: "\(error)")
        }
    }

    private func checkAll(swept: Bool) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        let epochs = try names.filter { $0.hasPrefix("epoch-") }.map { name in
            let version = try version(name)
            try require(name == "epoch-\(version)", "\(name) holds version \(version)")
            return version
        }
        let epoch = promised("epoch")
        let newest = epochs.max() ?? 0
        try require((epoch...epoch + 1).contains(newest), "epochs \(epochs), promised \(epoch)")
        let removed = promised("removed")
        try require(epochs.allSatisfy { $0 > removed }, "epochs \(epochs) after \(removed)")
        // Only the one whose removal has begun may be gone.
        for version in removed + 1...max(removed + 1, epoch) where version <= epoch {
            try require(
                epochs.contains(version) || version == removed + 1 && epoch > 2,
                "epoch \(version) is gone of \(epochs)")
        }
        try checkBest(names, swept: swept)
        try checkLatest(epochs)
        try checkFiles()
    }

    private func checkBest(_ names: [String], swept: Bool) throws {
        let best = promised("best")
        guard names.contains("best") else {
            let mayWait = !canExchange && !swept && names.contains { $0.hasPrefix(".best.old-") }
            return try require(best == 0 || mayWait, "best \(best) is gone")
        }
        let found = try version("best")
        let next = best == 0 ? 1 : best == 1 ? 2 : best + 2
        try require(found == best || found == next, "best \(found), promised \(best)")
    }

    private func checkLatest(_ epochs: [Int]) throws {
        let latest = promised("latest")
        guard let name = try CurrentLink("latest", in: directory).destination() else {
            return try require(latest == 0, "latest is gone")
        }
        let version = Int(name.dropFirst("epoch-".count)) ?? 0
        try require((latest...latest + 1).contains(version), "latest \(name), not \(latest)")
        try require(epochs.contains(version), "latest names \(name), which is gone")
    }

    private func checkFiles() throws {
        let bundle = promised("bundle")
        let text = try? String(
            decoding: Data(contentsOf: directory.appendingPathComponent("bundle")), as: UTF8.self)
        let wanted = [bundle, bundle + 1].map { $0 == 0 ? nil : "bundle \($0)" }
        try require(wanted.contains(text), "bundle \(text ?? "gone"), promised \(bundle)")

        let steps = promised("ledger") * 3
        let ledger = directory.appendingPathComponent("ledger")
        let lines = ((try? Data(contentsOf: ledger)) ?? Data()).split(separator: 0x0A)
            .map { String(decoding: $0, as: UTF8.self) }
        for step in 0..<steps {
            try require(
                step < lines.count && lines[step] == MiniRun.line(step + 4), "step \(step) is gone")
        }
        try require(lines.count <= steps + 3, "\(lines.count) lines, promised \(steps)")
    }

    /// What a process does that starts here again: sweeps, and saves the next.
    func restart() throws {
        let lock = try RunLock(directory)
        let kept = try Leftover.sweep(
            in: directory, holding: lock, files: FaultyFiles(synchronizes: false))
        lock.release()
        try check(swept: true)
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        let hidden = names.filter { $0.hasPrefix(".") }
        try require(
            hidden.sorted() == kept.map(\.url.lastPathComponent), "left: \(hidden), kept \(kept)")
        // Kept is only a commit that was written in full and never got its name.
        try require(
            kept.allSatisfy { $0.kind == .staging && !names.contains($0.name) }, "kept \(kept)")
        let run = MiniRun(directory: directory, files: FaultyFiles(synchronizes: false))
        try run.commit("best", MiniRun.epochs + 1)
        let ledger = try AppendFile(
            directory.appendingPathComponent("ledger"), files: FaultyFiles(synchronizes: false))
        try ledger.append("more")
        try require(try version("best") == MiniRun.epochs + 1, "the next best is not there")
    }
}

@Suite struct CrashTests {
    /// Records a run and looks at its crashes until `body` says that it is enough.
    func withCrashes(
        canExchange: Bool = true, forgets: CrashRecorder.Forgetting? = nil,
        _ body: (MiniRunCheck, CrashState) throws -> Void
    ) throws -> CrashStates {
        try withScratchDirectory { directory in
            let root = directory.appendingPathComponent("run")
            try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
            let recorder = try CrashRecorder(root, canExchange: canExchange, forgets: forgets)
            var run = MiniRun(directory: root, files: recorder)
            run.promise = recorder.promise
            for version in 1...MiniRun.epochs { try run.epoch(version) }

            var states = CrashStates(recorder, limits: MiniRun.isThorough ? .full : .quick)
            let place = directory.appendingPathComponent("crashed")
            try states.forEach { state in
                try SystemFiles().makeDirectory(place.path)
                defer { try? SystemFiles().remove(place.path) }
                try state.write(to: place)
                try body(
                    MiniRunCheck(
                        directory: place, promises: state.promises, canExchange: canExchange),
                    state)
            }
            return states
        }
    }

    @Test(arguments: [true, false])
    func `each state that a crash can leave has what was promised or the next`(
        canExchange: Bool
    ) throws {
        var count = 0
        let states = try withCrashes(canExchange: canExchange) { check, state in
            do {
                try check.check(swept: false)
                if state.isNewTree && (MiniRun.isThorough || count % 16 == 0) {
                    try check.restart()
                }
                count += 1
            } catch {
                Issue.record("\(error); \(state.story)")
            }
        }
        print(
            "crashes: \(states.count) states, \(states.treeCount) trees, of "
                + "\(states.combinations) combinations")
        #expect(states.count > 6_000)
    }

    @Test(arguments: CrashRecorder.Forgetting.allCases)
    func `a medium that forgets what was synchronized is found out`(
        forgets: CrashRecorder.Forgetting
    ) throws {
        #expect(throws: MiniRunCheck.Lost.self) {
            _ = try withCrashes(forgets: forgets) { check, _ in try check.check(swept: false) }
        }
    }
}
