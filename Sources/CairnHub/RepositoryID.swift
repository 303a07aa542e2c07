// SPDX-License-Identifier: Apache-2.0
/// Names on the Hub: repositories, revisions, and how they stand in addresses and paths.

import Foundation

/// The name of a model repository, as `org/name` or, for a few old ones, `name`.
///
/// Letters, digits, `.`, `_` and `-`, at most 96 of them; no part starts or ends with `-` or `.`,
/// none holds `--` or `..`, the name does not end in `.git`.
public struct RepositoryID: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// Reads `ORG/NAME`, or `NAME` alone; fails on what the Hub would not take.
    public init(_ text: String) throws(HubError) {
        if let fault = Self.fault(in: text) {
            throw .badName(kind: "repository", name: text, expected: fault)
        }
        description = text
    }

    /// Who owns the repository; nil for a bare name.
    public var namespace: String? {
        description.contains("/") ? String(description.prefix { $0 != "/" }) : nil
    }

    /// The part behind the slash.
    public var name: String { String(description.split(separator: "/").last ?? "") }

    /// What the text lacks to be a name, as "expected ..." continues; nil when it is one.
    private static func fault(in text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count > 2 || parts.contains("") { return "ORG/NAME" }
        if text.utf8.count > 96 { return "at most 96 characters" }
        guard text.utf8.allSatisfy(isPlain) else {
            return "letters, digits, '.', '_', '-' and one '/'"
        }
        if text.contains("--") || text.contains("..") { return "no '--' and no '..'" }
        for part in parts where part.hasPrefix("-") || part.hasPrefix(".") {
            return "no part that starts with '-' or '.'"
        }
        for part in parts where part.hasSuffix("-") || part.hasSuffix(".") {
            return "no part that ends with '-' or '.'"
        }
        return text.hasSuffix(".git") ? "a name that does not end in '.git'" : nil
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}

/// A repository at a revision, written `ORG/NAME[@REVISION]`.
public struct RepositoryReference: Hashable, Sendable, CustomStringConvertible {
    /// The repository.
    public let repository: RepositoryID
    /// A branch, a tag, a commit or `refs/pr/N`.
    public let revision: String

    /// A repository at a branch, a tag or a commit.
    public init(_ repository: RepositoryID, revision: String = "main") throws(HubError) {
        let isPlain = revision.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }
        let parts = revision.split(separator: "/", omittingEmptySubsequences: false)
        guard isPlain, parts.allSatisfy({ $0 != "" && !$0.hasPrefix(".") && !$0.contains("..") })
        else {
            throw .badName(
                kind: "revision", name: revision, expected: "a branch, a tag, a commit or refs/pr/N"
            )
        }
        self.repository = repository
        self.revision = revision
    }

    /// Reads `ORG/NAME` or `ORG/NAME@REVISION`.
    public init(_ text: String) throws(HubError) {
        guard let at = text.firstIndex(of: "@") else {
            try self.init(RepositoryID(text))
            return
        }
        try self.init(RepositoryID(String(text[..<at])), revision: String(text[at...].dropFirst()))
    }

    public var description: String {
        revision == "main" ? repository.description : "\(repository)@\(revision)"
    }
}

/// Paths and commits as the Hub writes them.
package enum HubPath {
    /// Forty lower-case hexadecimal digits: a commit that never changes.
    static func isCommit(_ text: String) -> Bool { isDigest(text, digits: 40) }

    static func isDigest(_ text: String, digits: Int) -> Bool {
        text.utf8.count == digits && text.utf8.allSatisfy { (48...57) ~= $0 || (97...102) ~= $0 }
    }

    /// Everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`; a `/` too.
    package static func encoded(_ component: String) -> String {
        component.utf8.map { byte in
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: String(UnicodeScalar(byte))
            default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }

    /// A path with each part encoded and the `/` between them kept.
    package static func encodedPath(_ path: String) -> String {
        path.split(separator: "/", omittingEmptySubsequences: false)
            .map { encoded(String($0)) }.joined(separator: "/")
    }

    /// Whether a path that the Hub names may become a file below a folder of this machine.
    package static func isSafe(_ path: String) -> Bool {
        !path.utf8.contains { $0 < 0x20 || $0 == 0x5C }
            && path.split(separator: "/", omittingEmptySubsequences: false)
                .allSatisfy { $0 != "" && $0 != "." && $0 != ".." }
    }
}
