// SPDX-License-Identifier: Apache-2.0
/// Which texts name repositories, revisions and files.

import CairnHub
import Testing

@Suite struct RepositoryIDTests {
    @Test(arguments: ["gpt2", "Qwen/Qwen2.5-0.5B", "a/b", "me/a_b-c.d"])
    func `a plain name is taken as it is`(text: String) throws {
        #expect(try RepositoryID(text).description == text)
    }

    static let faults: [(String, String)] = [
        ("", "ORG/NAME"), ("/b", "ORG/NAME"), ("a/", "ORG/NAME"), ("a/b/c", "ORG/NAME"),
        ("a/b c", "letters"), ("a/é", "letters"), ("a/b\n", "letters"), ("../b", "'..'"),
        ("a/b--c", "'--'"), ("a/b..c", "'..'"), (".a/b", "starts"), ("a/-b", "starts"),
        ("a/b.", "ends"), ("a-/b", "ends"), ("a/b.git", ".git"),
        ("a/" + String(repeating: "b", count: 95), "96"),
    ]

    @Test(arguments: faults)
    func `a name that the Hub would refuse is refused by its rule`(text: String, rule: String) {
        let sentence = sentence { try RepositoryID(text) }
        #expect(sentence.hasPrefix("'\(text)' is no repository: expected "), "\(sentence)")
        #expect(sentence.contains(rule), "\(sentence)")
    }

    @Test func `the namespace is what stands before the slash`() throws {
        #expect(try RepositoryID("me/x").namespace == "me")
        #expect(try RepositoryID("me/x").name == "x")
        #expect(try RepositoryID("gpt2").namespace == nil)
    }

    @Test func `a reference is a repository and a revision behind an at sign`() throws {
        #expect(try RepositoryReference("a/b").revision == "main")
        #expect(try RepositoryReference("a/b@v1").revision == "v1")
        #expect(try RepositoryReference("a/b@refs/pr/1").revision == "refs/pr/1")
        #expect(try RepositoryReference("a/b@v1").description == "a/b@v1")
        #expect(try RepositoryReference("a/b").description == "a/b")
    }

    @Test(arguments: ["a/b@", "a/b@../x", "a/b@x y", "a/b@/x", "a/b@x//y", "a/b@x\\y", "a/b@.x"])
    func `a revision that could be a path elsewhere is refused`(text: String) {
        #expect(sentence { try RepositoryReference(text) }.contains("is no revision"))
    }

    @Test func `a revision in an address has no bare slash, a path keeps them`() {
        #expect(HubPath.encoded("refs/pr/1") == "refs%2Fpr%2F1")
        #expect(HubPath.encodedPath("a b/é.txt") == "a%20b/%C3%A9.txt")
        #expect(HubPath.encoded("aZ09-._~") == "aZ09-._~")
    }

    @Test(arguments: ["/a", "a/../b", "..", "a//b", "a/", "", "a\\b", "a\u{0}b", "./a", "a\nb"])
    func `a path that could leave its folder is not safe`(path: String) {
        #expect(!HubPath.isSafe(path))
    }

    @Test(arguments: ["a", "a/b.c", "é/你 x", ".gitattributes", "a..b"])
    func `a plain path is safe`(path: String) { #expect(HubPath.isSafe(path)) }
}
