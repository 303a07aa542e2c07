// SPDX-License-Identifier: Apache-2.0
/// Mapped files: their bytes, their life, and JSON read through them.

import CairnFormats
import Foundation
import Testing

@Suite struct MappedFileTests {
    @Test(arguments: [0, 1, 4095, 4096, 4097, 100_000])
    func `the bytes are those of the file`(count: Int) throws {
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("f")
            try Data(content).write(to: url)

            let file = try MappedFile(contentsOf: url)

            #expect(withExtendedLifetime(file) { Array(file.bytes) } == content)
            #expect(file.url == url)
        }
    }

    @Test func `a mapping keeps its bytes when the file is replaced and removed`() throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("f")
            try DurableFile.write(Data("old".utf8), to: url)
            let file = try MappedFile(contentsOf: url)

            try DurableFile.write(Data("longer new text".utf8), to: url)
            #expect(withExtendedLifetime(file) { Array(file.bytes) } == Array("old".utf8))
            try FileManager.default.removeItem(at: url)
            #expect(withExtendedLifetime(file) { Array(file.bytes) } == Array("old".utf8))
        }
    }

    @Test func `JSON is read from a file, and errors name it`() throws {
        try withScratchDirectory { directory in
            let url = directory.appendingPathComponent("c.json")
            try Data("{\"a\": [1]}".utf8).write(to: url)
            #expect(try JSONValue.parse(contentsOf: url) == ["a": [1]])

            try Data("{\n]".utf8).write(to: url)
            let error = #expect(throws: FormatError.self) { try JSONValue.parse(contentsOf: url) }
            #expect(
                error?.description
                    == "\(url.path), line 2 (byte 2): expected a key in quotes, found ']'")
            try Data().write(to: url)
            #expect(throws: FormatError.self) { try JSONValue.parse(contentsOf: url) }
        }
    }
}
