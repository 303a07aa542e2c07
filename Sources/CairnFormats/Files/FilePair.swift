// SPDX-License-Identifier: Apache-2.0
/// Two files that belong together and are replaced as one.

import Foundation

/// A file and its companion, which states the SHA-256 of the file that it was written with.
///
/// Two renamings cannot happen at once, so the companion goes first, under the name `.next`:
///
///     1. both are written beside their places and brought to the medium
///     2. companion -> COMPANION.next
///     3. file -> its place: from here on the new pair is the one that is read
///     4. COMPANION.next -> COMPANION
///
/// with the directory brought to the medium after each. A reader takes whichever companion states
/// the file's digest, so that it finds the old pair before step 3 and the new one after it.
/// A `.next` that a crash after step 3 left is put into its place by the next writer, before it
/// needs the name.
public enum FilePair {
    /// Writes both, in place of an earlier pair.
    ///
    /// Fails up to step 3 with the earlier pair as it was; after it, with the new one in place.
    ///
    /// - Parameters:
    ///   - digest: the SHA-256 that a companion states; nil when it states none.
    ///   - body: writes the file.
    ///   - contents: the bytes of the companion of a file with this digest and length.
    package static func write(
        to target: URL, companion: URL, files: some FileOperations,
        digest: (Data) -> String?,
        _ body: (inout FileSink) throws(FormatError) -> Void,
        contents: (_ sha256: String, _ byteCount: Int) throws(FormatError) -> Data
    ) throws(FormatError) {
        try settle(target, companion, files, digest)
        let (first, second) = (StagingPlace(for: target), StagingPlace(for: companion))
        let next = nextURL(of: companion).path
        do throws(FormatError) {
            let stated = try stage(first, files, body)
            let data = try contents(stated.sha256, stated.byteCount)
            _ = try stage(second, files) { sink throws(FormatError) in try sink.write(data) }
            try files.rename(second.temporary, to: next)
            do throws(FormatError) {
                try files.synchronizeDirectory(second.parent)
                try files.rename(first.temporary, to: first.target)
            } catch {
                try? files.remove(next)
                throw error
            }
        } catch {
            for place in [first, second] { try? files.remove(place.temporary) }
            throw error
        }
        try files.synchronizeDirectory(first.parent)
        try promote(next, to: second, files)
    }

    private static func stage(
        _ place: StagingPlace, _ files: some FileOperations,
        _ body: (inout FileSink) throws(FormatError) -> Void
    ) throws(FormatError) -> (sha256: String, byteCount: Int) {
        var sink = try FileSink(path: place.temporary, files: files)
        do throws(FormatError) {
            try body(&sink)
        } catch {
            sink.abandon()
            throw error
        }
        try sink.finish()
        return (sink.hash.hex, sink.byteCount)
    }

    /// Finishes what a crash after step 3 left undone.
    private static func settle(
        _ target: URL, _ companion: URL, _ files: some FileOperations, _ digest: (Data) -> String?
    ) throws(FormatError) {
        let next = nextURL(of: companion)
        guard try files.kind(of: next.path) == .file, try files.kind(of: target.path) == .file
        else { return }
        if digest(try contents(of: next)) == (try SHA256.hex(ofFile: target)) {
            try promote(next.path, to: StagingPlace(for: companion), files)
        }
    }

    private static func promote(
        _ next: String, to place: StagingPlace, _ files: some FileOperations
    ) throws(FormatError) {
        try files.rename(next, to: place.target)
        try files.synchronizeDirectory(place.parent)
    }

    // MARK: Reading

    /// The companion that belongs to a file: the one that states its digest, or else one that
    /// states none; nil when there is no companion.
    ///
    /// - Throws: when the companion states another file's digest, saying which of both is older.
    package static func companion(
        of target: URL, at companion: URL, digest: (Data) -> String?
    ) throws(FormatError) -> (data: Data, url: URL)? {
        let candidates = [nextURL(of: companion), companion].filter {
            FileManager.default.fileExists(atPath: $0.path)
        }
        if candidates.isEmpty { return nil }
        let found = try SHA256.hex(ofFile: target)
        var silent: (data: Data, url: URL)?
        var other: String?
        for url in candidates {
            let data = try contents(of: url)
            let stated = digest(data)
            if stated == found { return (data, url) }
            guard url == companion else { continue }
            if stated == nil { silent = (data, url) } else { other = stated }
        }
        if let other { throw mismatch(target, found, companion, other) }
        return silent
    }

    private static func mismatch(
        _ target: URL, _ found: String, _ companion: URL, _ stated: String
    ) -> FormatError {
        func date(_ url: URL) -> Date? {
            let attributes = try? FileManager.default.attributesOfItem(atPath: url.path)
            return attributes?[.modificationDate] as? Date
        }
        let age: String
        switch (date(target), date(companion)) {
        case (let file?, let other?) where file < other:
            age = "; \(target.lastPathComponent) is the older file"
        case (let file?, let other?) where other < file:
            age = "; \(companion.lastPathComponent) is the older file"
        default: age = ""
        }
        return .entry(
            file: target.path, entry: "SHA-256",
            expected: "\(stated), which \(companion.lastPathComponent) states",
            found: "\(found): they were not saved together, or one is damaged\(age)")
    }

    private static func nextURL(of companion: URL) -> URL {
        companion.appendingPathExtension("next")
    }

    private static func contents(of url: URL) throws(FormatError) -> Data {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return Data(file.bytes)
    }
}
