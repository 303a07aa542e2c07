// SPDX-License-Identifier: Apache-2.0
/// The comparisons of TestSupport reject what they must.

import TestSupport
import Testing

@Suite struct MismatchTests {
    @Test(arguments: [Float.nan, .infinity, -.infinity, -1, 1.1])
    func `the bounded comparison rejects what is too far`(bad: Float) {
        #expect(firstMismatch([bad], [Float(1)], tolerance: 0.05) != nil)
    }

    @Test func `the bounded comparison accepts what is near and equal infinities`() {
        #expect(firstMismatch([1.04, .infinity], [Float(1), .infinity], tolerance: 0.05) == nil)
    }

    @Test func `a missing element is a mismatch`() {
        #expect(firstMismatch([1], [Float(1), 1], tolerance: 1) != nil)
        #expect(bitMismatch([1], [1, 1]) != nil)
        #expect(relativeError([1], [1.0, 1]) == .infinity)
    }

    @Test func `the bit comparison tells zeros apart and takes any NaN for NaN`() {
        #expect(bitMismatch([0], [-0.0]) != nil)
        #expect(bitMismatch([1], [Float(1).nextUp]) != nil)
        #expect(bitMismatch([.nan], [1]) != nil)
        #expect(bitMismatch([.nan], [-Float.nan]) == nil)
    }

    @Test func `the relative error of NaN is infinite`() {
        #expect(relativeError([.nan, 1], [1.0, 1]) == .infinity)
        #expect(relativeError([3, 4], [3.0, 4]) == 0)
        #expect(abs(relativeError([3, 5], [3.0, 4]) - 0.2) < 1e-12)
    }

    @Test func `central differences give the gradient of a cubic`() {
        let gradient = centralDifference(at: [2, -1]) { $0[0] * $0[0] * $0[0] + 5 * $0[1] }

        #expect(firstMismatch(gradient, [12, 5], tolerance: 1e-8) == nil)
    }
}
