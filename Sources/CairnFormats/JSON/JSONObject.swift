// SPDX-License-Identifier: Apache-2.0
/// The members of a JSON object, in their order and by key.

/// Key and value pairs without duplicate keys, in the order of the document.
///
/// Keys are compared by their bytes. Look-up takes constant time, also among the 150 000 entries
/// of a vocabulary.
public struct JSONObject: Sendable, RandomAccessCollection, ExpressibleByDictionaryLiteral {
    public typealias Element = (key: String, value: JSONValue)

    /// Up to here a scan over the keys beats hashing.
    private static let scanLimit = 8

    private var members: [Element] = []
    private var places: [ByteKey: Int] = [:]

    /// An object without members.
    public init() {}

    /// - Precondition: no key occurs twice.
    public init(_ members: some Sequence<(String, JSONValue)>) {
        for (key, value) in members {
            let isNew = append(key: key, value: value)
            precondition(isNew, "key '\(key)' given twice")
        }
    }

    public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }

    public var startIndex: Int { 0 }
    public var endIndex: Int { members.count }
    public subscript(position: Int) -> Element { members[position] }
    /// The names of all members, in order.
    public var keys: [String] { members.map(\.key) }

    /// The value of `key`; a new key goes to the end, nil removes the member.
    public subscript(key: String) -> JSONValue? {
        get { place(of: key).map { members[$0].value } }
        set {
            switch (place(of: key), newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil):
                members.remove(at: place)
                index()
            case (nil, let value?): append(key: key, value: value)
            case (nil, nil): break
            }
        }
    }

    /// Adds a member at the end; false, and no change, when the key is there already.
    @discardableResult
    public mutating func append(key: String, value: JSONValue) -> Bool {
        if members.count < Self.scanLimit {
            if place(of: key) != nil { return false }
        } else {
            if places.isEmpty { index() }
            let next = members.count
            let place = { (entry: inout Int) in entry }(&places[ByteKey(key), default: next])
            if place != next { return false }
        }
        members.append((key, value))
        return true
    }

    private func place(of key: String) -> Int? {
        places.isEmpty
            ? members.firstIndex { $0.key.utf8Equals(key) } : places[ByteKey(key)]
    }

    /// Files every member by its key, where there are enough to need it.
    private mutating func index() {
        places.removeAll()
        guard members.count >= Self.scanLimit else { return }
        for (place, member) in members.enumerated() { places[ByteKey(member.key)] = place }
    }
}

extension JSONObject: Equatable {
    /// The same members in the same order.
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count
            && zip(a, b).allSatisfy { $0.key.utf8Equals($1.key) && $0.value == $1.value }
    }
}
