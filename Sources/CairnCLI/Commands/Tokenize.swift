// SPDX-License-Identifier: Apache-2.0
/// `cairn tokenize`: token ids, offsets and decoded text, for comparison with other tokenizers.

import Cairn
import Foundation

struct Tokenize: Command {
    static let name = "tokenize"
    static let summary = "Prints ids, offsets and decoded text of each row as a line of JSON."
    static let positionals = ["TOKENIZER"]
    static let example = "cairn tokenize model/tokenizer.json --data texts.jsonl"
    static let isHidden = true
    static let flags = [Flag("--data", "FILE", "texts: JSONL, CSV or TSV")]

    private let tokenizer: URL
    private let data: URL

    init(_ arguments: Arguments) throws {
        tokenizer = URL(fileURLWithPath: arguments.positionals[0])
        data = URL(fileURLWithPath: try arguments.required("--data"))
    }

    func run() throws {
        let tokenizer = try Tokenizer(contentsOf: tokenizer)
        let corpus = try Corpus(contentsOf: data, task: .prediction)
        for example in corpus.examples {
            let encoding = try tokenizer.encode(example.text)
            let line = JSONValue.object([
                "ids": .array(encoding.ids.map { .integer(Int64($0)) }),
                "offsets": .array(
                    encoding.offsets.map {
                        [.integer(Int64($0.lowerBound)), .integer(Int64($0.upperBound))]
                    }),
                "decoded": .string(tokenizer.decode(encoding.ids, skipSpecialTokens: false)),
                "decoded_skip_special": .string(tokenizer.decode(encoding.ids)),
            ])
            FileHandle.standardOutput.write(try line.serialized(pretty: false) + Data("\n".utf8))
        }
    }
}
