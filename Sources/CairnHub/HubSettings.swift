// SPDX-License-Identifier: Apache-2.0
/// Where the Hub, its cache and its token are, by the environment.

import Foundation

/// A secret that shows itself in one place only: the header of a request to the Hub.
public struct HubToken: Sendable, CustomStringConvertible, CustomReflectable {
    package let value: String
    /// Where it was found, as errors name it.
    public let place: String

    /// - Throws: `HubError.badToken` for an empty one, or one that no header can carry.
    public init(_ text: String, place: String) throws(HubError) {
        guard let value = Self.cleaned(text) else {
            throw .badToken(place: place, reason: "it is empty")
        }
        guard value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .badToken(place: place, reason: "it holds spaces or characters beyond ASCII")
        }
        self.value = value
        self.place = place
    }

    /// The text without line breaks and spaces around it; nil when nothing is left.
    static func cleaned(_ text: String) -> String? {
        let text = text.filter { !$0.isNewline }.trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? nil : text
    }

    public var description: String { "<token from \(place)>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The settings that the Python client reads too, from the same variables.
public struct HubSettings: Sendable {
    /// Without a slash at its end.
    public var endpoint: String
    /// The token for the endpoint; nil asks as nobody.
    public var token: HubToken?
    /// The folder that holds `models--ORG--NAME` folders.
    public var cache: URL
    /// The variable that switches the network off; nil when it is on.
    public var offlineVariable: String?
    /// False where snapshots are to hold copies instead of links.
    public var usesLinks: Bool
    /// Where a token was looked for, for the error that says there is none.
    package private(set) var searched: [String] = []

    /// The public Hub.
    public static let standardEndpoint = "https://huggingface.co"

    /// Reads `HF_ENDPOINT`, `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `XDG_CACHE_HOME`, `HF_HUB_OFFLINE`,
    /// `TRANSFORMERS_OFFLINE`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` and `HF_HUB_DISABLE_SYMLINKS`.
    ///
    /// - Throws: `HubError` for an endpoint that is no address or a token that is none.
    public init(
        environment: [String: String] = ProcessInfo.processInfo.environment,
        homeDirectory: String = NSHomeDirectory()
    ) throws(HubError) {
        let values = Environment(values: environment, home: homeDirectory)
        endpoint = try Self.endpoint(values["HF_ENDPOINT"] ?? Self.standardEndpoint)
        let caches = values.path("XDG_CACHE_HOME") ?? homeDirectory + "/.cache"
        let home = values.path("HF_HOME") ?? caches + "/huggingface"
        cache = URL(
            fileURLWithPath: values.path("HF_HUB_CACHE") ?? values.path("HUGGINGFACE_HUB_CACHE")
                ?? home + "/hub", isDirectory: true)
        offlineVariable = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].first(where: values.isTrue)
        usesLinks = !values.isTrue("HF_HUB_DISABLE_SYMLINKS")
        if values.isTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            searched = ["the environment, which HF_HUB_DISABLE_IMPLICIT_TOKEN switches off"]
        } else {
            token = try findToken(values, home: home)
        }
    }

    /// The first of `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN` and the token file.
    ///
    /// An empty variable counts as unset. One of only spaces does too, but hides the second
    /// variable, as it does for the Python client.
    private mutating func findToken(
        _ values: Environment, home: String
    ) throws(HubError) -> HubToken? {
        let file = values.path("HF_TOKEN_PATH") ?? home + "/token"
        searched = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", file]
        for name in searched.prefix(2) {
            guard let text = values[name] else { continue }
            if HubToken.cleaned(text) != nil { return try HubToken(text, place: name) }
            break
        }
        guard let data = FileManager.default.contents(atPath: file) else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        return HubToken.cleaned(text) == nil ? nil : try HubToken(text, place: file)
    }

    private static func endpoint(_ text: String) throws(HubError) -> String {
        var text = text.trimmingCharacters(in: .whitespaces)
        while text.hasSuffix("/") { text.removeLast() }
        guard let url = URL(string: text), Origin(url) != nil, url.user == nil, url.query == nil
        else {
            throw .badName(
                kind: "endpoint (HF_ENDPOINT)", name: text, expected: "http(s)://HOST[:PORT]")
        }
        return text
    }
}

/// Variables as the Python client reads them: empty ones are unset, paths are expanded.
private struct Environment {
    let values: [String: String]
    let home: String

    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    func isTrue(_ name: String) -> Bool {
        ["1", "ON", "YES", "TRUE"].contains(values[name]?.uppercased() ?? "")
    }

    /// The value with a leading `~` and every `$NAME` and `${NAME}` replaced.
    func path(_ name: String) -> String? {
        guard var text = self[name] else { return nil }
        if text == "~" || text.hasPrefix("~/") { text = home + text.dropFirst() }
        var result = ""
        var rest = text[...]
        while let sign = rest.firstIndex(of: "$") {
            result += rest[..<sign]
            rest = rest[sign...].dropFirst()
            let isBraced = rest.first == "{"
            let word = (isBraced ? rest.dropFirst() : rest).prefix {
                $0 == "_" || ($0.isASCII && ($0.isLetter || $0.isNumber))
            }
            let end = isBraced && rest[word.endIndex...].first == "}" ? 1 : 0
            if let value = values[String(word)], !isBraced || end == 1 {
                result += value
                rest = rest[word.endIndex...].dropFirst(end)
            } else {
                result += "$"
            }
        }
        return result + rest
    }
}
