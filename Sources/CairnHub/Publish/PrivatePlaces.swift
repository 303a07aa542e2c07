// SPDX-License-Identifier: Apache-2.0
/// Texts that would tell where on whose machine a file was made.

import Foundation

/// The paths that must not leave the machine.
public struct PrivatePlaces: Sendable {
    private let places: [[UInt8]]

    /// The home directory, `directory` and the working directory.
    public init(directory: URL) {
        self.init(paths: [
            NSHomeDirectory(), directory.path, directory.resolvingSymlinksInPath().path,
            FileManager.default.currentDirectoryPath,
        ])
    }

    /// Paths of at least one part; the root itself would be found in every text.
    public init(paths: [String]) {
        places = Set(paths).compactMap { path in
            var path = path
            while path.hasSuffix("/") { path.removeLast() }
            return path.hasPrefix("/") ? Array(path.utf8) : nil
        }.sorted { $0.count > $1.count }
    }

    /// The first of the places that stands in a text, and the byte where; nil when none does.
    ///
    /// A place counts where a part of a path could begin and end: `/a/b` stands in `/a/b/c` and in
    /// `"/a/b"`, and not in `/a/bc` or in `x/a/b`.
    func firstFound(in bytes: UnsafeRawBufferPointer) -> (place: String, byte: Int)? {
        var start = 0
        while let slash = bytes[start...].firstIndex(of: UInt8(ascii: "/")) {
            let rest = bytes[slash...]
            let isBeginning = slash == 0 || !Self.isWord(bytes[slash - 1])
            if isBeginning, let place = places.first(where: { Self.begins(rest, $0) }) {
                return (String(decoding: place, as: UTF8.self), slash)
            }
            start = slash + 1
        }
        return nil
    }

    func firstFound(in text: String) -> (place: String, byte: Int)? {
        Array(text.utf8).withUnsafeBytes { firstFound(in: $0) }
    }

    private static func begins(_ text: Slice<UnsafeRawBufferPointer>, _ place: [UInt8]) -> Bool {
        text.starts(with: place) && !(text.dropFirst(place.count).first.map(isWord) ?? false)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 128...255: true
        default: false
        }
    }

    /// Whether a name of a model is a path of a machine and no name on the Hub.
    ///
    /// A name that could be both, as `models/qwen2`, is a path where such a directory exists here:
    /// that is how it would have been read.
    static func isLocalPath(_ name: String, besides directory: URL) -> Bool {
        guard (try? RepositoryID(name)) != nil else { return true }
        var isDirectory: ObjCBool = false
        let candidates = [name, directory.appendingPathComponent(name).path]
        return candidates.contains {
            FileManager.default.fileExists(atPath: $0, isDirectory: &isDirectory)
                && isDirectory.boolValue
        }
    }
}
