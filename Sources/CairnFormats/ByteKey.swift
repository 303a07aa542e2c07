// SPDX-License-Identifier: Apache-2.0
/// Strings compared by their bytes, as file formats compare them.

/// A string whose identity is its UTF-8.
///
/// `String` equality is Unicode canonical equivalence: "é" in one and in two scalars are equal,
/// yet they are two keys of a JSON object, two tokens of a vocabulary and two tensor names.
package struct ByteKey: Hashable, Sendable {
    package let string: String

    package init(_ string: String) { self.string = string }

    package static func == (a: ByteKey, b: ByteKey) -> Bool { a.string.utf8Equals(b.string) }

    package func hash(into hasher: inout Hasher) {
        var copy = string
        copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(UInt8(0xFF))
    }
}

extension String {
    /// Whether both have the same bytes.
    package func utf8Equals(_ other: String) -> Bool {
        let (a, b) = (utf8, other.utf8)
        return a.count == b.count && a.elementsEqual(b)
    }

    /// Byte order, which is code point order: the order of names in files.
    package func utf8Precedes(_ other: String) -> Bool {
        utf8.lexicographicallyPrecedes(other.utf8)
    }
}
