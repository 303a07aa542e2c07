// SPDX-License-Identifier: Apache-2.0
/// The zip reader and writer: what goes through both, and one hand-made archive per refusal.

import CairnFormats
import Foundation
import Testing

@Suite struct ZipTests {
    static let entries: [(String, [UInt8])] = [
        ("a", [1, 2, 3]), ("empty", []), ("folder/é.npy", (0..<5000).map { UInt8($0 % 7) }),
    ]
    /// The three bytes 1, 2, 3 as one stored block of deflate.
    static let deflated: [UInt8] = [1, 3, 0, 0xFC, 0xFF, 1, 2, 3]

    @Test(arguments: [ZipEntry.Method.stored, .deflated])
    func `entries read back as they were written`(method: ZipEntry.Method) throws {
        let archive = try zip(Self.entries, method: method)

        let contents = try unzip(archive, limit: 5000)

        #expect(contents == Dictionary(uniqueKeysWithValues: Self.entries))
        #expect(try zip(Self.entries, method: method) == archive)
    }

    @Test func `deflate shortens what repeats`() throws {
        let archive = try zip(Self.entries, method: .deflated)
        #expect(archive.count < 600)
    }

    @Test func `stored entries begin at multiples of 64 and are read in place`() throws {
        try withFile(try zip(Self.entries)) { url in
            let reader = try ZipReader(contentsOf: url)
            #expect(reader.entries.map(\.name) == Self.entries.map(\.0))
            #expect(reader.entries.allSatisfy { $0.range.lowerBound % 64 == 0 })
            #expect(reader.entry(named: "a")?.byteCount == 3)
            #expect(reader.entry(named: "b") == nil)
            let contents = try reader.contents(of: reader.entries[2], limit: 5000)
            #expect(!contents.isWritable)
        }
    }

    @Test func `an archive of nothing is 22 bytes`() throws {
        let archive = try zip([])
        #expect(archive.count == 22)
        #expect(try unzip(archive).isEmpty)
    }

    @Test func `more than 65535 entries take a zip64 end record`() throws {
        let entries = (0..<65_536).map { ("\($0)", [UInt8]()) }
        let archive = try zip(entries)
        #expect(archive.suffix(98).starts(with: Array("PK\u{6}\u{6}".utf8)))
        try withFile(archive) { url in
            let reader = try ZipReader(contentsOf: url)
            #expect(reader.entries.count == 65_536)
            #expect(reader.entry(named: "65535") != nil)
        }
    }

    @Test func `a hand-made archive is read`() throws {
        #expect(try unzip(HandMadeZip().bytes) == ["a": [1, 2, 3]])
    }

    @Test func `sizes behind the data are read with and without signature, in 4 and 8 bytes`()
        throws
    {
        let checksum = littleEndian(CRC32.of([1, 2, 3]))
        let short = checksum + [3, 0, 0, 0, 3, 0, 0, 0]
        let long = checksum + [3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        let signature = Array("PK\u{7}\u{8}".utf8)
        for descriptor in [short, signature + short, long, signature + long] {
            var zip = HandMadeZip()
            zip.entries[0].flags = 8
            zip.entries[0].localSizes = (0, 0, 0)
            zip.entries[0].descriptor = descriptor
            #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])
            zip.entries[0].descriptor[descriptor.count - 8] ^= 1
            #expect(throws: Sentence.self) { try unzip(zip.bytes) }
        }
    }

    @Test func `an empty entry may lack its descriptor`() throws {
        var zip = HandMadeZip()
        zip.entries = [HandMadeZip.Entry("e", []), HandMadeZip.Entry()]
        zip.entries[0].flags = 8
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3], "e": []])
    }

    @Test func `zip64 sizes are read in both headers, next to other extra fields`() throws {
        var zip = HandMadeZip()
        let field: [UInt8] =
            [1, 0, 16, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        zip.entries[0].localExtra = [0x46, 0x42, 2, 0, 9, 9] + field
        zip.entries[0].localSizes = (CRC32.of([1, 2, 3]), .max, .max)
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])

        zip.entries[0].unpackedSize = .max
        zip.entries[0].extra = [1, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])
    }

    static func zip64Records(_ start: Int, _ size: Int, count: UInt64 = 1) -> [UInt8] {
        Array("PK\u{6}\u{6}".utf8) + littleEndian(UInt64(44)) + [45, 0, 45, 0]
            + littleEndian(UInt64(0)) + littleEndian(count) + littleEndian(count)
            + littleEndian(UInt64(size)) + littleEndian(UInt64(start))
            + Array("PK\u{6}\u{7}".utf8) + littleEndian(UInt32(0))
            + littleEndian(UInt64(start + size)) + littleEndian(UInt32(1))
    }

    @Test func `a zip64 end record counts, saturated fields or not`() throws {
        var zip = HandMadeZip()
        zip.zip64 = { Self.zip64Records($0, $1) }
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])
        zip.entryCount = 0xFFFF
        zip.directoryOffset = .max
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])
        zip.entryCount = 2
        #expect(
            throws: Sentence(
                "FILE: end of the zip archive: expected the numbers of the zip64 end record, "
                    + "found others")
        ) { try unzip(zip.bytes) }
    }

    @Test func `a deflated entry is read by its size`() throws {
        var zip = HandMadeZip()
        zip.entries[0].method = 8
        zip.entries[0].data = Self.deflated
        #expect(try unzip(zip.bytes) == ["a": [1, 2, 3]])
    }
}
