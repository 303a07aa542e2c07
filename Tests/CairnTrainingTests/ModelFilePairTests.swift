// SPDX-License-Identifier: Apache-2.0
/// Weights and sidecar are replaced as one: crashes after every operation, and mixed pairs.

import CairnFormats
import CairnModels
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ModelFilePairTests {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    /// A network with an optimizer that took so many steps; metadata and state say how many.
    private struct Version {
        let run: SmallRun
        let optimizer: Optimizer
        let steps: Int

        init(steps: Int) throws {
            run = try SmallRun()
            optimizer = try Optimizer(parameters: run.parameters)
            self.steps = steps
            try run.train(optimizer, steps: steps)
        }

        var digest: String { run.digest(optimizer) }

        func save(to url: URL, files: FaultyFiles = FaultyFiles()) throws {
            _ = try run.network.save(
                to: url, optimizer: optimizer, metadata: ["steps": .integer(Int64(steps))],
                files: files)
        }
    }

    /// The steps that a file holds, found equal in weights, metadata and optimizer.
    private func steps(in url: URL, of versions: [Version]) throws -> Int {
        let run = try SmallRun(seed: 77)
        let optimizer = try Optimizer(parameters: run.parameters)
        let payload = try run.network.load(from: url, optimizer: optimizer)
        let steps = payload.metadata["steps"]!.integer!
        let version = try #require(versions.first { $0.steps == steps })
        #expect(run.digest(optimizer) == version.digest)
        return steps
    }

    private static func clear(_ url: URL) throws {
        let parent = url.deletingLastPathComponent()
        try? FileManager.default.removeItem(at: parent)
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
    }

    @Test func `the operations of a save are those of the protocol`() throws {
        let files = FaultyFiles()

        try Version(steps: 1).save(to: directory.file("m.npz"), files: files)

        let sidecar = "m.npz.mlxmeta.json"
        let steps = files.log.filter { !$0.hasPrefix("write ") && !$0.hasPrefix("look ") }
        #expect(
            steps == [
                "create .m.npz.tmp", "sync .m.npz.tmp", "close .m.npz.tmp",
                "create .\(sidecar).tmp", "sync .\(sidecar).tmp", "close .\(sidecar).tmp",
                "rename .\(sidecar).tmp \(sidecar).next",
                "syncdir \(directory.url.lastPathComponent)",
                "rename .m.npz.tmp m.npz", "syncdir \(directory.url.lastPathComponent)",
                "rename \(sidecar).next \(sidecar)", "syncdir \(directory.url.lastPathComponent)",
            ])
    }

    /// A crash is every operation from the n-th on failing. Each rename is durable before the next
    /// one happens, so that the states after a crash are those of the prefixes.
    @Test(arguments: ["m.npz", "m.safetensors"])
    func `W12 W13 after a crash at any operation the old pair loads, or the new one`(
        name: String
    ) throws {
        let url = directory.file("ck/\(name)")
        let versions = try [1, 2, 3].map { try Version(steps: $0) }
        var found: [Int] = []
        for crash in 0... {
            try Self.clear(url)
            try versions[0].save(to: url)
            let files = FaultyFiles(failing: Set(crash..<1000))
            do { try versions[1].save(to: url, files: files) } catch is FormatError {}
            found.append(try steps(in: url, of: versions))
            try crashAgain(url, versions, holding: found.last!)
            if files.log.count <= crash { break }
        }
        #expect(found.first == 1)
        #expect(found.last == 2)
        #expect(found == found.sorted())
    }

    /// From the state that a crash left, a crash of the next save at any operation. Only a sidecar
    /// beside its place tells that state from an undisturbed one.
    private func crashAgain(_ url: URL, _ versions: [Version], holding steps: Int) throws {
        let parent = url.deletingLastPathComponent()
        let left = try FileManager.default.contentsOfDirectory(atPath: parent.path)
        guard left.contains(where: { $0.hasSuffix(".next") }) else { return }
        let kept = directory.file("kept")
        try? FileManager.default.removeItem(at: kept)
        try FileManager.default.copyItem(at: parent, to: kept)
        for crash in 0... {
            try FileManager.default.removeItem(at: parent)
            try FileManager.default.copyItem(at: kept, to: parent)
            let files = FaultyFiles(failing: Set(crash..<1000))
            do { try versions[2].save(to: url, files: files) } catch is FormatError {}
            #expect([steps, 3].contains(try self.steps(in: url, of: versions)), "\(crash)")
            if files.log.count <= crash { return }
        }
    }

    @Test(arguments: ["m.npz", "m.safetensors", "m.bin", "m.apr"])
    func `after a failure of any one operation the old file loads, or the new one`(
        name: String
    ) throws {
        let url = directory.file("ck/\(name)")
        let versions = try [1, 2].map { try Version(steps: $0) }
        for place in 0... {
            for isShort in [false, true] {
                try Self.clear(url)
                try versions[0].save(to: url)
                let files =
                    isShort ? FaultyFiles(halving: [place]) : FaultyFiles(failing: [place])
                var failed = false
                do { try versions[1].save(to: url, files: files) } catch is FormatError {
                    failed = true
                }
                let steps = try steps(in: url, of: versions)
                #expect(failed || steps == 2)
                let names = try FileManager.default.contentsOfDirectory(
                    atPath: url.deletingLastPathComponent().path)
                #expect(!names.contains { $0.contains(".tmp-") }, "\(place): \(names)")
                if files.log.count <= place { return }
            }
        }
    }

    @Test(arguments: ["m.npz", "m.safetensors"])
    func `W13 weights with the sidecar of another save are refused`(name: String) throws {
        let (old, new) = (directory.file("old/\(name)"), directory.file("new/\(name)"))
        try Version(steps: 1).save(to: old)
        try Version(steps: 2).save(to: new)
        try FileManager.default.removeItem(at: old)
        try FileManager.default.copyItem(at: new, to: old)
        let sidecar = MLXRubyCheckpoint.sidecarURL(ofWeights: old)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1_000_000)],
            ofItemAtPath: sidecar.path)
        let run = try SmallRun()
        let before = run.numbers

        let error = #expect(throws: FormatError.self) { try run.network.load(from: old) }

        #expect(
            error?.description.hasSuffix(
                "they were not saved together, or one is damaged; \(sidecar.lastPathComponent) is "
                    + "the older file") == true)
        #expect(run.numbers == before)
    }

    @Test(arguments: ["m.npz", "m.safetensors"])
    func `any flipped byte of the weights is detected`(name: String) throws {
        let url = directory.file(name)
        try Version(steps: 1).save(to: url)
        let whole = try Data(contentsOf: url)
        let run = try SmallRun()

        for place in whole.indices {
            var data = whole
            data[place] ^= 1
            try data.write(to: url)
            #expect(throws: (any Error).self, "byte \(place)") { try run.network.load(from: url) }
        }
    }

    @Test func `a sidecar that states no digest is taken as it is`() throws {
        let url = directory.file("m.npz")
        let version = try Version(steps: 1)
        try version.save(to: url)
        let sidecar = MLXRubyCheckpoint.sidecarURL(ofWeights: url)
        var json = try JSONValue.parse(contentsOf: sidecar)
        json["weights_sha256"] = nil
        json["weights_bytes"] = nil
        try json.serialized().write(to: sidecar)

        #expect(try steps(in: url, of: [version]) == 1)
    }
}
