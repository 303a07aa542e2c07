// SPDX-License-Identifier: Apache-2.0
/// Comparisons of results with what is expected; every one of them rejects NaN.

/// The first element that is further than `tolerance` (times `scale[i]`) from what is expected.
///
/// Nil when every element agrees. NaN agrees with nothing; an infinity only with itself.
package func firstMismatch(
    _ actual: [Float], _ expected: [Double], tolerance: Double, scale: [Double]? = nil
) -> String? {
    if actual.count != expected.count {
        return "count is \(actual.count), expected \(expected.count)"
    }
    for index in actual.indices {
        let (found, wanted) = (Double(actual[index]), expected[index])
        let bound = tolerance * (scale?[index] ?? 1)
        if found != wanted && !(abs(found - wanted) <= bound) {
            return "[\(index)] is \(found), expected \(wanted) ± \(bound)"
        }
    }
    return nil
}

package func firstMismatch(
    _ actual: [Float], _ expected: [Float], tolerance: Double, scale: [Double]? = nil
) -> String? {
    firstMismatch(actual, expected.map(Double.init), tolerance: tolerance, scale: scale)
}

package func firstMismatch(
    _ actual: [Double], _ expected: [Double], tolerance: Double, scale: [Double]? = nil
) -> String? {
    if actual.count != expected.count {
        return "count is \(actual.count), expected \(expected.count)"
    }
    for index in actual.indices {
        let bound = tolerance * (scale?[index] ?? 1)
        if actual[index] != expected[index] && !(abs(actual[index] - expected[index]) <= bound) {
            return "[\(index)] is \(actual[index]), expected \(expected[index]) ± \(bound)"
        }
    }
    return nil
}

/// The first element whose bits differ; any two NaN count as equal, 0 and -0 do not.
package func bitMismatch(_ actual: [Float], _ expected: [Float]) -> String? {
    if actual.count != expected.count {
        return "count is \(actual.count), expected \(expected.count)"
    }
    for index in actual.indices where actual[index].bitPattern != expected[index].bitPattern {
        if actual[index].isNaN && expected[index].isNaN { continue }
        return "[\(index)] is \(actual[index]) (0x\(hex(actual[index]))), "
            + "expected \(expected[index]) (0x\(hex(expected[index])))"
    }
    return nil
}

private func hex(_ value: Float) -> String { String(value.bitPattern, radix: 16) }

/// |actual - expected| / |expected| in the Frobenius norm; infinity when anything is NaN or the
/// counts differ.
package func relativeError(_ actual: [Float], _ expected: [Double]) -> Double {
    guard actual.count == expected.count else { return .infinity }
    var (difference, norm) = (0.0, 0.0)
    for (found, wanted) in zip(actual, expected) {
        difference += (Double(found) - wanted) * (Double(found) - wanted)
        norm += wanted * wanted
    }
    if difference == 0 { return 0 }
    let ratio = (difference / norm).squareRoot()
    return ratio.isNaN ? .infinity : ratio
}

package func relativeError(_ actual: [Float], _ expected: [Float]) -> Double {
    relativeError(actual, expected.map(Double.init))
}
