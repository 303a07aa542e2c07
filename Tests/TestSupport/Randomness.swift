// SPDX-License-Identifier: Apache-2.0
/// Seeded arrays of random numbers.

package import CairnTensor

extension Array where Element == Float {
    /// `count` standard normal numbers.
    package static func random(_ count: Int, using stream: inout RandomStream) -> [Float] {
        (0..<count).map { _ in stream.normal() }
    }

    /// `count` numbers from `range`, uniform.
    package static func random(
        _ count: Int, in range: ClosedRange<Float>, using stream: inout RandomStream
    ) -> [Float] {
        (0..<count).map { _ in
            range.lowerBound + (range.upperBound - range.lowerBound) * stream.uniform()
        }
    }

    /// `count` integers from -4 through 4: sums of their products are exact, so bits compare.
    package static func randomIntegers(
        _ count: Int, using stream: inout RandomStream
    ) -> [Float] {
        (0..<count).map { _ in Float(stream.index(below: 9) - 4) }
    }
}
