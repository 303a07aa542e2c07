// SPDX-License-Identifier: Apache-2.0
/// What an archive says of one entry, in its directory and again in front of the entry.

/// A record of the central directory.
struct ZipRecord {
    static let signature: UInt32 = 0x0201_4B50
    static let localSignature: UInt32 = 0x0403_4B50
    static let descriptorSignature: UInt32 = 0x0807_4B50

    /// Flags that change nothing here: the level of deflate, sizes behind the data, UTF-8 names.
    private static let knownFlags = 0x0806
    private static let descriptorFlag = 0x0008
    private static let utf8Flag = 0x0800

    let file: String
    let name: String
    let flags: Int
    let method: ZipEntry.Method
    let sizes: ZipSizes
    let offset: Int
    /// The byte behind the record.
    let end: Int

    private let nameBytes: UnsafeRawBufferPointer

    init(
        parsing bytes: UnsafeRawBufferPointer, at place: Int, limit: Int, index: Int, file: String
    ) throws(FormatError) {
        let entry = "entry \(index) of the central directory"
        guard limit - place >= 46, bytes.u32(place) == Self.signature else {
            throw .entry(file: file, entry: entry, expected: "a record", found: "none")
        }
        let nameCount = bytes.u16(place + 28)
        let extraStart = place + 46 + nameCount
        let extraEnd = extraStart + bytes.u16(place + 30)
        end = extraEnd + bytes.u16(place + 32)
        guard end <= limit else {
            throw .entry(
                file: file, entry: entry, expected: "at most \(limit - place) bytes",
                found: "\(end - place)")
        }
        self.file = file
        nameBytes = UnsafeRawBufferPointer(rebasing: bytes[(place + 46)..<extraStart])
        flags = bytes.u16(place + 8)
        name = try Self.name(nameBytes, flags: flags, entry: entry, file: file)
        let fail = { [name] (expected: String, found: String) in
            FormatError.entry(
                file: file, entry: "entry '\(name)'", expected: expected, found: found)
        }
        if flags & 0x2041 != 0 { throw fail("no encryption", "some") }
        guard flags & ~(Self.knownFlags | Self.descriptorFlag) == 0 else {
            throw fail("flags that are known", "0x" + String(flags, radix: 16))
        }
        guard let method = ZipEntry.Method(rawValue: bytes.u16(place + 10)) else {
            throw fail("method 0 (stored) or 8 (deflate)", "\(bytes.u16(place + 10))")
        }
        self.method = method
        let extra = UnsafeRawBufferPointer(rebasing: bytes[extraStart..<extraEnd])
        var zip64 = try ZipExtra(parsing: extra, of: "entry '\(name)'", file: file)
        sizes = try ZipSizes(
            unpacked: zip64.widen(bytes.u32(place + 24)),
            packed: zip64.widen(bytes.u32(place + 20)), crc32: bytes.u32(place + 16))
        let offset = try zip64.widen(bytes.u32(place + 42))
        let disk = bytes.u16(place + 34)
        guard disk == 0 || disk == 0xFFFF else { throw fail("one disk", "several") }
        guard let offset = Int(exactly: offset), Int(exactly: sizes.packed) != nil else {
            throw fail("sizes below 2^63", "offset \(offset), size \(sizes.packed)")
        }
        self.offset = offset
        try checkSizes()
    }

    private static func name(
        _ bytes: UnsafeRawBufferPointer, flags: Int, entry: String, file: String
    ) throws(FormatError) -> String {
        let isText =
            flags & utf8Flag == 0
            ? bytes.allSatisfy { $0 < 0x80 } : UTF8Check.firstInvalidByte(bytes) == nil
        guard isText else {
            throw .entry(
                file: file, entry: "name of \(entry)",
                expected: "ASCII, or UTF-8 where the flag says so", found: "other bytes")
        }
        let name = String(decoding: bytes, as: UTF8.self)
        if let fault = ZipEntry.fault(ofName: name) {
            throw .entry(
                file: file, entry: "name of \(entry)",
                expected: "a relative path of a file", found: "\(fault) in '\(name)'")
        }
        return name
    }

    private func checkSizes() throws(FormatError) {
        let largest: UInt64
        switch method {
        case .stored:
            guard sizes.unpacked == sizes.packed else {
                throw failure(
                    "\(sizes.packed) bytes, as many as are stored", "\(sizes.unpacked)")
            }
            return
        case .deflated:
            let (product, overflow) = sizes.packed.multipliedReportingOverflow(
                by: UInt64(ZipEntry.largestExpansion))
            largest = overflow ? .max : product
        }
        guard sizes.unpacked <= largest, Int(exactly: sizes.unpacked) != nil else {
            throw failure(
                "at most \(largest) bytes out of \(sizes.packed) deflated ones",
                "\(sizes.unpacked)")
        }
    }

    // MARK: In front of the entry and behind it

