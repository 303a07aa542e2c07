// SPDX-License-Identifier: Apache-2.0
/// The formats that hold named tensors in one file, and how a file shows which one it is in.

import Foundation

/// A format of a single file of tensors.
public enum TensorFormat: String, CaseIterable, Sendable {
    /// safetensors: a JSON header, then the bytes.
    case safetensors
    /// numpy's archive of arrays.
    case npz
    /// Ruby's Marshal, read as data.
    case marshal
    /// APR, version 2.
    case apr

    /// The extensions of its files, the usual one first.
    public var extensions: [String] {
        switch self {
        case .safetensors: ["safetensors"]
        case .npz: ["npz"]
        case .marshal: ["bin", "marshal"]
        case .apr: ["apr"]
        }
    }

    /// The format that a file's name speaks of; nil when it speaks of none.
    public init?(nameOf url: URL) {
        let found = url.pathExtension.lowercased()
        guard let format = Self.allCases.first(where: { $0.extensions.contains(found) }) else {
            return nil
        }
        self = format
    }

    /// The format that the bytes of a file begin like; nil when that is none of these.
    ///
    ///     safetensors   u64 little endian up to the limit of headers, then '{' or space
    ///     npz           "PK" 3 4, or "PK" 5 6 for an empty archive: any zip archive begins so
    ///     marshal       4, 8, then a letter
    ///     apr           "APR" and a zero byte
    ///
    /// Safetensors is asked first: a header of 2052 bytes begins 4, 8 as well, but a zero follows.
    package init?(beginningOf bytes: UnsafeRawBufferPointer) {
        if Self.beginsLikeSafetensors(bytes) {
            self = .safetensors
        } else if bytes.starts(with: APRLayout.magic) {
            self = .apr
        } else if bytes.starts(with: [0x50, 0x4B, 3, 4]) || bytes.starts(with: [0x50, 0x4B, 5, 6]) {
            self = .npz
        } else if bytes.starts(with: [4, 8]) {
            self = .marshal
        } else {
            return nil
        }
    }

    private static func beginsLikeSafetensors(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 8 else { return false }
        let length = bytes.u64(0)
        return length <= SafetensorsHeader.lengthLimit
            && [UInt8](" \t\r\n{".utf8).contains(bytes[8])
    }

    /// The format of a file by its content, checked against what was expected of it.
    ///
    /// - Parameter format: what the file must be in; nil for what its name speaks of, if anything.
    /// - Throws: when the bytes begin like no format, or like another one than expected.
    init(of url: URL, expected format: TensorFormat?) throws(FormatError) {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        let bytes = file.bytes
        func failure(_ expected: String, _ found: String) -> FormatError {
            .entry(file: url.path, entry: "format", expected: expected, found: found)
        }
        guard let content = TensorFormat(beginningOf: bytes) else {
            if bytes.starts(with: APRVersion1.magic) {
                throw failure("apr version 2", "version 1, of which only the header is read")
            }
            let words = Self.allCases.map(\.rawValue).joined(separator: ", ")
            throw failure(
                "one of \(words)", "a file that begins \(BytePreview.hex(bytes, count: 8))")
        }
        // Files of torch are zip archives too, and end in .bin as Marshal's do.
        let found =
            "\(content.rawValue) by its first bytes"
            + (content == .npz ? ", those of any zip archive" : "")
        if let format, format != content {
            throw failure("\(format.rawValue), as was asked for", found)
        }
        if format == nil, let named = TensorFormat(nameOf: url), named != content {
            throw failure("\(named.rawValue) by its extension '.\(url.pathExtension)'", found)
        }
        self = content
    }
}
