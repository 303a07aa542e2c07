// SPDX-License-Identifier: Apache-2.0
/// Files that grow by lines: what is in them after every failure, and that no line is lost.

import CairnFormats
import Foundation
import TestSupport
import Testing

@Suite struct AppendFileTests {
    func text(_ url: URL) throws -> String {
        String(decoding: try Data(contentsOf: url), as: UTF8.self)
    }

    func withFile(_ content: String? = nil, _ body: (URL) throws -> Void) throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("ledger.jsonl")
            if let content { try Data(content.utf8).write(to: url) }
            try body(url)
        }
    }

    @Test func `lines are added to what is there`() throws {
        try withFile { url in
            let first = try AppendFile(url)
            #expect(first.byteCount == 0 && first.tornByteCount == 0)
            try first.append("a")
            try first.append("")
            #expect(first.byteCount == 3)
            try first.synchronize()
            try first.close()
            let second = try AppendFile(url)
            #expect(second.byteCount == 3)
            try second.append("bc")
            #expect(try text(url) == "a\n\nbc\n")
        }
    }

    @Test(arguments: [("a\nb", 2, 1), ("b", 0, 1), ("a\n", 2, 0), ("\n\n\0\0", 2, 2)])
    func `a torn line is reported, and goes with the next line`(
        content: String, whole: Int, torn: Int
    ) throws {
        try withFile(content) { url in
            let file = try AppendFile(url)
            #expect(file.byteCount == whole && file.tornByteCount == torn)
            #expect(try text(url) == content)
            try file.append("c")
            #expect(try text(url) == content.prefix(whole) + "c\n")
        }
    }

    @Test func `lines are taken back to the end of an earlier one`() throws {
        try withFile("a\nbb\nccc\nd") { url in
            let file = try AppendFile(url)
            for count in [-1, 1, 4, 10, 11] {
                let error = #expect(throws: FormatError.self) { try file.truncate(to: count) }
                #expect(
                    error?.description
                        == "\(url.path): byte \(count): expected the end of one of the lines in "
                        + "9 bytes, found none")
            }
            try file.truncate(to: 5)
            #expect(try text(url) == "a\nbb\n")
            try file.append("e")
            #expect(try text(url) == "a\nbb\ne\n")
            try file.truncate(to: 0)
            #expect(try text(url) == "" && file.byteCount == 0)
        }
    }

    /// A write that puts half of its bytes into the file and then fails, as on a full disk.
    @Test func `a line that was only half written is cut off before the next`() throws {
        try withFile("a\n") { url in
            let files = FaultyFiles(halving: [3])
            let file = try AppendFile(url, files: files)
            #expect(throws: FormatError.self) { try file.append("bbbb") }
            #expect(try text(url) == "a\nbb")
            #expect(file.byteCount == 2)
            try file.append("c")
            #expect(try text(url) == "a\nc\n")
        }
    }

    @Test func `after a failed synchronization the lines are written again`() throws {
        try withFile("a\n") { url in
            // look, open, sync, write, and what fails: sync; cut, write, sync; cut; nothing more.
            let file = try AppendFile(url, files: FaultyFiles(failing: [4, 7, 8]))
            try file.append("b")
            #expect(throws: FaultyFiles.failure) { try file.synchronize() }
            #expect(throws: FaultyFiles.failure) { try file.synchronize() }
            #expect(file.byteCount == 4)
            #expect(throws: FaultyFiles.failure) { try file.append("c") }
            try file.append("d")
            try file.synchronize()
            #expect(try text(url) == "a\nb\nd\n")
        }
    }

    @Test func `a directory or a missing folder is refused`() throws {
        try withScratchDirectory { directory in
            #expect(throws: FormatError.self) { try AppendFile(directory) }
            #expect(throws: FormatError.self) {
                try AppendFile(directory.appendingPathComponent("x/y"))
            }
        }
    }
}
