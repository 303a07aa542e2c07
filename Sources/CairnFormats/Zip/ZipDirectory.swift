// SPDX-License-Identifier: Apache-2.0
/// The directory of a zip archive, checked in full before any entry is handed out.

/// The entries of one archive.
///
///     (local header | name | extra | packed bytes | [descriptor])*   from byte 0, without holes
///     (central record | name | extra | comment)*
///     [zip64 end record, 56 bytes | zip64 locator, 20 bytes]
///     end record, 22 bytes, the last of the file
///
/// Numbers are little-endian. Everything is said twice, in front of an entry and in the central
/// directory, and both must agree. Refused by name: an archive comment, several disks, encryption,
/// methods other than stored and deflate, folders, names that leave the archive's folder or are
/// neither ASCII nor marked as UTF-8, a name that occurs twice, holes, overlaps and trailing bytes.
///
/// Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
package struct ZipDirectory: Sendable {
    /// In the directory's order.
    package private(set) var entries: [ZipEntry] = []

    package init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
        let end = try ZipEnd(parsing: bytes, file: file)
        var records: [ZipRecord] = []
        var names: Set<ByteKey> = []
        var place = end.directory.lowerBound
        for index in 0..<end.entryCount {
            let record = try ZipRecord(
                parsing: bytes, at: place, limit: end.directory.upperBound, index: index,
                file: file)
            guard names.insert(ByteKey(record.name)).inserted else {
                throw record.failure("every name once", "it again")
            }
            place = record.end
            records.append(record)
        }
        guard place == end.directory.upperBound else {
            throw .entry(
                file: file, entry: "central directory",
                expected: "\(end.entryCount) records in \(end.directory.count) bytes",
                found: "them in \(place - end.directory.lowerBound)")
        }
        entries = records.map(\.emptyEntry)
        try checkCoverage(records, of: bytes, upTo: end.directory.lowerBound, file: file)
    }

    /// Entries, in order of place, follow on one another from byte 0 to the directory.
    private mutating func checkCoverage(
        _ records: [ZipRecord], of bytes: UnsafeRawBufferPointer, upTo end: Int, file: String
    ) throws(FormatError) {
        let order = records.indices.sorted { records[$0].offset < records[$1].offset }
        var covered = 0
        for (rank, index) in order.enumerated() {
            let record = records[index]
            guard record.offset == covered else {
                throw record.failure(
                    "its header at byte \(covered)",
                    "\(record.offset > covered ? "a hole" : "an overlap"), byte \(record.offset)")
            }
            let range = try record.checkLocalHeader(in: bytes, upTo: end)
            let next = rank + 1 < order.count ? records[order[rank + 1]].offset : end
            covered = try record.checkDescriptor(in: bytes, from: range.upperBound, to: next)
            entries[index] = record.entry(at: range)
        }
        guard covered == end else {
            throw .entry(
                file: file, entry: "central directory", expected: "it at byte \(covered)",
                found: "it at byte \(end)")
        }
    }
}

/// The end of an archive: how many records, and where.
struct ZipEnd {
    static let signature: UInt32 = 0x0605_4B50
    static let zip64Signature: UInt32 = 0x0606_4B50
    static let locatorSignature: UInt32 = 0x0706_4B50

    private(set) var entryCount: Int
    private(set) var directory: Range<Int>

    init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
        guard bytes.count >= 22 else { throw .truncated(file: file, needs: 22, has: bytes.count) }
        let place = bytes.count - 22
        guard bytes.u32(place) == Self.signature, bytes.u16(place + 20) == 0 else {
            throw .entry(
                file: file, entry: "end of the zip archive",
                expected: "an end record in the last 22 bytes, without a comment",
                found: "none; is the file cut short?")
        }
        let short = (
            disk: bytes.u16(place + 4), directoryDisk: bytes.u16(place + 6),
            here: bytes.u16(place + 8), total: bytes.u16(place + 10),
            size: UInt64(bytes.u32(place + 12)), offset: UInt64(bytes.u32(place + 16))
        )
        guard [0, 0xFFFF].contains(short.disk), [0, 0xFFFF].contains(short.directoryDisk),
            short.here == short.total
        else { throw Self.failure(file, "one disk", "several") }
        let hasLocator = place >= 76 && bytes.u32(place - 20) == Self.locatorSignature
        guard hasLocator else {
            entryCount = short.total
            directory = try Self.range(short.offset, short.size, endsAt: place, file: file)
            return
        }
        let start = place - 76
        let long = try Self.zip64(bytes, at: start, file: file)
        guard short.total == 0xFFFF || short.total == long.count,
            short.size == 0xFFFF_FFFF || short.size == long.size,
            short.offset == 0xFFFF_FFFF || short.offset == long.offset
        else { throw Self.failure(file, "the numbers of the zip64 end record", "others") }
        entryCount = long.count
        directory = try Self.range(long.offset, long.size, endsAt: start, file: file)
    }

    /// Reads the record at `start` and the locator behind it.
    private static func zip64(
        _ bytes: UnsafeRawBufferPointer, at start: Int, file: String
    ) throws(FormatError) -> (count: Int, size: UInt64, offset: UInt64) {
        let entry = "zip64 end record"
        let locator = start + 56
        guard bytes.u64(locator + 8) == UInt64(start), bytes.u32(start) == zip64Signature,
            bytes.u64(start + 4) == 44
        else {
            throw .entry(
                file: file, entry: entry, expected: "56 bytes right before their locator",
                found: "none there")
        }
        guard bytes.u32(locator + 4) == 0, bytes.u32(locator + 16) <= 1,
            bytes.u32(start + 16) == 0, bytes.u32(start + 20) == 0,
            bytes.u64(start + 24) == bytes.u64(start + 32)
        else { throw failure(file, "one disk", "several") }
        // A record takes 46 bytes, which bounds the count by the file's size.
        let count = bytes.u64(start + 32)
        guard count <= UInt64(bytes.count / 46) else {
            throw .entry(
                file: file, entry: entry, expected: "at most \(bytes.count / 46) entries",
                found: "\(count)")
        }
        return (Int(count), bytes.u64(start + 40), bytes.u64(start + 48))
    }

    private static func range(
        _ offset: UInt64, _ size: UInt64, endsAt end: Int, file: String
    ) throws(FormatError) -> Range<Int> {
        let (sum, overflow) = offset.addingReportingOverflow(size)
        guard !overflow, sum == UInt64(end) else {
            throw .entry(
                file: file, entry: "central directory", expected: "it to end at byte \(end)",
                found: "\(size) bytes from byte \(offset)")
        }
        return Int(offset)..<end
    }

    private static func failure(_ file: String, _ expected: String, _ found: String) -> FormatError
    {
        .entry(file: file, entry: "end of the zip archive", expected: expected, found: found)
    }
}
