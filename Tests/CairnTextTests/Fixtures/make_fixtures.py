# SPDX-License-Identifier: Apache-2.0
"""Writes components.json: small tokenizers that use every component, and what the reference
library makes of texts with them.

usage: python make_fixtures.py OUT.json       (needs tokenizers==0.23.3)
       python make_fixtures.py --specs DIR    (only the tokenizers, one file each)
"""
import json
import os
import sys

TEXTS = [
    "", " ", "Hello, world!", "  The  café's naïve Ǆ İstanbul  ", "e\u0301a\u0323\u0307 q\u0307\u0323x",
    "it's we'll I'D they'RE 'ſ x'LL 12345 6½ ²", "tabs\tand\nnew\r\nlines\n\n  end \n",
    "漢字とひらがな 한국어 \u1100\u1161\u11a8 العربية ไทย", "😀👩‍👩‍👧 ﬁne Ａｌｌ ™ \u00a0nb\u2003sp",
    "a-b--c ...wow!!! (x) <mask> [MASK]<extra>", "zero\u0000\u200bwidth\ufffd\x7f\x85\x0b control",
    "<s>hello</s> the <mask>the<word>words <word> word", "▁under_score▁▁x", "aaaaaaaaab ab abc",
    "\u0436\u0308 \U00040436\u0308 \U0010042d\u0308",
    "state-of-the-art,no spaces<big><BIG>", "the end .", "don't do not he 's , ok ?",
]

BYTES = [f"<0x{b:02X}>" for b in range(256)]


def characters():
    """Every scalar that a normalization of the texts may give."""
    import unicodedata
    found = set(" _▁#")
    for text in TEXTS:
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            for variant in (text, text.lower(), text.upper()):
                found |= set(unicodedata.normalize(form, variant))
    return sorted(found - {"\0"})


def word_piece(vocabulary, **options):
    vocab = {token: i for i, token in enumerate(["[UNK]", "[CLS]", "[SEP]"] + vocabulary)}
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab, **options}


def unknown():
    """Every word is one unknown token, so offsets show the cuts."""
    return word_piece(["never"])


def spelling():
    """Every character is one token, so offsets show the alignment of each."""
    return word_piece([c for c in characters()] + ["##" + c for c in characters()],
                      max_input_chars_per_word=400)


def sentence_pairs(merges, symbols, **options):
    vocab = {}
    for token in ["<unk>", "<s>", "</s>"] + (BYTES if options.get("byte_fallback") else []) + symbols:
        vocab.setdefault(token, len(vocab))
    for merge in merges:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        if right.startswith("##") and options.get("continuing_subword_prefix"):
            right = right[2:]
        vocab.setdefault(left + right, len(vocab))
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": vocab, "merges": merges, **options}


LETTERS = list("abcdefghijklmnopqrstuvwxyzTHI.,!'-▁") + ["é", "漢"]
MERGES = ["t h", "th e", "▁ the", "▁ h", "a b", "e l", "l o", "el lo", "▁h ello", "a a", "aa a"]


def byte_level(merges, **options):
    alphabet, extra = [], 0
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE:
            alphabet.append(chr(byte))
        else:
            alphabet.append(chr(256 + extra))
            extra += 1
    return sentence_pairs(merges, alphabet, unk_token=None, **options)


BYTE_MERGES = ["t h", "th e", "Ġ the", "l l", "o r", "w or", "Ġ wor", "Ã ©", "Ġ Ġ", "1 2", "12 3", "' s"]


def tokenizer(model, normalizer=None, pre=None, post=None, decoder=None, added=()):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added),
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": post,
            "decoder": decoder, "model": model}


