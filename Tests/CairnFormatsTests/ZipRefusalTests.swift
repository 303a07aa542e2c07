// SPDX-License-Identifier: Apache-2.0
/// One bent archive per thing that the zip reader refuses.

import CairnFormats
import Foundation
import Testing

@Suite struct ZipRefusalTests {
    /// What an archive with one entry 'a' of the bytes 1, 2, 3 is refused for once bent.
    func refusal(_ bend: (inout HandMadeZip) -> Void) -> String {
        var zip = HandMadeZip()
        bend(&zip)
        do {
            return "accepted: \(try unzip(zip.bytes))"
        } catch {
            return "\(error)"
        }
    }

    @Test func `bytes around the archive are refused`() {
        let missing =
            "FILE: end of the zip archive: expected an end record in the last 22 bytes, "
            + "without a comment, found none; is the file cut short?"
        #expect(refusal { $0.comment = [1] } == missing)
        #expect(refusal { $0.comment = Array(repeating: 0, count: 30) } == missing)
        #expect(throws: Sentence("FILE: needs 22 bytes but has 3; was the download interrupted?")) {
            try unzip([0x50, 0x4B, 5])
        }
        #expect(
            refusal { $0.directoryOffset = 0 }
                == "FILE: central directory: expected it to end at byte 81, found 47 bytes from byte 0"
        )
        #expect(
            refusal { $0.directoryTail = [0] }
                == "FILE: central directory: expected 1 records in 48 bytes, found them in 47")
        #expect(
            refusal { $0.entryCount = 2 }
                == "FILE: entry 1 of the central directory: expected a record, found none")
    }

    @Test func `several disks are refused`() {
        let sentence = "FILE: end of the zip archive: expected one disk, found several"
        #expect(refusal { $0.disk = 1 } == sentence)
        #expect(
            refusal { $0.entries[0].disk = 2 }
                == "FILE: entry 'a': expected one disk, found several")
    }

    @Test func `encryption, unknown flags and methods are refused`() {
        #expect(
            refusal { $0.entries[0].flags = 1 }
                == "FILE: entry 'a': expected no encryption, found some")
        #expect(
            refusal { $0.entries[0].flags = 0x20 }
                == "FILE: entry 'a': expected flags that are known, found 0x20")
        #expect(
            refusal { $0.entries[0].method = 12 }
                == "FILE: entry 'a': expected method 0 (stored) or 8 (deflate), found 12")
    }

    @Test(arguments: [
        ("/a", "an empty part"), ("a//b", "an empty part"), ("a/", "an empty part"),
        ("../a", "the part '..'"), ("a/./b", "the part '.'"), ("a\\b", "a backslash"),
        ("a\u{0}", "a control character"), ("", "an empty name"),
    ])
    func `names that are no relative paths are refused`(name: String, fault: String) {
        #expect(
            refusal { $0.entries[0].name = Array(name.utf8) }
                == "FILE: name of entry 0 of the central directory: expected a relative path of a "
                + "file, found \(fault) in '\(name)'")
        #expect(throws: FormatError.fileName(name, expected: "a relative path, not \(fault)")) {
            try zip([(name, [])])
        }
    }

    @Test func `names in other encodings are refused`() {
        let sentence =
            "FILE: name of entry 0 of the central directory: expected ASCII, or UTF-8 where the "
            + "flag says so, found other bytes"
        #expect(refusal { $0.entries[0].name = Array("é".utf8) } == sentence)
        #expect(
            refusal {
                $0.entries[0].name = [0xFF]
                $0.entries[0].flags = 0x800
            } == sentence)
    }

    @Test func `a name that occurs twice is refused, by bytes`() throws {
        #expect(
            refusal { $0.entries.append(HandMadeZip.Entry()) }
                == "FILE: entry 'a': expected every name once, found it again")
        #expect(throws: FormatError.fileName("a", expected: "every name once")) {
            try zip([("a", []), ("a", [])])
        }
        #expect(try zip([("\u{E9}", []), ("e\u{301}", [])]).count > 22)
    }

    @Test func `holes and overlaps are refused`() {
        #expect(
            refusal { $0.entries[0].gap = [0] }
                == "FILE: central directory: expected it at byte 34, found it at byte 35")
        #expect(
            refusal {
                $0.entries[0].gap = [0]
                $0.entries.append(HandMadeZip.Entry("b"))
            } == "FILE: entry 'b': expected its header at byte 34, found a hole, byte 35")
        #expect(
            refusal {
                $0.entries.append(HandMadeZip.Entry("b"))
                $0.entries[1].offset = 0
            } == "FILE: entry 'b': expected its header at byte 34, found an overlap, byte 0")
    }

    @Test func `a local header that says something else is refused`() {
        #expect(
            refusal { $0.entries[0].localName = [0x62] }
                == "FILE: entry 'a': expected the same name in its local header, found another")
        #expect(
            refusal { $0.entries[0].localFlags = 2 }
                == "FILE: entry 'a': expected the same flags and method in its local header, "
                + "found others")
        let sizes =
            "FILE: entry 'a': expected the same sizes and checksum in its local header, found others"
        #expect(refusal { $0.entries[0].localSizes = (0, 0, 0) } == sizes)
        #expect(refusal { $0.entries[0].localSizes = ($0.entries[0].crc32, 3, 4) } == sizes)
    }

    @Test func `extra fields that reach too far, and saturated sizes without one, are refused`() {
        #expect(
            refusal { $0.entries[0].extra = [1, 0, 9, 0] }
                == "FILE: entry 'a': expected extra fields of 4 bytes, found one that reaches further"
        )
        #expect(
            refusal { $0.entries[0].unpackedSize = .max }
                == "FILE: entry 'a': expected a zip64 field for a size of 2^32 - 1, found none")
        #expect(
            refusal { $0.entries[0].extra = [1, 0, 0, 0, 1, 0, 0, 0] }
                == "FILE: entry 'a': expected one zip64 field, found two")
    }

    @Test func `damaged bytes are refused by their checksum`() {
        #expect(
            refusal { $0.entries[0].data[1] ^= 1 }
                == "FILE: entry 'a': expected the bytes of its CRC-32, found others; it is damaged")
        let sentence = refusal {
            $0.entries[0].method = 8
            $0.entries[0].data = ZipTests.deflated
            $0.entries[0].data[6] ^= 1
        }
        #expect(sentence.hasPrefix("FILE: entry 'a': expected CRC-32 55bc801d, found "))
    }

    @Test func `deflated data that is no deflate, too short, too long or unfinished is refused`() {
        func deflated(_ data: [UInt8], unpacked: UInt32 = 3) -> String {
            refusal {
                $0.entries[0].method = 8
                $0.entries[0].data = data
                $0.entries[0].unpackedSize = unpacked
            }
        }
        #expect(
            deflated([7, 7, 7])
                == "FILE: entry 'a': expected deflated data, found a fault near byte 32")
        #expect(
            deflated(ZipTests.deflated, unpacked: 4)
                == "FILE: entry 'a': expected 4 bytes out of its deflated data, found 3")
        #expect(
            deflated(ZipTests.deflated, unpacked: 2)
                == "FILE: entry 'a': expected 2 bytes, found more")
        #expect(
            deflated(ZipTests.deflated + [0])
                == "FILE: entry 'a': expected its data to take 9 bytes, found an end after 8")
        #expect(
            deflated([0, 3, 0, 0xFC, 0xFF, 1, 2, 3])
                == "FILE: entry 'a': expected an end of its deflated data, found none")
    }

    @Test func `a promise beyond what deflate can hold is refused before any memory is taken`() {
        #expect(
            refusal {
                $0.entries[0].method = 8
                $0.entries[0].data = ZipTests.deflated
                $0.entries[0].unpackedSize = 0xFFFF_FFFE
            }
                == "FILE: entry 'a': expected at most 8256 bytes out of 8 deflated ones, "
                + "found 4294967294")
    }

    @Test func `an entry beyond the caller's limit is refused`() {
        #expect(throws: Sentence("FILE: entry 'a': expected at most 2 bytes, found 3")) {
            try unzip(HandMadeZip().bytes, limit: 2)
        }
    }

    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `an archive cut anywhere is refused`(method: ZipEntry.Method) throws {
        let archive = try zip([("a", [1, 2, 3]), ("b", [])], method: method)
        for count in 0..<archive.count {
            #expect(throws: Sentence.self, "\(count) bytes") {
                try unzip(Array(archive.prefix(count)))
            }
        }
    }

    /// Version numbers, timestamps and attributes carry nothing that is read.
    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `random edits are refused or change nothing`(method: ZipEntry.Method) throws {
        let entries: [(String, [UInt8])] = [
            ("a", [1, 2, 3]), ("b", Array(repeating: 5, count: 40)),
        ]
        let archive = try zip(entries, method: method)
        let contents = try unzip(archive)
        var generator = SplitMix(state: 31)
        var refused = 0
        for round in 0..<600 {
            var bytes = archive
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[place] = UInt8.random(in: .min ... .max, using: &generator)
            }
            if let found = try? unzip(bytes) {
                #expect(
                    Array(found.values) == Array(contents.values) || found.count == 2,
                    "round \(round)")
                #expect(found.values.allSatisfy { contents.values.contains($0) }, "round \(round)")
            } else {
                refused += 1
            }
        }
        #expect(refused > 200)
    }
}
