// SPDX-License-Identifier: Apache-2.0
/// Which files of a directory may leave the machine.

import Foundation

/// What is published: the files that make up a model, and what the caller names besides.
///
/// Nothing is published for being there. Optimizer state, hidden files and what trainers keep for
/// themselves are never published, whatever the caller names.
package struct AllowList {
    /// Patterns over whole paths: `*` stands for any characters, `/` too, `?` for one.
    let patterns: [String]

    static let names: Set<String> = Set([
        "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE", "NOTICE.md", "NOTICE.txt",
        "config.json", "generation_config.json", "metadata.json", "manifest.json",
        "adapter_config.json", "adapter_model.safetensors", "model.safetensors",
        "model.safetensors.index.json", "model.apr", "receipt.json",
    ]).union(tokenizer)

    /// By which texts become tokens.
    static let tokenizer: Set<String> = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "chat_template.jinja",
    ]

    /// Lists of tokens, copied from a base: any text may be a token, so none is taken for a path.
    static let vocabularies: Set<String> = [
        "tokenizer.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
        "tokenizer.model",
    ]

    private static let stateNames: Set<String> = [
        "optimizer.safetensors", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt",
        "trainer_state.json", "training_args.bin",
    ]

    /// Why a file stays here; nil when it is published.
    func reason(against path: String) -> String? {
        let parts = path.split(separator: "/").map(String.init)
        let name = parts.last ?? ""
        if parts.dropLast().contains("training") || Self.stateNames.contains(name)
            || name.hasPrefix("rng_state")
        {
            return "training state stays on this machine"
        }
        if parts.contains(where: { $0.hasPrefix(".") }) { return "hidden" }
        if parts.count == 1, Self.names.contains(name) || Self.isShard(name) { return nil }
        if patterns.contains(where: { Self.matches(path, $0) }) { return nil }
        return "not part of a model"
    }

    /// `model-00001-of-00003.safetensors`
    static func isShard(_ name: String) -> Bool {
        name.hasPrefix("model-") && name.hasSuffix(".safetensors")
            && matches(name, "model-?????-of-?????.safetensors")
            && name.dropFirst(6).prefix(5).allSatisfy(\.isNumber)
            && name.dropFirst(15).prefix(5).allSatisfy(\.isNumber)
    }

    package static func matches(_ path: String, _ pattern: String) -> Bool {
        let (text, pattern) = (Array(path.unicodeScalars), Array(pattern.unicodeScalars))
        var (t, p) = (0, 0)
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == "*" {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t] {
                (t, p) = (t + 1, p + 1)
            } else if let last = star {
                // The last star takes one more.
                star = (last.pattern, last.text + 1)
                (t, p) = (last.text + 1, last.pattern + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == "*" }
    }
}
