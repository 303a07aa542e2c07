// SPDX-License-Identifier: Apache-2.0
/// Files that are put together in memory and written at once, past the system's cache of files.

import Foundation

/// The bytes of a file to be, in memory that the medium can be written from.
///
/// A file that nobody reads soon is better not copied into the system's cache: the copy takes memory
/// that others use, and costs about as much time as all else. Where the system can, `write` goes
/// around it. The memory is kept for the next file.
///
/// An object belongs to one thread at a time.
package final class StagedFile: @unchecked Sendable {
    // Unchecked: it is handed from one thread to another, which wait for each other.
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var count = 0

    /// Whole ones of these are what media take.
    private static let block = 4096

    package init() {}

    deinit { memory.deallocate() }

    /// What was put together.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    /// Begins anew, with what `body` writes.
    package func fill(_ body: (inout Sink) throws -> Void) throws {
        count = 0
        var sink = Sink(file: self)
        try body(&sink)
    }

    /// Where the bytes of a file are put together.
    package struct Sink: ByteSink {
        fileprivate let file: StagedFile

        package mutating func reserve(_ byteCount: Int) throws(FormatError) {
            file.grow(to: file.count + byteCount)
        }

        package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
            file.append(bytes)
        }
    }

    private func grow(to needed: Int) {
        guard needed > memory.count else { return }
        let blocks = (needed + Self.block - 1) / Self.block
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(blocks * Self.block, 2 * memory.count), alignment: Self.block)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }

    private func append(_ bytes: UnsafeRawBufferPointer) {
        grow(to: count + bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
        count += bytes.count
    }

    // MARK: Writing

    /// Makes the file, durably: under another name first, so that it is there in full or not at all.
    ///
    /// - Precondition: `place` is in a directory that is there.
    package func write(to place: URL, files: any FileOperations) throws(FormatError) {
        let temporary = StagingPlace(for: place).temporary
        do throws(FormatError) {
            do throws(FormatError) {
                try write(temporary, files, direct: true)
            } catch {
                // A medium of larger blocks, or one that said yes too early: the plain way tells.
                try files.removeFile(temporary)
                try write(temporary, files, direct: false)
            }
            try files.rename(temporary, to: place.path)
        } catch {
            try? files.removeFile(temporary)
            throw error
        }
        try files.synchronizeDirectory(place.deletingLastPathComponent().path)
    }

    private func write(
        _ path: String, _ files: any FileOperations, direct: Bool
    ) throws(FormatError) {
        let file = try files.createFile(path)
        do throws(FormatError) {
            var rest = bytes
            if direct, files.bypassMemory(file, true) {
                let whole = count / Self.block * Self.block
                try files.writeAll(
                    UnsafeRawBufferPointer(rebasing: rest[..<whole]), to: file, path: path)
                rest = UnsafeRawBufferPointer(rebasing: rest[whole...])
                _ = files.bypassMemory(file, false)
            }
            try files.writeAll(rest, to: file, path: path)
            try files.synchronize(file, path: path)
        } catch {
            try? files.close(file, path: path)
            throw error
        }
        try files.close(file, path: path)
    }
}
