// SPDX-License-Identifier: Apache-2.0
/// Single files: the old or the new one in full, whatever fails.

import CairnFormats
import Foundation
import TestSupport
import Testing

@Suite struct DurableFileTests {
    @Test(arguments: [false, true])
    func `whichever operation fails, the file is the old one or the new one in full`(
        replaces: Bool
    ) throws {
        var failing = 0
        var isThrough = false
        while !isThrough {
            try withScratchDirectory { directory in
                let url = directory.appendingPathComponent("f")
                if replaces { try Data("old".utf8).write(to: url) }
                let files = FaultyFiles(failing: [failing])
                var isWritten = true
                do {
                    try DurableFile.write(Data("new".utf8), to: url, files: files)
                    isThrough = true
                } catch {
                    #expect(error as? FormatError == FaultyFiles.failure)
                    isWritten = files.log[failing].hasPrefix("syncdir")
                }
                let text = try? String(decoding: Data(contentsOf: url), as: UTF8.self)
                #expect(text == (isWritten ? "new" : replaces ? "old" : nil), "\(files.log)")
                #expect(
                    try FileManager.default.contentsOfDirectory(atPath: directory.path)
                        == (text == nil ? [] : ["f"]))
            }
            failing += 1
        }
        #expect(failing == 7)
    }

    @Test func `a file is written through the system`() throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("f")
            try DurableFile.write(Data("a".utf8), to: url)
            try DurableFile.write(Data("b".utf8), to: url)
            #expect(try Data(contentsOf: url) == Data("b".utf8))
            let error = #expect(throws: FormatError.self) {
                try DurableFile.write(
                    Data(), to: directory.appendingPathComponent("none/f"))
            }
            #expect(error?.description.hasPrefix("cannot create ") == true)
        }
    }
}
