// SPDX-License-Identifier: Apache-2.0
/// Targets for the readers of tokenizers and corpora.

import CairnText
import Foundation

extension FuzzTarget {
    /// A tokenizer that is accepted encodes a text, or says why it cannot.
    static let tokenizer = FuzzTarget(name: "tokenizer", lengthLimit: 4096) { bytes in
        let tokenizer = try Tokenizer(data: Data(bytes), file: "x")
        let encoding = try tokenizer.encode("A na\u{EF}ve  test,\n42 \u{1F600} ab")
        _ = tokenizer.decode(encoding.ids)
    }

    /// The first byte chooses format and task, the rest is the file.
    static let corpus = FuzzTarget(name: "corpus", lengthLimit: 2048) { bytes in
        guard let choice = bytes.first.map(Int.init) else { return }
        let formats: [Corpus.Format] = [.jsonLines, .csv, .tsv]
        let tasks = Corpus.Task.allCases
        _ = try Corpus(
            data: Data(bytes.dropFirst()), file: "x", format: formats[choice % formats.count],
            task: tasks[choice / formats.count % tasks.count])
    }
}
