// SPDX-License-Identifier: Apache-2.0
/// Floats as Marshal writes them: the shortest decimal that reads back as the same bits.

enum MarshalFloat {
    /// `inf`, `-inf`, `nan`, or `-? digits (. digits)? (e -? digits)?`; nil for other text, and for
    /// a number beyond a double's range.
    static func value(of text: String) -> Double? {
        switch text {
        case "inf": return .infinity
        case "-inf": return -.infinity
        case "nan": return .nan
        default:
            let isDecimal = text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || ".-+e".utf8.contains($0)
            }
            guard isDecimal, text.utf8.contains(where: { (0x30...0x39).contains($0) }),
                let value = Double(text), value.isFinite
            else { return nil }
            return value
        }
    }

    /// Ruby's spelling: plain from 0.0001 to the last of the digits, else `1.5e-07` as `1.5e-7`.
    static func text(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let sign = value.sign == .minus ? "-" : ""
        if value == 0 { return sign + "0" }
        let (digits, point) = decimal(value.magnitude)
        let count = digits.count
        if point < -3 || point > count {
            let rest = count > 1 ? "." + digits.dropFirst() : ""
            return sign + digits.prefix(1) + rest + "e\(point - 1)"
        }
        if point > 0 {
            let rest = count > point ? "." + digits.dropFirst(point) : ""
            return sign + digits.prefix(point) + rest
        }
        return sign + "0." + String(repeating: "0", count: -point) + digits
    }

    /// The shortest digits, without zeros at either end, and the place of the point in front of
    /// which they stand: 0.digits × 10^point.
    private static func decimal(_ value: Double) -> (digits: String, point: Int) {
        let parts = value.description.split(separator: "e")
        let exponent = parts.count > 1 ? Int(parts[1])! : 0  // `description` is a decimal
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = String(halves[0])
        let fraction = halves.count > 1 ? String(halves[1]) : ""
        let all = whole + fraction
        let leading = all.prefix { $0 == "0" }.count
        var digits = all.dropFirst(leading)
        while digits.last == "0" { digits.removeLast() }
        return (String(digits), whole.count - leading + exponent)
    }
}
