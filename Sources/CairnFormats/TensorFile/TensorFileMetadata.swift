// SPDX-License-Identifier: Apache-2.0
/// How metadata is put into each format, and taken out again.

import Foundation

/// Metadata as the map of strings that a safetensors file holds.
enum SafetensorsMetadata {
    /// Lists the keys whose text is JSON.
    static let jsonKeys = "cairn.json_keys"

    /// - Precondition: every number is finite.
    static func encoded(_ metadata: JSONObject) throws(FormatError) -> [String: String] {
        func failure(_ key: String, _ expected: String, _ found: String) -> FormatError {
            .entry(
                file: "safetensors file", entry: "metadata '\(key)'", expected: expected,
                found: found)
        }
        var map: [String: String] = [:]
        var listed: [JSONValue] = []
        for (key, value) in metadata {
            if key.utf8Equals(jsonKeys) { throw failure(key, "another key", "one of its own") }
            let text: String
            if case .string(let string) = value {
                text = string
            } else {
                text = String(decoding: try value.serialized(pretty: false), as: UTF8.self)
                listed.append(.string(key))
            }
            guard map.updateValue(text, forKey: key) == nil else {
                throw failure(key, "every key once", "it again in another Unicode form")
            }
        }
        if !listed.isEmpty {
            let text = try JSONValue.array(listed).serialized(pretty: false)
            map[jsonKeys] = String(decoding: text, as: UTF8.self)
        }
        if map["format"] == nil { map["format"] = "pt" }
        return map
    }

    /// The members, sorted by the bytes of their keys.
    static func decoded(_ map: [String: String], file: String) throws(FormatError) -> JSONValue {
        var members = JSONObject(
            map.sorted { $0.key.utf8Precedes($1.key) }.map { ($0, .string($1)) })
        guard let listed = map[jsonKeys] else { return .object(members) }
        members[jsonKeys] = nil
        let place = "\(file), metadata"
        let keys = try JSONValue.parse(Data(listed.utf8), file: "\(place) '\(jsonKeys)'")
        guard let keys = keys.array else {
            throw .entry(
                file: file, entry: "metadata '\(jsonKeys)'", expected: "a list of other keys",
                found: keys.kind)
        }
        for key in keys {
            guard let key = key.string, let text = members[key]?.string else {
                throw .entry(
                    file: file, entry: "metadata '\(jsonKeys)'", expected: "a list of other keys",
                    found: key.string.map { "'\($0)'" } ?? key.kind)
            }
            members[key] = try JSONValue.parse(Data(text.utf8), file: "\(place) '\(key)'")
        }
        return .object(members)
    }

    /// What the files of one model have in common, and the keys that they do not.
    static func merged(
        _ maps: [[String: String]], file: String
    ) throws(FormatError) -> (metadata: JSONValue, remarks: [String]) {
        let keys = Set(maps.flatMap(\.keys))
        let common = (maps.first ?? [:]).filter { key, value in maps.allSatisfy { $0[key] == value }
        }
        let left = keys.subtracting(common.keys).sorted { $0.utf8Precedes($1) }
        return (
            try decoded(common, file: file),
            left.map { "metadata '\($0)' is left out: it is not the same in every file" }
        )
    }
}

extension APRFile {
    /// The metadata without what every file has and what the tensors themselves say.
    var statedMetadata: JSONObject {
        var stated = metadata
        let counts = [
            "total_size": entries.reduce(0) { $0 + $1.range.count },
            "param_count": entries.reduce(0) { $0 + $1.shape.elementCount },
        ]
        for (key, count) in counts where stated[key]?.integer == count { stated[key] = nil }
        if stated["model_type"]?.string == "" { stated["model_type"] = nil }
        return stated
    }
}

extension APRMetadata {
    /// The members that an APR file can hold, and a sentence for each that it cannot.
    static func carried(_ members: JSONObject) -> (JSONObject, left: [String]) {
        var carried = JSONObject()
        var left: [String] = []
        for (key, value) in members {
            if let member = member(spelled: key), !value.isNull, !fits(value, member.kind) {
                left.append(
                    "metadata '\(key)' is left out: apr keeps the key for "
                        + "\(description(of: member.kind)), found \(kind(of: value))")
            } else {
                carried[key] = value
            }
        }
        return (carried, left)
    }
}
