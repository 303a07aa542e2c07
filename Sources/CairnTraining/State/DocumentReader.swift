// SPDX-License-Identifier: Apache-2.0
/// Reads members of a state document, each with its place in the error when it is not as it must be.

import CairnFormats

/// An object of a JSON document that a run wrote.
struct DocumentReader {
    let file: String
    /// Where the object stands in the document: `settings.`; empty at the top.
    let place: String
    let object: JSONObject

    init(_ json: JSONValue, file: String, place: String = "") throws(TrainingError) {
        guard let object = json.object else {
            throw .badMetadata(
                file: file, key: place.isEmpty ? "(document)" : String(place.dropLast()),
                expected: "an object", found: json.kind)
        }
        self.file = file
        self.place = place
        self.object = object
    }

    /// The error of a member; `found` is what it has, unless said otherwise.
    func failure(_ key: String, _ expected: String, found: String? = nil) -> TrainingError {
        let value = object[key].map { value in
            value.string.map { "'\($0)'" } ?? value.number.map { "\($0)" } ?? value.kind
        }
        return .badMetadata(
            file: file, key: place + key, expected: expected, found: found ?? value ?? "nothing")
    }

    private func require<Value>(
        _ key: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws(TrainingError) -> Value {
        guard let json = object[key], let value = convert(json) else {
            throw failure(key, expected)
        }
        return value
    }

    func string(_ key: String) throws(TrainingError) -> String {
        try require(key, "a string") { $0.string }
    }

    func bool(_ key: String) throws(TrainingError) -> Bool {
        try require(key, "true or false") { $0.bool }
    }

    func number(_ key: String) throws(TrainingError) -> Double {
        try require(key, "a number") { $0.number }
    }

    /// A number, also one that is not finite, which documents hold as text.
    func real(_ key: String) throws(TrainingError) -> Double {
        try require(key, "a number") { $0.real }
    }

    func optionalReal(_ key: String) throws(TrainingError) -> Double? {
        object[key]?.isNull == false ? try real(key) : nil
    }

    func reals(_ key: String) throws(TrainingError) -> [Double] {
        try require(key, "a list of numbers") { json in
            json.array.flatMap { values in
                let numbers = values.compactMap(\.real)
                return numbers.count == values.count ? numbers : nil
            }
        }
    }

    func optionalCount(_ key: String) throws(TrainingError) -> Int? {
        object[key]?.isNull == false ? try count(key) : nil
    }

    func count(_ key: String, atLeast minimum: Int = 0) throws(TrainingError) -> Int {
        try require(key, "a whole number of at least \(minimum)") {
            $0.integer.flatMap { $0 >= minimum ? $0 : nil }
        }
    }

    /// A 64-bit pattern, which JSON has as a signed integer.
    func bits(_ key: String) throws(TrainingError) -> UInt64 {
        try require(key, "a whole number") { $0.integer.map { UInt64(bitPattern: Int64($0)) } }
    }

    func array(_ key: String) throws(TrainingError) -> [JSONValue] {
        try require(key, "an array") { $0.array }
    }

    func counts(_ key: String) throws(TrainingError) -> [Int] {
        try require(key, "an array of whole numbers from 0 on") { json in
            json.array.flatMap { values in
                let numbers = values.compactMap { $0.integer.flatMap { $0 >= 0 ? Int($0) : nil } }
                return numbers.count == values.count ? numbers : nil
            }
        }
    }

    func strings(_ key: String) throws(TrainingError) -> [String] {
        try require(key, "an array of strings") { json in
            json.array.flatMap { values in
                let texts = values.compactMap(\.string)
                return texts.count == values.count ? texts : nil
            }
        }
    }

    /// The members of an object.
    func members(_ key: String) throws(TrainingError) -> JSONObject {
        try require(key, "an object") { $0.object }
    }

    /// The objects of a list.
    func readers(_ key: String) throws(TrainingError) -> [DocumentReader] {
        var readers: [DocumentReader] = []
        for (index, json) in try array(key).enumerated() {
            readers.append(
                try DocumentReader(json, file: file, place: "\(place)\(key)[\(index)]."))
        }
        return readers
    }

    func reader(_ key: String) throws(TrainingError) -> DocumentReader {
        try DocumentReader(object[key] ?? .null, file: file, place: place + key + ".")
    }

    /// One of an enumeration's names.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _: Choice.Type
    ) throws(TrainingError) -> Choice where Choice.RawValue == String {
        try require(
            key, "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", ")
        ) { $0.string.flatMap(Choice.init(rawValue:)) }
    }

    /// What `read` makes of a member that may be null or absent.
    func optional<Value>(
        _ key: String, _ read: (DocumentReader, String) throws -> Value
    ) throws -> Value? {
        guard let value = object[key], !value.isNull else { return nil }
        return try read(self, key)
    }
}

extension JSONValue {
    static func optional(_ number: Double?) -> JSONValue { number.map { .number($0) } ?? .null }
    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}
