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

    /// Tensors at their dotted paths, as a tree.
    ///
    /// Fails on a type that records lack, and on a name that continues another one.
    func tree(of tensors: [String: Tensor]) throws(FormatError) -> PayloadNode {
        let root = PayloadNode()
        for (name, tensor) in tensors.sorted(by: { $0.key.utf8Precedes($1.key) }) {
            try checkType(of: tensor, at: name)
            var node = root
            for part in name.split(separator: ".", omittingEmptySubsequences: false) {
                guard node.leaf == nil else {
                    throw failure(name, "a name that continues no other", "one that does")
                }
                node = node.child(String(part))
            }
            guard node.children.isEmpty, node.leaf == nil else {
                throw failure(name, "a name that begins no other", "one that does")
            }
            node.leaf = (name, tensor)
        }
        return root
    }

    /// All of a tree as one value.
    func value(of node: PayloadNode) throws(FormatError) -> Value {
        switch node.content {
        case .leaf(let name, let tensor): return try record(of: tensor, at: name)
        case .list(let nodes):
            var elements: [Value] = []
            for node in nodes { elements.append(try value(of: node)) }
            return try make(.list(elements), at: "")
        case .members(let nodes): return try make(.members(try members(of: nodes)), at: "")
        }
    }

    func members(
        of nodes: [(key: String, node: PayloadNode)]
    ) throws(FormatError) -> [(key: String, value: Value)] {
        var members: [(key: String, value: Value)] = []
        for (key, node) in nodes { members.append((key, try value(of: node))) }
        return members
    }
}

/// A tensor, or what lies below a part of dotted names.
final class PayloadNode {
    enum Content {
        case leaf(name: String, tensor: Tensor)
        case list([PayloadNode])
        case members([(key: String, node: PayloadNode)])
    }

    /// No model has a longer list; a longer gap is a name that happens to be a number.
    private static let listLimit = 65_536

    fileprivate(set) var leaf: (name: String, tensor: Tensor)?
    fileprivate(set) var children: [String: PayloadNode] = [:]

    fileprivate func child(_ key: String) -> PayloadNode {
        if let child = children[key] { return child }
        let child = PayloadNode()
        children[key] = child
        return child
    }

    /// A level whose keys are all numbers is a list, with empty hashes where a number is missing:
    /// so layers without parameters keep their places.
    var content: Content {
        if let leaf { return .leaf(name: leaf.name, tensor: leaf.tensor) }
        guard let count = listCount else { return .members(members) }
        return .list((0..<count).map { children["\($0)"] ?? PayloadNode() })
    }

    /// Children in byte order of their keys.
    var members: [(key: String, node: PayloadNode)] {
        children.sorted { $0.key.utf8Precedes($1.key) }.map { ($0.key, $0.value) }
    }

    /// How many elements this has as a list; nil when it is a hash.
    private var listCount: Int? {
        var largest = -1
        for key in children.keys {
            guard let index = Int(key), index >= 0, String(index) == key, index < Self.listLimit
            else { return nil }
            largest = max(largest, index)
        }
        return largest >= 0 ? largest + 1 : nil
    }
}
