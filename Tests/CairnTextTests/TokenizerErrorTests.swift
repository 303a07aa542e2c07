// SPDX-License-Identifier: Apache-2.0
/// What is refused, and the sentence that says so.

import CairnText
import Foundation
import Testing

/// A tokenizer file of a few lines, with parts replaced.
func tokenizerFile(
    normalizer: String = "null", preTokenizer: String = #"{"type":"WhitespaceSplit"}"#,
    postProcessor: String = "null", decoder: String = "null", addedTokens: String = "[]",
    model: String = """
    {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
    "max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1,"##b":2,"c":3}}
    """,
    rest: String = ""
) -> String {
    """
    {"version":"1.0","truncation":null,"padding":null,"added_tokens":\(addedTokens),
    "normalizer":\(normalizer),"pre_tokenizer":\(preTokenizer),"post_processor":\(postProcessor),
    "decoder":\(decoder),"model":\(model)\(rest)}
    """
}

func tokenizer(_ text: String) throws -> Tokenizer {
    try Tokenizer(data: Data(text.utf8), file: "t.json")
}

@Suite struct TokenizerErrorTests {
    static let bpe = #""type":"BPE","vocab":{"a":0,"b":1,"ab":2}"#

    static let refused: [(file: String, sentence: String)] = [
        (tokenizerFile(rest: #","extra":1"#), "t.json: the top level: unknown key 'extra'"),
        (
            tokenizerFile(normalizer: #"{"type":"Nmt"}"#),
            "t.json: normalizer: the normalizer 'Nmt' is not supported"
        ),
        (
            tokenizerFile(normalizer: #"{"type":"Sequence","normalizers":[{"type":"NFC","x":1}]}"#),
            "t.json: normalizer.normalizers[0]: unknown key 'x'"
        ),
        (
            tokenizerFile(preTokenizer: #"{"type":"UnicodeScripts"}"#),
            "t.json: pre_tokenizer: the pre-tokenizer 'UnicodeScripts' is not supported"
        ),
        (
            tokenizerFile(preTokenizer: #"{"type":"Digits"}"#),
            "t.json: pre_tokenizer: the key 'individual_digits' is missing"
        ),
        (
            tokenizerFile(
                preTokenizer: """
                    {"type":"Split","pattern":{"Regex":"a(?~b)"},"behavior":"Isolated",
                    "invert":false}
                    """),
            "t.json: pre_tokenizer.pattern.Regex: "
                + "the group '(?~' of the expression is not supported"
        ),
        (
            tokenizerFile(
                preTokenizer: """
                    {"type":"Split","pattern":{"Regex":"a("},"behavior":"Isolated",
                    "invert":false}
                    """),
            "t.json: pre_tokenizer.pattern.Regex: the expression 'a(' does not compile"
        ),
        (
            tokenizerFile(
                preTokenizer: #"{"type":"Metaspace","replacement":"▁","add_prefix_space":false}"#),
            "t.json: pre_tokenizer: add_prefix_space is false but prepend_scheme is 'always'"
        ),
        (
            tokenizerFile(
                postProcessor: #"{"type":"BertProcessing","sep":["[SEP]"],"cls":["[CLS]",1]}"#),
            "t.json: post_processor.sep: expected a token and its id, found a list of 1"
        ),
        (
            tokenizerFile(decoder: #"{"type":"CTC"}"#),
            "t.json: decoder: the decoder 'CTC' is not supported"
        ),
        (
            tokenizerFile(model: #"{"type":"Unigram","vocab":[]}"#),
            "t.json: model: the model 'Unigram' is not supported"
        ),
        (
            tokenizerFile(model: #"{"type":"WordLevel","vocab":{}}"#),
            "t.json: model: the model 'WordLevel' is not supported"
        ),
        (
            tokenizerFile(model: "{\(bpe),\"merges\":[\"a c\"]}"),
            "t.json: model.merges[0]: the token 'c' is not in the vocabulary"
        ),
        (
            tokenizerFile(model: "{\(bpe),\"merges\":[\"a b c\"]}"),
            "t.json: model.merges[0]: expected a pair of tokens, found the string 'a b c'"
        ),
        (
            tokenizerFile(model: "{\(bpe),\"merges\":[],\"dropout\":0.1}"),
            "t.json: model.dropout: dropout, which makes ids random, is not supported"
        ),
        (
            tokenizerFile(model: #"{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}"#),
            "t.json: model.vocab: the tokens 'a' and 'b' have the same id 0"
        ),
        (
            tokenizerFile(model: #"{"type":"BPE","vocab":{"a":-1},"merges":[]}"#),
            "t.json: model.vocab['a']: expected an id from 0 to 16777216, found -1"
        ),
        (
            tokenizerFile(
                addedTokens: """
                    [{"id":9,"content":"<x>","single_word":false,"lstrip":false,"rstrip":false,
                    "normalized":false,"special":true}]
                    """),
            "t.json: added_tokens[0]: '<x>' has the id 9, but its place gives 4"
        ),
        ("{\"version\": 1", "t.json, line 1, column 14: not JSON: expected ','"),
        ("{}\n]", "t.json, line 2, column 1: not JSON: text after the value"),
        (
            #"{"a":1,"a":2}"#,
            "t.json, line 1, column 13: not JSON: "
                + "the key 'a' stands twice in the object before"
        ),
        (#"["\ud800x"]"#, "t.json, line 1, column 9: not JSON: a lone surrogate in a string"),
        ("[1e999]", "t.json, line 1, column 2: not JSON: the number 1e999 is out of range"),
        ("[01]", "t.json, line 1, column 4: not JSON: expected a number"),
    ]

    @Test(arguments: refused.indices)
    func `what is not supported is refused by name and place`(index: Int) throws {
        let (file, sentence) = Self.refused[index]

        let error = #expect(throws: TokenizerError.self) { try tokenizer(file) }

        #expect(error?.description == sentence)
    }

    @Test func `a file that is not there is named`() {
        let url = URL(fileURLWithPath: "/nowhere/tokenizer.json")

        let error = #expect(throws: TokenizerError.self) { try Tokenizer(contentsOf: url) }

        #expect(
            error?.description
                == "/nowhere/tokenizer.json: cannot be read: there is no such file")
    }

    @Test func `bytes that are not UTF-8 are refused where they stand`() {
        let data = Data([0x7B, 0x0A, 0x22, 0xC3, 0x28])

        let error = #expect(throws: TokenizerError.self) {
            try Tokenizer(data: data, file: "t.json")
        }

        #expect(error?.description == "t.json, line 2, column 2: not JSON: invalid UTF-8")
    }

    @Test func `a file cut short anywhere is refused`() throws {
        let whole = Array(tokenizerFile().utf8)

        _ = try Tokenizer(data: Data(whole), file: "t.json")
        for length in 0..<whole.count {
            #expect(throws: TokenizerError.self) {
                try Tokenizer(data: Data(whole[..<length]), file: "t.json")
            }
        }
    }

    @Test func `special tokens that do not fit are an error`() throws {
        let cls = #"{"type":"BertProcessing","sep":["c",3],"cls":["a",1]}"#
        let subject = try tokenizer(tokenizerFile(postProcessor: cls))

        #expect(try subject.ids("a a", maxLength: 2) == [1, 3])
        let error = #expect(throws: TokenizerError.self) { try subject.ids("a", maxLength: 1) }
        #expect(error == .maxLengthTooSmall(maxLength: 1, specialTokens: 2))
        #expect(throws: TokenizerError.self) {
            try subject.ids("a", maxLength: 0, addSpecialTokens: false)
        }
    }

    @Test func `an unknown token that is needed and missing is an error`() throws {
        let model = """
            {"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
            "max_input_chars_per_word":100,"vocab":{"a":0}}
            """
        let subject = try tokenizer(tokenizerFile(model: model))

        #expect(try subject.ids("a a") == [0, 0])
        let error = #expect(throws: TokenizerError.self) { try subject.ids("a b") }
        #expect(error == .unknownTokenMissing(file: "t.json", token: "[UNK]"))
    }
}
