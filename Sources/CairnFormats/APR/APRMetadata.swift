// SPDX-License-Identifier: Apache-2.0
/// The JSON object in an APR v2 file: known keys and their order, aliases, and custom keys.

import CairnTensor

/// Rules for the metadata of an APR v2 file.
///
/// Known keys come first, in the order of `members`; then custom keys, sorted by their bytes, and
/// so at every level below: equal metadata gives equal bytes. An absent optional is left out, but
/// for `license`, `data_source` and `data_license`, which are spelled as null. `model_type` is
/// always there, empty when nobody gave one; `total_size` (bytes of all tensors) and `param_count`
/// (their elements) are counted when nobody gave them.
///
/// A reader takes null for absent, and an alias for its key; two spellings of one key are an
/// error, as are a known key of another kind and a key given twice. `NaN` and `Infinity`, which
/// JSON has no words for, are read as null and reported by their place.
enum APRMetadata {
    indirect enum Kind {
        case text
        /// A whole number from 0 on.
        case count
        case number
        /// An object, and the order of its known members.
        case object([String])
    }

    struct Member {
        let key: String
        let kind: Kind
        let aliases: [String]

        init(_ key: String, _ kind: Kind, aliases: String...) {
            (self.key, self.kind, self.aliases) = (key, kind, aliases)
        }
    }

    static let members: [Member] = [
        Member("model_type", .text), Member("name", .text), Member("description", .text),
        Member("author", .text), Member("license", .text), Member("data_source", .text),
        Member("data_license", .text), Member("version", .text), Member("source", .text),
        Member("original_format", .text), Member("created_at", .text),
        Member("total_size", .count), Member("param_count", .count),
        Member("quantization", .object(["quant_type", "bits", "block_size", "symmetric"])),
        Member("sharding", .object(["shard_count", "shard_index", "total_size", "pattern"])),
        Member("chat_template", .text), Member("chat_format", .text),
        Member(
            "special_tokens",
            .object([
                "bos_token", "eos_token", "unk_token", "pad_token", "im_start_token",
                "im_end_token",
            ])),
        Member("architecture", .text), Member("hf_architecture", .text),
        Member("hf_model_type", .text),
        Member("hidden_size", .count, aliases: "hidden_dim", "d_model", "n_embd"),
        Member("num_layers", .count, aliases: "num_hidden_layers", "n_layers", "n_layer"),
        Member("num_heads", .count, aliases: "num_attention_heads", "n_heads", "n_head"),
        Member("num_kv_heads", .count, aliases: "num_key_value_heads", "n_kv_heads"),
        Member("vocab_size", .count, aliases: "n_vocab"),
        Member("intermediate_size", .count, aliases: "ffn_dim", "intermediate_dim", "n_inner"),
        Member(
            "max_position_embeddings", .count, aliases: "max_seq_len", "context_length", "n_ctx"),
        Member("rope_theta", .number), Member("rope_type", .count),
        Member("rms_norm_eps", .number, aliases: "layer_norm_eps", "norm_eps"),
        Member("head_dim", .count), Member("num_experts", .count),
        Member("num_experts_per_tok", .count), Member("moe_intermediate_size", .count),
    ]

    /// Spelled as null when absent.
    static let alwaysSpelled = ["license", "data_source", "data_license"]

    /// The member that a key, or an alias of one, speaks of.
    static func member(spelled key: String) -> Member? { bySpelling[ByteKey(key)] }

    private static let bySpelling: [ByteKey: Member] = members.reduce(into: [:]) { table, member in
        for spelling in [member.key] + member.aliases { table[ByteKey(spelling)] = member }
    }

    // MARK: In and out

    /// The members in order, under their keys and without those that are absent.
    ///
    /// - Throws: on two spellings of one key, and on a known key of another kind.
    static func canonical(_ object: JSONObject, file: String) throws(FormatError) -> JSONObject {
        var found: [ByteKey: (spelling: String, value: JSONValue)] = [:]
        var custom = JSONObject()
        for (key, value) in object {
            guard let member = member(spelled: key) else {
                custom[key] = value
                continue
            }
            if let other = found.updateValue((key, value), forKey: ByteKey(member.key)) {
                throw failure(
                    key, file: file, expected: "one spelling of \(member.key)",
                    found: "'\(other.spelling)' too")
            }
        }
        var result = JSONObject()
        for member in members {
            guard let (key, value) = found[ByteKey(member.key)], !value.isNull else { continue }
            guard fits(value, member.kind) else {
                throw failure(
                    key, file: file, expected: description(of: member.kind), found: kind(of: value))
            }
            result[member.key] = ordered(value, member.kind)
        }
        for (key, value) in sorted(custom) { result[key] = value }
        return result
    }

    /// What is written for metadata as `canonical` gives it.
    static func emitted(
        _ canonical: JSONObject, totalSize: Int, parameterCount: Int
    ) -> JSONObject {
        let standard: JSONObject = [
            "model_type": "", "total_size": JSONValue(totalSize),
            "param_count": JSONValue(parameterCount), "license": .null, "data_source": .null,
            "data_license": .null,
        ]
        var result = JSONObject()
        for member in members {
            if let value = canonical[member.key] ?? standard[member.key] {
                result[member.key] = value
            }
        }
        for (key, value) in canonical where result[key] == nil { result[key] = value }
        return result
    }

    // MARK: Kinds and order

    static func fits(_ value: JSONValue, _ kind: Kind) -> Bool {
        switch kind {
        case .text: value.string != nil
        case .count: value.integer.map { $0 >= 0 } ?? false
        case .number: value.number != nil
        case .object: value.object != nil
        }
    }

    static func description(of kind: Kind) -> String {
        switch kind {
        case .text: "a string"
        case .count: "a whole number from 0 on"
        case .number: "a number"
        case .object: "an object"
        }
    }

    static func kind(of value: JSONValue) -> String {
        value.number.map { "\($0)" } ?? value.kind
    }

    /// The value in the one form that it is written in: `8.0` for a count is 8.
    private static func ordered(_ value: JSONValue, _ kind: Kind) -> JSONValue {
        if case .count = kind { return value.integer.map { JSONValue($0) } ?? value }
        guard case .object(let keys) = kind, case .object(let object) = value else { return value }
        var result = JSONObject()
        for key in keys { result[key] = object[key].map(sorted) }
        for (key, value) in sorted(object) where result[key] == nil { result[key] = value }
        return .object(result)
    }

    private static func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let elements): .array(elements.map(sorted))
        case .object(let object): .object(sorted(object))
        default: value
        }
    }

    private static func sorted(_ object: JSONObject) -> JSONObject {
        JSONObject(
            object.sorted { $0.key.utf8Precedes($1.key) }.map { ($0.key, sorted($0.value)) })
    }

    private static func failure(
        _ key: String, file: String, expected: String, found: String
    ) -> FormatError {
        .entry(file: file, entry: "metadata '\(key)'", expected: expected, found: found)
    }
}
