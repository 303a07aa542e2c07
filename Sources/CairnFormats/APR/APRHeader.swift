// SPDX-License-Identifier: Apache-2.0
/// The first 64 bytes of an APR v2 file, checked: where everything else lies.

/// The header of an APR v2 file.
struct APRHeader {
    let flags: APRFlags
    let tensorCount: Int
    let metadataSize: Int
    /// Where the index starts, and by the rules of the format the end of the padded metadata.
    let indexStart: Int
    let dataStart: Int

    /// Fails on a header that is damaged, of another version, or of a kind that is refused.
    init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(FormatError) {
        let least = APRLayout.headerSize + APRLayout.footerSize
        guard bytes.starts(with: APRLayout.magic) else {
            throw .entry(
                file: file, entry: "header", expected: "an APR v2 file, which starts 41 50 52 00",
                found: BytePreview.hex(bytes, count: 4))
        }
        guard bytes.count >= least else {
            throw .truncated(file: file, needs: least, has: bytes.count)
        }
        func failure(_ entry: String, _ expected: String, _ found: String) -> FormatError {
            .entry(file: file, entry: "header, \(entry)", expected: expected, found: found)
        }
        func place(at offset: Int, _ entry: String) throws(FormatError) -> Int {
            let value = bytes.u64(offset)
            // So that the sum of two of them does not overflow.
            guard value < 1 << 62 else { throw failure(entry, "less than 2^62", "\(value)") }
            return Int(value)
        }
        guard (bytes[4], bytes[5]) == APRLayout.version else {
            throw failure("version", "2.0", "\(bytes[4]).\(bytes[5])")
        }
        let (stored, computed) = (
            bytes.u32(APRLayout.checksumRange.lowerBound),
            APRLayout.headerChecksum(bytes)
        )
        guard stored == computed else {
            throw failure("checksum", BytePreview.hex(computed), BytePreview.hex(stored))
        }
        guard bytes[APRLayout.reservedRange].allSatisfy({ $0 == 0 }) else {
            throw failure("reserved bytes", "zeros", "others")
        }
        flags = APRFlags(rawValue: UInt16(bytes.u16(6)))
        if let problem = Self.problem(with: flags) {
            throw failure("flags", problem.expected, problem.found)
        }
        tensorCount = Int(bytes.u32(8))
        let metadataStart = try place(at: 12, "metadata offset")
        metadataSize = Int(bytes.u32(20))
        indexStart = try place(at: 24, "index offset")
        dataStart = try place(at: 32, "data offset")
        guard metadataStart == APRLayout.headerSize else {
            throw failure("metadata offset", "\(APRLayout.headerSize)", "\(metadataStart)")
        }
        guard metadataSize <= APRLayout.metadataLimit else {
            throw failure(
                "metadata size", "at most \(APRLayout.metadataLimit) bytes", "\(metadataSize)")
        }
        let afterMetadata = APRLayout.aligned(metadataStart + metadataSize)
        guard indexStart == afterMetadata else {
            throw failure("index offset", "\(afterMetadata)", "\(indexStart)")
        }
        guard dataStart >= indexStart, dataStart % APRLayout.alignment == 0 else {
            throw failure(
                "data offset", "a multiple of \(APRLayout.alignment) from \(indexStart) on",
                "\(dataStart)")
        }
        guard bytes.count >= dataStart + APRLayout.footerSize else {
            throw .truncated(
                file: file, needs: dataStart + APRLayout.footerSize, has: bytes.count)
        }
    }

    private static func problem(
        with flags: APRFlags
    ) -> (expected: String, found: String)? {
        let unknown = flags.subtracting(.known)
        if !unknown.isEmpty { return ("known flags", unknown.names.joined(separator: ", ")) }
        let refused = flags.intersection(.refused)
        if !refused.isEmpty {
            return (
                "a plain, row-major file (\(APRFlags.refused.names.joined(separator: ", ")) are "
                    + "not read)", refused.names.joined(separator: ", ")
            )
        }
        return flags.contains(.rowMajor)
            ? nil
            : ("LAYOUT_ROW_MAJOR", flags.isEmpty ? "none" : flags.names.joined(separator: ", "))
    }
}
