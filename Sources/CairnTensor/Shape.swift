// SPDX-License-Identifier: Apache-2.0
/// Sizes of a tensor, outermost first.

/// The dimensions of a row-major tensor; `[]` is a scalar, a zero makes it empty.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// The extent of every axis, the slowest first.
    public let dimensions: [Int]

    /// A shape; no dimensions are that of a single number.
    public init(_ dimensions: [Int]) {
        precondition(
            dimensions.allSatisfy { $0 >= 0 }, "a dimension is at least 0, got \(dimensions)")
        self.dimensions = dimensions
    }

    public init(arrayLiteral elements: Int...) { self.init(elements) }

    /// How many axes there are.
    public var rank: Int { dimensions.count }

    /// The product of the dimensions.
    ///
    /// - Precondition: the product fits `Int`; readers check theirs with `checkedElementCount`.
    public var elementCount: Int { dimensions.contains(0) ? 0 : dimensions.reduce(1, *) }

    /// The product of the dimensions, or nil when it overflows.
    public static func checkedElementCount(_ dimensions: [Int]) -> Int? {
        if dimensions.contains(0) { return 0 }
        var product = 1
        for dimension in dimensions {
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            if overflow || dimension < 0 { return nil }
            product = next
        }
        return product
    }

    /// The extent of an axis.
    public subscript(index: Int) -> Int { dimensions[index] }

    public var description: String {
        "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
    }
}
