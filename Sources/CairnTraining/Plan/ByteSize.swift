// SPDX-License-Identifier: Apache-2.0
/// Amounts of memory as users write them.

/// A number of bytes, written with K, M or G for powers of 1000: `950M`, `1.2G`.
public struct ByteSize: Sendable, Equatable, CustomStringConvertible {
    /// How many bytes.
    public let count: Int

    /// So many bytes.
    public init(_ count: Int) { self.count = count }

    /// Nil unless the text is a positive number, whole if no K, M or G follows it.
    public init?(_ text: String) {
        let units: [Character: Double] = ["K": 1e3, "M": 1e6, "G": 1e9]
        let unit = text.uppercased().last.flatMap { units[$0] }
        guard let number = Double(unit == nil ? text : String(text.dropLast())),
            let count = Int(exactly: (number * (unit ?? 1)).rounded(.down)), count > 0,
            unit != nil || number == Double(count)
        else { return nil }
        self.count = count
    }

    /// In whole millions, rounded up, so that what is printed as needed is enough.
    public var description: String { "\((count + 999_999) / 1_000_000)M" }
}
