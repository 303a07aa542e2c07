// SPDX-License-Identifier: Apache-2.0
/// Files that only grow, a line at a time: logs that must survive the process that writes them.

import Foundation

/// A file of lines, each ended by a newline, to which lines are added.
///
/// A line is in the file once `append` returns, and survives a crash of the machine once
/// `synchronize` has returned after it. What a crash can leave behind the last synchronized line
/// is any part of the lines after it, or zeros in their place: a format that must know carries a
/// digest in each line. An end without a newline is a torn line; it is reported and cut off
/// before the next line is added.
///
/// An object belongs to one thread at a time.
public final class AppendFile {
    /// The file that grows.
    public let url: URL

    /// The bytes of whole lines.
    public var byteCount: Int { writtenCount + unwritten.count }

    /// The bytes behind the last whole line when the file was opened: a line that a crash tore.
    public let tornByteCount: Int

    private let files: any FileOperations
    private let descriptor: Int32
    /// The bytes of whole lines in the file, and how many of them are on the medium.
    private var writtenCount: Int
    private var durableCount: Int
    /// Lines that were in the file and are to be written again.
    private var unwritten: [UInt8] = []
    /// Bytes of no whole line stand at the end.
    private var isTorn: Bool
    /// The system failed to bring bytes to the medium, and may have forgotten that it must.
    private var mustWriteAgain = false
    private var isOpen = true

    /// Opens the file for adding lines; makes it, durably, where there is none.
    public convenience init(_ url: URL) throws(FormatError) {
        try self.init(url, files: SystemFiles())
    }

    package init(_ url: URL, files: some FileOperations) throws(FormatError) {
        self.url = url
        self.files = files
        let isNew = try files.kind(of: url.path) == .none
        let descriptor = try files.openForAppending(url.path)
        do throws(FormatError) {
            if isNew { try files.synchronizeDirectory(url.deletingLastPathComponent().path) }
            // What an earlier process wrote may not be on the medium yet.
            try files.synchronize(descriptor, path: url.path)
            let content = try MappedFile(contentsOf: url)
            defer { withExtendedLifetime(content) {} }
            writtenCount = content.bytes.lastIndex(of: newline).map { $0 + 1 } ?? 0
            tornByteCount = content.bytes.count - writtenCount
        } catch {
            try? files.close(descriptor, path: url.path)
            throw error
        }
        self.descriptor = descriptor
        durableCount = writtenCount
        isTorn = tornByteCount > 0
    }

    deinit { try? close() }

    /// Adds a line; `line` is without its newline.
    ///
    /// - Precondition: `line` holds no newline.
    ///
    /// Fails with the whole lines as they were.
    public func append(_ line: some Sequence<UInt8>) throws(FormatError) {
        precondition(isOpen, "a line added to \(url.path), which is closed")
        let bytes = Array(line) + [newline]
        precondition(bytes.firstIndex(of: newline) == bytes.count - 1, "a line with a newline")
        try settle()
        try add(bytes)
    }

    /// Appends a line and its end; see the call with bytes.
    public func append(_ line: String) throws(FormatError) { try append(line.utf8) }

    /// Returns when every line is on the medium.
    ///
    /// After a failure the next call writes again what may not have arrived: some systems report
    /// a lost write once and then call the file clean.
    public func synchronize() throws(FormatError) {
        precondition(isOpen, "\(url.path) synchronized, which is closed")
        try settle()
        do throws(FormatError) {
            try files.synchronize(descriptor, path: url.path)
        } catch {
            mustWriteAgain = true
            throw error
        }
        durableCount = writtenCount
    }

    /// Takes back all lines behind the first `count` bytes.
    ///
    /// Fails when a line does not end there.
    public func truncate(to count: Int) throws(FormatError) {
        precondition(isOpen, "\(url.path) shortened, which is closed")
        try settle()
        guard try isLineEnd(count) else {
            throw .entry(
                file: url.path, entry: "byte \(count)",
                expected: "the end of one of the lines in \(writtenCount) bytes", found: "none")
        }
        try files.truncate(descriptor, to: count, path: url.path)
        writtenCount = count
        durableCount = min(durableCount, count)
    }

    /// Closes the file; a second call does nothing.
    public func close() throws(FormatError) {
        guard isOpen else { return }
        isOpen = false
        try files.close(descriptor, path: url.path)
    }

    // MARK: Steps

    /// Leaves nothing in the file but whole lines, and all of them.
    private func settle() throws(FormatError) {
        if mustWriteAgain {
            unwritten = try read(durableCount..<writtenCount)
            writtenCount = durableCount
            isTorn = true
            mustWriteAgain = false
        }
        if isTorn {
            try files.truncate(descriptor, to: writtenCount, path: url.path)
            isTorn = false
        }
        if !unwritten.isEmpty {
            try add(unwritten)
            unwritten = []
        }
    }

    /// Writes whole lines; a failure leaves a torn end.
    private func add(_ lines: [UInt8]) throws(FormatError) {
        isTorn = true
        let result = lines.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                try files.writeAll(bytes, to: descriptor, path: url.path)
            }
        }
        try result.get()
        isTorn = false
        writtenCount += lines.count
    }

    private func isLineEnd(_ place: Int) throws(FormatError) -> Bool {
        if place == 0 { return true }
        guard (1...max(1, writtenCount)).contains(place) else { return false }
        return try read(place - 1..<place) == [newline]
    }

    private func read(_ range: Range<Int>) throws(FormatError) -> [UInt8] {
        let content = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(content) {} }
        guard range.upperBound <= content.bytes.count else {
            throw .truncated(file: url.path, needs: range.upperBound, has: content.bytes.count)
        }
        return Array(content.bytes[range])
    }
}

private let newline = UInt8(ascii: "\n")
