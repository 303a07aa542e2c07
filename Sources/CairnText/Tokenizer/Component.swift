// SPDX-License-Identifier: Apache-2.0
/// A place in tokenizer.json: typed access to its members, with errors that say where it is.

struct Component {
    var value: JSON
    var file: String
    /// The way from the top of the file, as in `pre_tokenizer.pretokenizers[1]`.
    var place: String

    private var shownPlace: String { place.isEmpty ? "the top level" : place }

    /// The member `key`, which may be absent or null: then nil.
    func optional(_ key: String) throws(TokenizerError) -> Component? {
        guard case .object(let members) = value else { throw wrong("an object") }
        guard let member = members.first(where: { $0.key == key }) else { return nil }
        if case .null = member.value { return nil }
        let path = place.isEmpty ? key : "\(place).\(key)"
        return Component(value: member.value, file: file, place: path)
    }

    func required(_ key: String) throws(TokenizerError) -> Component {
        guard let member = try optional(key) else {
            throw .missingKey(file: file, place: shownPlace, key: key)
        }
        return member
    }

    /// Checks that no member has a key outside `keys`.
    func allow(_ keys: String...) throws(TokenizerError) {
        guard case .object(let members) = value else { throw wrong("an object") }
        for member in members where !keys.contains(member.key) {
            throw .unknownKey(file: file, place: shownPlace, key: member.key)
        }
    }

    func elements() throws(TokenizerError) -> [Component] {
        guard case .array(let values) = value else { throw wrong("a list") }
        return values.enumerated().map { index, value in
            Component(value: value, file: file, place: "\(place)[\(index)]")
        }
    }

    func text() throws(TokenizerError) -> String {
        guard case .string(let text) = value else { throw wrong("a string") }
        return text
    }

    func flag() throws(TokenizerError) -> Bool {
        guard case .bool(let flag) = value else { throw wrong("true or false") }
        return flag
    }

    func integer() throws(TokenizerError) -> Int {
        guard case .integer(let number) = value else { throw wrong("an integer") }
        return number
    }

    /// A token's id: it fits `Int32` and is not negative.
    func tokenID() throws(TokenizerError) -> Int32 {
        guard case .integer(let number) = value, let id = Int32(exactly: number), id >= 0 else {
            throw wrong("an id from 0 to \(Int32.max)")
        }
        return id
    }

    func text(_ key: String) throws(TokenizerError) -> String { try required(key).text() }
    func flag(_ key: String) throws(TokenizerError) -> Bool { try required(key).flag() }

    /// A flag that older files leave out; the library that wrote them then took `absent`.
    func flag(_ key: String, absent: Bool) throws(TokenizerError) -> Bool {
        guard let member = try optional(key) else { return absent }
        return try member.flag()
    }

    /// The one scalar of a string member.
    func scalar(_ key: String) throws(TokenizerError) -> UInt32 {
        let member = try required(key)
        let scalars = try member.text().scalarValues
        guard scalars.count == 1 else { throw member.wrong("one character") }
        return scalars[0]
    }

    func wrong(_ expected: String) -> TokenizerError {
        .wrongValue(file: file, place: shownPlace, expected: expected, found: value.kind)
    }

    func unsupported(_ what: String) -> TokenizerError {
        .unsupported(file: file, place: shownPlace, what: what)
    }

    func inconsistent(_ reason: String) -> TokenizerError {
        .inconsistent(file: file, place: shownPlace, reason: reason)
    }
}
