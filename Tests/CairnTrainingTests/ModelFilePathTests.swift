// SPDX-License-Identifier: Apache-2.0
/// Which file and format a path means, for saving and for loading.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct ModelFilePathTests {
    private let root = URL(fileURLWithPath: "/ck")

    @Test(arguments: [
        ("a.safetensors", CheckpointFormat.safetensors), ("a.npz", .npz), ("a.NPZ", .npz),
        ("a.apr", .apr), ("a.bin", .marshal), ("a.marshal", .marshal), ("a.legacy", .marshal),
        ("a.DSL_V1", .marshal), ("a", .marshal), ("a.b.SafeTensors", .safetensors),
    ])
    func `the last extension decides, whatever its case`(
        name: String, format: CheckpointFormat
    ) throws {
        let path = try ModelFilePath(savingTo: root.appendingPathComponent(name))

        #expect(path.format == format)
        #expect(path.url.lastPathComponent == name)
    }

    @Test(arguments: [
        ("a", CheckpointFormat.npz, "a.npz"), ("a.bin", .npz, "a.bin.npz"),
        ("a.npz", .npz, "a.npz"), ("a.NPZ", .npz, "a.NPZ"), ("a.npz", .marshal, "a.npz"),
        ("ep-0-1.5", .safetensors, "ep-0-1.5.safetensors"), ("a.npz", .apr, "a.npz.apr"),
    ])
    func `a format by name adds its extension where another stands`(
        name: String, format: CheckpointFormat, written: String
    ) throws {
        let url = root.appendingPathComponent(name)

        #expect(try ModelFilePath(savingTo: url, format: format).url.lastPathComponent == written)
    }

    @Test(arguments: ["ck/ep-0-1.5", "a.pt", "a.npz.tmp"])
    func `W23 an extension that is no format is refused before anything happens`(
        name: String
    ) throws {
        let url = root.appendingPathComponent(name)

        let error = #expect(throws: TrainingError.self) { try ModelFilePath(savingTo: url) }

        #expect(
            error?.description == "\(url.path): expected a name that ends in .safetensors, .npz, "
                + ".apr, .bin or .marshal, or a format by name; found extension "
                + "'.\(url.pathExtension)'")
        let run = try SmallRun()
        #expect(throws: error!) { try run.network.save(to: url) }
        #expect(!FileManager.default.fileExists(atPath: root.path))
    }

    @Test func `a file whose number looks like an extension is found by its real one`() throws {
        let (directory, run) = (try TemporaryDirectory(), try SmallRun())
        try run.network.save(to: directory.file("ep-0-1.5"), format: .npz)

        #expect(
            try run.network.load(from: directory.file("ep-0-1.5")).url.lastPathComponent
                == "ep-0-1.5.npz")
    }

    @Test func `two files that a name may mean are refused`() throws {
        let (directory, run) = (try TemporaryDirectory(), try SmallRun())
        try run.network.save(to: directory.file("m.npz"))
        try run.network.save(to: directory.file("m"))

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: directory.file("m"))
        }

        #expect(
            error?.description == "\(directory.path)/m: expected one file of that name, with or "
                + "without an extension; found m and m.npz: say which")
    }

    @Test func `a name that nothing has says what was looked for`() throws {
        let (directory, run) = (try TemporaryDirectory(), try SmallRun())

        let error = #expect(throws: TrainingError.self) {
            try run.network.load(from: directory.file("m"))
        }

        #expect(
            error?.description == "\(directory.path)/m: expected one of m, m.npz, m.safetensors, "
                + "m.apr there, found none")
        #expect(throws: FormatError.self) { try run.network.load(from: directory.file("m.npz")) }
    }

    @Test(arguments: ModelFileTests.names)
    func `the content decides, and its name may not speak against it`(name: String) throws {
        let (directory, run) = (try TemporaryDirectory(), try SmallRun())
        let url = try run.network.save(to: directory.file(name))
        let format = try ModelFilePath(savingTo: url).format
        let plain = directory.file("plain.1")
        try FileManager.default.copyItem(at: url, to: plain)

        #expect(try run.network.load(from: plain).format == format)
        for other in CheckpointFormat.allCases where other != format {
            let wrong = directory.file("wrong.\(other.rawValue)")
            try FileManager.default.copyItem(at: url, to: wrong)
            let error = #expect(throws: FormatError.self) { try run.network.load(from: wrong) }
            #expect(
                error?.description == "\(wrong.path): format: expected \(other.rawValue), as its "
                    + "name or the caller says, found \(format.rawValue) by its first bytes")
        }
    }

    @Test func `a file that begins like no format is refused`() throws {
        let (directory, run) = (try TemporaryDirectory(), try SmallRun())
        for (name, bytes) in [("empty.npz", ""), ("text.safetensors", "hello"), ("x", "pickle")] {
            try Data(bytes.utf8).write(to: directory.file(name))
            let error = #expect(throws: FormatError.self) {
                try run.network.load(from: directory.file(name))
            }
            #expect(error?.description.contains("begins like none of them") == true)
        }
    }
}
