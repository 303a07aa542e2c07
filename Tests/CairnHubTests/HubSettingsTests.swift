// SPDX-License-Identifier: Apache-2.0
/// Tokens, caches and endpoints by the environment, as the Python client was measured to read it.

import CairnHub
import Foundation
import TestSupport
import Testing

@Suite struct HubSettingsTests {
    static func settings(
        _ environment: [String: String], home: String = "/nowhere"
    ) throws -> HubSettings {
        try HubSettings(environment: environment, homeDirectory: home)
    }

    static let tokens: [([String: String], String?)] = [
        ([:], "file"), (["HF_TOKEN": "one"], "one"), (["HF_TOKEN": " one\r\n"], "one"),
        (["HUGGING_FACE_HUB_TOKEN": "two"], "two"),
        (["HF_TOKEN": "one", "HUGGING_FACE_HUB_TOKEN": "two"], "one"),
        (["HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "two"], "two"),
        (["HF_TOKEN": " ", "HUGGING_FACE_HUB_TOKEN": "two"], "file"),
        (["HF_HUB_DISABLE_IMPLICIT_TOKEN": "yes", "HF_TOKEN": "one"], nil),
        (["HF_HUB_DISABLE_IMPLICIT_TOKEN": "0", "HF_TOKEN": "one"], "one"),
        (["HF_TOKEN_PATH": "/nowhere/at/all"], nil),
    ]

    @Test(arguments: tokens)
    func `the first of variable, older variable and file is the token`(
        environment: [String: String], expected: String?
    ) throws {
        let home = try TemporaryDirectory().write(["token": "file\n"])

        let settings = try Self.settings(
            environment.merging(["HF_HOME": home.path]) { own, _ in own })

        #expect(settings.token?.value == expected)
    }

    @Test func `the token's place is told, the token is not`() throws {
        let token = try #require(try Self.settings(["HF_TOKEN": "hf_secret"]).token)

        var dumped = ""
        dump(token, to: &dumped)

        #expect(token.place == "HF_TOKEN")
        for text in ["\(token)", String(reflecting: token), dumped] {
            #expect(!text.contains("hf_secret"))
        }
    }

    @Test(arguments: ["hf_a b", "hf_é", "hf_\u{7}"])
    func `a token that no header carries is refused without showing it`(text: String) {
        let sentence = sentence { try Self.settings(["HF_TOKEN": text]) }
        #expect(sentence == "HF_TOKEN holds no token: it holds spaces or characters beyond ASCII")
    }

    @Test func `a missing token names every place that was searched`() throws {
        let settings = try Self.settings(["HF_HOME": "/nowhere/hf"])
        let error = HubError.tokenMissing(searched: settings.searched)
        #expect(
            "\(error)"
                == "no token for the Hub: none in HF_TOKEN, HUGGING_FACE_HUB_TOKEN, /nowhere/hf/token"
        )
    }

    static let caches: [([String: String], String)] = [
        ([:], "/me/.cache/huggingface/hub"), (["XDG_CACHE_HOME": "/x"], "/x/huggingface/hub"),
        (["HF_HOME": "/h"], "/h/hub"), (["HF_HUB_CACHE": "/c", "HF_HOME": "/h"], "/c"),
        (["HUGGINGFACE_HUB_CACHE": "/d", "HF_HOME": "/h"], "/d"),
        (["HF_HUB_CACHE": "/c", "HUGGINGFACE_HUB_CACHE": "/d"], "/c"),
        (["HF_HOME": "~/h"], "/me/h/hub"), (["HF_HOME": "$A/h", "A": "/a"], "/a/h/hub"),
        (["HF_HOME": "/${A}b/h", "A": "a"], "/ab/h/hub"), (["HF_HOME": "/$A/h"], "/$A/h/hub"),
        (["HF_HOME": ""], "/me/.cache/huggingface/hub"),
    ]

    @Test(arguments: caches)
    func `the cache is where the Python client has it`(
        environment: [String: String], expected: String
    ) throws {
        #expect(try Self.settings(environment, home: "/me").cache.path == expected)
    }

    @Test func `an endpoint loses its last slash and must be an address`() throws {
        #expect(try Self.settings([:]).endpoint == "https://huggingface.co")
        #expect(try Self.settings(["HF_ENDPOINT": "http://a:1/"]).endpoint == "http://a:1")
        for text in ["ftp://a", "a", "https://", "https://u@a", "https://a?b"] {
            let sentence = sentence { try Self.settings(["HF_ENDPOINT": text]) }
            #expect(sentence.contains("is no endpoint (HF_ENDPOINT)"), "\(text): \(sentence)")
        }
    }

    @Test func `either variable switches the network off`() throws {
        #expect(try Self.settings([:]).offlineVariable == nil)
        #expect(try Self.settings(["HF_HUB_OFFLINE": "0"]).offlineVariable == nil)
        #expect(try Self.settings(["HF_HUB_OFFLINE": "on"]).offlineVariable == "HF_HUB_OFFLINE")
        #expect(
            try Self.settings(["TRANSFORMERS_OFFLINE": "1"]).offlineVariable
                == "TRANSFORMERS_OFFLINE")
    }
}
