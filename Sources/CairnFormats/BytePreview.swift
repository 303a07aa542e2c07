// SPDX-License-Identifier: Apache-2.0
/// Bytes and checksums as error messages show them.

enum BytePreview {
    /// The first bytes, as `41 50 52 00`.
    static func hex(_ bytes: UnsafeRawBufferPointer, count: Int) -> String {
        bytes.isEmpty
            ? "no byte"
            : bytes.prefix(count).map { digits($0, width: 2) }.joined(separator: " ")
    }

    /// A checksum, as `0x550f3f35`.
    static func hex(_ value: UInt32) -> String { "0x" + digits(value, width: 8) }

    private static func digits(_ value: some BinaryInteger, width: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
