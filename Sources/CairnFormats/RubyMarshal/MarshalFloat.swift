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

    /// Appends Ruby's spelling: plain from 0.0001 to the last of the digits, else with an exponent.
    static func append(_ value: Double, to text: inout [UInt8]) {
        if value.isNaN { return text.append(contentsOf: "nan".utf8) }
        if value.sign == .minus { text.append(UInt8(ascii: "-")) }
        if value.isInfinite { return text.append(contentsOf: "inf".utf8) }
        if value == 0 { return text.append(zero) }
        var (digits, point) = decimal(value.magnitude)
        let dot = UInt8(ascii: ".")
        if point < -3 || point > digits.count {
            if digits.count > 1 { digits.insert(dot, at: 1) }
            text += digits
            text.append(UInt8(ascii: "e"))
            text.append(contentsOf: String(point - 1).utf8)
        } else if point > 0 {
            if digits.count > point { digits.insert(dot, at: point) }
            text += digits
        } else {
            text += [zero, dot]
            text.append(contentsOf: repeatElement(zero, count: -point))
            text += digits
        }
    }

    private static let zero = UInt8(ascii: "0")

    /// The shortest digits, without zeros at either end, and the place of the point in front of
    /// which they stand: 0.digits × 10^point.
    private static func decimal(_ value: Double) -> (digits: [UInt8], point: Int) {
        // A decimal with a point, an exponent or both: 12.5, 1e-05, 1.25e+20.
        var digits: [UInt8] = []
        digits.reserveCapacity(20)
        var point: Int?
        var exponent = 0
        var text = value.description
        text.withUTF8 { bytes in
            for (place, byte) in bytes.enumerated() {
                if byte == UInt8(ascii: ".") {
                    point = digits.count
                } else if byte == UInt8(ascii: "e") {
                    let rest = String(decoding: bytes[(place + 1)...], as: UTF8.self)
                    exponent = Int(rest)!  // `description` is a decimal
                    break
                } else {
                    digits.append(byte)
                }
            }
        }
        var place = (point ?? digits.count) + exponent
        let leading = digits.prefix { $0 == zero }.count
        digits.removeFirst(leading)
        place -= leading
        while digits.last == zero { digits.removeLast() }
        return (digits, place)
    }
}
