// SPDX-License-Identifier: Apache-2.0
/// A file of numbers by row, each with its digest: what does not verify is not there.

import CairnFormats
import Foundation

/// Where a frozen prefix's results are kept while a run goes.
///
///     0      "CAIRNPFX", then the key: SHA-256 of everything that the numbers depend on
///     40     SHA-256 of the table
///     72     the table: SHA-256 of each row's bytes, zeros for a row that is not there
///     then   the rows, fp32 little-endian, in the order in which the run's rows first occur
///
/// The table is written when the run ends or stops; a process that was killed before leaves a file
/// that is passed over. Every row is hashed whenever it is read, so no damage is ever trusted. It
/// is read into memory and not mapped: a mapping would count as resident, and a file that somebody
/// shortened would end the process.
package final class PrefixStore {
    private static let magic = Array("CAIRNPFX".utf8)
    private static let headerCount = 72
    private static let digestCount = 32

    /// Where it lies.
    package let url: URL
    private let file: ScratchFile
    private let key: [UInt8]
    /// Place and count of the numbers of every row that may come.
    private let places: [PrefixRow: (index: Int, offset: Int, count: Int)]
    private var digests: [[UInt8]?]
    /// What a user should know, each once.
    private(set) var notes: [String] = []
    private var isFull = false

    /// Bytes of a file for these rows.
    static func byteCount(_ rows: [(PrefixRow, count: Int)]) -> Int {
        headerCount + Set(rows.map(\.0)).count * digestCount
            + Dictionary(rows.map { ($0.0, $0.count) }, uniquingKeysWith: { a, _ in a })
            .values.reduce(0) { $0 + 4 * $1 }
    }

    /// Opens or makes the file; what is there under another key, or damaged, is begun anew.
    ///
    /// - Parameters:
    ///   - key: SHA-256 of everything that the numbers depend on besides the row.
    ///   - rows: every row that may come, with the count of its numbers.
    init(_ url: URL, key: [UInt8], rows: [(PrefixRow, count: Int)]) throws(FormatError) {
        var places: [PrefixRow: (index: Int, offset: Int, count: Int)] = [:]
        var offset = 0
        for (row, count) in rows where places[row] == nil {
            places[row] = (places.count, offset, count)
            offset += 4 * count
        }
        let start = Self.headerCount + places.count * Self.digestCount
        self.places = places.mapValues { ($0.index, $0.offset + start, $0.count) }
        self.url = url
        self.key = key
        digests = [[UInt8]?](repeating: nil, count: places.count)
        file = try ScratchFile(url.path)
        if let found = known() {
            digests = found
        } else {
            if file.byteCount > 0 {
                notes.append(
                    "\(url.path) is of other rows or another model, or damaged: begun anew")
            }
            try file.clear()
        }
    }

    /// The table of a file that is whole and under the same key.
    private func known() -> [[UInt8]?]? {
        let count = Self.headerCount + digests.count * Self.digestCount
        guard let bytes = file.read(count, at: 0), bytes.starts(with: Self.magic + key) else {
            return nil
        }
        let table = Array(bytes[Self.headerCount...])
        guard Array(bytes[40..<Self.headerCount]) == Self.digest(table) else { return nil }
        return digests.indices.map { index in
            let place = index * Self.digestCount
            let digest = Array(table[place..<place + Self.digestCount])
            return digest.contains { $0 != 0 } ? digest : nil
        }
    }

    private static func digest(_ bytes: some ContiguousBytes) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.digest
    }

    /// The numbers of a row; nil when they are not there or not as they were written.
    func read(_ row: PrefixRow) -> [Float]? {
        guard let place = places[row], let digest = digests[place.index] else { return nil }
        guard let bytes = file.read(4 * place.count, at: place.offset),
            Self.digest(bytes) == digest
        else {
            digests[place.index] = nil
            let note = "\(url.path) is damaged: its rows are computed again"
            if !notes.contains(note) { notes.append(note) }
            return nil
        }
        return bytes.withUnsafeBytes { bytes in
            (0..<place.count).map {
                Float(
                    bitPattern: UInt32(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
    }

    /// Keeps the numbers of a row; without room on the disk it keeps what it has.
    func write(_ numbers: [Float], for row: PrefixRow) {
        guard !isFull, let place = places[row], digests[place.index] == nil else { return }
        precondition(numbers.count == place.count, "\(numbers.count) numbers for \(place.count)")
        let words = numbers.map { $0.bitPattern.littleEndian }
        let bytes = words.withUnsafeBytes { Array($0) }
        do {
            try file.write(bytes, at: place.offset)
            digests[place.index] = Self.digest(bytes)
        } catch {
            isFull = true
            notes.append("\(error); what is missing there is computed in every epoch")
        }
    }

    /// Writes the table, so that another process finds what is here.
    func seal() {
        let table = digests.flatMap { $0 ?? [UInt8](repeating: 0, count: Self.digestCount) }
        do {
            // The rows first: a table never speaks of what is not on the medium.
            try file.synchronize()
            try file.write(Self.magic + key + Self.digest(table) + table, at: 0)
            try file.synchronize()
        } catch {
            notes.append("\(error); \(url.path) is begun anew by the next run")
        }
    }

    /// Removes the file.
    func remove() { file.remove() }
}
