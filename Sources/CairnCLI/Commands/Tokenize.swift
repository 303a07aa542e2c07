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
    static let rules: [FlagRule] = [.required("--data")]
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
        try TokenizerDump.dump(corpus.examples.map(\.text), with: tokenizer) { line in
            FileHandle.standardOutput.write(Data(line.utf8))
        }
    }
}
