// SPDX-License-Identifier: Apache-2.0
/// Reads Ruby's Marshal as data; never anything that Ruby would run code for.

import Foundation

/// A reader of Marshal 4.8.
///
///     4 8 | value
///     0 nil   T true   F false   i LONG   l SIGN LONG(words) bytes   f LONG text
///     " LONG bytes   I value LONG (symbol value)*   : LONG bytes   ; LONG(symbol)   @ LONG(object)
///     [ LONG value*   { LONG (key value)*   } LONG (key value)* default
///     LONG: 0, or one byte n ± 5 for -123...122, or a count of bytes and the little-endian bytes
///
/// `;` repeats a symbol, `@` an object, by the order of their first bytes; numbers of 30 bits,
/// symbols, nil and booleans are no objects. `I` gives a string its encoding: `E` true for UTF-8,
/// `E` false for ASCII, `encoding` with a name for others, nothing for bytes.
///
/// Refused by kind, name and place: objects (o), classes and modules (c m M), structs (S), what a
/// class dumps by itself (u U), extended objects (e), subclasses of core classes (C), C data (d),
/// regular expressions (/), other instance variables, cycles, keys that occur twice. A value may
/// be 256 levels deep and, with every repetition written out, a fixed multiple of the stream.
///
/// Source: Ruby's documentation of the format (`marshal.rdoc`).
public enum MarshalReader {
    /// Levels of arrays and hashes: far beyond any real file, far within any thread's stack.
    public static let depthLimit = 256

    /// The value that a file holds; fails on all that the type's description refuses.
    public static func value(contentsOf url: URL) throws(FormatError) -> MarshalValue {
        let file = try MappedFile(contentsOf: url)
        defer { withExtendedLifetime(file) {} }
        return try value(bytes: file.bytes, file: url.path)
    }

    /// The value of bytes at hand; `file` is what errors call them.
    public static func value(_ data: Data, file: String) throws(FormatError) -> MarshalValue {
        let result = data.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in try value(bytes: bytes, file: file) }
        }
        return try result.get()
    }

    package static func value(
        bytes: UnsafeRawBufferPointer, file: String
    ) throws(FormatError) -> MarshalValue {
        var parser = MarshalParser(bytes: bytes, file: file)
        return try parser.parseStream()
    }

    /// Whether the bytes begin as every stream of version 4.8 does.
    public static func begins(_ bytes: some Sequence<UInt8>) -> Bool { bytes.starts(with: [4, 8]) }
}
