// SPDX-License-Identifier: Apache-2.0
/// Nested hashes and lists, and flat dotted names.

import CairnTensor

extension PayloadCodec {
    /// Every array record below `value` by its dotted path: members by key, elements by number.
    func tensors(in value: Value) throws(FormatError) -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        guard case .members = value.view else {
            throw failure("model", "a hash of parameters", value.view.kind)
        }
        try visit(value, at: "") { (place, tensor) throws(FormatError) in
            guard !place.isEmpty else {
                throw failure("model", "a hash of parameters", "an array record")
            }
            guard tensors.updateValue(tensor, forKey: place) == nil else {
                throw failure(place, "every name once", "it again")
            }
        }
        return tensors
    }

    func visit(
        _ value: Value, at place: String,
        _ body: (_ place: String, _ tensor: Tensor) throws(FormatError) -> Void
    ) throws(FormatError) {
        if let tensor = try record(value, at: place) { return try body(place, tensor) }
        switch value.view {
        case .members(let members):
            for (key, member) in members { try visit(member, at: path(place, key), body) }
        case .list(let elements):
            for (index, element) in elements.enumerated() {
                try visit(element, at: path(place, "\(index)"), body)
            }
        case let view:
            throw failure(place, "a record \(ArrayRecord.key) or a tree of them", view.kind)
        }
    }

    /// Records at their dotted paths, as a tree.
    ///
    /// A level whose keys are all numbers is a list, with empty hashes where a number is missing:
    /// so layers without parameters keep their places. Keys are in byte order.
    func tree(of tensors: [String: Tensor]) throws(FormatError) -> [(key: String, value: Value)] {
        let root = Node()
        for (name, tensor) in tensors.sorted(by: { $0.key.utf8Precedes($1.key) }) {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            var node = root
            for part in parts {
                guard node.leaf == nil else {
                    throw failure(name, "a name that continues no other", "one that does")
                }
                node = node.child(String(part))
            }
            guard node.children.isEmpty, node.leaf == nil else {
                throw failure(name, "a name that begins no other", "one that does")
            }
            node.leaf = try record(of: tensor, at: name)
        }
        return try members(of: root)
    }

    private func members(of node: Node) throws(FormatError) -> [(key: String, value: Value)] {
        var members: [(key: String, value: Value)] = []
        for (key, child) in node.children.sorted(by: { $0.key.utf8Precedes($1.key) }) {
            members.append((key, try value(of: child)))
        }
        return members
    }

    private func value(of node: Node) throws(FormatError) -> Value {
        if let leaf = node.leaf { return leaf }
        guard let count = node.listCount else {
            return try make(.members(members(of: node)), at: "")
        }
        var elements: [Value] = []
        for index in 0..<count {
            if let child = node.children["\(index)"] {
                elements.append(try value(of: child))
            } else {
                elements.append(try make(.members([]), at: ""))
            }
        }
        return try make(.list(elements), at: "")
    }

    private final class Node {
        /// No model has a longer list; a longer gap is a name that happens to be a number.
        static var listLimit: Int { 65_536 }

        var leaf: Value?
        var children: [String: Node] = [:]

        func child(_ key: String) -> Node {
            if let child = children[key] { return child }
            let child = Node()
            children[key] = child
            return child
        }

        /// How many elements this has as a list; nil when it is a hash.
        var listCount: Int? {
            var largest = -1
            for key in children.keys {
                guard let index = Int(key), index >= 0, String(index) == key,
                    index < Self.listLimit
                else { return nil }
                largest = max(largest, index)
            }
            return largest >= 0 ? largest + 1 : nil
        }
    }
}
