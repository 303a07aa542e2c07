// SPDX-License-Identifier: Apache-2.0
/// Documents without the numbers that JSON has no words for.

extension JSONValue {
    /// The value with null for every number that is not finite, and the places of those.
    package func withoutNonFinite() -> (value: JSONValue, places: [String]) {
        var places: [String] = []
        let value = finite(at: "", places: &places)
        return (value, places)
    }

    private func finite(at place: String, places: inout [String]) -> JSONValue {
        switch self {
        case .number(let number) where !number.isFinite:
            places.append(place)
            return .null
        case .array(let elements):
            return .array(
                elements.enumerated().map { $1.finite(at: "\(place)[\($0)]", places: &places) })
        case .object(let object):
            let members = object.map { key, value in
                (key, value.finite(at: place.isEmpty ? key : "\(place).\(key)", places: &places))
            }
            return .object(JSONObject(members))
        default: return self
        }
    }
}
