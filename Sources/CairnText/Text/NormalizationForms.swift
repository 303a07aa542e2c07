// SPDX-License-Identifier: Apache-2.0
/// NFC, NFD, NFKC and NFKD that report which original scalar each new one stands for.

import Foundation

/// One of the four Unicode normalization forms.
struct NormalizationForm: Hashable {
    var isCompatibility: Bool
    var isComposed: Bool
}

/// Decompositions and compositions, looked up once per scalar; one per workspace, not shared.
///
/// Decompositions are those of Unicode 12 and combining classes those of Unicode 9, as in the
/// reference library.
struct NormalizationTables {
    private var decompositions: [[UInt32: [UInt32]]] = [[:], [:]]
    private var compositions: [UInt64: UInt32] = [:]
    /// 0 unknown, 1 inert, 2 not, by scalar; one table per form, empty until it is needed.
    private var inert: [[UInt8]] = [[], [], [], []]

    /// Below this scalar no text changes under NFC; the other forms already split U+00A0.
    private static let firstComposing: UInt32 = 0x300
    private static let firstDecomposing: UInt32 = 0xA0

    /// Whether a text of inert scalars is in `form` already, whatever their order.
    mutating func isInert(_ scalar: UInt32, in form: NormalizationForm) -> Bool {
        let isNFC = form.isComposed && !form.isCompatibility
        if scalar < (isNFC ? Self.firstComposing : Self.firstDecomposing) { return true }
        let table = (form.isComposed ? 1 : 0) + (form.isCompatibility ? 2 : 0)
        if inert[table].isEmpty { inert[table] = [UInt8](repeating: 0, count: 0x110000) }
        if inert[table][Int(scalar)] == 0 {
            inert[table][Int(scalar)] = computeInert(scalar, in: form) ? 1 : 2
        }
        return inert[table][Int(scalar)] == 1
    }

    private mutating func computeInert(_ scalar: UInt32, in form: NormalizationForm) -> Bool {
        // A mark or a Hangul vowel or final may join what stands before it.
        let properties = Unicode.Scalar(scalar)?.properties
        switch properties?.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, nil: return false
        default: break
        }
        if properties?.canonicalCombiningClass != .notReordered { return false }
        if (0x1161...0x11FF).contains(scalar) { return false }
        let parts = decomposition(of: scalar, compatibility: form.isCompatibility)
        if parts == [scalar] { return true }
        return form.isComposed && compose(parts) == [scalar]
    }

    private mutating func compose(_ parts: [UInt32]) -> [UInt32] {
        var marks = parts.map { Mark(scalar: $0, combiningClass: combiningClass($0), change: 0) }
        recompose(&marks)
        return marks.map(\.scalar)
    }

    private mutating func decomposition(of scalar: UInt32, compatibility: Bool) -> [UInt32] {
        let table = compatibility ? 1 : 0
        if let known = decompositions[table][scalar] { return known }
        var result = [scalar]
        if let unicode = Unicode.Scalar(scalar), let age = unicode.properties.age,
            age.major < 12 || (age.major == 12 && (age.minor == 0 || !compatibility)),
            !(compatibility && scalar == 0x1F16C)  // Got its decomposition after Unicode 12.
        {
            let text = String(Character(unicode))
            result =
                compatibility
                ? text.decomposedStringWithCompatibilityMapping.scalarValues
                : text.decomposedStringWithCanonicalMapping.scalarValues
        }
        decompositions[table][scalar] = result
        return result
    }

    private func combiningClass(_ scalar: UInt32) -> UInt8 {
        guard scalar >= Self.firstComposing, let properties = Unicode.Scalar(scalar)?.properties,
            let age = properties.age, age.major <= 9
        else { return 0 }
        return properties.canonicalCombiningClass.rawValue
    }

    private mutating func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        let key = UInt64(first) << 32 | UInt64(second)
        if let known = compositions[key] { return known == 0 ? nil : known }
        let result = Self.hangul(first, second) ?? Self.composed(first, second)
        compositions[key] = result ?? 0
        return result
    }

    private static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
        let text = UTF8Text.string([first, second]).decomposedStringWithCanonicalMapping
        let composed = text.precomposedStringWithCanonicalMapping
        let scalars = composed.scalarValues
        // The way back is checked too: Swift 6.3 composes U+40436 with a mark as if it were U+0436.
        guard scalars.count == 1, let age = Unicode.Scalar(scalars[0])?.properties.age,
            age.major <= 12,
            composed.decomposedStringWithCanonicalMapping.scalarValues == text.scalarValues
        else { return nil }
        return scalars[0]
    }

    /// Syllables by arithmetic (Unicode 16, section 3.12).
    private static func hangul(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if (0x1100..<0x1113).contains(first), (0x1161..<0x1176).contains(second) {
            return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
        }
        if (0xAC00..<0xD7A4).contains(first), (first - 0xAC00) % 28 == 0,
            (0x11A8..<0x11C3).contains(second)
        {
            return first + second - 0x11A7
        }
        return nil
    }

    /// A scalar with what it does to the alignment: 0 replaces the next original scalar, 1 is
    /// inserted, -n replaces one and swallows the n after it.
    struct Mark {
        var scalar: UInt32
        var combiningClass: UInt8
        var change: Int
    }

    /// The scalars of `form` for `scalars`, in order.
    mutating func normalize(_ scalars: ArraySlice<UInt32>, to form: NormalizationForm) -> [Mark] {
        var marks: [Mark] = []
        marks.reserveCapacity(scalars.count)
        for scalar in scalars {
            let parts = decomposition(of: scalar, compatibility: form.isCompatibility)
            for (index, part) in parts.enumerated() {
                marks.append(
                    Mark(
                        scalar: part, combiningClass: combiningClass(part),
                        change: index == 0 ? 0 : 1))
            }
        }
        reorder(&marks)
        if form.isComposed { recompose(&marks) }
        return marks
    }

    /// Canonical ordering: runs of non-starters sort by class, stably (Unicode 16, D109).
    private func reorder(_ marks: inout [Mark]) {
        var start = 0
        while start < marks.count {
            guard marks[start].combiningClass != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < marks.count, marks[end].combiningClass != 0 { end += 1 }
            for index in start..<end {
                var place = index
                while place > start, marks[place - 1].combiningClass > marks[place].combiningClass {
                    marks.swapAt(place - 1, place)
                    place -= 1
                }
            }
            start = end
        }
    }

    /// Canonical composition (Unicode 16, D117): a starter takes in what is not blocked from it.
    private mutating func recompose(_ marks: inout [Mark]) {
        var result: [Mark] = []
        result.reserveCapacity(marks.count)
        var starter: Int?
        var lastClass: UInt8?
        for mark in marks {
            if let starter, lastClass.map({ $0 < mark.combiningClass }) ?? true,
                let composed = composition(result[starter].scalar, mark.scalar)
            {
                result[starter].scalar = composed
                result[starter].change += mark.change - 1
                continue
            }
            if mark.combiningClass == 0 {
                starter = result.count
                lastClass = nil
            } else if starter != nil {
                lastClass = mark.combiningClass
            }
            result.append(mark)
        }
        marks = result
    }
}
