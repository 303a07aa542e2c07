// SPDX-License-Identifier: Apache-2.0
/// Texts to token ids on one thread, beside the package `tokenizers`.

import Cairn
import Foundation

/// Times a pass over the texts of a corpus, text by text, with a model's tokenizer.
struct TokensBench {
    private let options: BenchOptions
    private let report: Report

    init(_ options: BenchOptions, _ report: Report) {
        self.options = options
        self.report = report
    }

    struct WrongCount: Error, CustomStringConvertible { let description: String }

    func run() throws {
        guard let model = options.model, let data = options.data else {
            preconditionFailure("tokens without --model or --data passed the options")
        }
        report.machine(options)
        let file = model.appendingPathComponent("tokenizer.json")
        let tokenizer = try Tokenizer(contentsOf: file)
        let texts = try Corpus(contentsOf: data, task: .prediction).examples.map(\.text)
        let count = try texts.reduce(0) { $0 + (try tokenizer.ids($1)).count }
        report.fact("texts", JSONValue(texts.count), text: "\(texts.count), \(count) tokens")
        let peer = try options.peer.map {
            try Peer(python: $0, threads: 1, script: "peer_tokens.py")
        }
        defer { peer?.stop() }
        if let peer {
            report.fact("peer", .string(peer.version))
            let answer = try peer.ask([
                "do": "prepare", "tokenizer": .string(file.path),
                "texts": .array(texts.map { .string($0) }),
            ])
            // What is timed is the same work only if it ends with as many tokens.
            guard answer["tokens"]?.integer == count else {
                throw WrongCount(
                    description: "\(file.path): \(count) tokens, expected as many as the peer's, "
                        + "found \(answer["tokens"]?.integer ?? 0)")
            }
        }
        if !options.isQuick { try time(tokenizer, texts, count, peer, model) }
    }

    private func time(
        _ tokenizer: Tokenizer, _ texts: [String], _ count: Int, _ peer: Peer?, _ model: URL
    ) throws {
        var own = Samples()
        var theirs = Samples()
        for _ in 0..<Samples.count {
            own.add(try Samples.time { for text in texts { _ = try tokenizer.ids(text) } })
            if let peer { theirs.add(try peer.sample()) }
        }
        let speed = Double(count) / own.median
        var row: JSONObject = [
            "model": .string(model.lastPathComponent), "tokens": JSONValue(count),
            "milliseconds": .number(own.median * 1e3), "spread": .number(own.spread),
            "tokens_per_second": .number(speed),
        ]
        var text = String(
            format: "%.1f ms ±%.1f %%  %.2f million tokens/s", own.median * 1e3,
            own.spread * 100, speed * 1e-6)
        if peer != nil {
            let other = Double(count) / theirs.median
            row["peer_tokens_per_second"] = .number(other)
            row["peer_over_own"] = .number(theirs.median / own.median)
            text += String(format: "  peer %.2f  %.2f x", other * 1e-6, speed / other)
        }
        report.row(row, text: text)
    }
}
