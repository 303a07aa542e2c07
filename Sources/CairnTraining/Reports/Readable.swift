// SPDX-License-Identifier: Apache-2.0
/// Numbers, times and sizes as a person reads them.

import Foundation

/// Text for people; the same value gives the same text everywhere.
package enum Readable {
    /// Four decimals, or a power of ten where these would hide the number; "–" for none.
    package static func number(_ value: Double?) -> String {
        guard let value else { return "–" }
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "−∞" : "∞" }
        if value != 0 && !(1e-3..<1e6).contains(abs(value)) {
            return scientific(value, digits: 4)
        }
        return signed(String(format: "%.4f", value))
    }

    /// A whole number with a comma between thousands.
    package static func count(_ value: Int) -> String {
        var text = ""
        for (place, digit) in "\(value.magnitude)".reversed().enumerated() {
            if place > 0 && place % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (value < 0 ? "−" : "") + String(text.reversed())
    }

    /// A rate rounded to a whole number, or to three digits below 100; "–" for none.
    package static func rate(_ value: Double?) -> String {
        guard let value, value.isFinite, abs(value) < 1e15 else { return "–" }
        return value < 100 ? String(format: "%.3g", value) : count(Int(value.rounded()))
    }

    package static func seconds(_ value: Double) -> String {
        guard value.isFinite, value < 1e12 else { return number(value) }
        if value < 1 { return String(format: "%.0f ms", value * 1e3) }
        if value < 60 { return String(format: "%.1f s", value) }
        let whole = Int(value.rounded())
        if whole < 3600 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
        return String(format: "%d h %02d min", whole / 3600, whole % 3600 / 60)
    }

    package static func bytes(_ value: Int) -> String {
        let units = ["kB", "MB", "GB", "TB"]
        var amount = Double(value) / 1e3
        var unit = 0
        while amount >= 999.5 && unit < units.count - 1 {
            amount /= 1e3
            unit += 1
        }
        return value < 1000 ? "\(value) bytes" : String(format: "%.3g ", amount) + units[unit]
    }

    package static func percent(_ share: Double) -> String {
        String(format: "%.1f %%", share * 100)
    }

    /// A number on an axis whose marks are `step` apart.
    package static func tick(_ value: Double, step: Double) -> String {
        if value == 0 { return "0" }
        if abs(value) >= 1e9 || step < 0.9e-4 { return scientific(value, digits: 3) }
        if step >= 1000 { return signed(String(format: "%gk", value / 1000)) }
        let decimals = max(0, Int((-log10(step) - 1e-9).rounded(.up)))
        return signed(String(format: "%.\(decimals)f", value))
    }

    /// As in 2.5e-4.
    private static func scientific(_ value: Double, digits: Int) -> String {
        let parts = String(format: "%.\(digits - 1)e", value).split(separator: "e")
        let mantissa = String(format: "%g", Double(parts[0]) ?? 0)
        return signed("\(mantissa)e\(Int(parts[1]) ?? 0)")
    }

    private static func signed(_ text: String) -> String {
        text.replacingOccurrences(of: "-", with: "−")
    }
}
