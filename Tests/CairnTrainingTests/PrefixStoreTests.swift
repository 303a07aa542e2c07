// SPDX-License-Identifier: Apache-2.0
/// A prefix's file has the layout that it says, and gives no number that it did not take.

import CairnFormats
import CairnTraining
import Foundation
import TestSupport
import Testing

@Suite struct PrefixStoreTests {
    static let key = (0..<32).map { UInt8($0) }
    static let counts = [5, 1, 100, 0, 33]
    static let data = DataSet(
        ids: counts.indices.map { [Int32($0), 7] }, typeIDs: counts.map { _ in [0, 0] },
        targets: .none)
    /// Bytes in front of the rows: magic, key, digest, and a fingerprint for each.
    static let start = 8 + 32 + 32 + 16 * counts.count

    let directory: TemporaryDirectory
    let url: URL

    init() throws {
        directory = try TemporaryDirectory()
        url = directory.file("rows")
    }

    private func row(_ index: Int) -> PrefixRow { PrefixRow(Self.data, index) }

    private var rows: [(PrefixRow, count: Int)] {
        Self.counts.enumerated().map { (row($0.offset), $0.element) }
    }

    private func opened(at other: URL? = nil) throws -> PrefixStore {
        try PrefixStore(other ?? url, key: Self.key, rows: rows)
    }

    /// Any bits at all, those of numbers that are none among them; no two rows are alike.
    private func numbers(_ index: Int) -> [Float] {
        let special: [Float] = [
            .nan, Float(bitPattern: 0x7fa0_0001), -0.0, -.infinity, .leastNonzeroMagnitude,
        ]
        return (0..<Self.counts[index]).map { place in
            if place < 5 { return special[(place + index) % 5] }
            return Float(bitPattern: UInt32(1000 * index + place) &* 0x9e37_79b9)
        }
    }

    private func write(_ index: Int, to store: PrefixStore) {
        numbers(index).withUnsafeBufferPointer { store.write($0, for: row(index)) }
    }

    /// The bits of a row; nil when the store has none.
    private func bits(_ index: Int, in store: PrefixStore) -> [UInt32]? {
        var found = [Float](repeating: 42, count: Self.counts[index])
        let isThere = found.withUnsafeMutableBufferPointer { store.read(row(index), into: $0) }
        return isThere ? found.map(\.bitPattern) : nil
    }

    private func expected(_ index: Int) -> [UInt32]? { numbers(index).map(\.bitPattern) }

    private func change(_ change: (inout Data) -> Void) throws {
        var bytes = try Data(contentsOf: url)
        change(&bytes)
        // In place: the store has the file open.
        let file = try FileHandle(forUpdating: url)
        try file.write(contentsOf: bytes)
        try file.truncate(atOffset: UInt64(bytes.count))
        try file.close()
    }