    /// Compares the header at `offset` with this record; gives the place of the packed bytes.
    func checkLocalHeader(
        in bytes: UnsafeRawBufferPointer, upTo end: Int
    ) throws(FormatError) -> Range<Int> {
        guard end - offset >= 30, bytes.u32(offset) == Self.localSignature else {
            throw failure("a local header at byte \(offset)", "none")
        }
        let nameEnd = offset + 30 + bytes.u16(offset + 26)
        let start = nameEnd + bytes.u16(offset + 28)
        guard start <= end, Int(sizes.packed) <= end - start else {
            throw failure(
                "its bytes before the central directory at \(end)",
                "\(sizes.packed) from byte \(start)")
        }
        guard bytes[(offset + 30)..<nameEnd].elementsEqual(nameBytes) else {
            throw failure("the same name in its local header", "another")
        }
        guard bytes.u16(offset + 6) == flags, bytes.u16(offset + 8) == method.rawValue else {
            throw failure("the same flags and method in its local header", "others")
        }
        let extra = UnsafeRawBufferPointer(rebasing: bytes[nameEnd..<start])
        var zip64 = try ZipExtra(parsing: extra, of: "entry '\(name)'", file: file)
        let local = try ZipSizes(
            unpacked: zip64.widen(bytes.u32(offset + 22)),
            packed: zip64.widen(bytes.u32(offset + 18)), crc32: bytes.u32(offset + 14))
        guard local == sizes || (hasDescriptor && local == ZipSizes.zero) else {
            throw failure("the same sizes and checksum in its local header", "others")
        }
        return start..<(start + Int(sizes.packed))
    }

    /// Checks what lies between an entry's bytes and the next header; gives the byte behind it.
    ///
    /// The signature may be missing; some writers leave out the descriptor of an empty entry.
    func checkDescriptor(
        in bytes: UnsafeRawBufferPointer, from start: Int, to next: Int
    ) throws(FormatError) -> Int {
        guard hasDescriptor else { return start }
        let count = next - start
        if count == 0 && sizes.packed == 0 { return start }
        guard [12, 16, 20, 24].contains(count) else {
            throw failure("a descriptor of 12 to 24 bytes behind its data", "\(count)")
        }
        let isSigned = count % 8 == 0
        let place = isSigned ? start + 4 : start
        let isLong = count >= 20
        let found = ZipSizes(
            unpacked: isLong ? bytes.u64(place + 12) : UInt64(bytes.u32(place + 8)),
            packed: isLong ? bytes.u64(place + 4) : UInt64(bytes.u32(place + 4)),
            crc32: bytes.u32(place))
        guard found == sizes, !isSigned || bytes.u32(start) == Self.descriptorSignature else {
            throw failure("the same sizes and checksum behind its data", "others")
        }
        return next
    }

    private var hasDescriptor: Bool { flags & Self.descriptorFlag != 0 }

    func entry(at range: Range<Int>) -> ZipEntry {
        ZipEntry(
            name: name, method: method, byteCount: Int(sizes.unpacked), crc32: sizes.crc32,
            range: range)
    }

    /// Holds the entry's place in a list until its range is known.
    var emptyEntry: ZipEntry { entry(at: 0..<0) }

    func failure(_ expected: String, _ found: String) -> FormatError {
        .entry(file: file, entry: "entry '\(name)'", expected: expected, found: found)
    }
}

/// What an archive repeats of an entry.
struct ZipSizes: Equatable {
    static let zero = ZipSizes(unpacked: 0, packed: 0, crc32: 0)

    let unpacked: UInt64
    let packed: UInt64
    let crc32: UInt32
}

/// The extra fields behind a name: of these only the wide numbers of zip64 count.
struct ZipExtra {
    static let zip64Kind = 1

    private let file: String
    private let entry: String
    private var wide: [UInt64] = []

    init(
        parsing bytes: UnsafeRawBufferPointer, of entry: String, file: String
    ) throws(FormatError) {
        self.file = file
        self.entry = entry
        var seen = false
        var place = 0
        while place < bytes.count {
            guard bytes.count - place >= 4, bytes.u16(place + 2) <= bytes.count - place - 4 else {
                throw failure("extra fields of \(bytes.count) bytes", "one that reaches further")
            }
            let count = bytes.u16(place + 2)
            if bytes.u16(place) == Self.zip64Kind {
                if seen { throw failure("one zip64 field", "two") }
                seen = true
                // Three sizes and a disk number; the latter is not asked for.
                for index in 0..<min(count / 8, 3) { wide.append(bytes.u64(place + 4 + 8 * index)) }
            }
            place += 4 + count
        }
    }

    /// The number itself or, where it is saturated, the next wide one.
    mutating func widen(_ number: UInt32) throws(FormatError) -> UInt64 {
        guard number == .max else { return UInt64(number) }
        guard !wide.isEmpty else { throw failure("a zip64 field for a size of 2^32 - 1", "none") }
        return wide.removeFirst()
    }

    private func failure(_ expected: String, _ found: String) -> FormatError {
        .entry(file: file, entry: entry, expected: expected, found: found)
    }
}
