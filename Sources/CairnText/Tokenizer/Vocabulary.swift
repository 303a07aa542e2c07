// SPDX-License-Identifier: Apache-2.0
/// Tokens by bytes and by id. Keys are bytes, because Swift's strings take é and e + ´ for equal.

struct Vocabulary: Sendable {
    /// Tokens by id; nil where no token has the id.
    private(set) var tokens: [String?] = []
    private(set) var count = 0
    /// Index into `entries` by hash, -1 where free; a power of two, at most half full.
    private var slots: [Int32]
    private var entries: [Entry] = []
    private var bytes: [UInt8] = []

    private struct Entry {
        var start: Int
        var length: Int
        var id: Int32
    }

    /// Ids above this would only come from a damaged file; tokens are kept in a list by id.
    private static let largestID: Int32 = 1 << 24

    /// Reads `{"token": id, ...}`.
    init(_ component: Component) throws(TokenizerError) {
        guard case .object(let members) = component.value else {
            throw component.wrong("an object of ids by token")
        }
        var capacity = 16
        while capacity < members.count * 2 { capacity *= 2 }
        slots = [Int32](repeating: -1, count: capacity)
        for member in members {
            guard case .integer(let number) = member.value, let id = Int32(exactly: number),
                (0...Self.largestID).contains(id)
            else {
                throw .wrongValue(
                    file: component.file, place: "\(component.place)['\(member.key)']",
                    expected: "an id from 0 to \(Self.largestID)", found: member.value.kind)
            }
            if Int(id) >= tokens.count {
                tokens.append(contentsOf: repeatElement(nil, count: Int(id) + 1 - tokens.count))
            }
            if let other = tokens[Int(id)] {
                throw component.inconsistent(
                    "the tokens '\(other)' and '\(member.key)' have the same id \(id)")
            }
            tokens[Int(id)] = member.key
            insert(Array(member.key.utf8), id)
        }
        count = members.count
    }

    private mutating func insert(_ key: [UInt8], _ id: Int32) {
        let entry = Entry(start: bytes.count, length: key.count, id: id)
        var slot = key.withUnsafeBufferPointer { Self.hash($0) } & (slots.count - 1)
        while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = Int32(entries.count)
        entries.append(entry)
        bytes.append(contentsOf: key)
    }

    /// FNV-1a with a last mix, because a table of a power of two sees the low bits only.
    private static func hash(_ key: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: hash ^ hash >> 29)
    }

    /// The id of the token with these bytes.
    func id(of key: UnsafeBufferPointer<UInt8>) -> Int32? {
        var slot = Self.hash(key) & (slots.count - 1)
        while slots[slot] >= 0 {
            let entry = entries[Int(slots[slot])]
            if entry.length == key.count {
                var index = 0
                while index < key.count, bytes[entry.start + index] == key[index] { index += 1 }
                if index == key.count { return entry.id }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    func id(of key: [UInt8]) -> Int32? { key.withUnsafeBufferPointer { id(of: $0) } }
    func id(of token: String) -> Int32? { id(of: Array(token.utf8)) }

    func token(of id: Int32) -> String? {
        id >= 0 && Int(id) < tokens.count ? tokens[Int(id)] : nil
    }
}