    @Test func `the file is a header, a table of fingerprints and the rows`() throws {
        let store = try opened()
        for index in [4, 0, 3] { write(index, to: store) }
        store.seal()

        let bytes = [UInt8](try Data(contentsOf: url))

        let rows = Self.counts.indices.map { index in
            numbers(index).flatMap { number in
                (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * $0)) }
            }
        }
        let table = rows.indices.flatMap { index in
            var fingerprint = Fingerprint()
            fingerprint.update(rows[index])
            return [0, 3, 4].contains(index) ? fingerprint.bytes : [UInt8](repeating: 0, count: 16)
        }
        var digest = SHA256()
        digest.update(table)
        #expect(Array(bytes[..<40]) == Array("CAIRNPF2".utf8) + Self.key)
        #expect(Array(bytes[40..<72]) == digest.digest)
        #expect(Array(bytes[72..<Self.start]) == table)
        // Nothing was written where rows 1 and 2 would be.
        let gap = [UInt8](repeating: 0, count: rows[1].count + rows[2].count)
        #expect(Array(bytes[Self.start...]) == rows[0] + gap + rows[4])
        #expect(bytes.count == PrefixStore.byteCount(self.rows + self.rows.prefix(1)))
        #expect(store.notes == [])
    }

    @Test func `rows come back with their bits, in another process too`() throws {
        let store = try opened()
        for index in [2, 4, 3, 0] { write(index, to: store) }
        store.seal()
        let later = try opened()

        for store in [store, later] {
            for index in [0, 2, 3, 4] { #expect(bits(index, in: store) == expected(index)) }
            #expect(bits(1, in: store) == nil)
            #expect(store.notes == [])
        }
    }

    @Test func `any bit of a row that changes is noticed, said once, and mended by writing`() throws
    {
        let store = try opened()
        for index in Self.counts.indices { write(index, to: store) }
        let begin = Self.start + 4 * (5 + 1)

        for bit in 0..<(32 * Self.counts[2]) {
            try change { $0[begin + bit / 8] ^= 1 << (bit % 8) }
            #expect(bits(2, in: store) == nil, "bit \(bit)")
            try change { $0[begin + bit / 8] ^= 1 << (bit % 8) }
            // What was once wrong is not asked again.
            #expect(bits(2, in: store) == nil, "bit \(bit)")
            write(2, to: store)
            #expect(bits(2, in: store) == expected(2), "bit \(bit)")
        }

        for index in [0, 1, 3, 4] { #expect(bits(index, in: store) == expected(index)) }
        #expect(store.notes == ["\(url.path) is damaged: its rows are computed again"])
    }

    @Test func `a row in the place of another, and zeros, are noticed`() throws {
        let store = try opened()
        for index in Self.counts.indices { write(index, to: store) }
        let first = Self.start..<Self.start + 20
        let last = Self.start + 4 * (5 + 1 + 100)

        try change { bytes in
            bytes.replaceSubrange(first, with: bytes[last..<last + 20])
            bytes.resetBytes(in: last..<bytes.count)
        }

        #expect(bits(0, in: store) == nil)
        #expect(bits(4, in: store) == nil)
        #expect(bits(2, in: store) == expected(2))
    }

    @Test func `of a file that was shortened while open the whole rows are read`() throws {
        let ends = Self.counts.reduce(into: [Self.start]) { $0.append($0.last! + 4 * $1) }
        for length in stride(from: ends.last!, through: 0, by: -3) {
            let store = try opened()
            for index in Self.counts.indices { write(index, to: store) }

            try change { $0 = $0.prefix(length) }

            for index in Self.counts.indices {
                // A row of no numbers has nothing to lose.
                let isWhole = ends[index + 1] <= length || Self.counts[index] == 0
                #expect(bits(index, in: store) == (isWhole ? expected(index) : nil))
            }
            #expect(store.notes.count == (length < ends.last! ? 1 : 0))
            try FileManager.default.removeItem(at: url)
        }
    }

    @Test func `a file of another key, of the format before or with a damaged table is emptied`()
        throws
    {
        let changes: [(inout Data) -> Void] = [
            { $0.replaceSubrange(0..<8, with: Data("CAIRNPFX".utf8)) },
            { $0[8] ^= 1 }, { $0[39] ^= 0x80 }, { $0[40] ^= 1 }, { $0[71] ^= 1 },
            { $0[72] ^= 1 }, { $0[Self.start - 1] ^= 1 }, { $0 = $0.prefix(Self.start - 1) },
        ]
        for (place, change) in changes.enumerated() {
            let store = try opened()
            for index in Self.counts.indices { write(index, to: store) }
            store.seal()
            try self.change(change)

            let later = try opened()

            #expect(later.notes.count == 1 && later.notes[0].contains("begun anew"), "\(place)")
            #expect(try Data(contentsOf: url) == Data(), "\(place)")
            for index in Self.counts.indices { #expect(bits(index, in: later) == nil) }
            try FileManager.default.removeItem(at: url)
        }
    }

    @Test func `a file without its table, as a kill leaves it, is begun anew`() throws {
        let store = try opened()
        for index in Self.counts.indices { write(index, to: store) }

        let later = try opened()

        #expect(later.notes.count == 1)
        #expect(bits(0, in: later) == nil)
    }

    /// A device that takes no byte, on systems that have it.
    static let full = URL(fileURLWithPath: "/dev/full")

    @Test(.enabled(if: FileManager.default.isWritableFile(atPath: full.path)))
    func `on a full disk rows are not there, which is said once`() throws {
        // Never removed: it is the system's.
        let store = try opened(at: Self.full)

        for index in Self.counts.indices {
            write(index, to: store)
            #expect(bits(index, in: store) == nil)
        }
        #expect(store.notes.count == 1)
        #expect(store.notes[0].contains("No space left on device"))
        #expect(store.notes[0].contains("computed in every epoch"))
        store.seal()

        #expect(store.notes.count == 2 && store.notes[1].contains("begun anew"))
    }
}
