// SPDX-License-Identifier: Apache-2.0
/// Typed access to a configuration file, with errors that name the key.

import CairnFormats

/// A JSON object from a file: every getter says which key was wrong, and how.
package struct ConfigReader {
    package let file: String
    package let object: JSONValue

    package init(_ object: JSONValue, file: String) {
        self.object = object
        self.file = file
    }

    /// The value of a key; nil when it is absent or null.
    package func value(_ key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    package func integer(_ key: String) throws(ModelError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let integer = value.integer else { throw bad(key, "an integer", value) }
        return integer
    }

    /// A positive integer that must be there.
    package func size(_ key: String) throws(ModelError) -> Int {
        guard let value = value(key) else {
            throw .missingKey(file: file, key: key, expected: "a positive integer")
        }
        guard let integer = value.integer, integer > 0, integer < 1 << 31 else {
            throw bad(key, "a positive integer", value)
        }
        return integer
    }

    package func size(_ key: String, default fallback: Int) throws(ModelError) -> Int {
        value(key) == nil ? fallback : try size(key)
    }

    package func number(_ key: String) throws(ModelError) -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.number, number.isFinite else {
            throw bad(key, "a finite number", value)
        }
        return number
    }

    package func bool(_ key: String, default fallback: Bool) throws(ModelError) -> Bool {
        guard let value = value(key) else { return fallback }
        guard let bool = value.bool else { throw bad(key, "true or false", value) }
        return bool
    }

    package func string(_ key: String) throws(ModelError) -> String? {
        guard let value = value(key) else { return nil }
        guard let string = value.string else { throw bad(key, "a string", value) }
        return string
    }

    package func strings(_ key: String) throws(ModelError) -> [String]? {
        guard let value = value(key) else { return nil }
        guard let items = value.array else { throw bad(key, "a list of strings", value) }
        var strings: [String] = []
        for item in items {
            guard let string = item.string else { throw bad(key, "a list of strings", value) }
            strings.append(string)
        }
        return strings
    }

    /// A nested object, with the path in its errors.
    package func nested(_ key: String) throws(ModelError) -> ConfigReader? {
        guard let value = value(key) else { return nil }
        guard value.object != nil else { throw bad(key, "an object", value) }
        return ConfigReader(value, file: "\(file), in '\(key)'")
    }

    /// Refuses a key whose value changes the function in a way that is not computed.
    package func refuse(_ key: String, unless allowed: (JSONValue) -> Bool, supported: String)
        throws(ModelError)
    {
        guard let value = value(key), !allowed(value) else { return }
        throw .unsupported(file: file, key: key, value: Self.text(value), supported: supported)
    }

    package func bad(_ key: String, _ expected: String, _ value: JSONValue) -> ModelError {
        .badValue(file: file, key: key, expected: expected, found: Self.text(value))
    }

    /// A value as it stands in the file, cut to a length that fits an error.
    package static func text(_ value: JSONValue) -> String {
        let data = (try? value.serialized(pretty: false)) ?? .init()
        let text = String(decoding: data, as: UTF8.self)
        return text.count > 60 ? text.prefix(57) + "..." : text
    }
}
