// SPDX-License-Identifier: Apache-2.0
/// Comparing a directory with its manifest.

import Foundation

/// Everything that a look at a directory with a manifest found.
public struct Verification: Equatable, Sendable {
    /// One way in which the directory is not what was committed.
    public enum Problem: Equatable, Sendable, CustomStringConvertible {
        /// The manifest is missing, cannot be read, or is of a newer schema.
        case manifest(FormatError)
        /// The manifest lists a file that is not there.
        case missing(file: String)
        /// `damage` is the first byte that is missing or too many.
        case size(file: String, expected: Int, found: Int)
        /// `zerosFrom` is where the file becomes nothing but zeros, where it does.
        case digest(file: String, expected: String, found: String, zerosFrom: Int?)
        /// A file cannot be read.
        case unreadable(file: String, FormatError)

        public var description: String {
            switch self {
            case .manifest(let error): "\(error)"
            case .missing(let file): "\(file) is missing"
            case .size(let file, let expected, let found) where found < expected:
                "\(file) ends at byte \(found), expected \(expected) bytes"
            case .size(let file, let expected, let found):
                "\(file) goes on after byte \(expected), found \(found) bytes"
            case .digest(let file, let expected, let found, let zerosFrom):
                "\(file): expected SHA-256 \(expected), found \(found)"
                    + (zerosFrom.map { "; it holds only zeros from byte \($0)" } ?? "")
            case .unreadable(let file, let error): "\(file): \(error)"
            }
        }
    }

    /// In order of the files' names: the first is the first damage.
    public internal(set) var problems: [Problem] = []
    /// Files that the manifest does not list, as a user may add them: noted, and no damage.
    public internal(set) var strangers: [String] = []
    /// Files whose size, and unless `sizesOnly` content, is as committed.
    public internal(set) var verifiedFiles = 0
    /// Bytes that were compared so far.
    public internal(set) var verifiedBytes = 0

    /// Whether nothing is wrong.
    public var isWhole: Bool { problems.isEmpty }
}

extension Manifest {
    /// Reads the manifest of a directory and compares every file with it.
    ///
    /// With `sizesOnly` no file but the manifest is read, so that it costs next to nothing.
    public static func check(_ directory: URL, sizesOnly: Bool = false) -> Verification {
        do {
            return try Manifest(of: directory).verify(directory, sizesOnly: sizesOnly)
        } catch {
            return Verification(problems: [.manifest(error)])
        }
    }

    /// Compares every file of a directory with this manifest.
    public func verify(_ directory: URL, sizesOnly: Bool = false) -> Verification {
        var result = Verification()
        for file in files {
            if let problem = Self.problem(file, directory, sizesOnly: sizesOnly) {
                result.problems.append(problem)
            } else {
                result.verifiedFiles += 1
                result.verifiedBytes += file.size
            }
        }
        result.strangers = strangers(in: directory)
        return result
    }

    private static func problem(
        _ file: CommittedFile, _ directory: URL, sizesOnly: Bool
    ) -> Verification.Problem? {
        let url = directory.appendingPathComponent(file.name)
        do {
            guard let size = try SystemFiles().size(of: url.path) else {
                return .missing(file: file.name)
            }
            if size != file.size {
                return .size(file: file.name, expected: file.size, found: size)
            }
            return sizesOnly ? nil : try contentProblem(file, url)
        } catch {
            return .unreadable(file: file.name, error)
        }
    }

    private static func contentProblem(
        _ file: CommittedFile, _ url: URL
    ) throws(FormatError) -> Verification.Problem? {
        let content = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(content) {} }
        var hash = SHA256()
        hash.update(content.bytes)
        let found = hash.hex
        if found == file.sha256 { return nil }
        return .digest(
            file: file.name, expected: file.sha256, found: found,
            zerosFrom: zeros(atEndOf: content.bytes))
    }

    /// Where the zeros at the end begin, rounded up to a page as a lost write leaves them; nil
    /// where less than a page is zero.
    private static func zeros(atEndOf bytes: UnsafeRawBufferPointer) -> Int? {
        let page = 4096
        let end = bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
        let start = (end + page - 1) / page * page
        return start + page <= bytes.count || end == 0 ? start : nil
    }

    /// What is there and not listed; an unlisted folder counts as one.
    private func strangers(in directory: URL) -> [String] {
        let listed = Set(files.map { ByteKey($0.name) } + [ByteKey(Self.fileName)])
        let folders = Set(
            files.compactMap { file in
                file.name.firstIndex(of: "/").map { String(file.name[..<$0]) }
            }.map(ByteKey.init))
        let system = SystemFiles()
        var found = (try? system.names(in: directory.path)) ?? []
        for folder in found where folders.contains(ByteKey(folder)) {
            let inside = try? system.names(in: directory.appendingPathComponent(folder).path)
            found += (inside ?? []).map { "\(folder)/\($0)" }
        }
        return found.filter { !listed.contains(ByteKey($0)) && !folders.contains(ByteKey($0)) }
            .sorted { $0.utf8Precedes($1) }
    }
}