def added(model, content, **flags):
    ids = model["vocab"]
    ident = ids.get(content, max(ids.values()) + 1 + added.count)
    if content not in ids:
        added.count += 1
    return {"id": ident, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": False, **flags}


added.count = 0


def template(single, specials):
    items = []
    for name, type_id in single:
        kind = "Sequence" if name == "A" else "SpecialToken"
        items.append({kind: {"id": name, "type_id": type_id}})
    return {"type": "TemplateProcessing", "single": items, "pair": items[:0] + [
        {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {n: {"id": n, "ids": ids, "tokens": tokens} for n, ids, tokens in specials}}


CLS_SEP = template([("[CLS]", 3), ("A", 4), ("[SEP]", 5)],
                   [("[CLS]", [1], ["[CLS]"]), ("[SEP]", [2, 1], ["[SEP]", "[CLS]"])])
SPLIT = {"type": "WhitespaceSplit"}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def modern(number):
    return (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + number
            + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def normalizers():
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True}
    yield from ((n, {"type": n}) for n in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"))
    yield "Bert", bert
    yield "Bert-cased", {**bert, "lowercase": False}
    yield "Bert-accents", {**bert, "lowercase": False, "strip_accents": True}
    yield "Bert-keeps", {**bert, "strip_accents": False, "clean_text": False}
    yield "Bert-latin", {**bert, "handle_chinese_chars": False}
    for left, right in ((True, True), (True, False), (False, True)):
        yield f"Strip-{left}-{right}", {"type": "Strip", "strip_left": left, "strip_right": right}
    yield "Replace-string", {"type": "Replace", "pattern": {"String": "the"}, "content": "xyz#"}
    yield "Replace-regex", {"type": "Replace", "pattern": {"Regex": r"\s{2,}|(?<=l)l"}, "content": " "}
    yield "Replace-empty", {"type": "Replace", "pattern": {"Regex": r"[aeiou]\b"}, "content": ""}
    yield "Prepend", {"type": "Prepend", "prepend": "▁#"}
    yield "Sequence", {"type": "Sequence", "normalizers": [
        {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}


def pre_tokenizers():
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"Split-{behavior}-{invert}", {
                "type": "Split", "pattern": {"Regex": r"\s|-+?|\d\w"}, "behavior": behavior,
                "invert": invert}
        yield f"Split-string-{behavior}", {
            "type": "Split", "pattern": {"String": "-"}, "behavior": behavior, "invert": False}
        yield f"Punctuation-{behavior}", {"type": "Punctuation", "behavior": behavior}
    for name, expression in (("gpt2", GPT2), ("llama3", modern(r"\p{N}{1,3}")),
                             ("qwen2", modern(r"\p{N}"))):
        for invert in (False, True):  # Inverted, the expression itself is used, not a scanner.
            yield f"Split-{name}-{invert}", {
                "type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated",
                "invert": invert}
            yield f"Split-{name}-removed-{invert}", {
                "type": "Split", "pattern": {"Regex": expression}, "behavior": "Removed",
                "invert": invert}
    yield "Split-lines", {"type": "Split", "pattern": {"Regex": r"^.|.$|(?m:b.)\W|[\h&&[^a]]|\p{^L}"},
                          "behavior": "Isolated", "invert": False}
    yield "Bert", {"type": "BertPreTokenizer"}
    yield "Whitespace", {"type": "Whitespace"}
    yield "WhitespaceSplit", SPLIT
    yield "Digits", {"type": "Digits", "individual_digits": True}
    yield "Digits-runs", {"type": "Digits", "individual_digits": False}
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"Metaspace-{scheme}-{split}", {
                "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
    yield "Metaspace-old", {"type": "Metaspace", "replacement": "_", "add_prefix_space": True,
                            "str_rep": "_"}
    yield "Sequence", {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, {"type": "Punctuation"}, {"type": "Digits", "individual_digits": True}]}
    yield "ByteLevel-then-Digits", {"type": "Sequence", "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "Digits", "individual_digits": False}]}


def specs():
    for name, normalizer in normalizers():
        yield f"normalizer {name}", tokenizer(spelling(), normalizer, SPLIT)
    for name, pre in pre_tokenizers():
        yield f"pre-tokenizer {name}", tokenizer(unknown(), None, pre)

    for prefix_space in (True, False):
        for regex in (True, False):
            for trim in (True, False):
                yield f"byte level {prefix_space} {regex} {trim}", tokenizer(
                    byte_level(BYTE_MERGES), None,
                    {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True,
                     "use_regex": regex},
                    {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": trim,
                     "use_regex": regex},
                    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                     "use_regex": True})
    model = byte_level(BYTE_MERGES + ["Ġ w", "h e"], ignore_merges=True)
    yield "ignore merges", tokenizer(model, {"type": "NFC"}, {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": modern(r"\p{N}{1,3}")}, "behavior": "Isolated",
         "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        {"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            template([("<s>", 0), ("A", 0)], [("<s>", [1], ["<s>"])])]}, {"type": "ByteLevel",
            "add_prefix_space": True, "trim_offsets": True, "use_regex": True})

    for fuse in (True, False):
        for fallback in (True, False):
            yield f"pairs fuse={fuse} fallback={fallback}", tokenizer(
                sentence_pairs([m.split(" ") for m in MERGES] if fuse else MERGES, LETTERS,
                               fuse_unk=fuse, byte_fallback=fallback),
                {"type": "Sequence", "normalizers": [
                    {"type": "Prepend", "prepend": "▁"},
                    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, None,
                template([("<s>", 0), ("A", 0)], [("<s>", [1], ["<s>"])]),
                {"type": "Sequence", "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
    yield "pairs without unknown", tokenizer(
        sentence_pairs(MERGES, LETTERS, unk_token=None), None,
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, None,
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True})
    yield "pairs with suffix", tokenizer(
        sentence_pairs(["t h", "th e</w>", "o r"],
                       LETTERS + [c + "</w>" for c in LETTERS], end_of_word_suffix="</w>"),
        {"type": "Lowercase"}, {"type": "BertPreTokenizer"}, None,
        {"type": "BPEDecoder", "suffix": "</w>"})
    yield "pairs with prefix", tokenizer(
        sentence_pairs(["t ##h", "th ##e", "##o ##r"], LETTERS + ["##" + c for c in LETTERS] + ["##or"],
                       continuing_subword_prefix="##"),
        {"type": "Lowercase"}, {"type": "BertPreTokenizer"}, None,
        {"type": "WordPiece", "prefix": "##", "cleanup": False})
    yield "metaspace decoder never", tokenizer(
        sentence_pairs(MERGES, LETTERS, byte_fallback=True), None,
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}, None,
        {"type": "Sequence", "decoders": [
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False},
            {"type": "ByteFallback"}, {"type": "Strip", "content": "d", "start": 0, "stop": 1},
            {"type": "Strip", "content": "e", "start": 1, "stop": 0},
            {"type": "Replace", "pattern": {"Regex": "l+"}, "content": "L"}]})

    pieces = ["the", "##y", "he", "##llo", "##ll", "do", "##n", "##t", "'", "n", "t", ".", ",", "?",
              "end", "not", "s", "ok", "caf", "##é", "漢", "字", "don", "wo", "##r", "##ld"]
    bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": False, "lowercase": True}
    for name, post in (
            ("template", CLS_SEP),
            ("bert", {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}),
            ("roberta", {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1],
                         "trim_offsets": True, "add_prefix_space": False})):
        yield f"word pieces {name}", tokenizer(
            word_piece(pieces), bert, {"type": "BertPreTokenizer"}, post,
            {"type": "WordPiece", "prefix": "##", "cleanup": True})
    yield "short words", tokenizer(
        word_piece(pieces, max_input_chars_per_word=5), bert, {"type": "BertPreTokenizer"})

    model = byte_level(BYTE_MERGES)
    added.count = 0
    tokens = [added(model, "<s>", special=True), added(model, "</s>", special=True),
              added(model, "<mask>", special=True, lstrip=True, rstrip=True),
              added(model, "<word>", single_word=True), added(model, "Café", normalized=True),
              added(model, "end", normalized=True, single_word=True, rstrip=True),
              added(model, "<BIG>", special=True, normalized=True),
              added(model, "<extra", lstrip=True), added(model, "<extra>", rstrip=True)]
    yield "added tokens", tokenizer(
        model, {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
         "add_prefix_space": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        tokens)
    yield "added tokens before metaspace", tokenizer(
        model, {"type": "Strip", "strip_left": True, "strip_right": False},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, None,
        None, tokens)


def case(tk, text):
    tk.no_truncation()
    full = tk.encode(text)
    plain = tk.encode(text, add_special_tokens=False)
    tk.enable_truncation(max_length=5)
    short = tk.encode(text)
    return {"text": text, "ids": full.ids, "type_ids": full.type_ids, "tokens": full.tokens,
            "offsets": [x for pair in full.offsets for x in pair],
            "ids_no_special": plain.ids, "type_ids_no_special": plain.type_ids,
            "decoded": tk.decode(full.ids, skip_special_tokens=False),
            "decoded_skip_special": tk.decode(full.ids, skip_special_tokens=True),
            "ids_max5": short.ids, "offsets_max5": [x for pair in short.offsets for x in pair],
            "type_ids_max5": short.type_ids}


def main():
    if sys.argv[1] == "--specs":
        os.makedirs(sys.argv[2], exist_ok=True)
        for name, spec in specs():
            path = os.path.join(sys.argv[2], name.replace(" ", "_") + ".json")
            json.dump(spec, open(path, "w"), ensure_ascii=False)
        return
    from tokenizers import Tokenizer
    result = []
    for name, spec in specs():
        tk = Tokenizer.from_str(json.dumps(spec))
        result.append({"name": name, "tokenizer": spec, "cases": [case(tk, t) for t in TEXTS]})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(
            json.dumps(r, ensure_ascii=True, separators=(",", ":")) for r in result) + "\n]\n")


main()
