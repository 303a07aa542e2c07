// SPDX-License-Identifier: Apache-2.0
/// Whichever call fails, and however, nothing that was promised is lost and saving goes on.

import CairnFormats
import Foundation
import TestSupport
import Testing

/// Ways in which the n-th operation can go wrong.
enum Fault: CaseIterable {
    case error, halfWritten, diskFull

    func files(at step: Int, canExchange: Bool) -> FaultyFiles {
        switch self {
        case .error:
            FaultyFiles(failing: [step], canExchange: canExchange, synchronizes: false)
        case .halfWritten:
            FaultyFiles(halving: [step], canExchange: canExchange, synchronizes: false)
        case .diskFull:
            FaultyFiles(canExchange: canExchange, fullFrom: step, synchronizes: false)
        }
    }
}

@Suite struct FaultTests {
    /// A directory with three epochs of a run, and what was promised of it.
    private func begin(_ root: URL) throws -> [String] {
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: false)
        var promises: [String] = []
        var run = MiniRun(directory: root, files: FaultyFiles(synchronizes: false))
        run.promise = { promises.append($0) }
        for version in 1...3 { try run.epoch(version) }
        return promises
    }

    /// Saves the fourth epoch, which is the best; the error, if there was one.
    private func save(
        _ root: URL, _ promises: inout [String], _ files: FaultyFiles
    ) throws -> FormatError? {
        var made: [String] = []
        var run = MiniRun(directory: root, files: files)
        run.promise = { made.append($0) }
        defer { promises += made }
        do {
            try run.epoch(4)
            return nil
        } catch let error as FormatError {
            return error
        }
    }

    @Test(arguments: Fault.allCases, [true, false])
    func `whichever call fails, the error surfaces, nothing is lost and the next save works`(
        fault: Fault, canExchange: Bool
    ) throws {
        var faults = 0
        for step in 0..<10_000 {
            let isThrough = try withScratchDirectory { directory in
                let root = directory.appendingPathComponent("run")
                var promises = try begin(root)
                let files = fault.files(at: step, canExchange: canExchange)

                let error = try save(root, &promises, files)

                let note = Comment(rawValue: "\(files.log.suffix(3)) at step \(step)")
                if let error {
                    #expect([FaultyFiles.failure, FaultyFiles.full].contains(error), note)
                    faults += 1
                }
                #expect(files.openCount == 0, note)
                let check = MiniRunCheck(
                    directory: root, promises: promises, canExchange: canExchange)
                #expect(throws: Never.self, note) {
                    try check.check(swept: false)
                    try check.restart()
                }
                return files.log.count <= step
            }
            if isThrough { break }
        }
        print("faults: \(faults) of kind \(fault) surfaced")
        #expect(faults > 30)
    }

    @Test func `writes that signals cut short change nothing`() throws {
        try withScratchDirectory { directory in
            let root = directory.appendingPathComponent("run")
            var promises = try begin(root)
            let files = FaultyFiles(interrupts: true, synchronizes: false)
            #expect(try save(root, &promises, files) == nil)
            #expect(promises.count == 15 + 6 && files.openCount == 0)
            try MiniRunCheck(directory: root, promises: promises).check(swept: true)
        }
    }
}
