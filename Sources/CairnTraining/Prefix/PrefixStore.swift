// SPDX-License-Identifier: Apache-2.0
/// A file of numbers by row, each with its fingerprint: what does not verify is not there.

import CairnFormats
import Foundation

/// Where a frozen prefix's results are kept while a run goes.
///
///     0      "CAIRNPF2", then the key: SHA-256 of everything that the numbers depend on
///     40     SHA-256 of the table
///     72     the table: `Fingerprint` of each row's bytes, zeros for a row that is not there
///     then   the rows, fp32 little-endian, in the order in which the run's rows first occur
///
/// The table is written when the run ends or stops; a process that was killed before leaves a file
/// that is passed over. Every row is checked whenever it is read, so no damage is ever trusted: of a
/// fingerprint's 128 bits a change within one aligned word of 8 bytes changes some for certain, and
/// any other one is missed with the odds of 2^-64 at most. It is no seal against forgery, which
/// could write the table as well.
///
/// A row is read into the batch's own memory and checked there. It is not mapped: a mapping would
/// count as resident, a file that somebody shortened would end the process, and of the 4.6 ms that
/// 21 MB take in an epoch of 79 (MiniLM's last layer, 496 rows) it would save 1.5.
package final class PrefixStore {
    private static let magic = Array("CAIRNPF2".utf8)
    private static let headerCount = 72
    private static let fingerprintCount = 16

    /// Where it lies.
    package let url: URL
    private let file: ScratchFile
    private let key: [UInt8]
    /// Place and count of the numbers of every row that may come.
    private let places: [PrefixRow: (index: Int, offset: Int, count: Int)]
    private var fingerprints: [Fingerprint?]
    /// What a user should know, each once.
    package private(set) var notes: [String] = []
    private var isFull = false

    /// Bytes of a file for these rows.
    package static func byteCount(_ rows: [(PrefixRow, count: Int)]) -> Int {
        headerCount + Set(rows.map(\.0)).count * fingerprintCount
            + Dictionary(rows.map { ($0.0, $0.count) }, uniquingKeysWith: { a, _ in a })
            .values.reduce(0) { $0 + 4 * $1 }
    }

    /// Opens or makes the file; what is there under another key, or damaged, is begun anew.
    ///
    /// - Parameters:
    ///   - key: SHA-256 of everything that the numbers depend on besides the row.
    ///   - rows: every row that may come, with the count of its numbers.
    package init(
        _ url: URL, key: [UInt8], rows: [(PrefixRow, count: Int)]
    ) throws(FormatError) {
        var places: [PrefixRow: (index: Int, offset: Int, count: Int)] = [:]
        var offset = 0
        for (row, count) in rows where places[row] == nil {
            places[row] = (places.count, offset, count)
            offset += 4 * count
        }
        let start = Self.headerCount + places.count * Self.fingerprintCount
        self.places = places.mapValues { ($0.index, $0.offset + start, $0.count) }
        self.url = url
        self.key = key
        fingerprints = [Fingerprint?](repeating: nil, count: places.count)
        file = try ScratchFile(url.path)
        if let found = known() {
            fingerprints = found
        } else if file.byteCount > 0 {
            notes.append(
                "\(url.path) is of other rows, another model or an older version, or damaged: "
                    + "begun anew")
            try file.clear()
        }
    }

    /// The table of a file that is whole and under the same key.
    private func known() -> [Fingerprint?]? {
        let count = Self.headerCount + fingerprints.count * Self.fingerprintCount
        guard let bytes = file.read(count, at: 0), bytes.starts(with: Self.magic + key) else {
            return nil
        }
        let table = Array(bytes[Self.headerCount...])
        guard Array(bytes[40..<Self.headerCount]) == Self.digest(table) else { return nil }
        return fingerprints.indices.map { index in
            let place = index * Self.fingerprintCount
            let bytes = table[place..<place + Self.fingerprintCount]
            return bytes.contains { $0 != 0 } ? Fingerprint(bytes: bytes) : nil
        }
    }

    private static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.digest
    }

    private static func fingerprint(_ bytes: UnsafeRawBufferPointer) -> Fingerprint {
        var fingerprint = Fingerprint()
        fingerprint.update(bytes)
        return fingerprint
    }

    /// Puts the numbers of a row into `numbers`; false, and these may be anything, when they are not
    /// there or not as they were written.
    ///
    /// - Precondition: `numbers` are as many as the row has.
    package func read(_ row: PrefixRow, into numbers: UnsafeMutableBufferPointer<Float>) -> Bool {
        guard let place = places[row], let expected = fingerprints[place.index] else {
            return false
        }
        precondition(numbers.count == place.count, "\(place.count) numbers for \(numbers.count)")
        let bytes = UnsafeMutableRawBufferPointer(numbers)
        guard file.read(into: bytes, at: place.offset),
            Self.fingerprint(UnsafeRawBufferPointer(bytes)) == expected
        else {
            fingerprints[place.index] = nil
            let note = "\(url.path) is damaged: its rows are computed again"
            if !notes.contains(note) { notes.append(note) }
            return false
        }
        #if _endian(big)
            for place in stride(from: 0, to: bytes.count, by: 4) {
                let word = bytes.load(fromByteOffset: place, as: UInt32.self)
                bytes.storeBytes(of: word.byteSwapped, toByteOffset: place, as: UInt32.self)
            }
        #endif
        return true
    }

    /// Keeps the numbers of a row; without room on the disk it keeps what it has.
    ///
    /// - Precondition: `numbers` are as many as the row has.
    package func write(_ numbers: UnsafeBufferPointer<Float>, for row: PrefixRow) {
        guard !isFull, let place = places[row], fingerprints[place.index] == nil else { return }
        precondition(numbers.count == place.count, "\(numbers.count) numbers for \(place.count)")
        do {
            fingerprints[place.index] = try Self.withFileBytes(of: numbers) { bytes in
                try file.write(bytes, at: place.offset)
                return Self.fingerprint(bytes)
            }
        } catch {
            isFull = true
            notes.append("\(error); what is missing there is computed in every epoch")
        }
    }

    /// Calls `body` with the numbers as the file has them.
    private static func withFileBytes<Result>(
        of numbers: UnsafeBufferPointer<Float>, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        #if _endian(little)
            return try body(UnsafeRawBufferPointer(numbers))
        #else
            return try numbers.map(\.bitPattern.littleEndian).withUnsafeBytes(body)
        #endif
    }

    /// Writes the table, so that another process finds what is here.
    package func seal() {
        let table = fingerprints.flatMap {
            $0?.bytes ?? [UInt8](repeating: 0, count: Self.fingerprintCount)
        }
        do {
            // The rows first: a table never speaks of what is not on the medium.
            try file.synchronize()
            try (Self.magic + key + Self.digest(table) + table).withUnsafeBytes {
                try file.write($0, at: 0)
            }
            try file.synchronize()
        } catch {
            notes.append("\(error); \(url.path) is begun anew by the next run")
        }
    }

    /// Removes the file.
    func remove() { file.remove() }
}
