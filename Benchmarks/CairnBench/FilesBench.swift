// SPDX-License-Identifier: Apache-2.0
/// How fast files are written, read and hashed, beside Python's own writers, and what a commit costs.

import Cairn
import CairnFormats
import Foundation

/// Checks that every file reads back with its bits, then times it in turns with the peer.
///
/// Files go to the system's temporary folder and stay in the page cache, the peer's as ours: the
/// rates are those of the code, and only the commits wait for the medium. Each write that is timed
/// follows one that is not, whose file is removed: it finds memory that the system has at hand. A
/// virtual machine gives idle memory back, and to get it again takes ten times as long as to write.
struct FilesBench {
    private let options: BenchOptions
    private let report: Report

    init(_ options: BenchOptions, _ report: Report) {
        self.options = options
        self.report = report
    }

    struct WrongBytes: Error, CustomStringConvertible { let description: String }

    func run() throws {
        report.machine(options)
        let peer = try options.peer.map {
            try Peer(python: $0, threads: options.threads, script: "peer_files.py")
        }
        defer { peer?.stop() }
        if let peer { report.fact("peer", .string(peer.version)) }
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("cairn-bench-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        if !options.isQuick { report.line(Self.header(withPeer: peer != nil)) }
        var checked = 0
        for megabytes in options.isQuick ? [1] : [16, 1024] {
            let subject = FilesCase(megabytes: megabytes, folder: folder)
            for work in FilesCase.Work.allCases {
                try check(work, subject)
                checked += 1
                if !options.isQuick { try time(work, subject, peer) }
                try subject.removeFile(of: work)
            }
        }
        for synchronizes in [true, false] {
            // The trainable state of a small run: adapter, head, and two moments of each.
            let subject = FilesCase(megabytes: options.isQuick ? 1 : 13, folder: folder)
            try commit(subject, synchronizes: synchronizes)
            checked += 1
        }
        try stall(folder)
        checked += 1
        report.fact("checked", JSONValue(checked), text: "\(checked) rows are right")
    }

    private func check(_ work: FilesCase.Work, _ subject: FilesCase) throws {
        if let problem = try subject.problem(of: work) {
            throw WrongBytes(description: "\(work.rawValue), \(subject.megabytes) MB: \(problem)")
        }
    }

    private func time(_ work: FilesCase.Work, _ subject: FilesCase, _ peer: Peer?) throws {
        if work.writes { try subject.removeFile(of: work) }
        let repeats = try Samples.repeats {
            try subject.run(work)
            if work.writes { try subject.removeFile(of: work) }
        }
        var rival: String?
        if let peer, work.hasPeer {
            rival = try peer.ask([
                "do": "prepare", "work": .string(work.rawValue),
                "tensors": JSONValue(FilesCase.tensorCount),
                "bytes": JSONValue(subject.bytesPerTensor), "folder": .string(subject.folder.path),
            ])["peer"]?.string
        }
        var (own, theirs) = (Samples(), Samples())
        for _ in 0..<Samples.count {
            var seconds = 0.0
            if work.writes {
                try subject.run(work)
                try subject.removeFile(of: work)
            }
            for _ in 0..<repeats {
                seconds += try Samples.time { try subject.run(work) }
                if work.writes { try subject.removeFile(of: work) }
            }
            own.add(seconds / Double(repeats))
            if rival != nil, let peer { theirs.add(try peer.sample()) }
        }
        let rate = { (seconds: Double) in Double(subject.byteCount) / seconds * 1e-9 }
        var row: JSONObject = [
            "work": .string(work.rawValue), "bytes": JSONValue(subject.byteCount),
            "milliseconds": .number(own.median * 1e3), "spread": .number(own.spread),
            "gigabytes_per_second": .number(rate(own.median)),
        ]
        var text = Report.padded(work.rawValue, 20)
        text += String(
            format: "%6d %10.2f %6.1f %8.2f", subject.megabytes, own.median * 1e3,
            own.spread * 100, rate(own.median))
        if let rival {
            row["peer"] = .string(rival)
            row["peer_gigabytes_per_second"] = .number(rate(theirs.median))
            row["peer_over_own"] = .number(theirs.median / own.median)
            text +=
                String(
                    format: " %8.2f %8.2f  ", rate(theirs.median), theirs.median / own.median)
                + rival
        }
        report.row(row, text: text)
    }

    /// A checkpoint of one file and its manifest, replaced again and again.
    private func commit(_ subject: FilesCase, synchronizes: Bool) throws {
        let target = subject.folder.appendingPathComponent("best")
        func once() throws {
            let commit = try DirectoryCommit(
                target: target, files: SystemFiles(synchronizes: synchronizes))
            try commit.add(name: "model.safetensors") { sink in
                try SafetensorsWriter.write(subject.tensors, to: &sink)
            }
            let manifest = Manifest(runID: "bench", name: "best", parent: nil, files: commit.added)
            try commit.add(name: Manifest.fileName, try manifest.serialized())
            try commit.commit()
        }
        try once()
        if let problem = Manifest.check(target).problems.first {
            throw WrongBytes(description: "commit: \(problem)")
        }
        if options.isQuick { return }
        var samples = Samples()
        for _ in 0..<Samples.count { samples.add(try Samples.time(once)) }
        let slowest = samples.seconds.max() ?? 0
        let name = synchronizes ? "commit, durable" : "commit, no fsync"
        report.row(
            [
                "work": .string(name), "bytes": JSONValue(subject.byteCount),
                "milliseconds": .number(samples.median * 1e3),
                "spread": .number(samples.spread), "slowest_milliseconds": .number(slowest * 1e3),
            ],
            text: Report.padded(name, 20)
                + String(
                    format: "%6d %10.2f %6.1f   slowest %.2f ms", subject.megabytes,
                    samples.median * 1e3, samples.spread * 100, slowest * 1e3))
    }

    /// What a save at every step keeps training waiting for.
    private func stall(_ folder: URL) throws {
        let bench = try StallBench(
            folder: folder, context: try Context(isa: options.isa, threads: options.threads))
        let samples = try bench.run(rounds: options.isQuick ? 2 : 200)
        if options.isQuick { return }
        let (middle, late) = (samples.quantile(0.5), samples.quantile(0.99))
        report.row(
            [
                "work": "stall of a save", "bytes": JSONValue(bench.byteCount),
                "milliseconds_p50": .number(middle * 1e3), "milliseconds_p99": .number(late * 1e3),
            ],
            text: Report.padded("stall of a save", 20)
                + String(
                    format: "%6d %10.2f          p99 %.2f ms", bench.byteCount / 1_000_000,
                    middle * 1e3, late * 1e3))
    }

    private static func header(withPeer: Bool) -> String {
        Report.padded("work", 20) + "    MB         ms  ±MAD%     GB/s"
            + (withPeer ? "     peer  speedup  peer" : "")
    }
}
