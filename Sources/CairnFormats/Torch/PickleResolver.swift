// SPDX-License-Identifier: Apache-2.0
/// Turns what a pickle has put together into a value without references.

import CairnTensor

/// Resolves each container once; a ring is found as one that is too deep.
struct PickleResolver {
    /// A value, the levels in it, and how many values it consists of.
    typealias Resolved = (value: TorchValue, height: Int, size: Int)

    private let pickle: Unpickler
    private var resolved: [Int: Resolved] = [:]

    init(_ pickle: Unpickler) { self.pickle = pickle }

    mutating func resolve(_ item: Unpickler.Item, depth: Int) throws(FormatError) -> Resolved {
        switch item {
        case .none: return (.none, 0, 1)
        case .bool(let value): return (.bool(value), 0, 1)
        case .integer(let value): return (.integer(value), 0, 1)
        case .number(let value): return (.number(value), 0, 1)
        case .string(let value): return (.string(value), 0, 1)
        case .tensor(let index): return (.tensor(pickle.tensors[index]), 0, 1)
        case .global, .storage:
            throw pickle.failure("data and tensors", "a bare type or storage")
        case .container(let index):
            let result: Resolved
            if let known = resolved[index] {
                result = known
            } else {
                result = try container(index, depth: depth)
                resolved[index] = result
            }
            guard depth + result.height <= Unpickler.depthLimit else { throw tooDeep }
            return result
        }
    }

    private mutating func container(_ index: Int, depth: Int) throws(FormatError) -> Resolved {
        guard depth < Unpickler.depthLimit else { throw tooDeep }
        var values: [TorchValue] = []
        var (height, size) = (0, 1)
        for item in pickle.contents[index] {
            let element = try resolve(item, depth: depth + 1)
            values.append(element.value)
            height = max(height, element.height)
            size += element.size
            guard size <= Unpickler.sizeLimit else {
                throw pickle.failure("at most \(Unpickler.sizeLimit) values", "more")
            }
        }
        let value: TorchValue =
            switch pickle.kinds[index] {
            case .list: .list(values)
            case .tuple: .tuple(values)
            case .dictionary, .orderedDictionary: .dictionary(try members(values))
            }
        return (value, height + 1, size)
    }

    private func members(
        _ values: [TorchValue]
    ) throws(FormatError) -> [(key: TorchValue, value: TorchValue)] {
        var members: [(key: TorchValue, value: TorchValue)] = []
        var keys: Set<ByteKey> = []
        for place in stride(from: 0, to: values.count, by: 2) {
            let key = values[place]
            guard let text = Self.identity(of: key) else {
                throw pickle.failure("a key that is a string or an integer", key.kind)
            }
            guard keys.insert(ByteKey(text)).inserted else {
                throw pickle.failure("every key once", "'\(text.dropFirst())' again")
            }
            members.append((key, values[place + 1]))
        }
        return members
    }

    /// Equal for the keys that Python holds for equal: True is 1.
    private static func identity(of key: TorchValue) -> String? {
        switch key {
        case .none: "n"
        case .bool(let value): value ? "i1" : "i0"
        case .integer(let value): "i\(value)"
        case .string(let value): "s" + value
        default: nil
        }
    }

    private var tooDeep: FormatError {
        pickle.failure("at most \(Unpickler.depthLimit) levels", "more, or a ring")
    }
}
