// SPDX-License-Identifier: Apache-2.0
/// What a label may be, by task.

struct TargetFault: Error { var reason: String }

enum TargetReader {
    /// The target that `value` is under `task`.
    static func target(_ value: JSON, task: Corpus.Task) throws(TargetFault) -> Target {
        switch task {
        case .prediction: return .none
        case .classification: return try single(value)
        case .multiLabel: return try multiple(value)
        case .regression: return try numbers(value)
        }
    }

    private static func single(_ value: JSON) throws(TargetFault) -> Target {
        switch value {
        case .string(let name) where !name.isEmpty: return .label(name)
        case .integer(let id) where id >= 0: return .classID(id)
        case .null: throw TargetFault(reason: "no label")
        default:
            throw TargetFault(
                reason: "the label must be a name or a class id from 0 on, found \(value.kind)")
        }
    }

    private static func multiple(_ value: JSON) throws(TargetFault) -> Target {
        guard case .array(let elements) = value else {
            if case .null = value { throw TargetFault(reason: "no labels") }
            throw TargetFault(reason: "'labels' must be a list, found \(value.kind)")
        }
        var names: [String] = []
        var ids: [Int] = []
        for element in elements {
            switch element {
            case .string(let name) where !name.isEmpty: names.append(name)
            case .integer(let id) where id >= 0: ids.append(id)
            default:
                throw TargetFault(
                    reason: "a label must be a name or a class id from 0 on, found \(element.kind)")
            }
        }
        if !names.isEmpty, !ids.isEmpty {
            throw TargetFault(reason: "the labels mix names and class ids")
        }
        if Set(names.map { Array($0.utf8) }).count < names.count {
            throw TargetFault(reason: "a label stands twice")
        }
        return ids.isEmpty ? .labels(names) : .classIDs(ids)
    }

    private static func numbers(_ value: JSON) throws(TargetFault) -> Target {
        func number(_ value: JSON) throws(TargetFault) -> Double {
            let result: Double? =
                switch value {
                case .integer(let number): Double(number)
                case .number(let number): number
                default: nil
                }
            guard let result, result.isFinite else {
                throw TargetFault(reason: "the label must be a finite number, found \(value.kind)")
            }
            return result
        }
        guard case .array(let elements) = value else {
            if case .null = value { throw TargetFault(reason: "no label") }
            return .values([try number(value)])
        }
        if elements.isEmpty { throw TargetFault(reason: "an empty list of numbers") }
        var values: [Double] = []
        for element in elements { values.append(try number(element)) }
        return .values(values)
    }
}
