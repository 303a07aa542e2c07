// SPDX-License-Identifier: Apache-2.0
/// Single files that are there in full or not at all.

import Foundation

/// Replaces a file in one step: written beside it, brought to the medium, renamed over it.
public enum DurableFile {
    /// Fails with the target as it was, and nothing left beside it; but where the last step fails,
    /// which brings the renaming to the medium, the new file is in place.
    public static func write(_ data: Data, to url: URL) throws(FormatError) {
        try write(data, to: url, files: SystemFiles())
    }

    /// As above, with what `body` writes, which is kept nowhere in memory; a failure of `body`
    /// leaves the target as it was.
    public static func write<Result>(
        to url: URL, _ body: (inout FileSink) throws(FormatError) -> Result
    ) throws(FormatError) -> Result {
        try write(to: url, files: SystemFiles(), body)
    }

    package static func write(
        _ data: Data, to url: URL, files: some FileOperations
    ) throws(FormatError) {
        try write(to: url, files: files) { sink throws(FormatError) in try sink.write(data) }
    }

    package static func write<Result>(
        to url: URL, files: some FileOperations,
        _ body: (inout FileSink) throws(FormatError) -> Result
    ) throws(FormatError) -> Result {
        let place = StagingPlace(for: url)
        let result: Result
        do throws(FormatError) {
            var sink = try FileSink(path: place.temporary, files: files)
            do throws(FormatError) {
                result = try body(&sink)
            } catch {
                sink.abandon()
                throw error
            }
            try sink.finish()
            try files.rename(place.temporary, to: place.target)
        } catch {
            try? files.remove(place.temporary)
            throw error
        }
        try files.synchronizeDirectory(place.parent)
        return result
    }
}

/// The paths of a commit: the target, its directory, and names beside it that no reader takes.
struct StagingPlace {
    let target: String
    let parent: String
    /// `.NAME.tmp-<nonce>`
    let temporary: String
    /// `.NAME.old-<nonce>`, for what stood there before.
    let aside: String
    /// `.NAME.gone-<nonce>`, for what is being removed.
    let gone: String

    init(for url: URL) {
        target = url.path
        parent = url.deletingLastPathComponent().path
        let nonce = String(UInt64.random(in: .min ... .max), radix: 16)
        temporary = "\(parent)/.\(url.lastPathComponent).tmp-\(nonce)"
        aside = "\(parent)/.\(url.lastPathComponent).old-\(nonce)"
        gone = "\(parent)/.\(url.lastPathComponent).gone-\(nonce)"
    }
}

/// A new file that counts and hashes what is written to it.
public struct FileSink: ByteSink {
    let path: String
    private let files: any FileOperations
    private let descriptor: Int32
    private let hashes: Bool
    private let side: SideDigest?
    private(set) var byteCount = 0
    /// The length that the file has whatever is written.
    private var reserved = 0
    private(set) var hash = SHA256()

    /// - Parameter side: a digest that is taken along while the file is hashed.
    package init(
        path: String, files: some FileOperations, hashes: Bool = true, side: SideDigest? = nil
    ) throws(FormatError) {
        self.path = path
        self.files = files
        self.hashes = hashes
        self.side = side
        descriptor = try files.createFile(path)
    }

    /// Files below this size are not worth a call.
    private static let leastReserved = 1 << 20

    public mutating func reserve(_ count: Int) throws(FormatError) {
        guard byteCount == 0, count >= Self.leastReserved else { return }
        try files.reserve(count, in: descriptor, path: path)
        reserved = count
    }

    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        try files.writeAll(bytes, to: descriptor, path: path)
        if hashes {
            if let side { side.update(&hash, bytes) } else { hash.update(bytes) }
        }
        byteCount += bytes.count
    }

    /// Brings the bytes to the medium and closes the file, which a failure closes too.
    package func finish() throws(FormatError) {
        precondition(byteCount >= reserved, "\(byteCount) of \(reserved) bytes of \(path)")
        do {
            try files.synchronize(descriptor, path: path)
        } catch {
            abandon()
            throw error
        }
        try files.close(descriptor, path: path)
    }

    /// Closes a file that is about to be removed, so that an error would tell nothing.
    func abandon() { try? files.close(descriptor, path: path) }
}
